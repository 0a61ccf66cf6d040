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


def crossed(rng: np.random.Generator, side: int, rows: float, columns: float, rest: float) -> np.ndarray:
    effects = rng.normal(0, rows, (side, 1)) + rng.normal(0, columns, (1, side))
    return effects + rng.normal(0, rest, (side, side))


@pytest.mark.parametrize("stds", [(1.0, 1.0, 1.0), (0.5, 0.0, 2.0)])
def test_intervals_cover_as_often_as_they_say(stds: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(2)
    found = [statistics.component_intervals(crossed(rng, 6, *stds)) for _ in range(300)]
    for part, std in enumerate(stds):
        covered = np.mean([each[part].low <= std**2 <= each[part].high for each in found])
        assert covered > 0.92


def test_the_interval_of_a_component_leaves_zero_where_its_f_test_says() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        x = crossed(rng, 5, 0.8, 0.3, 1.0)
        intervals, components = statistics.component_intervals(x), statistics.variance_components(x)
        assert (intervals.rows.low > 0) == (components.p_rows < 0.025)
        assert intervals.columns == pytest.approx(statistics.component_intervals(x.T).rows)


def test_a_ratio_of_spreads_is_that_of_the_mean_variances() -> None:
    """With the row fixed: the mean over rows of the variance in a row."""
    rng = np.random.default_rng(4)
    x, y = crossed(rng, 5, 1, 1, 1), crossed(rng, 5, 1, 2, 1)
    for found, axis in ((statistics.spread_ratio(x, y, "columns"), 1), (statistics.spread_ratio(x, y, "rows"), 0)):
        assert found.ratio == pytest.approx(np.sqrt(x.var(axis=axis, ddof=1).mean() / y.var(axis=axis, ddof=1).mean()))
        assert found.low < found.ratio < found.high
    assert np.isnan(statistics.spread_ratio(np.zeros((3, 3)), x[:3, :3], "rows")).all()


def test_equal_spreads_and_means_are_told_apart_in_one_of_twenty_cases() -> None:
    rng = np.random.default_rng(5)
    draws = [(crossed(rng, 6, 1, 2, 1), crossed(rng, 6, 1, 2, 1)) for _ in range(400)]
    ratios = [statistics.spread_ratio(*pair, "columns") for pair in draws]
    means = [statistics.crossed_mean(x - y) for x, y in draws]
    assert np.mean([ratio.high < 1 or ratio.low > 1 for ratio in ratios]) <= 0.05
    assert np.mean([mean.low > 0 or mean.high < 0 for mean in means]) <= 0.06
    counted_as_independent = [abs((x - y).mean()) > 2.03 * (x - y).std(ddof=1) / 6 for x, y in draws]
    assert np.mean(counted_as_independent) > 0.3, "runs of a row and of a column share an effect"
