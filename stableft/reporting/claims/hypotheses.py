"""Hypotheses: the tests of claims, functions from results to evidence.

Arms are compared seed by seed. A difference counts if its 95 % BCa interval excludes the margin and
the sign-flip test of the pairs gives p <= 0.05 (`stableft.reporting.claims.decision_rules`). With
fewer than six pairs the sign-flip test cannot reach that level. A claim on several tasks is
confirmed if it is confirmed on each, and contradicted if it is contradicted on one.

An arm is a name or a pattern such as ``two *``, for the mean over the matching arms, seed by seed.
If scales use different names, it is a mapping from protocols to names or patterns, with "" for all
other protocols.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial

import pandas as pd

from stableft.core.errors import MissingInput
from stableft.reporting.claims import decision_rules
from stableft.reporting.claims.claim import Evidence, Verdict
from stableft.reporting.claims.decision_rules import FEWEST, SIGNIFICANT
from stableft.reporting.claims.measures import Measure
from stableft.reporting.claims.measures import failed as failed_measure
from stableft.reporting.claims.measures import score as score_measure
from stableft.reporting.grid_axes import training_lengths
from stableft.reporting.rounding import exact
from stableft.statistics import Vector
from stableft.storage.records import Results

__all__ = ["FEWEST", "SIGNIFICANT", "equal", "greater", "less", "more_failed", "narrows", "none_failed", "positive", "steadier"]

Arm = str | Mapping[str, str]
Test = Callable[[Results], Evidence]


def greater(treated: Arm, reference: Arm, measure: Measure = score_measure, margin: float = 0.0, *, pooled: bool = False) -> Test:
    """Builds the test that the treated arm has more of the measure, by more than the margin.

    Args:
        treated: An arm; see above.
        reference: Likewise.
        measure: One of `stableft.reporting.claims.measures`.
        margin: In units of the measure, >= 0.
        pooled: Averages tasks seed by seed (folds of one corpus) instead of judging them one by one.
    """
    return _paired(partial(decision_rules.difference, margin=margin), measure, treated, reference, pooled)


def less(treated: Arm, reference: Arm, measure: Measure = score_measure, margin: float = 0.0) -> Test:
    """Builds the test that the treated arm has less of the measure, by more than the margin.

    See `greater`.
    """
    return _paired(partial(decision_rules.difference, margin=margin, sign=-1), measure, treated, reference)


def equal(treated: Arm, reference: Arm, margin: float, measure: Measure = score_measure, *, pooled: bool = False) -> Test:
    """Builds the test that the arms differ by at most the margin.

    Confirmed if the interval lies within the margin, contradicted if it lies outside. See `greater`.
    """
    return _paired(partial(decision_rules.equality, margin=margin), measure, treated, reference, pooled)


def steadier(treated: Arm, reference: Arm) -> Test:
    """Builds the test that scores of the treated arm spread less.

    Confirmed if the 95 % interval of the ratio of standard deviations lies below 1, contradicted if it
    lies above.
    """
    return _paired(decision_rules.spread, score_measure, treated, reference)


def more_failed(treated: Arm, reference: Arm, rate: float) -> Test:
    """Builds the test that more runs of the treated arm fail: exact McNemar test, p <= 0.05.

    Contradicted if fewer fail by the same test, or if the 95 % Wilson interval of the treated arm's
    rate of failed runs lies below ``rate``. The latter, in (0, 1), is the source's own rate, so that
    zero failed runs also give an answer.
    """
    return _paired(partial(decision_rules.failures, rate=rate), failed_measure, treated, reference)


def none_failed(arm: Arm, rate: float) -> Test:
    """Builds the test that no run of the arm fails: 95 % Wilson interval below ``rate``.

    Contradicted by a single failed run.
    """
    return _alone(partial(decision_rules.no_failure, rate=rate), failed_measure, arm)


def positive(measure: Measure, arm: Arm) -> Test:
    """Builds the test that the measure, itself a difference, is above 0."""
    return _alone(decision_rules.mean_above, measure, arm)


def narrows(treated: str, reference: str) -> Test:
    """Builds the test that the gap between two methods is smaller in longer runs.

    It compares the longest runs with the shortest ones. Methods and lengths are those of
    `stableft.reporting.grid_axes.training_lengths`.
    """

    def test(results: Results) -> Evidence:
        frame = training_lengths(results)
        by_task: dict[str, Evidence] = {}
        for task, of_task in frame.groupby("task", sort=False, observed=True):
            lengths = sorted(of_task["steps"].unique())
            if len(lengths) < 2:
                raise MissingInput("runs of one length only")
            # Seeds with a run of both methods at both lengths.
            wide = of_task.pivot_table(index="seed", columns=["method", "steps"], values="score", observed=True)
            needed = [(method, steps) for method in (treated, reference) for steps in (lengths[0], lengths[-1])]
            if missing := [f"{method} {steps}" for method, steps in needed if (method, steps) not in wide]:
                raise MissingInput(f"no runs of {', '.join(missing)}")
            wide = wide[needed].dropna()
            if wide.empty:
                raise MissingInput(f"no seed on {task} that all of these have: {treated} and {reference} at every length")
            # The gap is counted in the direction that it has in the shortest runs.
            early, late = ((wide[treated, steps] - wide[reference, steps]).to_numpy() for steps in (lengths[0], lengths[-1]))
            side = 1.0 if early.mean() >= 0 else -1.0
            one = decision_rules.difference(side * early, side * late)
            by_task[str(task)] = replace(one, found=f"gap after {lengths[0]} and after {lengths[-1]} steps: {one.found}")
        return together(by_task)

    return test


def together(parts: Mapping[str, Evidence]) -> Evidence:
    """Joins the evidence of several tasks: confirmed on each, or contradicted on one.

    Inconclusive otherwise.

    Raises:
        MissingInput: no task.
    """
    if not parts:
        raise MissingInput("no runs of its tasks")
    verdicts = {part.verdict for part in parts.values()}
    verdict: Verdict = "contradicted" if "contradicted" in verdicts else "inconclusive"
    if verdicts == {"confirmed"}:
        verdict = "confirmed"
    needed = [part.seeds_needed for part in parts.values() if part.verdict == "inconclusive"]
    seeds = max((n for n in needed if n is not None), default=None) if None not in needed else None
    found = "; ".join(f"{task}: {part.found}" for task, part in parts.items())
    return Evidence(verdict, found, min(part.n for part in parts.values()), seeds if verdict == "inconclusive" else None)


def _alone(decide: Callable[[Vector], Evidence], measure: Measure, arm: Arm) -> Test:
    """Builds a test that decides on each task by the measures of one arm."""
    return lambda results: together({task: decide(one[0].to_numpy()) for task, one in _by_arm(results, measure, arm)})


def _paired(
    decide: Callable[[Vector, Vector], Evidence], measure: Measure, treated: Arm, reference: Arm, pooled: bool = False
) -> Test:
    """Builds a test that decides on each task, or on all together, by the measures of both arms."""
    return lambda results: together({task: decide(t, r) for task, t, r in _pairs(results, measure, treated, reference, pooled)})


def _by_arm(results: Results, measure: Measure, *arms: Arm) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yields each task and its measures by seed, with a column per arm.

    A column is the mean over the arm's matches, at the seeds common to all arms.
    """
    frame, protocol = measure(results), str(results.runs["protocol"].iloc[0])
    names = [arm if isinstance(arm, str) else arm.get(protocol, arm[""]) for arm in arms]
    matches = [sorted(known for known in frame["arm"].astype(str).unique() if fnmatchcase(known, name)) for name in names]
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
