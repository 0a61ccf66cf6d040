"""Each rule for repeated looks: what it decides, when, how often falsely, and when it gives up."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from experiments import adam, seeds
from stableft.reporting.claims.claim import ANY_ENCODER, Claim
from stableft.reporting.claims.hypotheses import equal, greater, less, more_failed, narrows, none_failed, positive, steadier, tuned
from stableft.reporting.claims.measures import average_gain
from stableft.reporting.claims.repeated_looks import (
    LOOKS,
    MOST,
    Looked,
    SampledTest,
    at_looks,
    expected_seeds,
    hopeless,
    seeds_without_failure,
    supported,
)
from stableft.statistics import Vector, resampling, sequential_sign_flip
from tests.statistics.test_group_sequential import too_many

RUNS = 150
NOTHING = (np.empty(0), np.empty(0))


def sampled(test: object) -> SampledTest:
    assert isinstance(test, SampledTest)
    return test


def normal(rng: np.random.Generator, n: int = MOST, mean: float = 0.0, std: float = 1.0) -> Vector:
    return rng.normal(mean, std, n)


def test_which_tests_have_a_rule() -> None:
    assert all(map(supported, (greater("a", "b"), less("a", "b"), equal("a", "b", 0.1), steadier("a", "b"), narrows("a", "b"))))
    assert all(map(supported, (more_failed("a", "b", 0.1), none_failed("a", 0.1), positive(average_gain, "a"))))
    others = [claim.test for claim in adam.CLAIMS if claim.name in ("half_fail_on_rte", "early_scores_predict")]
    assert not any(map(supported, (tuned("a", "b"), *others, *(claim.test for claim in seeds.CLAIMS))))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_difference_is_decided_by_the_sequential_test_beyond_its_margin(sign: int) -> None:
    rng = np.random.default_rng(1)
    d = normal(rng, mean=1.2)
    test = greater("a", "b", margin=0.3) if sign > 0 else less("a", "b", margin=0.3)
    expected = sequential_sign_flip(np.round(d, 12) - 0.3, LOOKS, resampling()).n
    assert at_looks(sampled(test), (sign * d, np.zeros(MOST))) == Looked("confirmed", expected)
    assert at_looks(sampled(test), (-sign * d, np.zeros(MOST))).verdict == "contradicted"
    assert at_looks(sampled(test), (sign * d[:9], np.zeros(9))) == Looked("inconclusive", 9)
    assert at_looks(sampled(positive(average_gain, "a")), (d,)).verdict == "confirmed"


def test_failed_runs_are_decided_by_pairs_or_by_their_rate() -> None:
    test = sampled(more_failed("a", "b", 0.5))
    every, none = np.ones(MOST), np.zeros(MOST)
    assert at_looks(test, (every, none)) == Looked("confirmed", 10)
    assert at_looks(test, (none, every)) == Looked("contradicted", 10)
    assert at_looks(test, (none, none)) == Looked("contradicted", 10)  # 95 % would exclude the rate at 4 runs, 1 - 0.05 / 12 at 9
    assert at_looks(test, (np.tile([0.0, 1.0], 30), np.tile([0.0, 1.0], 30))).verdict == "inconclusive"


def test_no_failure_is_confirmed_at_one_number_of_seeds_and_contradicted_by_one_run() -> None:
    test, none = sampled(none_failed("a", 0.1)), np.zeros(MOST)
    assert seeds_without_failure(0.1) == 35
    assert at_looks(test, (none[:34],)) == Looked("inconclusive", 34)
    assert at_looks(test, (none,)) == Looked("confirmed", 35)
    late = none.copy()
    late[22] = 1
    assert at_looks(test, (late,)) == Looked("contradicted", 25)
    assert not hopeless(test, (np.empty(0),))
    assert hopeless(sampled(none_failed("a", 0.05)), (np.empty(0),))
    assert seeds_without_failure(0.05) == 75


def test_equality_and_spread() -> None:
    rng = np.random.default_rng(2)
    noise, other = normal(rng), normal(rng)
    assert at_looks(sampled(equal("a", "b", 2.0)), (noise, other)).verdict == "confirmed"
    assert at_looks(sampled(equal("a", "b", 0.5)), (noise + 3, other)).verdict == "contradicted"
    assert at_looks(sampled(equal("a", "b", 0.3)), (noise, other)).verdict == "inconclusive"
    assert at_looks(sampled(equal("a", "b", 0.0)), (other, other)) == Looked("confirmed", 5)
    assert at_looks(sampled(steadier("a", "b")), (noise, 6 * other)).verdict == "confirmed"
    assert at_looks(sampled(steadier("a", "b")), (6 * noise, other)).verdict == "contradicted"
    assert at_looks(sampled(steadier("a", "b")), (noise, other)).verdict == "inconclusive"


def at_the_margin(rng: np.random.Generator) -> tuple[Vector, Vector]:
    return normal(rng, mean=0.5), np.zeros(MOST)


def alike(rng: np.random.Generator) -> tuple[Vector, Vector]:
    return normal(rng), normal(rng)


def at_the_rate(rng: np.random.Generator) -> tuple[Vector, Vector]:
    return rng.binomial(1, 0.3, MOST).astype(float), np.zeros(MOST)


@pytest.mark.parametrize(
    ("test", "world", "wrong"),
    [
        (equal("a", "b", 0.5), at_the_margin, ("confirmed", "contradicted")),
        (steadier("a", "b"), alike, ("confirmed", "contradicted")),
        (more_failed("a", "b", 0.3), at_the_rate, ("contradicted",)),
    ],
)
def test_the_other_rules_decide_falsely_in_at_most_five_percent(
    test: object, world: Callable[[np.random.Generator], tuple[Vector, Vector]], wrong: tuple[str, ...]
) -> None:
    rng = np.random.default_rng(4)
    verdicts = [at_looks(sampled(test), world(rng), generators=9).verdict for _ in range(RUNS)]
    assert sum(verdict in wrong for verdict in verdicts) <= too_many(RUNS)


def test_what_sixty_seeds_will_hardly_decide_is_hopeless() -> None:
    rng = np.random.default_rng(5)
    flat = stats.norm.ppf((np.arange(20) + 0.5) / 20)  # of mean 0
    rng.shuffle(flat)
    zero = np.zeros(20)
    assert hopeless(sampled(greater("a", "b")), (flat, zero))
    assert hopeless(sampled(less("a", "b", margin=1.0)), (zero + flat - 1, zero))
    assert not hopeless(sampled(greater("a", "b")), (flat + 0.6, zero))
    assert not hopeless(sampled(greater("a", "b")), (flat[:9], zero[:9]))
    assert not hopeless(sampled(greater("a", "b")), NOTHING)
    assert hopeless(sampled(equal("a", "b", 0.1)), (flat, zero))
    assert not hopeless(sampled(equal("a", "b", 1.5)), (flat, zero))
    assert hopeless(sampled(steadier("a", "b")), (flat, flat[::-1]))
    assert not hopeless(sampled(steadier("a", "b")), (flat, 3 * flat[::-1]))
    assert not hopeless(sampled(more_failed("a", "b", 0.3)), (zero, zero))  # the rate may yet be excluded
    assert hopeless(sampled(more_failed("a", "b", 0.05)), (zero, zero))


def test_the_expected_seeds_are_those_of_simulated_courses() -> None:
    rng = np.random.default_rng(6)
    test, clear, vague = sampled(greater("a", "b")), normal(rng, 20, 3.0, 0.5), normal(rng, 20, 0.5)
    zero = np.zeros(20)
    assert expected_seeds(test, (clear, zero), NOTHING, resampling()) == 10
    assert expected_seeds(test, (clear, zero), (clear[:5], zero[:5]), resampling()) == 5
    assert expected_seeds(test, (clear[:3], zero[:3]), NOTHING, resampling()) == MOST
    assert 15 < expected_seeds(test, (vague, zero), NOTHING, resampling()) < MOST


def test_a_claim_needs_no_more_than_its_test() -> None:
    """The protocol is structural: any test with a rule, its options and samples takes part."""
    claim = Claim("c", "", "", "", ANY_ENCODER, 6, greater("a", "b"))
    assert isinstance(claim.test, SampledTest)
    assert not isinstance(lambda results: None, SampledTest)
