"""Judging: runs the tests of claims, and applies the rules that override them.

The rules are about the source's setting, too few seeds, missing runs and other encoders.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from types import ModuleType

import pandas as pd

from stableft.core.errors import MissingInput, Stale
from stableft.core.grid import Grid, Protocol
from stableft.reporting.artifact_metadata import encoder_name
from stableft.reporting.claims.arms import Arm, matching
from stableft.reporting.claims.claim import ANY_ENCODER, Claim, Evidence, Judgement
from stableft.reporting.claims.confirmation import confirm
from stableft.reporting.claims.setting import unmet
from stableft.reporting.claims.thresholds import Threshold, current
from stableft.reporting.pooling import COLLECTED_IN, Unread, further_seeds, load_pooled, run_tables
from stableft.storage.evidence import stored_grid
from stableft.storage.records import Results
from stableft.storage.store import Store

SOURCE_PROTOCOL = "paper"
"""Name of the scale with the sources' encoders, data and settings."""

ABSENT = "no results"


def scales(protocols: Iterable[Protocol], store: Store) -> list[Protocol]:
    """Returns the protocols with collected results, and always the sources' own.

    The latter is shown even without results, so that its missing runs are visible.
    """
    collected = {name for name, _ in store.collected()}
    return [protocol for protocol in protocols if protocol.name in collected or protocol.name == SOURCE_PROTOCOL]


def judge_all(
    experiments: Mapping[str, ModuleType],
    protocols: Iterable[Protocol],
    store: Store,
    thresholds: Iterable[Threshold] = (),
    unread: Unread | None = None,
) -> list[Judgement]:
    """Judges the ``CLAIMS`` of experiments, by name, at each of the protocols, in this order.

    Results are pooled with equal configurations of other experiments, without stale runs; see
    `stableft.reporting.pooling`. The verdict is of all seeds; with ``thresholds`` there is
    also one of fresh seeds alone. ``unread`` is called with a sentence for results that can't be read,
    whose claims are then not run; None: the first ones are an error.

    Raises:
        MissingInput: as `Store.load`.
    """
    collected, last = set(store.collected()), current(thresholds)
    judgements: list[Judgement] = []
    for protocol in protocols:
        tables = run_tables(store, protocol.name, unread)
        for name, module in experiments.items():
            results, absent = None, ABSENT
            if (protocol.name, name) in collected:
                reads = any(_reads_predictions(claim) for claim in module.CLAIMS)
                try:
                    results = load_pooled(store, protocol.name, name, predictions=reads, tables=tables, unread=unread)
                except Stale as error:
                    absent = str(error)
                except MissingInput as error:
                    if unread is None:
                        raise
                    absent = str(error)
                    unread(f"{name} at {protocol.name}: {error}")
            if grid := grid_at(name, module, protocol, results):
                of_grid = judge(module.CLAIMS, grid, results, absent)
                if last and results is not None and not protocol.imported:
                    by_fresh = [confirm(j.claim, grid, results, last.get((name, j.claim.name))).sentence for j in of_grid]
                    of_grid = [replace(j, fresh=said) for j, said in zip(of_grid, by_fresh, strict=True)]
                judgements += of_grid
    return judgements


def grid_at(name: str, module: ModuleType, protocol: Protocol, results: Results | None) -> Grid | None:
    """Returns the grid of an experiment at a protocol.

    That of imported results has the arms and tasks of the results; None if there are none.
    """
    if not protocol.imported:
        return module.grid(protocol)
    return None if results is None else stored_grid(name, protocol, results.runs)


def judge(claims: Sequence[Claim], grid: Grid, results: Results | None, absent: str = ABSENT) -> list[Judgement]:
    """Judges the claims of an experiment at one protocol.

    Rules override the test. A claim is not applicable where no task is in its setting. It is
    inconclusive below its minimum n, unless it is arithmetic. It is not confirmed while one of its
    tasks at this protocol is not run. Its evidence is about our runs alone (``own_evidence``) unless
    they use the claim's encoder at the scale with the sources' settings.

    Args:
        claims: The experiment's.
        grid: The whole experiment at this protocol.
        results: Those of `stableft.reporting.pooling`. None: there are none.
        absent: Why there are none.
    """
    return [_judge(claim, grid, results, absent) for claim in claims]


def _judge(claim: Claim, grid: Grid, results: Results | None, absent: str) -> Judgement:
    protocol, imported = grid.protocol.name, grid.protocol.imported
    base = Judgement(
        claim=claim, experiment=grid.name, protocol=protocol, verdict="not run", found=absent, n=0, seeds_needed=None,
        own_evidence=claim.about != ANY_ENCODER and protocol != SOURCE_PROTOCOL and not imported,
        command=f"python -m stableft {'verify' if imported else 'run'} {grid.name} --protocol {protocol}", seconds=None,
        imported=imported,
    )  # fmt: skip
    # Reasons for which a claim is not run.
    tasks = claim.tasks_of(grid.tasks)
    if not tasks:
        return replace(base, found=f"none of its tasks is in this grid ({', '.join(claim.tasks)})")
    if results is None:
        return base
    of_tasks = _results_on(results, tuple(tasks), _reads_predictions(claim))
    if of_tasks.runs.empty:
        return replace(base, found=f"no results on {', '.join(tasks)}")
    # Only the tasks in the claim's setting are judged.
    arms: Sequence[Arm] = getattr(claim.test, "arms", ())
    try:
        outside = unmet(claim.setting, of_tasks, arms) if claim.setting else {}
    except MissingInput as error:
        return replace(base, found=str(error))
    reasons = "; ".join(f"{task}: {why}" for task, why in outside.items())
    judged = _results_on(of_tasks, tuple(task for task in tasks if task not in outside), True) if outside else of_tasks
    if judged.runs.empty:
        return replace(base, verdict="not applicable", found=f"outside the source's setting: {reasons}", outside=outside)
    try:
        evidence = claim.test(judged)
    except MissingInput as error:
        return replace(base, found=str(error), outside=outside)
    # The test's verdict, limited by missing tasks, other encoders and few seeds.
    missing = [task for task in tasks if task not in set(of_tasks.runs["task"])]
    own = claim.about != ANY_ENCODER and (base.own_evidence or _encoders(judged) != {claim.about})
    evidence = _tempered(evidence, claim, missing)
    if outside:
        evidence = replace(evidence, found=f"{evidence.found}; not applicable on {reasons}")
    runs = _of_arms(judged.runs, arms, protocol)
    own_runs = results.runs if COLLECTED_IN not in results.runs else results.runs[results.runs[COLLECTED_IN] == grid.name]
    return replace(
        base, verdict=evidence.verdict, found=evidence.found, n=evidence.n, seeds_needed=evidence.seeds_needed,
        seeds_range=evidence.seeds_range, effect=evidence.effect, own_evidence=own, outside=outside,
        seconds=None if base.imported else float(own_runs["seconds"].sum()), runs=len(runs), rests_on=_rests_on(runs, grid.name),
    )  # fmt: skip


def _tempered(evidence: Evidence, claim: Claim, missing: Sequence[str]) -> Evidence:
    if missing:
        evidence = replace(evidence, found=f"{evidence.found}; not run: {', '.join(missing)}")
        if evidence.verdict == "confirmed":
            evidence = replace(evidence, verdict="inconclusive")
    if evidence.n < claim.minimum_n and claim.kind == "empirical":
        return replace(evidence, verdict="inconclusive")
    return evidence


def _reads_predictions(claim: Claim) -> bool:
    return bool(getattr(getattr(claim.test, "measure", None), "reads_predictions", False))


def _of_arms(runs: pd.DataFrame, arms: Sequence[Arm], protocol: str) -> pd.DataFrame:
    """Returns the runs of a test's arms, at the seeds that all arms have on a task.

    All runs, if the test names no arms, or names methods instead.
    """
    known = runs["arm"].astype(str)
    names = {name for arm in arms for name in matching(arm, protocol, known.unique())}
    chosen = runs[known.isin(names)]
    if chosen.empty:
        return runs
    counts = chosen.groupby(["task", "seed"], observed=True)["arm"].transform("nunique")
    return chosen[counts == chosen.groupby("task", observed=True)["arm"].transform("nunique")]


def _rests_on(runs: pd.DataFrame, experiment: str) -> tuple[str, ...]:
    """Returns where runs are from: the experiment itself, then each group from another one."""
    further = further_seeds(runs)
    own = int((runs[COLLECTED_IN] == experiment).sum()) if COLLECTED_IN in runs else len(runs)
    return (f"{own} runs of {experiment}", *further)


@lru_cache(maxsize=4)
def _results_on(results: Results, tasks: tuple[str, ...], predictions: bool) -> Results:
    """Returns the results on the tasks, without predictions unless a claim reads them.

    Cached, so that claims on the same tasks share what is derived from the results.
    """
    runs, metrics = (frame[frame["task"].isin(tasks)].reset_index(drop=True) for frame in (results.runs, results.metrics))
    predicted = results.predictions
    return Results(runs, metrics, predicted[predicted["task"].isin(tasks)] if predictions else predicted.iloc[:0])


def _encoders(results: Results) -> set[str]:
    """Returns the names of the runs' encoders, without folders: ``x`` for ``google-bert/x``."""
    names = (json.loads(config)["encoder"] for config in results.runs["config"])
    return {encoder_name(name) for name in names}
