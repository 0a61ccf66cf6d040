"""Gradient norms of the blocks, of failed and of successful runs (Mosbach et al. 2021, Figure 4; protocol section 5.3)."""

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stableft.core.errors import MissingInput
from stableft.reporting import run_scores
from stableft.reporting import training_curves as series
from stableft.reporting.figures import style
from stableft.storage.records import CELL, Results

FAILED, SUCCESSFUL = "failed", "successful"
CAPTION = (
    "L2 norm of each block's gradient before clipping, geometric mean over the runs that finished. Failed: final score at or below "
    "the majority score. Where runs of a task differ in length: those of the length that most of them have."
)
MOST_NAMED = 8  # of more blocks the legend names the lowest, the top, and those a quarter of the way apart


def lead(*, arms: Collection[str] | None = None) -> str:
    """Returns the sentence before `CAPTION`: the arms whose runs are drawn."""
    return f"Runs of {', '.join(arms)}." if arms else "Runs of all arms."


def data(results: Results, *, arms: Collection[str] | None = None) -> pd.DataFrame:
    """The numbers that `plot` draws.

    Failed runs are those of `stableft.reporting.run_scores.final_scores`; those that diverged are left out, so that a line is of
    the same runs throughout. The source shows one run of either kind.

    Args:
        results: Runs and metrics of one experiment.
        arms: Use their runs only; None: the runs of all arms together.

    Returns:
        Columns task, outcome (``failed`` or ``successful``), depth (1 is the lowest block), step, value (geometric mean over runs
        of what is above 0; NaN if nothing is), n (runs in the mean).

    Raises:
        MissingInput: no run of these arms that logged gradient norms finished.
    """
    results = _of_one_length(results)
    rows = series.by_block(results, "block_grad_norm").merge(run_scores.final_scores(results)[[*CELL, "failed"]], on=CELL)
    if arms is not None:
        rows = rows[rows["arm"].isin(list(arms))]
    if rows.empty:
        raise MissingInput(f"no finished run of {', '.join(arms or ())} holds gradient norms")
    rows = rows.assign(outcome=np.where(rows["failed"], FAILED, SUCCESSFUL), log=np.log(rows["value"].where(rows["value"] > 0)))
    keys = ["task", "outcome", "depth", "step"]
    frame = rows.groupby(keys, observed=True)["log"].agg(["mean", "count"]).reset_index()
    frame = frame.assign(value=np.exp(frame["mean"]), n=frame["count"])
    return frame[[*keys, "value", "n"]]


def _of_one_length(results: Results) -> Results:
    """A step is at another point of the schedule in a longer run, so that a mean over both would be of neither."""
    lengths = results.runs.groupby("task", sort=False, observed=True)["num_steps"]
    return replace(results, runs=results.runs[results.runs["num_steps"] == lengths.transform(lambda steps: steps.mode().min())])


def plot(frame: pd.DataFrame, results: Results, *, arms: Collection[str] | None = None) -> Figure:
    """A row per task: failed runs to the left, successful ones to the right; one line per block, on one logarithmic scale."""
    results = _of_one_length(results)
    depth = int(frame["depth"].max())
    asked = results.runs if arms is None else results.runs[results.runs["arm"].isin(list(arms))]
    diverged = asked.loc[asked["outcome"] != "ok", "task"].value_counts()
    tasks = [task for task in results.runs["task"].unique() if task in set(frame["task"])]
    with style.context():
        figure, panels = style.panels(2 * len(tasks))
        for row, task in enumerate(tasks):
            of_task = frame[frame["task"] == task]
            low, high = of_task["value"].min(), of_task["value"].max()
            for panel, outcome in zip(panels[2 * row : 2 * row + 2], (FAILED, SUCCESSFUL), strict=True):
                here = of_task[of_task["outcome"] == outcome]
                runs = int(here["n"].max()) if len(here) else 0
                lost = diverged.get(task, 0) if outcome == FAILED else 0
                panel.set_title(f"{task}, {outcome} runs: {runs}{f' and {lost} diverged' if lost else ''}")
                panel.set(yscale="log", ylim=(low / 1.5, high * 1.5), xlim=(0, 1.02 * of_task["step"].max()))
                panel.set(xlabel="step", ylabel="gradient norm of the block")
                _draw(panel, here, depth)
                if here.empty:
                    panel.text(0.5, 0.5, f"no {outcome} run", transform=panel.transAxes, ha="center", va="center")
        style.legend(figure)
    return figure


def _draw(panel: Axes, rows: pd.DataFrame, deepest: int) -> None:
    colors = style.depth_colors(deepest)
    for depth, line in rows.groupby("depth"):
        label = (
            f"block {depth}"
            if deepest <= MOST_NAMED or depth in {1, deepest // 4, deepest // 2, 3 * deepest // 4, deepest}
            else "_"
        )
        panel.plot(line["step"], line["value"], color=colors[int(str(depth)) - 1], linewidth=1, label=label)
