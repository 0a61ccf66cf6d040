"""Repeated looks: decision rules for seeds that are added until a claim is decided.

All looks are planned, at every fifth seed up to 60, and together they have the level of one test.
A difference, and the failed runs of two arms, are decided by `sequential_sign_flip`, whose level is
exact. The other rules share the level equally among the planned looks (Bonferroni): with an
interval at each, of Student's t instead of a bootstrap, which is too narrow for few seeds. That no
run fails needs no share: it can be confirmed at one number of seeds only, the first that excludes
the rate.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import scipy

from stableft import statistics
from stableft.reporting.claims import decision_rules
from stableft.reporting.claims.claim import Evidence, Verdict
from stableft.reporting.claims.decision_rules import ALPHA
from stableft.reporting.claims.measures import TunedScore
from stableft.reporting.rounding import exact
from stableft.statistics import Vector
from stableft.statistics.group_sequential import GENERATORS
from stableft.storage.records import Results

MOST = 60
LOOKS = tuple(range(5, MOST + 1, 5))
SHARE = ALPHA / len(LOOKS)  # of the level, for a look of the rules without a sequential test
HOPELESS = 0.2  # predictive power below which more seeds are not worth their time
FIRST_HOPELESS = 10  # seeds before which nothing is called hopeless for a small effect
FEWEST_KNOWN = 4  # seeds from which the further course can be simulated
COURSES = 100


class Looked(NamedTuple):
    """Verdict of a task, and the number of seeds at the look that decided; all of them, if none did."""

    verdict: Verdict
    n: int


@runtime_checkable
class SampledTest(Protocol):
    """A test that decides on each task by a rule and arrays of one number per seed."""

    @property
    def rule(self) -> Callable[..., Evidence]: ...

    @property
    def options(self) -> Mapping[str, float]: ...

    def samples(self, results: Results) -> Mapping[str, tuple[Vector, ...]]:
        """Returns by task the arguments of the rule, in the order of the seeds."""
        ...


def supported(test: object) -> bool:
    """Tells whether a test has a rule for repeated looks.

    Tests of samples of runs have none. Neither have learning rates tuned on all seeds together, since a
    further seed may change the numbers of earlier ones.
    """
    return isinstance(test, SampledTest) and test.rule in _RULES and not isinstance(getattr(test, "measure", None), TunedScore)


def at_looks(test: SampledTest, samples: Sequence[Vector], generators: int = GENERATORS) -> Looked:
    """Decides on a task at the first planned look that can.

    Args:
        test: A supported test.
        samples: The arguments of its rule, each (S,), S >= 1, in the order of the seeds.
        generators: See `sequential_sign_flip`.
    """
    decided = _RULES[test.rule](samples, dict(test.options), generators)
    return decided or Looked("inconclusive", len(samples[0]))


def hopeless(test: SampledTest, samples: Sequence[Vector]) -> bool:
    """Tells whether `MOST` seeds will hardly decide, by `predictive_power`, or can't.

    Args:
        test: A supported test.
        samples: As in `at_looks`; empty arrays before the first seed.
    """
    options, n = dict(test.options), len(samples[0])
    if test.rule is decision_rules.no_failure:
        return seeds_without_failure(options["rate"]) > MOST
    if test.rule is decision_rules.failures and _excluded(samples[0], max(n, MOST), options["rate"], SHARE):
        return False
    if n < FIRST_HOPELESS:
        return False
    if test.rule is decision_rules.spread:
        return statistics.predictive_power(np.subtract(*map(_from_median, samples)), MOST, SHARE) < HOPELESS
    d = _difference(samples)
    if test.rule is decision_rules.equality:  # to tell the difference from the nearer margin
        to_margin = options["margin"] - abs(d.mean()) + (d - d.mean())
        return statistics.predictive_power(to_margin, MOST, SHARE) < HOPELESS
    signed = options.get("sign", 1) * d - options.get("margin", 0.0)
    return statistics.predictive_power(signed, MOST, ALPHA) < HOPELESS


def seeds_without_failure(rate: float) -> int:
    """Returns the first look at which runs without a failure exclude a rate, also if it is not planned."""
    step = LOOKS[0]
    return next(n for n in count(step, step) if _excluded(np.zeros(n), n, rate, ALPHA))


def expected_seeds(test: SampledTest, known: Sequence[Vector], fresh: Sequence[Vector], rng: np.random.Generator) -> float:
    """Simulates how many more seeds will be added until a task is decided or hopeless.

    Further seeds are drawn with replacement from those known.

    Args:
        test: A supported test.
        known: Arguments of its rule at all known seeds, also those that do not count.
        fresh: The same at the seeds that count, (S,) each, S >= 0.
        rng: Source of the draws.

    Returns:
        The mean of `COURSES` simulated courses. All seeds up to `MOST`, with fewer than `FEWEST_KNOWN`
        known ones.
    """
    start, size = len(fresh[0]), len(known[0])
    if size < FEWEST_KNOWN:
        return float(MOST - start)
    ends = []
    for _ in range(COURSES):
        drawn = rng.integers(0, size, MOST - start)
        course = [np.concatenate([old, every[drawn]]) for old, every in zip(fresh, known, strict=True)]
        end = at_looks(test, course, generators=9).n
        given_up = (n for n in LOOKS if max(start, FIRST_HOPELESS - 1) < n < end and hopeless(test, [part[:n] for part in course]))
        ends.append(next(given_up, end))
    return max(0.0, float(np.mean(ends)) - start)


def _mean_above(samples: Sequence[Vector], options: dict[str, float], generators: int) -> Looked | None:
    signed = exact(options.get("sign", 1) * _difference(samples)) - options.get("margin", 0.0)
    n, sign = statistics.sequential_sign_flip(signed, LOOKS, statistics.resampling(), ALPHA, generators)
    return Looked("confirmed" if sign > 0 else "contradicted", n) if n else None


def _failures(samples: Sequence[Vector], options: dict[str, float], generators: int) -> Looked | None:
    """Decides by the pairs of which one failed, and by the treated arm's rate at each look."""
    by_pairs = _mean_above(samples, {}, generators)
    for n in _due(samples):
        if by_pairs and by_pairs.n <= n:
            return by_pairs
        if _excluded(samples[0][:n], n, options["rate"], SHARE):
            return Looked("contradicted", n)
    return by_pairs


def _no_failure(samples: Sequence[Vector], options: dict[str, float], generators: int) -> Looked | None:
    """Decides by the rate at each look; a failed run contradicts for certain."""
    for n in _due(samples):
        if samples[0][:n].any():
            return Looked("contradicted", n)
        if _excluded(samples[0][:n], n, options["rate"], ALPHA):
            return Looked("confirmed", n)
    return None


def _equality(samples: Sequence[Vector], options: dict[str, float], generators: int) -> Looked | None:
    for n in _due(samples):
        d = _difference(samples)[:n]
        half = float(scipy.stats.t.isf(SHARE / 2, n - 1)) * float(d.std(ddof=1)) / math.sqrt(n)
        nearest, farthest = exact((float(abs(d.mean()) - half), float(abs(d.mean()) + half)))
        if farthest <= options["margin"]:
            return Looked("confirmed", n)
        if nearest > options["margin"]:
            return Looked("contradicted", n)
    return None


def _spread(samples: Sequence[Vector], options: dict[str, float], generators: int) -> Looked | None:
    for n in _due(samples):
        treated, reference = (part[:n] for part in samples)
        if exact(statistics.brown_forsythe_p(treated, reference)) <= SHARE:
            wider = exact(float(_from_median(treated).mean() - _from_median(reference).mean()))
            return Looked("confirmed" if wider < 0 else "contradicted", n)
    return None


_RULES: Mapping[Callable[..., Evidence], Callable[[Sequence[Vector], dict[str, float], int], Looked | None]] = {
    decision_rules.difference: _mean_above,
    decision_rules.mean_above: _mean_above,
    decision_rules.failures: _failures,
    decision_rules.no_failure: _no_failure,
    decision_rules.equality: _equality,
    decision_rules.spread: _spread,
}


def _due(samples: Sequence[Vector]) -> list[int]:
    return [n for n in LOOKS if n <= len(samples[0])]


def _difference(samples: Sequence[Vector]) -> Vector:
    return samples[0] - samples[1] if len(samples) == 2 else samples[0]


def _from_median(values: Vector) -> Vector:
    return np.abs(values - np.median(values))


def _excluded(failed: Vector, n: int, rate: float, alpha: float) -> bool:
    """Tells whether the Wilson interval of n runs lies below a rate, if no further ones fail."""
    return exact(statistics.wilson_interval(failed.sum() / n, n, 1 - alpha).high) < rate
