"""Plan: shows the missing runs of a grid and their cost, without starting anything."""

from collections import Counter
from typing import Annotated

import typer
from rich.console import RenderableType

from stableft.cli.common import RESULTS, AsJson, ResultsFolder, option, show, verb, with_options
from stableft.cli.formatting import VIEW_SCHEMA, View, table
from stableft.cli.selection import Selection, read_selection
from stableft.cli.until_decided import Deciding, deciding_view, read_deciding, refuse_other_settings
from stableft.execution import planning
from stableft.execution.backends.base import default_workers
from stableft.execution.planning import Plan
from stableft.storage.store import Store


@verb
@with_options(selected=read_selection, deciding=read_deciding)
def plan(
    *,
    context: typer.Context,
    selected: Selection,
    deciding: Deciding | None,
    results: ResultsFolder = RESULTS,
    jobs: Annotated[int | None, option("Runs at a time; by default one per core.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a run would do, and its cost.

    Counts the runs and the missing ones, and estimates time and disk. Starts nothing.
    """
    store = Store(results)
    if deciding:
        refuse_other_settings(context)
        return show(deciding_view(selected, store, deciding, jobs or default_workers()), as_json)
    show(plan_view(planning.plan(selected.grid, store, selected.inputs), store, jobs or default_workers()), as_json)


def plan_view(planned: Plan, store: Store, workers: int) -> View:
    """Shows the runs of a grid by task, and the cost of the missing ones."""
    seconds, size = planning.estimate(planned, store, workers)
    grid = planned.grid
    missing = planned.missing
    by_task = {
        task: {
            "runs": sum(p.cell.task == task for p in planned.cells),
            "missing": sum(p.cell.task == task for p in missing),
        }
        for task in grid.tasks
    }
    data = {
        "schema": VIEW_SCHEMA,
        "experiment": grid.name,
        "protocol": grid.protocol.name,
        "arms": list(grid.arms),
        "seeds": list(grid.seeds),
        "runs": len(planned.cells),
        "missing": len(missing),
        "only_collected": sum(planned.collected for planned in missing),
        "by_task": by_task,
        "workers": workers,
        "estimated_seconds": seconds,
        "estimated_bytes": size,
        "problems": list(planned.problems),
        "first": Counter(source.task for source in planned.sources.values()),
    }
    return View(_text(planned, data), data)


def _text(planned: Plan, data: dict) -> list[RenderableType]:
    grid = planned.grid
    counts = table("task", "arms", "seeds", "runs", "missing")
    for task, of_task in data["by_task"].items():
        counts.add_row(task, str(len(grid.arms)), str(len(grid.seeds)), str(of_task["runs"]), str(of_task["missing"]))
    cost = "unknown (no earlier run of these tasks)"
    if data["estimated_seconds"] is not None:
        cost = f"about {data['estimated_seconds'] / 60:.0f} min on {data['workers']} workers"
    recomputed = f"{data['only_collected']} of the missing runs already have results (fresh clone); `run` will recompute them"
    return [
        f"{grid.name} at protocol {grid.protocol.name}: {data['runs']} runs, {data['missing']} missing",
        f"({grid.protocol.summary})",
        counts,
        f"time: {cost}; disk: about {data['estimated_bytes'] / 1e6:.1f} MB",
        *(f"first: {count} runs on {task}, since others start from their weights" for task, count in data["first"].items()),
        *([recomputed] if data["only_collected"] else []),
        *(f"can't start yet: {problem}" for problem in planned.problems),
    ]
