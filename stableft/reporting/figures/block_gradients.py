"""Gradient norms of each block, for failed and for successful runs.

Mosbach et al. (2021), Figure 4; protocol section 5.3.
"""

from collections.abc import Collection

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from stableft.core.errors import NotLogged
from stableft.reporting import captions, panel_parts, run_scores, training_curves
from stableft.reporting.figures import style
from stableft.storage.records import CELL, Results

FAILED, SUCCESSFUL = "failed", "successful"
CAPTION = (
    "Gradient norms of each block over training, failed runs apart from successful ones. L2 norm before clipping, "
    "geometric mean over the finished runs of a task's most common length."
)


def note(*, arms: Collection[str] | None = None) -> str:
    """Returns the sentence after `CAPTION`: the arms whose runs are drawn."""
    return captions.arms_drawn(arms=arms) or "Runs of all arms."


def data(results: Results, *, arms: Collection[str] | None = None) -> pd.DataFrame:
    """Computes the mean gradient norms for `plot`.

    Failed runs are defined by `stableft.reporting.run_scores.final_scores`. Diverged runs are left out,
    so each line is a mean over the same runs throughout. The source shows one run of either kind.

    Args:
        results: Runs and metrics of one experiment.
        arms: Arms to use; None: the runs of all arms together.

    Returns:
        Columns task, outcome (``failed`` or ``successful``), depth (1 is the lowest block), step, value
        (geometric mean over runs with a norm above 0; NaN if there is none), n (runs in the mean).

    Raises:
        NotLogged: no finished run of the arms logged gradient norms.
    """
    results = training_curves.of_one_length(results)
    rows = training_curves.by_block(results, "block_grad_norm").merge(run_scores.final_scores(results)[[*CELL, "failed"]], on=CELL)
    if arms is not None:
        rows = rows[rows["arm"].isin(list(arms))]
    if rows.empty:
        raise NotLogged(f"no finished run of {', '.join(arms or ())} holds gradient norms")
    rows = rows.assign(outcome=np.where(rows["failed"], FAILED, SUCCESSFUL), log=np.log(rows["value"].where(rows["value"] > 0)))
    keys = ["task", "outcome", "depth", "step"]
    frame = rows.groupby(keys, observed=True)["log"].agg(["mean", "count"]).reset_index()
    frame = frame.assign(value=np.exp(frame["mean"]), n=frame["count"])
    return frame[[*keys, "value", "n"]]


def plot(frame: pd.DataFrame, results: Results, *, arms: Collection[str] | None = None) -> Figure:
    """Draws a row per task, failed runs left and successful ones right, with one line per block.

    Both panels of a row share one logarithmic scale.
    """
    # Diverged runs have no line; the titles count them.
    results = training_curves.of_one_length(results)
    depth = int(frame["depth"].max())
    asked = results.runs if arms is None else results.runs[results.runs["arm"].isin(list(arms))]
    diverged = asked.loc[asked["outcome"] != "ok", "task"].value_counts()
    tasks = [task for task in results.runs["task"].unique() if task in set(frame["task"])]
    with style.context():
        figure, panels = style.panels(2 * len(tasks))
        for row, task in enumerate(tasks):
            of_task = frame[frame["task"] == task]
            # Both outcomes share the scale, so that they can be compared.
            low, high = of_task["value"].min(), of_task["value"].max()
            for panel, outcome in zip(panels[2 * row : 2 * row + 2], (FAILED, SUCCESSFUL), strict=True):
                here = of_task[of_task["outcome"] == outcome]
                runs = int(here["n"].max()) if len(here) else 0
                lost = diverged.get(task, 0) if outcome == FAILED else 0
                panel.set_title(f"{task}, {outcome} runs: {runs}{f' and {lost} diverged' if lost else ''}")
                panel.set(yscale="log", ylim=(low / 1.5, high * 1.5), xlim=(0, 1.02 * of_task["step"].max()))
                panel.set(xlabel="step", ylabel="gradient norm of the block")
                panel_parts.block_lines(panel, here, depth)
                if here.empty:
                    style.nothing(panel, f"no {outcome} run")
        style.legend(figure)
    return figure
