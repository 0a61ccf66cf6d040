"""Judging: runs the tests of claims, and applies the rules that override them.

The rules are about too few seeds, missing runs and other encoders.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import ModuleType

from stableft.core.errors import MissingInput
from stableft.core.grid import Grid, Protocol
from stableft.reporting.artifact_metadata import encoder_name
from stableft.reporting.claims.claim import ANY_ENCODER, Claim, Evidence, Judgement
from stableft.storage.evidence import stored_grid
from stableft.storage.records import Results
from stableft.storage.store import Store

SOURCE_PROTOCOL = "paper"
"""Name of the scale with the sources' encoders, data and settings."""


def scales(protocols: Iterable[Protocol], store: Store) -> list[Protocol]:
    """Returns the protocols with collected results, and always the sources' own.

    The latter is shown even without results, so that its missing runs are visible.
    """
    collected = {name for name, _ in store.collected()}
    return [protocol for protocol in protocols if protocol.name in collected or protocol.name == SOURCE_PROTOCOL]


def judge_all(experiments: Mapping[str, ModuleType], protocols: Iterable[Protocol], store: Store) -> list[Judgement]:
    """Judges the ``CLAIMS`` of experiments, by name, at each of the protocols, in this order."""
    collected = set(store.collected())
    judgements: list[Judgement] = []
    for protocol in protocols:
        for name, module in experiments.items():
            has_results = (protocol.name, name) in collected
            results = store.load(protocol.name, name, predictions=False) if has_results else None
            if grid := grid_at(name, module, protocol, results):
                judgements += judge(module.CLAIMS, grid, results)
    return judgements


def grid_at(name: str, module: ModuleType, protocol: Protocol, results: Results | None) -> Grid | None:
    """Returns the grid of an experiment at a protocol.

    That of imported results has the arms and tasks of the results; None if there are none.
    """
    if not protocol.imported:
        return module.grid(protocol)
    return None if results is None else stored_grid(name, protocol, results.runs)


def judge(claims: Sequence[Claim], grid: Grid, results: Results | None) -> list[Judgement]:
    """Judges the claims of an experiment at one protocol.

    Rules override the test. A claim is inconclusive below its minimum n, and is not confirmed while one
    of its tasks at this protocol is not run. Its evidence is about our runs alone (``own_evidence``)
    unless they use the claim's encoder at the scale with the sources' settings.

    Args:
        claims: The experiment's.
        grid: The whole experiment at this protocol.
        results: None: there are none.
    """
    return [_judge(claim, grid, results) for claim in claims]


def _judge(claim: Claim, grid: Grid, results: Results | None) -> Judgement:
    protocol, imported = grid.protocol.name, grid.protocol.imported
    base = Judgement(
        claim=claim, experiment=grid.name, protocol=protocol, verdict="not run", found="no results", n=0, seeds_needed=None,
        own_evidence=claim.about != ANY_ENCODER and protocol != SOURCE_PROTOCOL and not imported,
        command=f"python -m stableft {'verify' if imported else 'run'} {grid.name} --protocol {protocol}", seconds=None,
        imported=imported,
    )  # fmt: skip
    # Reasons for which a claim is not run.
    tasks = [task for task in grid.tasks if not claim.tasks or task in claim.tasks]
    if not tasks:
        return replace(base, found=f"none of its tasks is in this grid ({', '.join(claim.tasks)})")
    if results is None:
        return base
    of_tasks = _results_on(results, tasks)
    if of_tasks.runs.empty:
        return replace(base, found=f"no results on {', '.join(tasks)}")
    try:
        evidence = claim.test(of_tasks)
    except MissingInput as error:
        return replace(base, found=str(error))
    # The test's verdict, limited by missing tasks, other encoders and few seeds.
    missing = [task for task in tasks if task not in set(of_tasks.runs["task"])]
    own = claim.about != ANY_ENCODER and (base.own_evidence or _encoders(of_tasks) != {claim.about})
    evidence = _tempered(evidence, claim, missing)
    return replace(
        base, verdict=evidence.verdict, found=evidence.found, n=evidence.n, seeds_needed=evidence.seeds_needed,
        own_evidence=own, seconds=None if base.imported else float(results.runs["seconds"].sum()),
    )  # fmt: skip


def _tempered(evidence: Evidence, claim: Claim, missing: Sequence[str]) -> Evidence:
    if missing:
        evidence = replace(evidence, found=f"{evidence.found}; not run: {', '.join(missing)}")
        if evidence.verdict == "confirmed":
            evidence = replace(evidence, verdict="inconclusive")
    if evidence.n < claim.minimum_n:
        return replace(evidence, verdict="inconclusive", seeds_needed=max(claim.minimum_n, evidence.seeds_needed or 0))
    return evidence


def _results_on(results: Results, tasks: Sequence[str]) -> Results:
    """Returns the results on the tasks, without predictions, as no claim reads them."""
    runs, metrics = (frame[frame["task"].isin(tasks)].reset_index(drop=True) for frame in (results.runs, results.metrics))
    return Results(runs, metrics, results.predictions.iloc[:0])


def _encoders(results: Results) -> set[str]:
    """Returns the names of the runs' encoders, without folders: ``x`` for ``google-bert/x``."""
    names = (json.loads(config)["encoder"] for config in results.runs["config"])
    return {encoder_name(name) for name in names}
