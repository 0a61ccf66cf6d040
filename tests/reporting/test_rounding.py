"""What a neighbouring float changes: nothing."""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from stableft.reporting.rounding import coordinates, exact, settle, text

TIES = [0.0625, 0.1245, 2.5, 1.0000005, 0.30000000000000004, 1e5 + 0.5, 5e-7, 0.0, 1.0, 123456.5, 1 / 3]


class Pair(NamedTuple):
    low: float
    n: int


def neighbours(value: float) -> list[float]:
    return [value, math.nextafter(value, math.inf), math.nextafter(value, -math.inf)]


@pytest.mark.parametrize("value", [*TIES, *(-value for value in TIES)])
def test_neighbours_are_one_number_however_it_is_shown(value: float) -> None:
    near = neighbours(value)
    assert len({exact(number) for number in near}) == 1
    for form in (".3f", "+.3f", ".2g", ".0f", ".1f", ".0%"):
        assert len({text(number, form) for number in near}) == 1, form
    assert len(set(settle(pd.DataFrame({"x": near}))["x"])) == 1
    assert len(np.unique(coordinates(near))) == 1


def test_comparisons_see_twelve_digits() -> None:
    assert exact(0.1 + 0.2) == 0.3
    assert exact(0.1234567890125) == 0.123456789012
    assert exact(4.9e-17) == exact(-4.9e-17) == 0
    assert exact(1e-11) == 1e-11
    assert exact((Pair(0.1 + 0.2, 3), None, True)) == (Pair(0.3, 3), None, True)
    assert exact(np.array([[0.1 + 0.2], [math.inf]])).tolist() == [[0.3], [math.inf]]
    assert math.isnan(exact(math.nan))


def test_files_show_six_digits_and_all_before_the_point() -> None:
    shown = settle(pd.DataFrame({"x": [1 / 3, -2e-5 / 3, 1234567.25, 123456.75, 0.1 + 0.2], "n": 10**7, "name": "1.23456789"}))
    assert shown["x"].tolist() == [0.333333, -6.66667e-06, 1234567, 123457, 0.3]
    assert (shown["n"] == 10**7).all()
    assert (shown["name"] == "1.23456789").all()
    odd = settle(pd.DataFrame({"x": [math.nan, math.inf, -1e-17]}, index=[5, 6, 7]))
    assert odd["x"].isna().tolist() == [True, False, False]
    assert odd["x"].tolist()[1:] == [math.inf, 0]
    assert not np.signbit(odd["x"].iloc[2])
    assert odd.index.tolist() == [5, 6, 7]
    assert settle(shown).equals(shown)


def test_columns_of_other_types_stay() -> None:
    frame = pd.DataFrame({"x": np.array([1 / 3], np.float32), "seed": pd.array([None], "Int64"), "failed": [True], "a": ["b"]})
    shown = settle(frame.astype({"a": "category"}))
    assert shown["x"].tolist() == [0.333333]
    assert shown[["seed", "failed"]].equals(frame[["seed", "failed"]])
    assert shown["a"].dtype == "category"


def test_coordinates_have_three_decimals_and_no_negative_zero() -> None:
    assert coordinates([[1.00049999, 0.0625], [-1e-7, 7.0]]).tolist() == [[1.0, 0.062], [0.0, 7.0]]
    assert not np.signbit(coordinates(-1e-7))
    masked = coordinates(np.ma.MaskedArray([1.23456, 2.0], [False, True]))
    assert np.ma.getmaskarray(masked).tolist() == [False, True]
