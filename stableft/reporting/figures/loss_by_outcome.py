"""Loss by outcome: training loss of every failed run beside that of every successful one.

Shows if failed runs learn nothing from the start, or learn and lose it. Mosbach et al. (2021),
Figure 2c; protocol section 5.3.
"""

from collections.abc import Collection

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stableft.core.errors import TooFew
from stableft.reporting import captions, grid_axes, run_scores, training_curves, treatments
from stableft.reporting.figures import style
from stableft.storage.records import CELL, Results

FAILED, SUCCESSFUL = "failed", "successful"
INTERVAL = 10  # steps per point, as the source logs them
CAPTION = (
    "Training loss of every run, failed ones apart from successful ones. Means over 10 steps, of the runs of a task's most "
    "common length."
)
note = captions.arms_drawn


def data(results: Results, *, arms: Collection[str] | None = None) -> pd.DataFrame:
    """Collects the losses for `plot`.

    Args:
        results: Runs and metrics of one experiment.
        arms: Arms to draw, see `stableft.reporting.run_scores.of_arms`; None: all.

    Returns:
        Columns task, outcome (``failed`` or ``successful``), arm, method (the arm's name up to
        " lr=..."), seed, step (the last of ten) and value.

    Raises:
        TooFew: no run is of the arms, or none of them has a loss of ten steps.
        MissingInput: no runs.
    """
    shown = training_curves.of_one_length(run_scores.of_arms(results, arms))
    scores = run_scores.final_scores(shown)
    rows = training_curves.interval_means(shown, "loss", INTERVAL).merge(scores[[*CELL, "failed"]], on=CELL)
    if rows.empty:
        raise TooFew(f"no run holds a training loss of {INTERVAL} steps")
    outcome = np.where(rows["failed"], FAILED, SUCCESSFUL)
    frame = rows.assign(outcome=outcome, method=grid_axes.without_rate(rows["arm"]))
    return frame[["task", "outcome", "arm", "method", "seed", "step", "value"]]


def plot(frame: pd.DataFrame, results: Results, **_: object) -> Figure:
    """Draws a row per task, failed runs left and successful ones right, on one scale."""
    styles = treatments.arm_styles(frame["method"])
    tasks = [task for task in results.runs["task"].unique() if task in set(frame["task"])]
    with style.context():
        figure, panels = style.panels(2 * len(tasks))
        for place, panel in enumerate(panels):
            task, outcome = tasks[place // 2], (FAILED, SUCCESSFUL)[place % 2]
            of_task = frame[frame["task"] == task]
            runs = list(of_task[of_task["outcome"] == outcome].groupby(["arm", "seed"], sort=False, observed=True))
            named = set()
            for _, run in runs:
                method = str(run["method"].iloc[0])
                _draw(panel, run, styles[method], "_" if method in named else method)
                named.add(method)
            style.same_scale(panel, of_task["value"])
            panel.set(title=f"{task}, {outcome} runs: {len(runs)}", xlabel="step", ylabel="train loss")
            panel.set_xlim(0, 1.02 * of_task["step"].max())
            if not runs:
                style.nothing(panel, f"no {outcome} run")
        style.legend(figure)
    return figure


def _draw(panel: Axes, run: pd.DataFrame, look: treatments.ArmStyle, label: str) -> None:
    # A run that diverged before its second point would be an invisible line.
    marker = "." if len(run) == 1 else ""
    line = {"color": look.color, "linestyle": look.linestyle, "linewidth": 0.7, "alpha": 0.7, "in_layout": False}
    panel.plot(run["step"], run["value"], **line, marker=marker, label=label)
