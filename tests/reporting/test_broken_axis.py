"""An axis breaks where most of it is empty."""

import numpy as np
import pytest

from stableft.reporting import broken_axis
from stableft.reporting.figures import style


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], []),
        ([0.5], [(0.5, 0.5)]),
        ([0.5, 0.9], [(0.5, 0.9)]),
        ([0.5] * 5, [(0.5, 0.5)]),
        ([0.07, 0.07, 0.64, 0.66, np.nan], [(0.07, 0.07), (0.64, 0.66)]),
        ([0.1, 0.3, 0.5, 0.7], [(0.1, 0.7)]),
        ([0.5, 0.5, 0.6, 0.65], [(0.5, 0.65)]),
    ],
)
def test_places_of_values(values: list[float], expected: list[tuple[float, float]]) -> None:
    assert broken_axis.places(values) == expected


@pytest.mark.parametrize("along", ["x", "y"])
def test_each_place_has_a_panel_of_its_own_and_the_wider_one_more_room(along: str) -> None:
    values = [0.07, 0.07, 0.64, 0.66]
    with style.context():
        figure, (panel,) = style.panels(1)
        parts = broken_axis.split(panel, values, "x" if along == "x" else "y")
        broken_axis.limit(parts, values, "x" if along == "x" else "y")
    assert figure.axes == parts
    ends = [part.get_xlim() if along == "x" else part.get_ylim() for part in parts]
    for (low, high), (first, last) in zip(ends, broken_axis.spots(parts, values, "x" if along == "x" else "y"), strict=True):
        assert low < first <= last < high
    assert broken_axis.widest(parts, "x" if along == "x" else "y") is parts[1 if along == "x" else 0]


def test_a_panel_of_one_place_stays() -> None:
    with style.context():
        _, (panel,) = style.panels(1)
        assert broken_axis.split(panel, [0.1, 0.2, 0.3, 0.4], "y") == [panel]
