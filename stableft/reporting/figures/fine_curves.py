"""Fine curves: training loss and score against the step, at every tenth step.

The TNEWS note, its figures of the loss and of the accuracy (protocol section 7, S0): one point for
every 10 steps.
"""

from collections.abc import Collection

import pandas as pd
from matplotlib.figure import Figure

from stableft.reporting import axis_labels, captions, grid_axes, panel_parts, treatments
from stableft.reporting.figures import style
from stableft.reporting.mean_curves import RANGE, mean_curves
from stableft.storage.records import Results

LOSS, SCORE = "train loss", "validation score"
INTERVAL = 10  # steps per point of the source
CAPTION = (
    "Training loss and score of each arm over training. Left: means over 10 steps; right: every evaluation. Line: mean over "
    "seeds, shaded from the least to the greatest run; thin lines: failed runs."
)
note = captions.arms_drawn


def data(results: Results, *, arms: Collection[str] | None = None) -> pd.DataFrame:
    """Computes the curves of both series for `plot`.

    Args:
        results: Runs and metrics of one experiment.
        arms: Arms to draw, see `stableft.reporting.run_scores.of_arms`; None: all.

    Returns:
        The columns of `stableft.reporting.mean_curves.mean_curves`, and ``panel`` (``train loss`` or
        ``validation score``).

    Raises:
        NotLogged: no run is of the arms.
        MissingInput: no runs, or no such series.
    """
    loss = mean_curves(results, split="train", metric="loss", interval=INTERVAL, band=RANGE, arms=arms)
    score = mean_curves(results, split="validation", metric="score", band=RANGE, arms=arms)
    return pd.concat([loss.assign(panel=LOSS), score.assign(panel=SCORE)], ignore_index=True)


def plot(frame: pd.DataFrame, results: Results, **_: object) -> Figure:
    """Draws a row per task: training loss left, score right, with a line and a band per arm."""
    # Arms of one learning rate look like their treatment.
    methods = dict(zip(frame["arm"], grid_axes.without_rate(frame["arm"]), strict=True))
    names = methods if len(set(methods.values())) == len(methods) else {arm: arm for arm in methods}
    styles = treatments.arm_styles(names.values())
    tasks = list(frame["task"].unique())
    with style.context():
        figure, panels = style.panels(2 * len(tasks))
        for place, panel in enumerate(panels):
            task, series = tasks[place // 2], (LOSS, SCORE)[place % 2]
            rows = frame[(frame["task"] == task) & (frame["panel"] == series)]
            for arm, of_arm in rows.groupby("arm", sort=False, observed=True):
                panel_parts.arm_curves(panel, of_arm, str(arm), styles[names[str(arm)]])
            panel_parts.band_names(panel, rows, RANGE)
            style.majority_line(panel, rows["majority_score"].iloc[0])
            what = series if series == LOSS else axis_labels.of_points(results, str(task))
            panel.set(title=f"{task}, {rows['step'].nunique()} points", xlabel="step", ylabel=what)
            panel.set_xlim(left=0)
        style.legend(figure)
    return figure
