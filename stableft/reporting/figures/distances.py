"""Distances of each block from its initial weights.

Zhang et al. (2021), Figures 7 and 15 to 18; protocol section 4.
"""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stableft.reporting import training_curves
from stableft.reporting.figures import style
from stableft.storage.records import Results

CAPTION = (
    "L2 distance of all parameters of a block to their values at step 0, after what was drawn anew. Mean over the runs that "
    "finished and logged it; shaded: from the least to the greatest of them."
)
MOST_BLOCKS = 6
PANEL = (1.75, 1.7)  # inches
LEAST_WIDTH = 3.3  # inches of the figure, for the legend


def data(results: Results) -> pd.DataFrame:
    """Computes the mean distances for `plot`.

    Of an encoder with more than six blocks four are shown: a quarter of the way up, half, three
    quarters, and the top, as in the source's Figure 7 (6, 12, 18, 24 of 24). Diverged runs are left
    out, so each line is a mean over the same runs throughout.

    Returns:
        Columns task, arm, depth (1 is the lowest block), step, value (mean over runs), low, high (least
        and greatest), n.

    Raises:
        MissingInput: no finished run logged distances.
    """
    rows = training_curves.by_block(results, "distance")
    blocks = rows.groupby("task", observed=True)["depth"].max().map(_shown)
    rows = rows[[depth in blocks[task] for task, depth in zip(rows["task"], rows["depth"], strict=True)]]
    groups = rows.groupby(["task", "arm", "depth", "step"], observed=True)["value"]
    frame = groups.agg(value="mean", low="min", high="max", n="count").reset_index()
    return results.runs[["task", "arm"]].drop_duplicates().merge(frame, on=["task", "arm"])  # tasks and arms in the runs' order


def plot(frame: pd.DataFrame, _: Results) -> Figure:
    """Draws a row of panels per task, one panel per block, with one line and band per arm.

    The panels of a row share their scale.
    """
    # As many columns as the deepest task needs; panels wide enough together for the legend.
    styles = style.arm_styles(frame["arm"])
    per_task = frame.groupby("task", sort=False, observed=True)["depth"].nunique()
    columns = int(per_task.max())
    width = max(PANEL[0], LEAST_WIDTH / columns)
    with style.context():
        figure, panels = style.panels(columns * len(per_task), width, PANEL[1], columns)
        for row, (task, of_task) in enumerate(frame.groupby("task", sort=False, observed=True)):
            here = panels[row * columns : (row + 1) * columns]
            for place, (depth, of_block) in enumerate(of_task.groupby("depth")):
                _draw(here[place], of_block, styles)
                here[place].set(title=f"{task}, block {depth}", ylim=(0, 1.05 * (of_task["high"].max() or 1)), xlabel="step")
                here[place].tick_params(labelleft=place == 0)
            here[0].set_ylabel("distance to the start")
            for unused in here[per_task[task] :]:
                unused.remove()
        style.legend(figure)
    return figure


def _shown(num_blocks: int) -> list[int]:
    if num_blocks <= MOST_BLOCKS:
        return list(range(1, num_blocks + 1))
    return [num_blocks * quarter // 4 for quarter in (1, 2, 3, 4)]


def _draw(panel: Axes, rows: pd.DataFrame, styles: dict[str, style.ArmStyle]) -> None:
    for arm, line in rows.groupby("arm", sort=False, observed=True):
        style.band(panel, line["step"], line, styles[str(arm)], str(arm), marks=6)
    panel.set_xlim(left=0)
