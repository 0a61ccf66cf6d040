"""Plan: shows the missing runs of a grid and their cost, without starting anything."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

from rich.console import RenderableType

from stableft.cli.common import RESULTS, AsJson, ResultsFolder, option, show, verb, with_options
from stableft.cli.formatting import VIEW_SCHEMA, View, table
from stableft.cli.selection import Selection, read_selection
from stableft.core.errors import UsageError
from stableft.execution import planning
from stableft.execution.backends.base import default_workers
from stableft.execution.input_quality import Quality, qualities, refuse_unreadable
from stableft.execution.inputs import Inputs
from stableft.execution.planning import Plan
from stableft.storage.store import Store


@verb
@with_options(selected=read_selection)
def plan(
    *,
    selected: Selection,
    results: ResultsFolder = RESULTS,
    jobs: Annotated[int | None, option("Runs at a time; by default one per core.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a run would do, and its cost.

    Counts the runs and the missing ones, and estimates time and disk. Starts nothing.
    """
    store = Store(results)
    planned = planning.plan(selected.grid, store, selected.inputs)
    show(plan_view(planned, store, jobs or default_workers(), quality(planned, selected.inputs)), as_json)


def quality(planned: Plan, inputs: Inputs) -> list[Quality]:
    """Returns what the encoders of a grid's runs can read of their data."""
    configs = [p.cell.config for p in planned.cells if p.run_id]
    return qualities([*configs, *planned.sources.values()], inputs)


def plan_view(planned: Plan, store: Store, workers: int, found: Sequence[Quality] = (), *, allow_unknown: bool = False) -> View:
    """Shows the runs of a grid by task, the cost of the missing ones, and the quality of inputs."""
    problems = list(planned.problems)
    try:
        if not allow_unknown and planned.missing:
            refuse_unreadable(found)
    except UsageError as error:
        problems.append(str(error))
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
        "problems": problems,
        "inputs": [each.facts for each in found],
        "first": Counter(source.task for source in planned.sources.values()),
    }
    return View(_text(planned, data, [line for each in found for line in each.lines]), data)


def _text(planned: Plan, data: dict, inputs: Sequence[str]) -> list[RenderableType]:
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
        *inputs,
        *(f"can't start yet: {problem}" for problem in data["problems"]),
    ]
