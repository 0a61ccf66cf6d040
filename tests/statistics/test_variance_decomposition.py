"""Against an analysis of variance by least squares, and unbiasedness by simulation."""

import numpy as np
import pytest
from scipy import stats

from stableft import statistics


def by_least_squares(x: np.ndarray) -> tuple[float, float]:
    """p of rows and of columns: F tests of nested regressions on indicator variables."""
    a, b = x.shape
    ones = np.ones((a * b, 1))
    rows, columns = np.kron(np.eye(a), np.ones((b, 1))), np.kron(np.ones((a, 1)), np.eye(b))

    def rest(*parts: np.ndarray) -> float:
        design = np.hstack([ones, *parts])
        return float(np.square(x.ravel() - design @ np.linalg.lstsq(design, x.ravel(), rcond=None)[0]).sum())

    freedom = (a - 1) * (b - 1)
    error = rest(rows, columns) / freedom
    f = [(rest(other) - rest(rows, columns)) / (size - 1) / error for other, size in ((columns, a), (rows, b))]
    return float(stats.f.sf(f[0], a - 1, freedom)), float(stats.f.sf(f[1], b - 1, freedom))


def test_the_tests_are_those_of_nested_regressions() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 1)) + rng.normal(size=(1, 6)) + rng.normal(size=(4, 6))
    got = statistics.variance_components(x)
    assert (got.p_rows, got.p_columns) == pytest.approx(by_least_squares(x))
    turned = statistics.variance_components(x.T)
    assert turned == pytest.approx((got.columns, got.rows, got.rest, got.p_columns, got.p_rows))


def test_the_components_are_unbiased() -> None:
    rng = np.random.default_rng(1)
    draws = [rng.normal(0, 3, (5, 1)) + rng.normal(0, 2, (1, 5)) + rng.normal(0, 1, (5, 5)) for _ in range(1_500)]
    mean = np.mean([statistics.variance_components(x)[:3] for x in draws], axis=0)
    np.testing.assert_allclose(mean, [9, 4, 1], rtol=0.1)


def test_by_hand() -> None:
    """Rows 0 and 2 apart, columns alike, rest 1 and -1 in turn: mean squares 4, 0 and 4 over 2 x 2 cells."""
    got = statistics.variance_components([[1, -1], [1, 3]])
    assert got[:3] == (pytest.approx((4 - 4) / 2), 0, pytest.approx(4))
    additive = statistics.variance_components([[0.0, 1.0], [2.0, 3.0]])
    assert additive[:3] == (pytest.approx(2), pytest.approx(0.5), 0)


def test_nothing_varies_and_too_few() -> None:
    flat = statistics.variance_components(np.full((3, 3), 0.5))
    assert flat[:3] == (0, 0, 0)
    assert np.isnan(flat[3:]).all()
    with pytest.raises(ValueError, match="two rows"):
        statistics.variance_components([[1.0, 2.0]])
