"""The closed form against the table of the protocol (section 1.1) and against exact decimal arithmetic."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stableft.core.adam_bias import bias_ratio, metered_steps

# t, c(t), b(t): computed for the protocol, independently of this package.
TABLE = [
    (1, 0.316228, 3.1623),
    (2, 0.235317, 4.2496),
    (5, 0.172499, 5.7971),
    (10, 0.153189, 6.5279),
    (12, 0.152241, 6.5685),
    (20, 0.160233, 6.2409),
    (50, 0.222039, 4.5037),
    (96, 0.302633, 3.3043),
    (100, 0.308566, 3.2408),
    (200, 0.425853, 2.3482),
    (234, 0.456871, 2.1888),
    (300, 0.509208, 1.9638),
    (345, 0.540279, 1.8509),
    (540, 0.646072, 1.5478),
    (804, 0.743401, 1.3452),
    (1000, 0.795176, 1.2576),
    (3200, 0.979440, 1.0210),
    (9822, 0.999973, 1.0000),
    (10000, 0.999977, 1.0000),
    (36816, 1.000000, 1.0000),
]
FIRST_AT_MOST = {2.0: 288, 1.5: 588, 1.1: 1751, 1.05: 2375, 1.01: 3925}


@pytest.mark.parametrize(("step", "correction", "ratio"), TABLE)
def test_the_table_of_the_protocol(step: int, correction: float, ratio: float) -> None:
    assert float(bias_ratio(step)) == pytest.approx(ratio, abs=0.5001e-4)
    assert 1 / float(bias_ratio(step)) == pytest.approx(correction, abs=0.5001e-6)


def test_the_maximum_is_at_step_12() -> None:
    ratios = bias_ratio(np.arange(1, 50_001))
    assert int(ratios.argmax()) + 1 == 12
    assert np.all(np.diff(ratios[:12]) > 0)
    assert np.all(np.diff(ratios[11:]) <= 0)
    assert ratios[-1] == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(("bound", "step"), list(FIRST_AT_MOST.items()))
def test_where_it_falls_below_a_bound(bound: float, step: int) -> None:
    steps = np.arange(12, 10_000)
    assert steps[bias_ratio(steps) <= bound][0] == step


def test_the_first_step_in_closed_form() -> None:
    assert float(bias_ratio(1)) == pytest.approx(0.1 / 0.001**0.5, rel=1e-14)


@given(
    step=st.integers(1, 20_000),
    beta1=st.floats(0, 0.9999),
    beta2=st.floats(0, 0.999999),
)
def test_it_is_the_formula(step: int, beta1: float, beta2: float) -> None:
    with localcontext() as context:
        context.prec = 50
        exact = (1 - Decimal(beta1) ** step) / (1 - Decimal(beta2) ** step).sqrt()
    assert float(bias_ratio(step, beta1, beta2)) == pytest.approx(float(exact), rel=1e-12)


def test_any_shape() -> None:
    steps = np.arange(1, 7).reshape(2, 3)
    ratios = bias_ratio(steps)
    assert ratios.shape == (2, 3)
    assert ratios.dtype == np.float64
    assert ratios[1, 0] == bias_ratio(4)
    assert bias_ratio([3]).tolist() == [float(bias_ratio(3))]


@pytest.mark.parametrize("step", [0, -1, [1, 2, 0], 0.5])
def test_steps_are_counted_from_1(step: int) -> None:
    with pytest.raises(ValueError, match="counted from 1"):
        bias_ratio(step)


@pytest.mark.parametrize(("beta1", "beta2"), [(1.0, 0.999), (-0.1, 0.999), (0.9, 1.0), (0.9, -0.5), (float("nan"), 0.9)])
def test_betas_out_of_range(beta1: float, beta2: float) -> None:
    with pytest.raises(ValueError, match=r"betas must lie in \[0, 1\)"):
        bias_ratio(1, beta1, beta2)


@given(st.integers(1, 50_000))
def test_metered_steps(num_steps: int) -> None:
    steps = metered_steps(num_steps).tolist()
    assert steps == sorted(set(steps))
    assert (steps[0], steps[-1]) == (1, num_steps)
    inner = np.array(steps[:-1])
    assert np.all(inner[1:] / inner[:-1] <= np.maximum(1.25, 1 + 1 / inner[:-1])), "no gap over a twelfth of a decade"
    assert len(steps) <= 12 * np.log10(num_steps) + 2


def test_every_step_is_metered_at_the_start_and_few_later() -> None:
    assert metered_steps(234).tolist() == [
        1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 18, 22, 26, 32, 38, 46, 56, 68, 83, 100, 121, 147, 178, 215, 234,
    ]  # fmt: skip
