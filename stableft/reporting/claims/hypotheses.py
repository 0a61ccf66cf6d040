"""Hypotheses: the tests of claims, functions from results to evidence.

Arms are compared seed by seed. A difference counts if its 95 % BCa interval excludes the margin and
the sign-flip test of the pairs gives p <= 0.05 (`stableft.reporting.claims.decision_rules`). With
fewer than six pairs the sign-flip test cannot reach that level. A claim on several tasks is
confirmed if it is confirmed on each, and contradicted if it is contradicted on one.

An arm is a name or a pattern such as ``two *``, for the mean over the matching arms, seed by seed.
If scales use different names, it is a mapping from protocols to names or patterns, with "" for all
other protocols.

Tests are data classes, so that `stableft.reporting.claims.thresholds` can describe them in full.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import pandas as pd

from stableft.core.errors import MissingInput
from stableft.reporting.claims import decision_rules
from stableft.reporting.claims.arms import Arm, matching, pattern_at
from stableft.reporting.claims.claim import Evidence, Verdict
from stableft.reporting.claims.decision_rules import FEWEST, SIGNIFICANT, STEADIER
from stableft.reporting.claims.measures import Measure, TunedScore
from stableft.reporting.claims.measures import failed as failed_measure
from stableft.reporting.claims.measures import score as score_measure
from stableft.reporting.grid_axes import training_lengths
from stableft.reporting.rounding import exact
from stableft.statistics import Vector
from stableft.storage.records import Results

__all__ = [
    "FEWEST",
    "SIGNIFICANT",
    "STEADIER",
    "Test",
    "each",
    "equal",
    "greater",
    "less",
    "more_failed",
    "narrows",
    "none_failed",
    "positive",
    "steadier",
    "together",
    "tuned",
]

Test = Callable[[Results], Evidence]


@dataclass(frozen=True)
class PairedTest:
    """A test that decides on each task, or on all together, by the measures of two arms.

    Attributes:
        rule: One of `stableft.reporting.claims.decision_rules`.
        options: Keyword arguments of the rule.
        measure: See `greater`.
        treated: See `greater`.
        reference: See `greater`.
        pooled: See `greater`.
    """

    rule: Callable[..., Evidence]
    options: Mapping[str, float]
    measure: Measure
    treated: Arm
    reference: Arm
    pooled: bool = False

    @property
    def arms(self) -> tuple[Arm, ...]:
        return (self.treated, self.reference)

    def samples(self, results: Results) -> dict[str, tuple[Vector, ...]]:
        """Returns by task the arguments of the rule, in the order of the seeds."""
        return {task: (t, r) for task, t, r in _pairs(results, self.measure, self.treated, self.reference, self.pooled)}

    def __call__(self, results: Results) -> Evidence:
        return together({task: self.rule(*arrays, **self.options) for task, arrays in self.samples(results).items()})


@dataclass(frozen=True)
class OneArmTest:
    """A test that decides on each task by the measures of one arm.

    Attributes:
        rule: One of `stableft.reporting.claims.decision_rules`.
        options: Keyword arguments of the rule.
        measure: One of `stableft.reporting.claims.measures`.
        arm: The arm.
    """

    rule: Callable[..., Evidence]
    options: Mapping[str, float]
    measure: Measure
    arm: Arm

    @property
    def arms(self) -> tuple[Arm, ...]:
        return (self.arm,)

    def samples(self, results: Results) -> dict[str, tuple[Vector, ...]]:
        """Returns by task the arguments of the rule, in the order of the seeds."""
        return {task: (one[0].to_numpy(),) for task, one in _by_arm(results, self.measure, self.arm)}

    def __call__(self, results: Results) -> Evidence:
        return together({task: self.rule(*arrays, **self.options) for task, arrays in self.samples(results).items()})


@dataclass(frozen=True)
class GapTest:
    """A test that the gap between two methods is smaller in the longest runs than in the shortest.

    Attributes:
        treated: See `narrows`.
        reference: See `narrows`.
    """

    treated: str
    reference: str

    @property
    def arms(self) -> tuple[Arm, ...]:
        return (f"{self.treated} *", f"{self.reference} *")

    @property
    def rule(self) -> Callable[..., Evidence]:
        return decision_rules.difference

    @property
    def options(self) -> Mapping[str, float]:
        return {}

    def samples(self, results: Results) -> dict[str, tuple[Vector, ...]]:
        """Returns by task the gaps in the shortest and in the longest runs, in the order of the seeds."""
        return {task: gaps for task, _, gaps in self._gaps(results)}

    def __call__(self, results: Results) -> Evidence:
        by_task: dict[str, Evidence] = {}
        for task, (shortest, longest), gaps in self._gaps(results):
            one = decision_rules.difference(*gaps)
            by_task[task] = replace(one, found=f"gap after {shortest} and after {longest} steps: {one.found}")
        return together(by_task)

    def _gaps(self, results: Results) -> Iterator[tuple[str, tuple[int, int], tuple[Vector, Vector]]]:
        """Yields each task, its least and greatest number of steps, and the gaps at both."""
        frame = training_lengths(results)
        for task, of_task in frame.groupby("task", sort=False, observed=True):
            lengths = sorted(of_task["steps"].unique())
            if len(lengths) < 2:
                raise MissingInput("runs of one length only")
            # Seeds with a run of both methods at both lengths.
            wide = of_task.pivot_table(index="seed", columns=["method", "steps"], values="score", observed=True)
            needed = [(method, steps) for method in (self.treated, self.reference) for steps in (lengths[0], lengths[-1])]
            if missing := [f"{method} {steps}" for method, steps in needed if (method, steps) not in wide]:
                raise MissingInput(f"no runs of {', '.join(missing)}")
            wide = wide[needed].dropna()
            if wide.empty:
                both = f"{self.treated} and {self.reference}"
                raise MissingInput(f"no seed on {task} that all of these have: {both} at every length")
            early, late = (
                (wide[self.treated, steps] - wide[self.reference, steps]).to_numpy() for steps in (lengths[0], lengths[-1])
            )
            yield str(task), (lengths[0], lengths[-1]), (early, late)


def greater(treated: Arm, reference: Arm, measure: Measure = score_measure, margin: float = 0.0, *, pooled: bool = False) -> Test:
    """Builds the test that the treated arm has more of the measure, by more than the margin.

    Args:
        treated: An arm; see above.
        reference: Likewise.
        measure: One of `stableft.reporting.claims.measures`.
        margin: In units of the measure, >= 0.
        pooled: Averages tasks seed by seed (folds of one corpus) instead of judging them one by one.
    """
    return PairedTest(decision_rules.difference, {"margin": margin}, measure, treated, reference, pooled)


def less(treated: Arm, reference: Arm, measure: Measure = score_measure, margin: float = 0.0) -> Test:
    """Builds the test that the treated arm has less of the measure, by more than the margin.

    See `greater`.
    """
    return PairedTest(decision_rules.difference, {"margin": margin, "sign": -1}, measure, treated, reference)


def equal(treated: Arm, reference: Arm, margin: float, measure: Measure = score_measure, *, pooled: bool = False) -> Test:
    """Builds the test that the arms differ by at most the margin.

    Confirmed if the interval lies within the margin, contradicted if it lies outside. See `greater`.
    """
    return PairedTest(decision_rules.equality, {"margin": margin}, measure, treated, reference, pooled)


def steadier(treated: Arm, reference: Arm, measure: Measure = score_measure) -> Test:
    """Builds the test that scores of the treated arm spread less: Brown and Forsythe's, p <= 0.05.

    It is the sources' own test (Levene's, about the medians). It treats the arms as independent, so it
    is conservative if a seed affects both alike.
    """
    return PairedTest(decision_rules.spread, {}, measure, treated, reference)


def more_failed(treated: Arm, reference: Arm, rate: float) -> Test:
    """Builds the test that more runs of the treated arm fail: exact McNemar test, p <= 0.05.

    Contradicted if fewer fail by the same test, or if the 95 % Wilson interval of the treated arm's
    rate of failed runs lies below ``rate``. The latter, in (0, 1), is the source's own rate, so that
    zero failed runs also give an answer.
    """
    return PairedTest(decision_rules.failures, {"rate": rate}, failed_measure, treated, reference)


def none_failed(arm: Arm, rate: float) -> Test:
    """Builds the test that no run of the arm fails: 95 % Wilson interval below ``rate``.

    Contradicted by a single failed run.
    """
    return OneArmTest(decision_rules.no_failure, {"rate": rate}, failed_measure, arm)


def positive(measure: Measure, arm: Arm) -> Test:
    """Builds the test that the measure, itself a difference, is above 0."""
    return OneArmTest(decision_rules.mean_above, {}, measure, arm)


def each(measure: Measure, arm: Arm, margin: float = 0.0) -> Test:
    """Builds the test that the measure is above the margin in every run at hand.

    It needs one run, and says nothing about others: for claims that a source shows on single runs.
    """
    return OneArmTest(decision_rules.each_above, {"margin": margin}, measure, arm)


def narrows(treated: str, reference: str) -> Test:
    """Builds the test that the gap between two methods is smaller in longer runs.

    It compares the longest runs with the shortest ones. Methods and lengths are those of
    `stableft.reporting.grid_axes.training_lengths`.

    Args:
        treated: The method that is ahead in the short runs of the source. The gap is its lead. The side
            is never chosen by the data: that would decide too often (regression to the mean).
        reference: The other method.
    """
    return GapTest(treated, reference)


def tuned(treated: str, reference: str, margin: float = 0.0, *, at_rate_of: str | None = None) -> Test:
    """Builds the test that the treated arm scores higher, each arm at its own best learning rate.

    For grids of learning rates. The rate is chosen on other examples than those reported, see
    `stableft.reporting.tuned_rates`.

    Args:
        treated: Name of an arm without its rate, such as ``corrected``.
        reference: Likewise.
        margin: In units of the score, >= 0.
        at_rate_of: Both arms at the best rate of this arm instead.
    """
    first, second = (
        f"{arm} tuned" if at_rate_of in (None, arm) else f"{arm} at rate of {at_rate_of}" for arm in (treated, reference)
    )
    return PairedTest(decision_rules.difference, {"margin": margin}, TunedScore(), first, second)


def together(parts: Mapping[str, Evidence]) -> Evidence:
    """Joins the evidence of several tasks: confirmed on each, or contradicted on one.

    Inconclusive otherwise.

    Raises:
        MissingInput: no task.
    """
    if not parts:
        raise MissingInput("no runs of its tasks")
    verdict = joined({part.verdict for part in parts.values()})
    whole = Evidence(
        verdict,
        "; ".join(f"{task}: {part.found}" for task, part in parts.items()),
        min(part.n for part in parts.values()),
        effect=", ".join(f"{task} {part.effect}" if len(parts) > 1 else part.effect for task, part in parts.items() if part.effect),
    )
    # The task that needs most seeds decides, if the number is known for all open ones.
    open_parts = [part for part in parts.values() if part.verdict == "inconclusive"]
    if verdict != "inconclusive" or any(part.seeds_needed is None for part in open_parts):
        return whole
    most = max(open_parts, key=lambda part: part.seeds_needed or 0)
    return replace(whole, seeds_needed=most.seeds_needed, seeds_range=most.seeds_range)


def joined(verdicts: Collection[Verdict]) -> Verdict:
    """Joins the verdicts of several tasks, at least one; see `together`."""
    if "contradicted" in verdicts:
        return "contradicted"
    return "confirmed" if set(verdicts) == {"confirmed"} else "inconclusive"


@lru_cache(maxsize=8)
def _measured(measure: Measure, results: Results) -> pd.DataFrame:
    """Returns a measure, which is not to be changed. Cached, as several claims compare the same one."""
    return measure(results)


def _by_arm(results: Results, measure: Measure, *arms: Arm) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yields each task and its measures by seed, with a column per arm.

    A column is the mean over the arm's matches, at the seeds common to all arms.
    """
    frame, protocol = _measured(measure, results), str(results.runs["protocol"].iloc[0])
    names = [pattern_at(arm, protocol) for arm in arms]
    matches = [matching(arm, protocol, frame["arm"].unique()) for arm in arms]
    for name, matched in zip(names, matches, strict=True):
        if not matched:
            raise MissingInput(f"nothing to go by of arm {name!r}: not run, or no run of it finished")
    for task, of_task in frame.groupby("task", sort=False, observed=True):
        wide = of_task.pivot_table(index="seed", columns="arm", values="value", observed=True)
        columns = [wide.reindex(columns=matched).dropna().mean(axis=1) for matched in matches]
        both = pd.concat(columns, axis=1, join="inner", keys=range(len(arms))).sort_index()
        if both.empty:
            raise MissingInput(f"no seed on {task} that has {', '.join(names)}")
        yield str(task), both.apply(lambda values: exact(values.to_numpy()))


def _pairs(results: Results, measure: Measure, treated: Arm, reference: Arm, pooled: bool) -> Iterator[tuple[str, Vector, Vector]]:
    """Yields each task, or all tasks pooled, and both arms' measures at their common seeds."""
    frames = dict(_by_arm(results, measure, treated, reference))
    if pooled:
        stacked = pd.concat(frames).groupby("seed")
        frames = {f"mean of {', '.join(frames)}": stacked.mean()[stacked.size() == len(frames)]}
    for task, both in frames.items():
        yield task, exact(both[0].to_numpy()), exact(both[1].to_numpy())
