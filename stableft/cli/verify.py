"""Verify: judges the sources' claims on collected results."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import RenderableType

from stableft.cli.common import (
    CLAIMS,
    EXPERIMENT,
    RESULTS,
    TYPED,
    AsJson,
    Exit,
    ResultsFolder,
    beside,
    end_incomplete,
    option,
    say_changed_code,
    show,
    verb,
)
from stableft.cli.formatting import VIEW_SCHEMA, View
from stableft.core import plugins
from stableft.core.errors import MissingInput, UsageError
from stableft.core.experiments import all_experiments, get_experiment
from stableft.core.files import write_whole
from stableft.reporting.claims import Judgement
from stableft.storage.evidence import find_protocol, known_protocols
from stableft.storage.store import Store

if TYPE_CHECKING:
    from stableft.reporting.claims.thresholds import Threshold
    from stableft.reporting.pooling import StaleRuns


@verb
def verify(
    experiments: Annotated[list[str] | None, typer.Argument(help="Only these; by default all.", **EXPERIMENT)] = None,
    protocol: Annotated[str | None, option("Only this scale; by default paper and those with results.")] = None,
    results: ResultsFolder = RESULTS,
    strict: Annotated[bool, option("Exit with 3 if a claim is contradicted.", "--strict")] = False,
    freeze: Annotated[str, option("Add the tests that changed to experiments/thresholds.csv; the text is the reason.")] = "",
    output: Annotated[
        Path | None,
        option(
            "File of verdicts; by default CLAIMS.md, in other --results if given, if all of ours are judged.",
            **TYPED,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Judge the sources' claims on collected results.

    Needs neither torch nor a network. Exits with 4 if results of some cannot be read; all others are
    judged.
    """
    from stableft.reporting.claims.judge import judge_all, scales
    from stableft.reporting.claims.markdown import page
    from stableft.reporting.pooling import stale_runs

    modules = {name: get_experiment(name) for name in experiments or all_experiments()}
    store = Store(results)
    unread: list[str] = []
    protocols = [find_protocol(protocol, store)] if protocol else scales(known_protocols(store, unread.append).values(), store)
    thresholds = _thresholds(store, freeze)
    judgements = judge_all(modules, protocols, store, thresholds, unread.append)
    unread = list(dict.fromkeys(unread))
    outdated = stale_runs(store, protocol, list(modules))
    say_changed_code(store, protocol, list(modules))
    if output is None and not experiments and not protocol and not plugins.files():
        output = beside(results, CLAIMS)
        if not output.parent.is_dir():
            raise MissingInput(f"{results}: no such folder of results")
    if output:
        write_whole(output, page(judgements, outdated, thresholds, unread).encode())
    show(verdicts(judgements, output, outdated, thresholds, unread), as_json)
    if strict and any(judgement.verdict == "contradicted" for judgement in judgements):
        raise typer.Exit(Exit.CONTRADICTED)
    end_incomplete("not judged", unread)


def _thresholds(store: Store, reason: str) -> "list[Threshold]":
    """Returns the list of thresholds; with a reason, after adding the tests that changed."""
    from stableft.execution import checkout
    from stableft.reporting.claims import thresholds

    path = thresholds.default_path()
    found = thresholds.read_thresholds(path)
    if reason.strip():
        commit = checkout.here().commit
        if not commit:
            raise UsageError(f"--freeze: {path.parent} is no git checkout; thresholds are frozen where they are committed")
        today = datetime.now(UTC).date().isoformat()
        found = thresholds.freeze(all_experiments(), found, store, today, commit[:7], reason.strip())
        write_whole(path, thresholds.to_csv(found).encode())
    return found


def verdicts(
    judgements: Sequence[Judgement],
    page: Path | None,
    outdated: "Sequence[StaleRuns]" = (),
    thresholds: "Sequence[Threshold]" = (),
    unread: Sequence[str] = (),
) -> View:
    """Shows verdicts by protocol, stale runs, and the path of the page written."""
    frozen = {(each.experiment, each.claim): each for each in thresholds}
    # Claims that were not run are listed together, by reason.
    text: list[RenderableType] = []
    for protocol, of_protocol in groupby(judgements, key=lambda judgement: judgement.protocol):
        text.append(protocol)
        not_run: dict[str, list[str]] = {}
        for j in of_protocol:
            name = f"{j.experiment}/{j.claim.name}"
            if j.verdict == "not run":
                not_run.setdefault(j.found, []).append(name)
                continue
            if j.verdict == "not applicable":
                text += [f"  {name}: {j.wording}", f"      {j.found}"]
                continue
            needed = f"; seeds to decide: {j.needs}" if j.needs else ""
            text += [f"  {name}: {j.wording} (n = {j.n}{needed})", f"      {j.found}", f"      {'; '.join(j.rests_on)}"]
            text += [f"      {j.fresh}"] if j.fresh else []
        text += [f"  not run ({why}): {', '.join(names)}" for why, names in not_run.items()]
    # Totals over all protocols.
    counts = Counter(judgement.wording for judgement in judgements)
    text.append(", ".join(f"{count} {wording}" for wording, count in counts.items()))
    text += [f"stale: {each.sentence()}" for each in outdated]
    text.append('"here": for these runs alone; the claim itself is about another encoder or scale, and remains open')
    rows = [
        {
            "experiment": j.experiment, "protocol": j.protocol, "claim": j.claim.name, "statement": j.claim.statement,
            "source": j.claim.source, "about": j.claim.about, "expected": j.claim.expected, "minimum_n": j.claim.minimum_n,
            "verdict": j.verdict, "own_evidence": j.own_evidence, "found": j.found, "n": j.n, "seeds_needed": j.seeds_needed,
            "command": j.command, "seconds": j.seconds, "wording": j.wording, "question": j.claim.question, "kind": j.claim.kind,
            "setting": j.claim.setting and j.claim.setting.words, "outside": dict(j.outside), "effect": j.effect, "fresh": j.fresh,
            "seeds_range": j.seeds_range, "runs": j.runs, "rests_on": list(j.rests_on),
            "imported": j.imported, "threshold": asdict(frozen[name]) if (name := (j.experiment, j.claim.name)) in frozen else None,
        }
        for j in judgements
    ]  # fmt: skip
    data: dict[str, Any] = {"schema": VIEW_SCHEMA, "claims": rows, "page": None if page is None else str(page)}
    data |= {"stale": [each._asdict() for each in outdated], "unread": list(unread)}
    return View([*text, f"written: {page}"] if page else text, data)
