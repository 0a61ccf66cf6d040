"""Style of all figures, and their files: sizes, legends and marks; same figure, same bytes.

Functions import seaborn only to draw, because it imports pyplot and most commands need neither.
"""

import io
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from numpy.typing import ArrayLike

from stableft.core.files import write_whole
from stableft.reporting.rounding_renderer import rounded_coordinates
from stableft.reporting.treatments import ArmStyle, Color

PANEL = (3.3, 2.2)  # inches: one column of a two-column page
THIRD = 2.3  # inches: a third of a page
LEGEND_HEIGHT, LEGEND_ROWS, LEGEND_ROW = 0.35, 2, 0.15  # inches; rows that fit into them; inches of a further row
LEGEND_HANDLE, LEGEND_LETTER = 0.48, 0.056  # inches of an entry without its label, and of each letter
INK, LIGHT_INK, PUBLISHED_INK = "#333333", "#999999", "#777777"

FONT_SCALE = 1 / 1.2  # of seaborn's "paper", for 8 points
# Settings for figures of one column, on top of seaborn's themes. Text has at least 7 points.
RC = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so text measures the same on every machine
    **dict.fromkeys(("xtick.labelsize", "ytick.labelsize", "legend.fontsize"), 7),
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": ".92",
    "grid.linewidth": 0.5,
    **dict.fromkeys(("axes.linewidth", "xtick.major.width", "ytick.major.width", "xtick.minor.width", "ytick.minor.width"), 0.6),
    **dict.fromkeys(("xtick.major.size", "ytick.major.size"), 3),
    **dict.fromkeys(("xtick.minor.size", "ytick.minor.size"), 2),
    "lines.linewidth": 1.3,
    "lines.markersize": 3.8,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "stableft",
}

# Without these settings the files contain the date and the version of matplotlib.
METADATA: dict[str, dict[str, str | None]] = {
    "pdf": {"CreationDate": None, "Creator": "stableft", "Producer": "stableft"},
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": "stableft"},
}
# The formats' names for a description.
DESCRIPTION = {"pdf": "Subject", "png": "Description", "svg": "Description"}
LAYOUT_PASSES = 2  # if the panels' aspect is fixed, the first pass leaves labels outside

FEWEST = 5  # runs for a box or an interval; the quartiles of fewer would be the runs themselves
MIXED = 0.1  # least share of failed runs, and of others, of an arm that is in two places
PUBLISHED_MARKERS = ("D", "s", "^", "o", "v")  # open and grey, unlike any arm


def depth_colors(count: int) -> list[Color]:
    """Returns the colours of a model's parts from the lowest (dark) to the highest.

    None is too faint for a line.
    """
    from seaborn import color_palette

    return color_palette("viridis", count) if count else []


# Labels that matplotlib itself writes: at logarithmic axes, and as the factor of other axes.
POWER_OF_TEN = re.compile(r"\$(\\mathdefault|\\times|[{}^0-9.,+\u2212-])*\$")


@contextmanager
def context() -> Iterator[None]:
    """Applies the style within a ``with`` block, for drawing and saving.

    It is based on matplotlib's defaults and ignores the user's matplotlibrc.
    """
    from seaborn import axes_style, plotting_context

    with matplotlib.style.context(["default", axes_style("ticks"), plotting_context("paper", FONT_SCALE), RC]):
        yield


def panels(count: int, width: float = PANEL[0], height: float = PANEL[1], columns: int = 2) -> tuple[Figure, list[Axes]]:
    """Builds a figure of ``count`` equal panels with room for a legend above.

    Three panels of the usual width are narrower and beside each other, as a second row would have a
    hole.

    Args:
        count: Number of panels.
        width: Of a panel, in inches.
        height: Of a panel, in inches.
        columns: At most.
    """
    if (count, columns, width) == (3, 2, PANEL[0]):
        columns, width = 3, THIRD
    columns = min(columns, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(width * columns, height * rows + LEGEND_HEIGHT), layout="constrained")
    return figure, [figure.add_subplot(rows, columns, index + 1) for index in range(count)]


def legend(figure: Figure, columns: int | None = None) -> None:
    """Adds one legend above all panels, so that it hides no data.

    A label of several panels is listed once, a line outside its panel's limits not at all. A label
    longer than the figure's width is broken into lines. The figure grows if its legend has more rows
    than there is room for, and shrinks if there is no legend.
    """
    # Entries by label, in the order of the panels.
    entries = {}
    letters = int((figure.get_figwidth() - LEGEND_HANDLE) / LEGEND_LETTER)
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            if _visible(axes, handle):
                entries.setdefault(textwrap.fill(label, letters), handle)
    if not entries:
        figure.set_figheight(figure.get_figheight() - LEGEND_HEIGHT)
        return
    # Rows beyond those with reserved room make the figure higher.
    columns = columns or _columns(list(entries), figure.get_figwidth())
    rows = -(-(len(entries) + sum(label.count("\n") for label in entries)) // columns)
    figure.set_figheight(figure.get_figheight() + LEGEND_ROW * max(0, rows - LEGEND_ROWS))
    figure.legend(entries.values(), entries.keys(), loc="outside upper center", ncols=min(columns, len(entries)))


def _visible(axes: Axes, handle: Artist) -> bool:
    """Tells whether a part of a line lies within its panel; an empty line is a sample for the legend."""
    if not isinstance(handle, Line2D) or not handle.get_clip_on() or not len(np.asarray(handle.get_xdata())):
        return True
    inside = np.True_
    limits = (axes.get_xlim(), axes.get_ylim())
    of_data = handle.get_transform().contains_branch_seperately(axes.transData)
    for own, ends, values in zip(of_data, limits, (handle.get_xdata(), handle.get_ydata()), strict=True):
        if own:
            places = np.asarray(axes.convert_xunits(values), dtype=np.float64)
            inside = inside & (places >= min(ends)) & (places <= max(ends))
    return bool(np.any(inside))


def _columns(labels: Sequence[str], width: float) -> int:
    """Returns the number of columns that fit into ``width`` inches, each as wide as its longest label."""
    for columns in range(max(1, int(width // 1.3)), 1, -1):
        rows = -(-len(labels) // columns)
        longest = [max(map(len, labels[start : start + rows])) for start in range(0, len(labels), rows)]
        if sum(LEGEND_HANDLE + LEGEND_LETTER * length for length in longest) <= width:
            return len(longest)
    return 1


def save(figure: Figure, stem: Path, description: str | None = None) -> list[Path]:
    """Writes ``<stem>.pdf``, ``.png`` and ``.svg``; the same figure gives the same bytes.

    Args:
        figure: The figure to write.
        stem: Path without suffix; its folder exists.
        description: Metadata for the files, in ASCII (`stableft.reporting.artifact_metadata`); none by
            default.

    Returns:
        The paths written. Each appears complete or not at all.
    """
    # A dollar sign in a name would otherwise start a formula.
    for text in figure.findobj(Text):
        if isinstance(text, Text) and "$" in text.get_text() and not POWER_OF_TEN.fullmatch(text.get_text()):
            text.set_parse_math(False)
    written = []
    with context():
        # The layout is computed once: a pass per format would change places by the last digit of a float.
        if engine := figure.get_layout_engine():
            for _ in range(LAYOUT_PASSES):
                engine.execute(figure)
        # Without an engine; with any, matplotlib would draw everything twice for each format.
        figure.set_layout_engine(None)
        for suffix, metadata in METADATA.items():
            buffer = io.BytesIO()
            with rounded_coordinates(figure):
                figure.savefig(buffer, format=suffix, metadata={**metadata, DESCRIPTION[suffix]: description})
            written.append(write_whole(stem.with_name(f"{stem.name}.{suffix}"), buffer.getvalue()))
    return written


def majority_line(axes: Axes, score: float, flip: bool = False) -> None:
    """Draws a dotted line at the threshold for failed runs; nothing if ``score`` is NaN.

    With ``flip`` scores are on the horizontal axis.
    """
    if score == score:
        (axes.axvline if flip else axes.axhline)(score, color=INK, linestyle=":", linewidth=0.8, zorder=1, label="majority score")


def nothing(axes: Axes, why: str) -> None:
    """Writes into the middle of a panel why nothing is drawn there."""
    axes.text(0.5, 0.5, why, transform=axes.transAxes, ha="center", va="center")


def same_scale(axes: Axes, values: pd.Series) -> None:
    """Sets limits that hold all of ``values``, for panels that can be compared."""
    low, high = values.min(), values.max()
    if axes.get_yscale() == "log":
        axes.set_ylim(low / 1.5, high * 1.5)
    else:
        margin = 0.05 * (high - low or 1)
        axes.set_ylim(low - margin, high + margin)


def published_points(
    axes: Axes, x: ArrayLike, values: ArrayLike, stds: ArrayLike, label: str, place: int, flip: bool = False
) -> None:
    """Draws published numbers, open and grey, with bars of one standard deviation to either side.

    Args:
        axes: The panel.
        x, values, stds: One for each number; NaN in stds: no bar.
        label: Its entry in the legend.
        place: Index of the source among the figure's sources; decides its mark.
        flip: True: values are on the horizontal axis.
    """
    marker = PUBLISHED_MARKERS[place % len(PUBLISHED_MARKERS)]
    ends = np.asarray(values, dtype=np.float64) + np.outer((-1.0, 1.0), np.asarray(stds, dtype=np.float64))
    (axes.hlines if flip else axes.vlines)(x, *ends, color=PUBLISHED_INK, linewidth=1.1, zorder=3.4)
    look = {"markerfacecolor": "white", "markersize": 5.5, "markeredgewidth": 1.1}
    axes.plot(*_turned(x, values, flip), marker=marker, linestyle="none", color=PUBLISHED_INK, zorder=3.5, label=label, **look)


def published_line(axes: Axes, x: ArrayLike, values: ArrayLike, marker: str, label: str) -> None:
    """Draws a published curve, dotted and grey, with open marks of the shape of the arm's own."""
    look = {"color": PUBLISHED_INK, "linestyle": ":", "linewidth": 1.1, "markerfacecolor": "white", "markersize": 4}
    axes.plot(x, values, marker=marker, **look, zorder=2.2, label=label)


def mixed(failed: pd.Series) -> bool:
    """Tells whether some runs of an arm fail and some do not, so that hardly one might lie in its box."""
    return MIXED <= float(failed.astype(bool).mean()) <= 1 - MIXED


def box(axes: Axes, x: float, scores: pd.Series, look: ArmStyle, width: float, flip: bool = False) -> None:
    """Draws an arm's quartiles, with whiskers to 1.5 interquartile ranges; ``width`` in units of x.

    With ``flip`` scores are on the horizontal axis.
    """
    line = {"color": look.color, "linewidth": 0.9}
    axes.boxplot(
        scores, positions=[x], widths=width, showfliers=False, manage_ticks=False, boxprops=line,
        orientation="horizontal" if flip else "vertical",
        medianprops={**line, "linewidth": 1.8}, whiskerprops=line, capprops=line,
    )  # fmt: skip


def run_points(
    axes: Axes, x: pd.Series, runs: pd.DataFrame, look: ArmStyle, size: float | None = None, flip: bool = False, **good: object
) -> None:
    """Draws each run of an arm as a point at its ``score``, and failed ones as crosses.

    Crosses have one entry in the legend.

    Args:
        axes: The panel.
        x: One for each run, with the index of ``runs``.
        runs: Columns ``score`` and ``failed``.
        look: Of the arm.
        size: Of the points; None: the style's default.
        flip: True: scores are on the horizontal axis.
        good: Changes to the look of the points of successful runs.
    """
    lost = runs["failed"].astype(bool)
    points = {"linestyle": "none", "color": look.color}
    edge = {"markersize": size, "markeredgecolor": "white", "markeredgewidth": 0.4, "zorder": 3}
    axes.plot(*_turned(x[~lost], runs["score"][~lost], flip), marker=look.marker, **points, **{**edge, **good})
    if lost.any():
        cross = {"marker": "x", "markersize": 4, "markeredgewidth": 0.9}
        axes.plot(*_turned(x[lost], runs["score"][lost], flip), zorder=3.3, **points, **cross)
        axes.plot([], [], linestyle="none", color=INK, **cross, label="failed run")


def _turned(x: ArrayLike, y: ArrayLike, flip: bool) -> tuple[ArrayLike, ArrayLike]:
    return (y, x) if flip else (x, y)


def band(
    axes: Axes, x: ArrayLike, rows: pd.DataFrame, look: ArmStyle, label: str, marks: int = 10, *, shaded: bool = True,
    wide: bool = False,
) -> None:  # fmt: skip
    """Draws ``value`` as an arm's line with about ``marks`` marks, shaded from ``low`` to ``high``.

    With ``wide`` the line is wide and pale and has no marks, so that an equal line on it leaves it
    visible.
    """
    if shaded:
        axes.fill_between(x, rows["low"], rows["high"], color=look.color, alpha=0.18, linewidth=0, zorder=1.5)
    if wide:
        axes.plot(x, rows["value"], color=look.color, linewidth=4, alpha=0.35, zorder=2.2, label=label, solid_capstyle="round")
    else:
        axes.plot(x, rows["value"], **look._asdict(), markevery=max(1, len(rows) // marks), zorder=2.5, label=label)
