"""The sequential test against a naive one, the exact fixed-n test and AdaStop; its level and what it saves, by simulation."""

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from scipy import stats

from stableft.statistics import Stopping, power, predictive_power, resampling, sequential_sign_flip, sign_flip_p
from stableft.statistics.group_sequential import _sign_patterns

LOOKS = range(5, 61, 5)


def naive(d: Sequence[int], looks: Sequence[int], alpha: Fraction) -> Stopping:
    """Over all sign patterns, whole numbers, one path at a time."""
    paths = {
        signs: [abs(sum(s * x for s, x in zip(signs[:n], d, strict=False))) for n in looks]
        for signs in product((1, -1), repeat=len(d))
    }
    crossed: set[tuple[int, ...]] = set()
    for k, n in enumerate(looks):
        waiting = {signs: path[k] for signs, path in paths.items() if signs not in crossed}
        may_cross = math.floor(alpha * Fraction(k + 1, len(looks)) * len(paths)) - len(crossed)
        for size in sorted(set(waiting.values()), reverse=True):  # ties cross together or not at all
            tied = [signs for signs, other in waiting.items() if other == size]
            may_cross -= len(tied)
            if may_cross < 0:
                break
            crossed.update(tied)
        if (1,) * len(d) in crossed:
            return Stopping(n, int(np.sign(sum(d[:n]))))
    return Stopping(0, 0)


@pytest.mark.parametrize("seed", range(12))
def test_it_is_the_test_over_all_patterns_path_by_path(seed: int) -> None:
    rng = np.random.default_rng(seed)
    looks = [[2, 5, 8], [1, 2, 3, 4, 5, 6, 7, 8], [8], [3, 9]][seed % 4]
    d = (rng.integers(-4, 5, looks[-1]) + seed % 4).tolist()  # with ties and zeros
    for alpha in (Fraction(1, 20), Fraction(3, 10)):
        assert sequential_sign_flip(d, looks, resampling(), float(alpha)) == naive(d, looks, alpha)


def test_one_look_is_the_exact_sign_flip_test() -> None:
    rng = np.random.default_rng(0)
    for n in (5, 6, 9, 12):
        for shift in (0.0, 0.6, 1.2):
            d = rng.normal(shift, 1, n)
            expected = sign_flip_p(d, resampling()) <= 0.05
            assert bool(sequential_sign_flip(d, [n], resampling()).n) == expected


# Whole numbers without ties: differences, level, and the decision of adastop 0.1.3 with n = 1 run per block and all patterns.
OF_ADASTOP = [
    ([421016, 676657, 293951, 530823, 600382, -129752, -333363, -39801, -57920, 648265], 0.1, 5),
    ([769197, 751195, 640330, 546615, 209231, 986753, 359477, 58370], 0.1, 5),
    ([335537, 645608, 423226, 33517, 371896, 317821, -270128, -328898, 392188], 0.05, 6),
    ([814090, 379238, 933938, 528238, 884701, 952702], 0.05, 5),
    ([691732, 772633, 572616, -35884, 816558, 302684, 816887, 778308], 0.1, 5),
    ([485474, -342272, 456484, -357101, 61522, 479759], 0.025, 0),
    ([363365, -194157, 688552, 34092, 73779, 105458, 199052], 0.05, 0),
    ([535048, -62344, -147270, 333710, -157184, -30131], 0.05, 0),
]


@pytest.mark.parametrize(("d", "alpha", "decided"), OF_ADASTOP)
def test_it_decides_as_adastop_at_half_the_level(d: list[int], alpha: float, decided: int) -> None:
    assert sequential_sign_flip(d, range(1, len(d) + 1), resampling(), 2 * alpha) == Stopping(decided, int(decided > 0))


def test_the_patterns_are_a_group_that_more_differences_continue() -> None:
    patterns = _sign_patterns(20, 5, resampling())
    rows = {tuple(row) for row in patterns}
    assert len(rows) == 32
    assert (patterns[0] == 1).all()
    assert {tuple(a * b) for a in patterns for b in patterns} == rows
    assert len({row[:5] for row in rows}) == 32
    assert (_sign_patterns(9, 5, resampling()) == patterns[:, :9]).all()
    assert (_sign_patterns(3, 5, resampling()) == patterns[:, :3]).all()


def test_later_differences_change_no_earlier_decision() -> None:
    d = np.random.default_rng(3).normal(0.7, 1, 60)
    whole = sequential_sign_flip(d, LOOKS, resampling())
    assert whole.n in LOOKS[2:-1]
    for n in range(1, 61):
        assert sequential_sign_flip(d[:n], LOOKS, resampling()) == (whole if n >= whole.n else Stopping(0, 0))
    assert sequential_sign_flip(-d, LOOKS, resampling()) == Stopping(whole.n, -1)
    assert sequential_sign_flip([*d, *d], LOOKS, resampling()) == whole


def test_equal_and_few_differences_decide_nothing() -> None:
    assert sequential_sign_flip(np.zeros(60), LOOKS, resampling()) == Stopping(0, 0)
    assert sequential_sign_flip([5.0] * 4, LOOKS, resampling()) == Stopping(0, 0)
    assert sequential_sign_flip([5.0] * 9, LOOKS, resampling()) == Stopping(0, 0)  # 2^(1 - 5) > 0.05 / 12
    assert sequential_sign_flip([5.0] * 10, LOOKS, resampling()) == Stopping(10, 1)


def test_impossible_arguments_are_refused() -> None:
    for looks in ([], [0, 5], [5, 5], [10, 5]):
        with pytest.raises(ValueError, match="increasing looks from 1"):
            sequential_sign_flip([1.0, 2.0], looks, resampling())
    with pytest.raises(ValueError, match="NaN"):
        sequential_sign_flip([1.0, float("nan")], LOOKS, resampling())


def simulated(effect: float, runs: int, generators: int, seed: int, tied: bool = False) -> np.ndarray:
    """The look that decided, or 0, of each of many samples of 60 differences of standard deviation 1."""
    rng = np.random.default_rng(seed)
    decided = []
    for _ in range(runs):
        d = rng.normal(effect, 1, 60) if not tied else rng.binomial(1, 0.3, 60) - rng.binomial(1, 0.3, 60)
        decided.append(sequential_sign_flip(d, LOOKS, resampling(), generators=generators).n)
    return np.array(decided)


def too_many(of: int) -> int:
    """A number of false decisions that 5 % of so many exceed once in a thousand times."""
    return int(stats.binom.isf(0.001, of, 0.05))


@pytest.mark.parametrize("tied", [False, True])
def test_twelve_looks_decide_falsely_in_five_percent(tied: bool) -> None:
    assert np.count_nonzero(simulated(0.0, 300, 9, 1, tied)) <= too_many(300)


@pytest.mark.slow
def test_twelve_looks_decide_falsely_in_five_percent_of_thousands() -> None:
    false = np.count_nonzero(simulated(0.0, 4000, 10, 2))
    assert 0.04 * 4000 < false <= too_many(4000)
    d = np.random.default_rng(2).normal(0, 1, (1000, 60))
    uncorrected = np.mean([any(sign_flip_p(row[:n], resampling()) <= 0.05 for n in LOOKS) for row in d[:200]])
    assert uncorrected > 0.12, "what the looks would do without a correction"


@pytest.mark.slow
@pytest.mark.parametrize(("effect", "saved"), [(0.5, 0.4), (0.8, 0.65), (1.2, 0.75)])
def test_what_stopping_early_saves(effect: float, saved: float) -> None:
    """ADR 25 has the numbers. With a fixed number of runs, 60 are the plan where the effect is not known."""
    decided = simulated(effect, 500, 11, 3)
    assert np.mean(decided > 0) > power(effect, 1.0, 60) - 0.06
    assert 1 - np.where(decided, decided, 60).mean() / 60 > saved


def test_predictive_power_is_the_share_of_futures_that_end_significant() -> None:
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.3, 0.6):
        d = np.random.default_rng(5).normal(shift, 1, 15)
        means = rng.normal(d.mean(), d.std(ddof=1) / np.sqrt(15), 200_000)
        ends = d.sum() + 45 * means + rng.normal(0, d.std(ddof=1) * np.sqrt(45), 200_000)
        share = np.mean(np.abs(ends) / (d.std(ddof=1) * np.sqrt(60)) > stats.norm.isf(0.025))
        assert predictive_power(d, 60) == pytest.approx(share, abs=0.005)
    assert predictive_power([1.0, 1.0], 60) == 1
    assert predictive_power([0.0, 0.0], 60) == 0
    assert math.isnan(predictive_power([1.0], 60))
    assert predictive_power(np.random.default_rng(1).normal(3, 1, 9), 9) == 1
