"""Distances of each block from its initial weights.

Zhang et al. (2021), Figures 7 and 15 to 18; protocol section 4.
"""

from collections.abc import Collection

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stableft.reporting import captions, run_scores, training_curves, treatments
from stableft.reporting.figures import style
from stableft.storage.records import Results

CAPTION = (
    "How far each block moves from its initial weights. L2 distance of its parameters to those at step 0, after what was "
    "drawn anew; mean over finished runs, shaded from the least to the greatest."
)
COLUMNS = 4  # panels beside each other, the source's number
PANEL = (1.75, 1.7)  # inches
LEAST_WIDTH = 3.3  # inches of the figure, for the legend


note = captions.arms_drawn


def data(results: Results, *, every: bool = False, arms: Collection[str] | None = None) -> pd.DataFrame:
    """Computes the mean distances for `plot`.

    Diverged runs are left out, so each line is a mean over the same runs throughout.

    Args:
        results: Runs and metrics of one experiment.
        every: True: every block of the encoder, as in the source's Figures 15 to 18. False: a quarter
            of the way up, half, three quarters, and the top, as in its Figure 7 (6, 12, 18, 24 of 24).
        arms: Arms to draw, see `stableft.reporting.run_scores.of_arms`; None: all.

    Returns:
        Columns task, arm, depth (1 is the lowest block), step, value (mean over runs), low, high (least
        and greatest), n.

    Raises:
        MissingInput: no finished run logged distances, or no run is of the arms.
    """
    results = run_scores.of_arms(results, arms)
    rows = training_curves.by_block(results, "distance")
    if not every:
        blocks = rows.groupby("task", observed=True)["depth"].max().map(_quarters)
        rows = rows[[depth in blocks[task] for task, depth in zip(rows["task"], rows["depth"], strict=True)]]
    groups = rows.groupby(["task", "arm", "depth", "step"], observed=True)["value"]
    frame = groups.agg(value="mean", low="min", high="max", n="count").reset_index()
    return results.runs[["task", "arm"]].drop_duplicates().merge(frame, on=["task", "arm"])  # tasks and arms in the runs' order


def plot(frame: pd.DataFrame, results: Results, **_: object) -> Figure:
    """Draws the blocks of each task in rows of up to four panels, with one line and band per arm.

    The panels of a task share their scale.
    """
    # Panels wide enough together for the legend; a task begins a new row.
    # The looks are of all arms, so that an arm looks the same in figures of fewer arms.
    styles = treatments.arm_styles(results.runs["arm"])
    per_task = frame.groupby("task", sort=False, observed=True)["depth"].nunique()
    columns = _columns(int(per_task.max()))
    width = max(PANEL[0], LEAST_WIDTH / columns)
    rows = -(-per_task // columns)
    with style.context():
        figure, panels = style.panels(columns * int(rows.sum()), width, PANEL[1], columns)
        for task, of_task in frame.groupby("task", sort=False, observed=True):
            here, panels = panels[: columns * rows[task]], panels[columns * rows[task] :]
            for place, (depth, of_block) in enumerate(of_task.groupby("depth")):
                _draw(here[place], of_block, styles)
                here[place].set(title=f"{task}, block {depth}", ylim=(0, 1.05 * (of_task["high"].max() or 1)), xlabel="step")
                here[place].tick_params(labelleft=place % columns == 0)
                if place % columns == 0:
                    here[place].set_ylabel("distance to the start")
            for unused in here[per_task[task] :]:
                unused.remove()
        style.legend(figure)
    return figure


def _quarters(num_blocks: int) -> list[int]:
    return sorted({max(1, num_blocks * quarter // 4) for quarter in (1, 2, 3, 4)})


def _columns(blocks: int) -> int:
    """Returns the panels of a row: three if that leaves no hole and four would."""
    return 3 if blocks % COLUMNS and blocks % 3 == 0 else min(COLUMNS, blocks)


def _draw(panel: Axes, rows: pd.DataFrame, styles: dict[str, treatments.ArmStyle]) -> None:
    for arm, line in rows.groupby("arm", sort=False, observed=True):
        style.band(panel, line["step"], line, styles[str(arm)], str(arm), marks=6)
    panel.set_xlim(left=0)
