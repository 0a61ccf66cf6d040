"""Retry: runs the failed runs of a grid again."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import typer

from stableft.cli.common import RESULTS, AsJson, ResultsFolder, err, option, show, verb, with_options
from stableft.cli.execution_options import read_execution_options
from stableft.cli.formatting import VIEW_SCHEMA, View
from stableft.cli.run import DryRun, perform, say_quality
from stableft.cli.selection import PANEL, Selection, command, read_selection
from stableft.execution import planning
from stableft.execution.planning import Plan
from stableft.execution.runner import ExecutionOptions
from stableft.storage import run_state
from stableft.storage.run_state import FAILED, Failure
from stableft.storage.store import Store


@verb
@with_options(execution=read_execution_options, selected=read_selection)
def retry(
    *,
    context: typer.Context,
    selected: Selection,
    results: ResultsFolder = RESULTS,
    only: Annotated[
        str | None, option("Only these states or kinds of failure, such as oom,timeout; by default all.", panel=PANEL)
    ] = None,
    execution: ExecutionOptions,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Re-run failed runs.

    Leaves all other runs alone. A diverged run is a result, not a failure.
    """
    execution = dataclasses.replace(execution, again=command(context, "retry", "only"))
    store = Store(results)
    kinds = run_state.parse_failures(only)
    failed = {note.run_id: note for note in run_state.failures(store, err.print) if kinds & {note.state, note.kind}}
    planned = planning.plan(
        selected.grid, store, selected.inputs, chosen=lambda run_id: run_id in failed, keep_weights=execution.keep_weights
    )
    view = to_retry(planned, [failed[run_id] for run_id in planned.jobs])
    if dry_run or not planned.cells:
        return show(view, as_json)
    err.print(*view.text)
    say_quality(planned, selected.inputs, execution)
    perform(context, selected, planned, store, execution, as_json)


def to_retry(planned: Plan, failures: Sequence[Failure]) -> View:
    """Shows the number of runs to retry, by state."""
    grid = planned.grid
    counts = Counter(failure.state for failure in failures)
    data = {
        "schema": VIEW_SCHEMA, "experiment": grid.name, "protocol": grid.protocol.name, "retried": {s: counts[s] for s in FAILED},
    }  # fmt: skip
    if not failures:
        return View([f"no such failed run of {grid.name} at {grid.protocol.name}: nothing to retry"], data)
    kinds = ", ".join(f"{counts[state]} {state}" for state in FAILED if counts[state])
    return View([f"{len(failures)} failed runs of {grid.name} at {grid.protocol.name} to retry: {kinds}"], data)
