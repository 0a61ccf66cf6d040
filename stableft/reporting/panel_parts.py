"""Panel parts: artists that several kinds of figure share."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from stableft.reporting import markup, treatments
from stableft.reporting.figures import style
from stableft.reporting.mean_curves import FAILED, INTERVAL, MEAN, RANGE

THIN: dict[str, Any] = {"linewidth": 0.5, "alpha": 0.7}
BANDS = {INTERVAL: "95 % interval", RANGE: "least to greatest run"}
MOST_NAMED = 8  # with more blocks the legend names only the lowest and every quarter of the way up


def band_names(panel: Axes, rows: pd.DataFrame, band: str) -> None:
    """Adds entries to the legend: one for all bands, and one for all failed runs."""
    if len(with_band(rows[rows["series"] == MEAN], band)):
        panel.fill_between([], [], [], color=style.INK, alpha=0.2, linewidth=0, label=BANDS[band])
    if (rows["series"] == FAILED).any():
        panel.plot([], [], **THIN, color=style.INK, label=FAILED)


def with_band(means: pd.DataFrame, band: str) -> pd.DataFrame:
    """Returns the means that have a band; an interval needs `style.FEWEST` runs."""
    fewest = style.FEWEST if band == INTERVAL else 2
    return means[means["low"].notna() & (means["n"] >= fewest)]


def arm_curves(
    panel: Axes, curves: pd.DataFrame, arm: str, look: treatments.ArmStyle, band: str = RANGE, *, label: str | None = None,
    wide: bool = False,
) -> None:  # fmt: skip
    """Draws an arm's rows of `mean_curves`: its mean and band, published curves, and failed runs.

    Args:
        panel: The panel.
        curves: Rows of one task and arm.
        arm: Its name.
        look: Its look.
        band: What the band is, see `stableft.reporting.mean_curves.mean_curves`.
        label: Entry of the mean in the legend; None: the arm's name.
        wide: True: the mean is a wide and pale line without marks, which shows below an equal one.
    """
    mean = curves[curves["series"] == MEAN]
    if len(mean):
        style.band(panel, mean["step"], mean, look, label or arm, shaded=len(with_band(mean, band)) > 0, wide=wide)
    for source, line in curves[~curves["series"].isin([MEAN, FAILED])].groupby("series", sort=False):
        style.published_line(panel, line["step"], line["value"], look.marker, f"{arm}: {source}")
    failed_runs(panel, curves[curves["series"] == FAILED], look)


def failed_runs(panel: Axes, rows: pd.DataFrame, look: treatments.ArmStyle) -> None:
    """Draws a thin line for each failed run."""
    failed = rows.sort_values("seed", kind="stable")
    starts = np.flatnonzero(np.diff(failed["seed"].to_numpy(np.int64))) + 1
    for steps, values in zip(*(np.split(failed[name].to_numpy(), starts) for name in ("step", "value")), strict=True):
        # A run that diverged before its second point would be an invisible line.
        marker = "." if len(steps) == 1 else ""
        # Lines lie inside the panel: the layout can skip them, of which there may be thousands.
        look_of_line = {**THIN, "color": look.color, "marker": marker, "in_layout": False}
        if len(steps):
            panel.plot(steps, values, **look_of_line, zorder=1.8, label="_failed")


def block_lines(panel: Axes, rows: pd.DataFrame, deepest: int) -> None:
    """Draws a line per block, from dark to light; of many blocks the legend names a few.

    Args:
        panel: The panel.
        rows: Columns depth, step and value.
        deepest: Number of blocks of the deepest encoder; decides the colours.
    """
    colors = style.depth_colors(deepest)
    for depth, line in rows.groupby("depth"):
        label = (
            f"block {depth}"
            if deepest <= MOST_NAMED or depth in {1, deepest // 4, deepest // 2, 3 * deepest // 4, deepest}
            else "_"
        )
        panel.plot(line["step"], line["value"], color=colors[int(str(depth)) - 1], linewidth=1, label=label)


def rate_axis(panel: Axes, rates: np.ndarray) -> float:
    """Sets a logarithmic axis with a tick per rate, labelled if there is room.

    Returns the least gap between two rates, in decades.
    """
    decades = np.log10(rates)
    span = float(np.ptp(decades)) or 1.0
    gap = min([0.3 * span, *np.diff(decades)])
    panel.set_xscale("log")
    panel.set_xlim(10 ** (decades[0] - 0.6 * gap), 10 ** (decades[-1] + 0.6 * gap))
    labels, last = [], -np.inf
    for rate, place in zip(rates, decades, strict=True):
        near = place - last < 0.11 * span
        labels.append("" if near else markup.FORMATS["lr"](rate))
        last = last if near else place
    panel.set_xticks(rates, labels)
    panel.set_xticks([], minor=True)
    return gap
