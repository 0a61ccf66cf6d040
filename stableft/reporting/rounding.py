"""Rounding: the digits of every number that is written, drawn or compared.

Processors differ in the last bits of exp, pow and matrix products, so those bits must not show. A
number is first rounded to 12 significant digits. That removes the differences, so equal numbers
are equal again and ties are decided alike. Only then is it rounded to the digits that are shown.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

EXACT_DIGITS = 12  # significant; differences between processors are beyond the 14th
SHOWN_DIGITS = 6  # significant, of figures and tables
LEAST = 1e-12  # less is what remains of numbers that cancel out
EXACT_DECIMALS, SHOWN_DECIMALS = 9, 3  # of coordinates, which are points (1/72 inch) or pixels


def exact(values: ArrayLike) -> NDArray[np.float64]:
    """Rounds numbers to 12 significant digits, for comparisons; less than 1e-12 becomes 0.

    Args:
        values: Any shape; a shape of () gives one number. NaN and infinity stay.
    """
    return _each(_exact, values)


def shown(values: ArrayLike) -> NDArray[np.float64]:
    """Rounds numbers to 6 significant digits, but never the digits before the decimal point.

    Args:
        values: As for `exact`, which is applied first.
    """
    return _each(_shown, values)


def settle(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns a frame with the numbers of its float columns rounded by `shown`."""
    columns = {name: shown(frame[name]) for name in frame.columns if pd.api.types.is_float_dtype(frame[name])}
    return frame.assign(**columns)


def text(value: float, form: str) -> str:
    """Formats a number, such as ``.3f``, after `exact`: halves are rounded alike everywhere."""
    return format(float(exact(value)), form)


def coordinates(points: ArrayLike) -> NDArray[np.float64]:
    """Rounds coordinates of any shape to 3 decimals, by way of 9. Zero is never negative."""
    return np.round(np.round(points, EXACT_DECIMALS), SHOWN_DECIMALS) + 0.0


def _each(function: Callable[[float], float], values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    return np.array([function(value) for value in array.ravel().tolist()]).reshape(array.shape)[()]


def _exact(value: float) -> float:
    if abs(value) < LEAST:
        return 0.0
    # Python formats and parses correctly rounded, by integer arithmetic.
    return float(f"{value:.{EXACT_DIGITS - 1}e}")


def _shown(value: float) -> float:
    settled = _exact(value)
    if abs(settled) >= 10 ** (SHOWN_DIGITS - 1):
        return float(f"{settled:.0f}")
    return float(f"{settled:.{SHOWN_DIGITS - 1}e}")
