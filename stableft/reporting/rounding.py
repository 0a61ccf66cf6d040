"""Rounding: the digits of every number that is written, drawn or compared.

Processors differ in the last bits of logarithms, powers and matrix products. A number is first
rounded to 12 significant digits, which removes what depends on the processor: equal numbers are
equal again, and ties are decided alike. Only then is it rounded to the digits that are shown, so
that halves are rounded alike too. See ADR 23.
"""

from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

EXACT_DIGITS = 12  # significant; rounding errors are beyond the 14th
LEAST = 1e-12  # what is less remains where numbers cancel out
SHOWN_DIGITS = 6  # significant, of figures and tables
EXACT_DECIMALS, SHOWN_DECIMALS = 9, 3  # of coordinates, which are points (1/72 inch) or pixels

T = TypeVar("T")


def exact(value: T) -> T:
    """Rounds numbers for a comparison: to 12 significant digits, those below 1e-12 to 0.

    Args:
        value: A float, an array of floats, or a tuple of both; whole numbers and NaN stay.
    """
    if isinstance(value, float):
        return cast(T, _exact(value))
    if isinstance(value, tuple):
        parts: Any = map(exact, value)
        return cast(T, type(value)(*parts) if hasattr(value, "_fields") else tuple(parts))
    if isinstance(value, np.ndarray) and value.dtype == np.float64:
        return cast(T, np.array([_exact(number) for number in value.ravel().tolist()]).reshape(value.shape))
    return value


def settle(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns a frame whose floats have 6 significant digits, and all digits before the point."""
    settled = frame.copy()
    for name in frame.columns:
        if pd.api.types.is_float_dtype(frame[name]):
            settled[name] = [_shown(value) for value in frame[name].to_numpy(np.float64).tolist()]
    return settled


def text(value: float, form: str) -> str:
    """Formats a number, such as ``.3f``."""
    return format(_exact(value), form)


def coordinates(points: ArrayLike) -> NDArray[np.float64]:
    """Rounds coordinates of any shape to 3 decimals, by way of 9. Zero is never negative."""
    return np.round(np.round(np.asanyarray(points, dtype=np.float64), EXACT_DECIMALS), SHOWN_DECIMALS) + 0.0


def _exact(value: float) -> float:
    # Python formats and parses by whole numbers, correctly rounded on every processor.
    return 0.0 if abs(value) < LEAST else float(f"{value:.{EXACT_DIGITS - 1}e}")


def _shown(value: float) -> float:
    settled = _exact(value)
    whole = abs(settled) >= 10 ** (SHOWN_DIGITS - 1)
    return float(f"{settled:.0f}" if whole else f"{settled:.{SHOWN_DIGITS - 1}e}")
