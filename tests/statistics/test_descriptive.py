"""Against scipy and hand-written numbers."""

import math

import pytest
from scipy import stats

from stableft import statistics


def test_summary_has_n_minus_one() -> None:
    s = statistics.summary([0.5, 0.7, 0.9, 0.5])
    assert s == (4, pytest.approx(0.65), pytest.approx(math.sqrt(0.11 / 3)), 0.6, 0.6, 0.5, 0.9)
    assert math.isnan(statistics.summary([0.5]).std)


@pytest.mark.parametrize(("scores", "iqm"), [([0.1], 0.1), ([0, 1, 2], 1), ([0, 1, 5, 9], 3), (range(10), 4.5), ([0, 0, 0, 9], 0)])
def test_iqm_leaves_out_a_quarter_on_either_side(scores: list[float], iqm: float) -> None:
    assert statistics.summary(scores).iqm == pytest.approx(iqm)


@pytest.mark.parametrize(("failed", "n"), [(0, 20), (7, 20), (20, 20), (1, 1)])
def test_failed_runs_have_scipys_wilson_interval(failed: int, n: int) -> None:
    expected = stats.binomtest(failed, n).proportion_ci(method="wilson")
    got = statistics.failed_runs([True] * failed + [False] * (n - failed))
    assert got == (failed, n, pytest.approx(expected.low, abs=1e-12), pytest.approx(expected.high, abs=1e-12))


def test_failed_runs_wants_booleans() -> None:
    with pytest.raises(ValueError, match="booleans"):
        statistics.failed_runs([0.4, 0.6])


@pytest.mark.parametrize("bad", [[0.5, float("nan")], [0.5, float("inf")], [], [[0.5]]])
def test_nan_and_misshapen_input_is_refused(bad: list[float]) -> None:
    for function in (statistics.summary, statistics.failed_runs):
        with pytest.raises(ValueError, match=function.__name__):
            function(bad)
