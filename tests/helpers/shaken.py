"""Shaken arithmetic: every computed number moves by its last bit, up or down at random, as on another processor."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.transforms import Affine2DBase
from pandas.core.groupby import DataFrameGroupBy, SeriesGroupBy

from stableft import statistics
from stableft.core import adam_bias
from stableft.reporting import rounding

FUNCTIONS = [(np, "exp"), (np, "log"), (np, "log2"), (np, "log10"), (np, "geomspace"), (adam_bias, "bias_ratio")]
MEANS = [(kind, name) for kind in (pd.Series, pd.DataFrame, SeriesGroupBy, DataFrameGroupBy) for name in ("mean", "std")]
PLACES = [(Affine2DBase, "transform_affine"), (Affine2DBase, "transform")]


def moved(value: Any, rng: np.random.Generator) -> Any:
    """The value, with each float in it a neighbouring one: the next below or above."""
    if isinstance(value, pd.DataFrame):
        return pd.DataFrame({name: moved(value[name], rng) for name in value.columns}, value.index, value.columns)
    if isinstance(value, pd.Series):
        return pd.Series(moved(value.to_numpy(), rng), value.index, name=value.name) if value.dtype == np.float64 else value
    if isinstance(value, np.ma.MaskedArray):
        return np.ma.MaskedArray(moved(value.data, rng), value.mask)
    if isinstance(value, tuple):
        parts = [moved(part, rng) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if isinstance(value, float) or (isinstance(value, np.ndarray) and value.dtype == np.float64):
        # A probability stays one: 0 moves up, and 1 down.
        up = np.where(np.equal(value, 0), True, np.where(np.equal(value, 1), False, rng.random(np.shape(value)) < 0.5))
        near = np.nextafter(value, np.where(up, np.inf, -np.inf))
        near = np.where(np.isfinite(value), near, value)
        return float(near) if isinstance(value, float) else near
    return value


@contextmanager
def shaken(seed: int) -> Iterator[None]:
    """Moves results of estimates, means, logarithms and transforms, and once more all that is about to be rounded."""
    rng = np.random.default_rng(seed)

    def after(function: Callable[..., Any]) -> Callable[..., Any]:
        return functools.wraps(function)(lambda *args, **kwargs: moved(function(*args, **kwargs), rng))

    def before(function: Callable[..., Any]) -> Callable[..., Any]:
        return functools.wraps(function)(lambda value: function(moved(value, rng)))

    estimates = [(statistics, name) for name in statistics.__all__ if isinstance(getattr(statistics, name), FunctionType)]
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in [*estimates, *FUNCTIONS, *MEANS, *PLACES]:
            patch.setattr(owner, name, after(getattr(owner, name)))
        for name in ("_exact", "coordinates"):
            patch.setattr(rounding, name, before(getattr(rounding, name)))
        yield
