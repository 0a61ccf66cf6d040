"""Verify: judges the sources' claims on collected results."""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer
from rich.console import RenderableType

from stableft.cli.common import RESULTS, AsJson, Exit, ResultsFolder, option, show, verb
from stableft.cli.formatting import VIEW_SCHEMA, View
from stableft.core.experiments import all_experiments, get_experiment
from stableft.core.files import write_whole
from stableft.reporting.claims import Judgement
from stableft.storage.evidence import find_protocol, known_protocols
from stableft.storage.store import Store


@verb
def verify(
    experiments: Annotated[list[str] | None, typer.Argument(help="Only these; by default all.")] = None,
    protocol: Annotated[str | None, option("Only this scale; by default paper and those with results.")] = None,
    results: ResultsFolder = RESULTS,
    strict: Annotated[bool, option("Exit with 3 if a claim is contradicted.", "--strict")] = False,
    output: Annotated[Path | None, option("File for the page of verdicts; by default CLAIMS.md, if all claims are judged.")] = None,
    as_json: AsJson = False,
) -> None:
    """Judge the sources' claims on collected results.

    Needs neither torch nor a network.
    """
    from stableft.reporting.claims.judge import judge_all, scales
    from stableft.reporting.claims.markdown import page

    modules = {name: get_experiment(name) for name in experiments or all_experiments()}
    store = Store(results)
    protocols = [find_protocol(protocol, store)] if protocol else scales(known_protocols(store).values(), store)
    judgements = judge_all(modules, protocols, store)
    if output is None and not experiments and not protocol:
        output = Path("CLAIMS.md")
    if output:
        write_whole(output, page(judgements).encode())
    show(verdicts(judgements, output), as_json)
    if strict and any(judgement.verdict == "contradicted" for judgement in judgements):
        raise typer.Exit(Exit.CONTRADICTED)


def verdicts(judgements: Sequence[Judgement], page: Path | None) -> View:
    """Shows verdicts by protocol, and the path of the page written."""
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
            needed = "" if j.seeds_needed is None else f", {j.seeds_needed} would decide"
            text += [f"  {name}: {j.wording} (n = {j.n}{needed})", f"      {j.found}"]
        text += [f"  not run ({why}): {', '.join(names)}" for why, names in not_run.items()]
    # Totals over all protocols.
    counts = Counter(judgement.wording for judgement in judgements)
    text.append(", ".join(f"{count} {wording}" for wording, count in counts.items()))
    text.append('"here": for these runs alone; the claim itself is about another encoder or scale, and remains open')
    rows = [
        {
            "experiment": j.experiment, "protocol": j.protocol, "claim": j.claim.name, "statement": j.claim.statement,
            "source": j.claim.source, "about": j.claim.about, "expected": j.claim.expected, "minimum_n": j.claim.minimum_n,
            "verdict": j.verdict, "own_evidence": j.own_evidence, "found": j.found, "n": j.n, "seeds_needed": j.seeds_needed,
            "command": j.command, "seconds": j.seconds, "imported": j.imported,
        }
        for j in judgements
    ]  # fmt: skip
    data = {"schema": VIEW_SCHEMA, "claims": rows, "page": None if page is None else str(page)}
    return View([*text, f"written: {page}"] if page else text, data)
