"""How every figure looks, and how it is written: same arm, same look; same figure, same bytes."""

import io
import itertools
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import matplotlib.style
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import ArrayLike

from stableft.core.files import write_whole

PANEL = (3.3, 2.2)  # inches: one column of a two-column page
LEGEND_HEIGHT, LEGEND_ROWS, LEGEND_ROW = 0.35, 2, 0.15  # inches; rows that fit into them; inches of a further row
LEGEND_HANDLE, LEGEND_LETTER = 0.48, 0.056  # inches that an entry takes besides its label, and for each letter
INK, LIGHT_INK, PUBLISHED_INK = "#333333", "#999999", "#777777"

RC = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so text measures the same on every machine
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.4,
    "lines.markersize": 3.5,
    "legend.frameon": False,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "stableft",
}

# Without these the files carry the date and the version of matplotlib.
METADATA: dict[str, dict[str, str | None]] = {
    "pdf": {"CreationDate": None, "Creator": "stableft", "Producer": "stableft"},
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": "stableft"},
}
# What the formats call a description.
DESCRIPTION = {"pdf": "Subject", "png": "Description", "svg": "Description"}


class ArmStyle(NamedTuple):
    """The look of one arm. Arms differ in all three, so that they stay apart without colour."""

    color: str
    marker: str
    linestyle: str


CORRECTED = ArmStyle("#0072B2", "o", "-")
# ``standard`` is what other experiments call the runs of ``corrected``; no experiment has both.
KNOWN_ARMS = {"corrected": CORRECTED, "standard": CORRECTED, "uncorrected": ArmStyle("#D55E00", "s", "--")}
# The rest of the palette of Okabe & Ito (2008), without yellow, which is too faint for lines on white.
# Then three of Tol's muted colours (personal.sron.nl/~pault), for experiments with more arms.
OTHER_COLORS = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#882255", "#999933", "#332288")
OTHER_MARKERS = ("^", "D", "v", "<", ">", "h", "p")  # no cross: that is a failed run
OTHER_LINES = ("-.", "-", "--", ":")
PUBLISHED_MARKERS = ("D", "s", "^", "o", "v")  # open and grey, unlike any arm
DEPTHS, DEPTH_RANGE = "viridis", (0.0, 0.9)  # without the yellow end, which is too faint for lines on white


def arm_styles(arms: Iterable[str]) -> dict[str, ArmStyle]:
    """The look of each arm: fixed for the known ones, by alphabetical position among the others.

    Position, not order of appearance, so that two figures of an experiment agree whatever their row order.
    """
    names = list(dict.fromkeys(arms))
    others = sorted(set(names) - set(KNOWN_ARMS))
    looks = map(ArmStyle, itertools.cycle(OTHER_COLORS), itertools.cycle(OTHER_MARKERS), itertools.cycle(OTHER_LINES))
    styles = KNOWN_ARMS | dict(zip(others, looks, strict=False))
    return {name: styles[name] for name in names}


def depth_color(place: int, last: int) -> tuple[float, float, float, float]:
    """The colour of the line at ``place`` of 0 .. ``last``, from the lowest part of a model to the highest: dark is low."""
    low, high = DEPTH_RANGE
    return colormaps[DEPTHS](low + (high - low) * place / max(1, last))


# What matplotlib writes at logarithmic axes, and beside others as their factor.
POWER_OF_TEN = re.compile(r"\$(\\mathdefault|\\times|[{}^0-9.,+\u2212-])*\$")


@contextmanager
def context() -> Iterator[None]:
    """The style, on top of matplotlib's defaults rather than of the user's matplotlibrc; to be used while drawing and saving."""
    with matplotlib.style.context(["default", RC]):
        yield


def panels(count: int, width: float = PANEL[0], height: float = PANEL[1], columns: int = 2) -> tuple[Figure, list[Axes]]:
    """A figure of ``count`` equal panels in at most ``columns`` columns, with room for a legend above; sizes in inches."""
    columns = min(columns, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(width * columns, height * rows + LEGEND_HEIGHT), layout="constrained")
    return figure, [figure.add_subplot(rows, columns, index + 1) for index in range(count)]


def legend(figure: Figure, columns: int | None = None) -> None:
    """One legend above all panels, where it cannot hide data; a label that occurs in several panels is listed once.

    A label longer than the figure is wide is broken into lines. A figure is made higher where its legend has more rows than there
    is room for.
    """
    entries = {}
    letters = int((figure.get_figwidth() - LEGEND_HANDLE) / LEGEND_LETTER)
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(textwrap.fill(label, letters), handle)
    columns = columns or _columns(list(entries), figure.get_figwidth())
    rows = -(-(len(entries) + sum(label.count("\n") for label in entries)) // columns)
    figure.set_figheight(figure.get_figheight() + LEGEND_ROW * max(0, rows - LEGEND_ROWS))
    figure.legend(entries.values(), entries.keys(), loc="outside upper center", ncols=min(columns, len(entries)))


def _columns(labels: Sequence[str], width: float) -> int:
    """As many columns as fit into so many inches, each as wide as its longest label."""
    for columns in range(max(1, int(width // 1.3)), 1, -1):
        rows = -(-len(labels) // columns)
        longest = [max(map(len, labels[start : start + rows])) for start in range(0, len(labels), rows)]
        if sum(LEGEND_HANDLE + LEGEND_LETTER * length for length in longest) <= width:
            return len(longest)
    return 1


def save(figure: Figure, stem: Path, description: str | None = None) -> list[Path]:
    """Writes ``<stem>.pdf``, ``.png`` and ``.svg``; the same figure gives the same bytes.

    Args:
        figure: What to write.
        stem: Path without suffix; its folder exists.
        description: What the files say about themselves (`stableft.reporting.artifact_metadata`), in ASCII; nothing by default.

    Returns:
        The paths written. Each appears complete or not at all.
    """
    for text in figure.findobj(Text):
        if isinstance(text, Text) and "$" in text.get_text() and not POWER_OF_TEN.fullmatch(text.get_text()):
            text.set_parse_math(False)  # names are no formulas
    written = []
    for suffix, metadata in METADATA.items():
        buffer = io.BytesIO()
        with context():
            figure.savefig(buffer, format=suffix, metadata={**metadata, DESCRIPTION[suffix]: description})
        written.append(write_whole(stem.with_name(f"{stem.name}.{suffix}"), buffer.getvalue()))
    return written


def majority_line(axes: Axes, score: float) -> None:
    """The dotted line at which a run counts as failed; nothing where ``score`` is NaN."""
    if score == score:
        axes.axhline(score, color=INK, linestyle=":", linewidth=0.8, zorder=1, label="majority score")


def published_points(axes: Axes, x: ArrayLike, values: ArrayLike, stds: ArrayLike, label: str, place: int) -> None:
    """Numbers of a source, open and grey, with a bar of one standard deviation to either side where there is one.

    Args:
        axes: Where to.
        x, values, stds: One for each number; NaN: no bar.
        label: Its entry in the legend.
        place: Which of the figure's sources it is: each has a mark of its own.
    """
    marker = PUBLISHED_MARKERS[place % len(PUBLISHED_MARKERS)]
    ends = np.asarray(values, dtype=np.float64) + np.outer((-1.0, 1.0), np.asarray(stds, dtype=np.float64))
    axes.vlines(x, *ends, color=PUBLISHED_INK, linewidth=1.1, zorder=3.4)
    look = {"markerfacecolor": "white", "markersize": 5.5, "markeredgewidth": 1.1}
    axes.plot(x, values, marker=marker, linestyle="none", color=PUBLISHED_INK, zorder=3.5, label=label, **look)


def published_line(axes: Axes, x: ArrayLike, values: ArrayLike, marker: str, label: str) -> None:
    """A curve of a source, dotted and grey, with open marks of the shape that the arm of the same name has."""
    look = {"color": PUBLISHED_INK, "linestyle": ":", "linewidth": 1.1, "markerfacecolor": "white", "markersize": 4}
    axes.plot(x, values, marker=marker, **look, zorder=2.2, label=label)


def failed_key(axes: Axes) -> None:
    """The legend entry of the crosses that mark failed runs, whatever their arm."""
    axes.plot([], [], marker="x", linestyle="none", color=INK, markersize=4, label="failed run")
