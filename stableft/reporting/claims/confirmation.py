"""Confirmation: verdicts on claims by fresh seeds alone, and the seeds that would decide them.

Seeds are fresh if no result of them had been seen when the claim's test was set
(`stableft.reporting.claims.thresholds`). They are looked at again after every few seeds, see
`stableft.reporting.claims.repeated_looks`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, islice
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from stableft.core.errors import MissingInput
from stableft.core.grid import Grid, join_spans, parse_seeds
from stableft.reporting.claims import decision_rules, repeated_looks
from stableft.reporting.claims.arms import Arm, matching
from stableft.reporting.claims.claim import Claim, Verdict
from stableft.reporting.claims.hypotheses import joined
from stableft.reporting.claims.repeated_looks import MOST, Looked, SampledTest
from stableft.reporting.claims.setting import unmet
from stableft.reporting.claims.thresholds import Threshold, digest
from stableft.statistics import Vector, resampling
from stableft.storage.records import Results

State = Literal["decided", "open", "hopeless", "maximum", "not applicable", "no rule", "not frozen"]


@dataclass(frozen=True)
class Confirmation:
    """A claim's verdict by fresh seeds at one protocol.

    Attributes:
        claim: The claim.
        state: ``open``: more seeds are worth their time. ``hopeless``: `MOST` will hardly decide.
            ``maximum``: they have not decided. ``no rule``: the test has none for repeated looks, or is
            true by construction. ``not frozen``: the list of thresholds lacks the test as it is.
        verdict: By fresh seeds alone.
        by_task: The verdict of each task with fresh seeds.
        fresh: Fresh seeds that all arms of the claim have, by task.
        arms: The arms to run.
        open: Tasks to run, with the expected number of further seeds.
        seen: Seeds that do not count.
        needed: Seeds of a single look that would decide a hopeless claim, or one at the maximum, with
            80 % probability; None: unknown, or none up to a million.
    """

    claim: Claim
    state: State
    verdict: Verdict = "inconclusive"
    by_task: Mapping[str, Looked] = field(default_factory=dict)
    fresh: Mapping[str, Sequence[int]] = field(default_factory=dict)
    arms: Sequence[str] = ()
    open: Mapping[str, float] = field(default_factory=dict)
    seen: Collection[int] = frozenset()
    needed: int | None = None

    @property
    def sentence(self) -> str:
        """Verdicts of the fresh seeds in words; empty if there are none."""
        said = [
            f"{task} {one.verdict} at n = {one.n} of seeds {join_spans(self.fresh.get(task) or _all(self.fresh))}"
            for task, one in self.by_task.items()
        ]
        return f"on fresh seeds {self.verdict} ({'; '.join(said)})" if said else ""


class SeedBatch(NamedTuple):
    """Runs to add: each of the arms on a task at the seeds."""

    task: str
    arms: tuple[str, ...]
    seeds: tuple[int, ...]


def confirm(claim: Claim, grid: Grid, results: Results | None, threshold: Threshold | None, expected: bool = False) -> Confirmation:
    """Judges a claim by its fresh seeds.

    Args:
        claim: The claim.
        grid: The whole experiment at the protocol.
        results: Its results, as `stableft.reporting.pooling` returns them; None: there are none.
        threshold: Last line of the claim in the list of thresholds.
        expected: Also simulates how many more seeds each open task needs; otherwise `MOST` bounds it.
    """
    test = claim.test
    if claim.kind == "arithmetic" or not repeated_looks.supported(test) or not isinstance(test, SampledTest):
        return Confirmation(claim, "no rule")
    if threshold is None or threshold.digest != digest(claim):
        return Confirmation(claim, "not frozen")
    tasks, results = _in_setting(claim, grid, results)
    if not tasks:
        return Confirmation(claim, "not applicable")
    # The fresh seeds of each task, and the numbers of the test at them.
    seen = seen_at(threshold, grid.protocol.name)
    wanted: Sequence[Arm] = getattr(test, "arms", ())
    arms = [name for name in grid.arms if any(name in matching(arm, grid.protocol.name, grid.arms) for arm in wanted)]
    fresh = {task: _seeds(results, task, arms, seen) for task in tasks}
    new = _samples(test, results, lambda seed: seed not in seen)
    looked = {task: repeated_looks.at_looks(test, arrays) for task, arrays in new.items()}
    pooled = bool(getattr(test, "pooled", False))
    keys = list(new) if pooled else tasks
    enough = {key for key, arrays in new.items() if len(arrays[0]) >= claim.minimum_n}
    verdict = joined([looked[key].verdict if key in enough else "inconclusive" for key in keys])
    found = Confirmation(claim, "decided", verdict, looked, fresh, arms, {}, seen)
    if verdict != "inconclusive":
        return found
    # Undecided: is any task worth more seeds?
    waiting = [key for key in keys if key not in enough or looked[key].verdict == "inconclusive"]
    empty = (np.empty(0),) * (1 if len(wanted) == 1 else 2)
    if any(repeated_looks.hopeless(test, new.get(key, empty)) for key in waiting):
        return replace(found, state="hopeless", needed=_needed(claim, results))
    runnable = [task for task in tasks if (pooled or task in waiting) and len(fresh[task]) < MOST]
    if not runnable:
        return replace(found, state="maximum", needed=_needed(claim, results))
    known = _samples(test, results, lambda seed: True) if expected else {}
    further = {task: float(MOST - len(fresh[task])) for task in runnable}
    for task in runnable:
        key = next(iter(known), "") if pooled else task
        if key in known:
            simulated = repeated_looks.expected_seeds(test, known[key], new.get(key, empty), resampling())
            further[task] = min(further[task], simulated)
    return replace(found, state="open", open=further)


def next_batches(found: Iterable[Confirmation], grid: Grid, batch: int, most: int = MOST) -> list[SeedBatch]:
    """Returns the runs to add next for the open claims, without repeats.

    Args:
        found: Confirmations of claims of one experiment.
        grid: The grid of the arms.
        batch: Each open task gets fresh seeds up to the next multiple of it.
        most: Greatest number of fresh seeds.
    """
    wanted: dict[tuple[str, tuple[int, ...]], set[str]] = {}
    for one in found:
        for task in one.open:
            have = one.fresh[task]
            number = min(most, (len(have) // batch + 1) * batch) - len(have)
            unused = (seed for seed in count() if seed not in one.seen and seed not in have)
            if number > 0:
                wanted.setdefault((task, tuple(islice(unused, number))), set()).update(one.arms)
    return [SeedBatch(task, tuple(arm for arm in grid.arms if arm in arms), seeds) for (task, seeds), arms in wanted.items()]


def expected_runs(found: Iterable[Confirmation], most: int = MOST) -> dict[tuple[str, str], float]:
    """Returns the expected further runs by task and arm; claims on the same arms share them.

    Args:
        found: As in `next_batches`.
        most: Greatest number of fresh seeds.
    """
    runs: dict[tuple[str, str], float] = {}
    for one in found:
        for task, seeds in one.open.items():
            for arm in one.arms:
                runs[task, arm] = max(runs.get((task, arm), 0.0), min(seeds, max(0, most - len(one.fresh[task]))))
    return runs


def seen_at(threshold: Threshold, protocol: str) -> frozenset[int]:
    """Returns the seeds of a protocol that had been seen when a test was set."""
    parts = dict(part.split(" ", 1) for part in threshold.seen.split("; ") if part)
    return frozenset(parse_seeds(parts[protocol])) if protocol in parts else frozenset()


def _in_setting(claim: Claim, grid: Grid, results: Results | None) -> tuple[list[str], Results | None]:
    """Returns the claim's tasks in its setting, and the results on them."""
    tasks = claim.tasks_of(grid.tasks)
    if results is None:
        return tasks, None
    of_tasks = _only(results, results.runs["task"].isin(tasks))
    arms: Sequence[Arm] = getattr(claim.test, "arms", ())
    outside = unmet(claim.setting, of_tasks, arms) if claim.setting and not of_tasks.runs.empty else {}
    tasks = [task for task in tasks if task not in outside]
    return tasks, _only(of_tasks, of_tasks.runs["task"].isin(tasks))


def _only(results: Results, chosen: "pd.Series[bool]") -> Results:
    runs = results.runs[chosen].reset_index(drop=True)
    metrics = results.metrics[results.metrics["run_id"].isin(runs["run_id"])].reset_index(drop=True)
    return Results(runs, metrics, results.predictions.iloc[:0])


def _seeds(results: Results | None, task: str, arms: Sequence[str], seen: Collection[int]) -> list[int]:
    """Returns the fresh seeds of a task that all arms have, in order."""
    if results is None:
        return []
    runs = results.runs[(results.runs["task"] == task) & results.runs["arm"].isin(arms)]
    found = runs.groupby("seed")["arm"].nunique()
    return sorted(int(seed) for seed in found.index[found == len(arms)] if seed not in seen)


def _samples(test: SampledTest, results: Results | None, counts: Callable[[int], bool]) -> dict[str, tuple[Vector, ...]]:
    """Returns the numbers of a test at the seeds that count; empty if some are missing altogether."""
    if results is None:
        return {}
    chosen = _only(results, results.runs["seed"].map(counts).astype(bool))
    try:
        return dict(test.samples(chosen)) if len(chosen.runs) else {}
    except MissingInput:
        return {}


def _needed(claim: Claim, results: Results | None) -> int | None:
    test = claim.test
    if isinstance(test, SampledTest) and test.rule is decision_rules.no_failure:
        return repeated_looks.seeds_without_failure(test.options["rate"])
    if results is None or results.runs.empty:
        return None
    try:
        return claim.test(results).seeds_needed
    except MissingInput:
        return None


def _all(fresh: Mapping[str, Sequence[int]]) -> list[int]:
    return sorted(set().union(*fresh.values()))
