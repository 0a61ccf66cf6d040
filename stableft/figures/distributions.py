"""Final scores of all runs, per arm and task (Mosbach et al. 2021, Figure 1; Zhang et al. 2021, Figure 2)."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stableft import tables
from stableft.figures import style
from stableft.records import Results

CAPTION = (
    "Final score of every run. Boxes: quartiles, whiskers to 1.5 interquartile ranges. Crosses: failed runs (final score at or "
    "below the majority score, or diverged). Dotted: majority score, below the axis where all runs are "
    "far above it."
)
ARM_WIDTH = 0.8  # inches that the label below a box needs
FAR = 1.0  # heights of the runs' own axis
SPREAD = 0.28  # half the width over which the points of an arm are spread


def data(results: Results) -> pd.DataFrame:
    """The numbers that `plot` draws: one row per run, see `stableft.tables.final_scores`.

    Raises:
        MissingInput: no runs, or a finished run without its final score.
    """
    return tables.final_scores(results)


def plot(results: Results) -> Figure:
    """One panel per task: a box (quartiles, whiskers at 1.5 IQR) per arm, every run as a point, failed runs as crosses.

    The points of an arm stand in the order of the seeds, so runs that end at one and the same score stay countable.

    Raises:
        MissingInput: see `data`.
    """
    frame = data(results)
    styles = style.arm_styles(frame["arm"])
    width = max(style.PANEL[0], ARM_WIDTH * (1 + len(styles)))
    with style.context():
        figure, panels = style.panels(frame["task"].nunique(), width=width, columns=2 if width == style.PANEL[0] else 1)
        for panel, (task, of_task) in zip(panels, frame.groupby("task", sort=False, observed=True), strict=True):
            groups = [(str(arm), group) for arm, group in of_task.groupby("arm", sort=False, observed=True)]
            for position, (arm, group) in enumerate(groups):
                _draw(panel, position, group, styles[arm])
            labels = [f"{arm}\nn = {len(group)}\n{group['failed'].sum()} failed" for arm, group in groups]
            panel.set_xticks(range(len(groups)), labels)
            panel.set_xlim(-0.6, len(groups) - 0.4)
            style.failed_key(panel)
            low, high = panel.get_ylim()
            style.majority_line(panel, majority := of_task["majority_score"].iloc[0])
            if low - majority > FAR * (high - low):  # on one axis with it the arms would look alike
                panel.set_ylim(low, high)
            panel.set(title=task, ylabel=f"{of_task['split'].iloc[0]} {of_task['score_name'].iloc[0].replace('_', ' ')}")
        style.legend(figure)
    return figure


def _draw(panel: Axes, position: int, group: pd.DataFrame, look: style.ArmStyle) -> None:
    line = {"color": look.color, "linewidth": 0.9}
    panel.boxplot(
        group["score"], positions=[position], widths=0.6, showfliers=False, patch_artist=True, manage_ticks=False,
        boxprops={"facecolor": "none", "edgecolor": look.color, "linewidth": 0.9}, medianprops={**line, "linewidth": 1.8},
        whiskerprops=line, capprops=line,
    )  # fmt: skip
    ordered = group.sort_values("seed")
    x = pd.Series(position + np.linspace(-SPREAD, SPREAD, len(ordered) + 2)[1:-1], index=ordered.index)
    lost = ordered["failed"]
    points = {"linestyle": "none", "color": look.color, "zorder": 3}
    panel.plot(x[~lost], ordered["score"][~lost], marker=look.marker, markeredgecolor="white", markeredgewidth=0.4, **points)
    panel.plot(x[lost], ordered["score"][lost], marker="x", markersize=4, markeredgewidth=1, **points)
