"""Trace: traces a figure or table back to its runs."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import RenderableType

from stableft.cli.common import RESULTS, AsJson, ResultsFolder, end_incomplete, folder, show, verb
from stableft.cli.formatting import VIEW_SCHEMA, View, groups_data, groups_table
from stableft.core.errors import MissingInput
from stableft.core.grid import join_spans
from stableft.execution import reproduce
from stableft.execution.reproduce import Reproduction
from stableft.reporting import experiment_summary
from stableft.reporting.artifact_metadata import Origin, read_origin, run_set
from stableft.reporting.captions import is_imported
from stableft.reporting.pooling import load_pooled
from stableft.storage.records import Results
from stableft.storage.store import Store

SHOWN_IDS = 3


@verb
def trace(
    path: Annotated[
        Path, typer.Argument(parser=folder, metavar="PATH", help="A figure (pdf, png, svg, csv) or a table (md, tex, csv).")
    ],
    results: ResultsFolder = RESULTS,
    as_json: AsJson = False,
) -> None:
    """Trace a figure or table back to its runs.

    Shows their commits and hardware, and the commands to compute them again.
    """
    origin = read_origin(path)
    store = Store(results)
    if (origin.protocol, origin.experiment) not in store.collected():
        runs = f"run set {origin.run_set} of {origin.experiment} at {origin.protocol}"
        raise MissingInput(f"{path} shows {runs}, but no results are collected in {results.resolve()}")
    unread: list[str] = []
    pooled = load_pooled(store, origin.protocol, origin.experiment, unread=unread.append)
    show(traced(path, origin, pooled, store), as_json)
    end_incomplete("not traced", unread)


def traced(path: Path, origin: Origin, results: Results, store: Store) -> View:
    """Shows the runs behind a file.

    Args:
        path: The file.
        origin: Its metadata.
        results: Collected results of its experiment.
        store: The store that holds them.
    """
    # The collected runs, and how to compute them again.
    runs = results.runs
    current = run_set(results)
    ids = sorted(runs["run_id"])
    names = {name: list(map(str, runs[name].unique())) for name in ("arm", "task")}
    seeds = sorted(map(int, runs["seed"].unique()))
    imported = is_imported(runs)
    verify = f"python -m stableft verify {origin.experiment} --protocol {origin.protocol}"
    command = verify if imported else reproduce.run_again(runs.to_dict("records"))
    groups = experiment_summary.run_groups(runs)
    rebuilt = reproduce.reproductions(runs.to_dict("records"), store)
    data = {
        "schema": VIEW_SCHEMA, "file": str(path), **asdict(origin), "commits": list(origin.commits), "collected_run_set": current,
        "current": current == origin.run_set, "arms": names["arm"], "tasks": names["task"], "seeds": seeds, "run_ids": ids,
        "sources": groups_data(groups), "command": command, "rebuild": [asdict(each) for each in rebuilt],
    }  # fmt: skip
    # The collected results may have changed since the file was written.
    verdict = "that of the collected results"
    if current != origin.run_set:
        verdict = f"not that of the collected results, {current}, which are shown below: `make figures tables` redraws them"
    text: list[RenderableType] = [
        f"{origin.entry} of {origin.experiment} at {origin.protocol}",
        f"run set {origin.run_set}: {verdict}",
        *([f"commits named in the file: {', '.join(origin.commits)}"] if origin.commits else []),
        f"{len(ids)} runs; arms: {', '.join(names['arm'])}; tasks: {', '.join(names['task'])}; seeds: {join_spans(seeds)}",
        f"first run ids: {', '.join(ids[:SHOWN_IDS])}"
        + (f" and {len(ids) - SHOWN_IDS} more (--json has all)" if len(ids) > SHOWN_IDS else ""),
        groups_table({"": groups}),
        *(f"  computed with {facts}" for facts in dict.fromkeys(filter(None, (group.facts for group in groups)))),
        *rebuilding_lines(rebuilt, "to rebuild them as they were"),
        f"to {'judge' if imported else 'run'} them: {command}",
    ]
    return View(text, data)


def rebuilding_lines(rebuilt: Sequence[Reproduction], lead: str) -> list[str]:
    """Returns shell lines to compute runs again, under the heading ``lead``."""
    lines: list[str] = []
    for each in rebuilt:
        which = "" if len(rebuilt) == 1 else f" ({len(each.runs)} of the runs)"
        lines += [f"{lead}{which}:", *(f"  {step}" for step in each.steps), *(f"  note: {note}" for note in each.notes)]
    return lines
