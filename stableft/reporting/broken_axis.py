"""Broken axis: two panels for one, if values lie in two places and most of the axis is empty.

On a single axis each place would be a smear, such as runs that fail and runs that do not.
"""

from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.gridspec import SubplotSpec
from numpy.typing import ArrayLike

EMPTY = 0.7  # share of the axis between two neighbours from which on it is broken
FEWEST = 4  # values, so that a pair is no reason
RATIO = (1.0, 3.5)  # of the narrower place and the wider one
MARGIN, LEAST = 0.1, 0.02  # room on either side: share of the place, and at least of the whole axis


def places(values: ArrayLike) -> list[tuple[float, float]]:
    """Returns the least and the greatest value of each place, from the lowest: one or two places."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    ordered = ordered[np.isfinite(ordered)]
    gaps = np.diff(ordered)
    if len(ordered) < FEWEST or gaps.max() <= EMPTY * (ordered[-1] - ordered[0]):
        return [(float(ordered[0]), float(ordered[-1]))] if len(ordered) else []
    cut = int(gaps.argmax())
    return [(float(ordered[0]), float(ordered[cut])), (float(ordered[cut + 1]), float(ordered[-1]))]


def split(panel: Axes, values: ArrayLike, along: Literal["x", "y"]) -> list[Axes]:
    """Replaces a panel by one for each place of the values, in reading order.

    Args:
        panel: An empty panel of a grid.
        values: All that will be drawn along the axis.
        along: The axis that is broken.

    Returns:
        The panel itself, or two. Their limits have to be set after drawing, see `limit`.
    """
    found, figure, spec = places(values), panel.get_figure(), panel.get_subplotspec()
    if len(found) < 2 or figure is None or not isinstance(spec, SubplotSpec):
        return [panel]
    (low, low_end), (high, high_end) = found
    ratios = RATIO if high_end - high >= low_end - low else RATIO[::-1]
    panel.remove()
    if along == "x":
        inner = spec.subgridspec(1, 2, width_ratios=ratios, wspace=0.03)
        return [figure.add_subplot(inner[0, place]) for place in range(2)]
    inner = spec.subgridspec(2, 1, height_ratios=ratios[::-1], hspace=0.03)
    return [figure.add_subplot(inner[place, 0]) for place in range(2)]


def spots(parts: list[Axes], values: ArrayLike, along: Literal["x", "y"]) -> list[tuple[float, float]]:
    """Returns the ends of each panel's place; a single panel has no ends."""
    if len(parts) == 1:
        return [(-np.inf, np.inf)]
    return places(values)[:: 1 if along == "x" else -1]


def limit(parts: list[Axes], values: ArrayLike, along: Literal["x", "y"]) -> None:
    """Sets the limits of the panels of a broken axis, and marks the break; a single panel stays."""
    if len(parts) < 2:
        return
    whole = float(np.ptp(np.asarray(places(values))))
    for part, (low, high) in zip(parts, spots(parts, values, along), strict=True):
        room = max(MARGIN * (high - low), LEAST * whole)
        ends = (low - room, high + room)
        part.set_xlim(ends) if along == "x" else part.set_ylim(ends)
        part.locator_params(axis=along, nbins=6 if part is widest(parts, along) else 2)
    first, second = parts
    marks = {"color": "#333333", "linestyle": "none", "markersize": 5, "markeredgewidth": 0.7, "clip_on": False}
    if along == "x":
        second.spines["left"].set_visible(False)
        second.tick_params(axis="y", left=False, labelleft=False)
        slanted = [(-1.0, -1.6), (1.0, 1.6)]
        first.plot([1], [0], transform=first.transAxes, marker=slanted, label="_break", **marks)
        second.plot([0], [0], transform=second.transAxes, marker=slanted, label="_break", **marks)
    else:
        first.spines["bottom"].set_visible(False)
        first.tick_params(axis="x", bottom=False, labelbottom=False)
        slanted = [(-1.6, -1.0), (1.6, 1.0)]
        first.plot([0], [0], transform=first.transAxes, marker=slanted, label="_break", **marks)
        second.plot([0], [1], transform=second.transAxes, marker=slanted, label="_break", **marks)


def widest(parts: list[Axes], along: Literal["x", "y"]) -> Axes:
    """Returns the panel that takes most room, for the axis label."""
    return max(parts, key=lambda part: part.get_position().width if along == "x" else part.get_position().height)
