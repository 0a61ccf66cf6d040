"""Status: shows the states of the runs of a grid, once or until all are done."""

from collections import Counter
from typing import Annotated, Any

import typer
from rich.console import RenderableType

from stableft.cli.common import RESULTS, AsJson, Exit, ResultsFolder, option, out, show, verb, with_options
from stableft.cli.failures import failure_data
from stableft.cli.formatting import VIEW_SCHEMA, View, aligned, cell_data, collected_lines
from stableft.cli.plan import changed_lines
from stableft.cli.selection import Selection, failures_command, read_selection
from stableft.cli.watch import Cells, Watch, cell_states, running_runs, watch_grid
from stableft.core.errors import UsageError
from stableft.core.grid import Grid
from stableft.execution import planning
from stableft.execution.planning import Plan, Planned
from stableft.reporting.pooling import stale_runs
from stableft.storage import run_summary
from stableft.storage.run_state import FAILED, STATES, RunStatus
from stableft.storage.store import Store

SHOWN_FAILURES = 10  # at most; `failures` lists all


@verb
@with_options(selected=read_selection)
def status(
    *,
    selected: Selection,
    results: ResultsFolder = RESULTS,
    watch: Annotated[bool, option("Show it every second until nothing is left to do.", "--watch")] = False,
    as_json: AsJson = False,
) -> None:
    """Show which runs are cached, running or failed.

    Cached runs have a record in the results folder, and `run` keeps them. Collected runs have only
    rows in the tables, as in a fresh clone, and `run` does them again. Includes the runs that other
    commands are running.
    """
    if watch and as_json:
        raise UsageError("--watch is for people: leave out --json, or --watch")
    store = Store(results)
    if selected.grid.protocol.imported:
        show(imported_view(selected.grid, store), as_json)
        return
    planned = planning.plan(selected.grid, store, selected.inputs)
    if watch:
        try:
            watch_grid(out, Watch(planned, store))
        except KeyboardInterrupt:
            raise typer.Exit(Exit.INTERRUPTED) from None
        planned = planning.plan(selected.grid, store, selected.inputs)
    show(status_view(planned, store), as_json)


def imported_view(grid: Grid, store: Store) -> View:
    """Shows the numbers of imported runs by task and arm; all of them are done."""
    runs = store.load_runs(grid.protocol.name, grid.name)
    runs = runs[runs["task"].isin(grid.tasks) & runs["arm"].isin(grid.arms) & runs["seed"].isin(grid.seeds)]
    names = [*STATES, "diverged", "only_collected", "cached", "will_run"]
    cells = []
    for (task, arm), of_cell in runs.groupby(["task", "arm"], sort=False):
        counted = {"done": len(of_cell), "diverged": int((of_cell["outcome"] == "diverged").sum()), "only_collected": len(of_cell)}
        cells.append({"task": task, "arm": arm, **{name: counted.get(name, 0) for name in names}})
    total = Counter({name: sum(cell[name] for cell in cells) for name in names})
    data = {
        "schema": VIEW_SCHEMA, "experiment": grid.name, "protocol": grid.protocol.name, "runs": len(runs),
        **{name: total[name] for name in names}, "cells": cells, "progress": [], "failures": [], "problems": [],
        "imported": grid.protocol.imported,
    }  # fmt: skip
    return View([_counts_table(data, total), f"imported, not run here: {grid.protocol.imported}"], data)


def status_view(planned: Plan, store: Store) -> View:
    """Shows the states by task and arm, the running runs, the reasons of failures, and stale runs."""
    # Count the states by task and arm, and in total.
    cells = cell_states(planned, store)
    counts: dict[tuple[str, str], Counter[str]] = {}
    for p, run_status in cells:
        counts.setdefault((p.cell.task, p.cell.arm), Counter()).update(_counted(p, run_status, store))
    total = sum(counts.values(), Counter())
    names = [*STATES, "diverged", "only_collected", "cached", "will_run"]
    running = [(p, run_status.progress) for p, run_status in cells if run_status.state == "running"]
    grid = planned.grid
    outdated = stale_runs(store, grid.protocol.name, [grid.name])
    data = {
        "schema": VIEW_SCHEMA, "experiment": grid.name, "protocol": grid.protocol.name, "runs": len(cells),
        **{name: total[name] for name in names},
        "cells": [{"task": task, "arm": arm, **{name: counted[name] for name in names}} for (task, arm), counted in counts.items()],
        "progress": [{**cell_data(p), **(progress.model_dump() if progress else {})} for p, progress in running],
        "failures": [failure_data(run_status.failure, store) for _, run_status in cells if run_status.failure],
        "problems": list(planned.problems),
        "changed": planned.changed,
        "stale": sum(each.stale for each in outdated),
    }  # fmt: skip
    notes = [*_notes(planned, store, cells, total), *(f"stale: {each.sentence()}" for each in outdated)]
    return View([_counts_table(data, total), *notes], data)


def _counted(p: Planned, run_status: RunStatus, store: Store) -> list[str]:
    """Returns the names of the counts that include a run."""
    if run_status.state != "done" or p.run_id is None:
        return [run_status.state] if run_status.state == "running" else [run_status.state, "will_run"]
    if not store.has(p.run_id):
        return ["done", "only_collected", "will_run"]
    brief = run_summary.summarise_record(store, p.run_id)
    return ["done", "cached", "diverged"] if brief and brief.outcome == "diverged" else ["done", "cached"]


def _counts_table(data: dict[str, Any], total: Counter[str]) -> str:
    """Returns a table of the counts by task and arm, with columns only for kinds that occurred."""
    collected = {"only_collected": "collected"} if total["only_collected"] else {}
    failed = {state: state for state in FAILED if total[state]}
    shown = {"cached": "cached", **collected, "running": "running", "pending": "pending", **failed, "will_run": "will run"}
    rows = [[cell["task"], cell["arm"], *(str(cell[name]) for name in shown)] for cell in data["cells"]]
    return aligned(["task", "arm", *shown.values()], rows, numeric=range(2, 2 + len(shown)))


def _notes(planned: Plan, store: Store, cells: Cells, total: Counter[str]) -> list[RenderableType]:
    failed = [run_status.failure for _, run_status in cells if run_status.failure]
    return [
        *changed_lines(planned),
        *([f"{total['diverged']} of the cached runs diverged, which is a result"] if total["diverged"] else []),
        *collected_lines(total["only_collected"]),
        *(f"running: {run.name}, {run.text}" for run in running_runs(cells)),
        *(f"{failure.state}: {failure.name} ({failure.why})" for failure in failed[:SHOWN_FAILURES]),
        *([f"`{failures_command(planned, store)}` lists {len(failed)} failures with their logs"] if failed else []),
        *(f"can't start yet: {problem}" for problem in planned.problems),
    ]
