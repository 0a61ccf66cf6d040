"""Rounding renderer: rounds all coordinates on their way from matplotlib to a file.

matplotlib writes six decimals or more. The last of them depend on the processor, since layout and
transforms use its products and logarithms. Coordinates are rounded here for all formats, after the
last transform: what a format does with them is arithmetic on equal numbers.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
from matplotlib.backend_bases import GraphicsContextBase, RendererBase
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, Bbox, Transform
from numpy.typing import ArrayLike

from stableft.reporting import rounding

IDENTITY = Affine2D()  # not matplotlib's IdentityTransform, which some formats cannot move


@contextmanager
def rounded_coordinates(figure: Figure) -> Iterator[None]:
    """Rounds the coordinates of all that a figure draws within a ``with`` block."""
    draw = figure.draw
    # matplotlib itself replaces this method to find a figure's renderer.
    vars(figure)["draw"] = lambda renderer: draw(cast(RendererBase, RoundingRenderer(renderer)))
    try:
        yield
    finally:
        del vars(figure)["draw"]


class RoundingRenderer:
    """A renderer that rounds places and passes them on to the format's own renderer."""

    def __init__(self, renderer: RendererBase) -> None:
        self._renderer: Any = renderer
        self._clips: dict[tuple[float, ...], Bbox] = {}  # formats compare rectangles by identity

    def __getattr__(self, name: str) -> Any:
        return getattr(self._renderer, name)

    def draw_path(self, gc: GraphicsContextBase, path: Path, transform: Transform, face: Any = None) -> None:
        self._renderer.draw_path(self._clipped(gc), _placed(path, transform), IDENTITY, face)

    def draw_markers(
        self, gc: GraphicsContextBase, marker: Path, of_marker: Transform, path: Path, transform: Transform, face: Any = None
    ) -> None:
        self._renderer.draw_markers(
            self._clipped(gc), _placed(marker, of_marker), IDENTITY, _placed(path, transform), IDENTITY, face
        )

    def draw_path_collection(
        self, gc: GraphicsContextBase, transform: Transform, paths: Sequence[Path], of_paths: Sequence[ArrayLike],
        offsets: ArrayLike, of_offsets: Transform, *looks: Any, **more: Any,
    ) -> None:  # fmt: skip
        # Paths and their own transforms are both repeated until all are used.
        count = max(len(paths), len(of_paths)) if len(paths) else 0
        own = [Affine2D(np.asarray(matrix)) + transform for matrix in of_paths] or [transform]
        placed = [_placed(paths[index % len(paths)], own[index % len(own)]) for index in range(count)]
        at = rounding.coordinates(of_offsets.transform(offsets))
        self._renderer.draw_path_collection(self._clipped(gc), IDENTITY, placed, np.empty((0, 3, 3)), at, IDENTITY, *looks, **more)

    def draw_quad_mesh(
        self, gc: GraphicsContextBase, transform: Transform, width: int, height: int, corners: np.ndarray, offsets: ArrayLike,
        of_offsets: Transform, *looks: Any,
    ) -> None:  # fmt: skip
        placed = rounding.coordinates(transform.transform(corners.reshape(-1, 2))).reshape(corners.shape)
        at = rounding.coordinates(of_offsets.transform(offsets))
        self._renderer.draw_quad_mesh(self._clipped(gc), IDENTITY, width, height, placed, at, IDENTITY, *looks)

    def draw_text(self, gc: GraphicsContextBase, x: float, y: float, *content: Any, **more: Any) -> None:
        x, y = map(float, rounding.coordinates((x, y)))
        self._renderer.draw_text(self._clipped(gc), x, y, *content, **more)

    def _clipped(self, gc: GraphicsContextBase) -> GraphicsContextBase:
        """Rounds the rectangle outside which nothing is drawn."""
        if (rectangle := gc.get_clip_rectangle()) is not None:
            edges = tuple(map(float, rounding.coordinates(rectangle.extents)))
            gc.set_clip_rectangle(self._clips.setdefault(edges, Bbox.from_extents(*edges)))
        return gc


def _placed(path: Path, transform: Transform) -> Path:
    """Returns a path with its rounded places after the transform, drawn as before."""
    placed = Path(rounding.coordinates(transform.transform(path.vertices)), path.codes)
    placed.should_simplify, placed.simplify_threshold = path.should_simplify, path.simplify_threshold
    return placed
