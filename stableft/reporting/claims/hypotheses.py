"""Hypotheses: the tests that claims consist of, functions of results that return the evidence.

Arms are compared seed by seed. A difference counts where its 95 % BCa interval excludes the margin and the sign-flip test of the
pairs gives p <= 0.05 (`stableft.reporting.claims.decision_rules`); fewer than six pairs can never do the latter. A claim on
several tasks is confirmed where it is on each of them, contradicted where it is on one.

An arm is a name or a pattern such as ``two *``: the mean over the arms it matches, seed by seed. It can also be a mapping of
protocols to such names, with "" for all others, where scales call it differently.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial

import pandas as pd

from stableft.core.errors import MissingInput
from stableft.reporting.claims import decision_rules as decisions
from stableft.reporting.claims.claim import Evidence, Verdict
from stableft.reporting.claims.decision_rules import FEWEST, SIGNIFICANT
from stableft.reporting.claims.measures import Measure
from stableft.reporting.claims.measures import failed as failed_measure
from stableft.reporting.claims.measures import score as score_measure
from stableft.reporting.grid_axes import training_lengths
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
        pooled: Tasks are averaged seed by seed (folds of one corpus) instead of judged one by one.
    """
    return _paired(partial(decisions.difference, margin=margin), measure, treated, reference, pooled)


def less(treated: Arm, reference: Arm, measure: Measure = score_measure, margin: float = 0.0) -> Test:
    """Builds the test that the treated arm has less of the measure, by more than the margin; see `greater`."""
    return _paired(partial(decisions.difference, margin=margin, sign=-1), measure, treated, reference)


def equal(treated: Arm, reference: Arm, margin: float, measure: Measure = score_measure, *, pooled: bool = False) -> Test:
    """Builds the test that the arms differ by at most the margin: the interval lies within it, or outside. See `greater`."""
    return _paired(partial(decisions.equality, margin=margin), measure, treated, reference, pooled)


def steadier(treated: Arm, reference: Arm) -> Test:
    """Builds the test that scores of the treated arm spread less: the 95 % interval of the ratio of stds lies below 1."""
    return _paired(decisions.spread, score_measure, treated, reference)


def more_failed(treated: Arm, reference: Arm, rate: float) -> Test:
    """Builds the test that more runs of the treated arm fail: exact McNemar test of the pairs, p <= 0.05.

    Contradicted where that holds the other way round, or where the 95 % Wilson interval of the treated arm's rate of failed runs
    lies below ``rate``, in (0, 1): the source's own, so that no failed run at all is an answer as well.
    """
    return _paired(partial(decisions.failures, rate=rate), failed_measure, treated, reference)


def none_failed(arm: Arm, rate: float) -> Test:
    """Builds the test that no run of the arm fails, and the 95 % Wilson interval of the rate lies below ``rate``.

    Contradicted by a single failed run.
    """
    return _alone(partial(decisions.no_failure, rate=rate), failed_measure, arm)


def positive(measure: Measure, arm: Arm) -> Test:
    """Builds the test that the measure, itself a difference, is above 0."""
    return _alone(decisions.mean_above, measure, arm)


def narrows(treated: str, reference: str) -> Test:
    """Builds the test that the gap between two methods is smaller in the longest runs than in the shortest ones.

    Arms are named by method and number of steps; see `stableft.reporting.grid_axes.training_lengths`.
    """

    def test(results: Results) -> Evidence:
        frame = training_lengths(results)
        by_task: dict[str, Evidence] = {}
        for task, of_task in frame.groupby("task", sort=False, observed=True):
            lengths = sorted(of_task["steps"].unique())
            if len(lengths) < 2:
                raise MissingInput("runs of one length only")
            wide = of_task.pivot_table(index="seed", columns=["method", "steps"], values="score", observed=True)
            needed = [(method, steps) for method in (treated, reference) for steps in (lengths[0], lengths[-1])]
            if missing := [f"{method} {steps}" for method, steps in needed if (method, steps) not in wide]:
                raise MissingInput(f"no runs of {', '.join(missing)}")
            wide = wide[needed].dropna()
            if wide.empty:
                raise MissingInput(f"no seed on {task} that all of these have: {treated} and {reference} at every length")
            early, late = ((wide[treated, steps] - wide[reference, steps]).to_numpy() for steps in (lengths[0], lengths[-1]))
            side = 1.0 if early.mean() >= 0 else -1.0
            one = decisions.difference(side * early, side * late)
            by_task[str(task)] = replace(one, found=f"gap after {lengths[0]} and after {lengths[-1]} steps: {one.found}")
        return together(by_task)

    return test


def together(parts: Mapping[str, Evidence]) -> Evidence:
    """Joins the evidence of several tasks: confirmed on each, or contradicted on one, or else inconclusive.

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
    """Yields each task and its measures by seed, a column per arm: the mean of its matches, at the seeds that all have."""
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
        yield str(task), both


def _pairs(results: Results, measure: Measure, treated: Arm, reference: Arm, pooled: bool) -> Iterator[tuple[str, Vector, Vector]]:
    """Yields each task, or all tasks pooled, and the measures of both arms at the seeds they share."""
    frames = dict(_by_arm(results, measure, treated, reference))
    if pooled:
        stacked = pd.concat(frames).groupby("seed")
        frames = {f"mean of {', '.join(frames)}": stacked.mean()[stacked.size() == len(frames)]}
    for task, both in frames.items():
        yield task, both[0].to_numpy(), both[1].to_numpy()
