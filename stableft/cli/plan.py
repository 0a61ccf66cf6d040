"""Plan: shows the missing runs of a grid and their cost, without starting anything."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import RenderableType

from stableft.cli.common import RESULTS, AsJson, ResultsFolder, err, option, show, verb, with_options
from stableft.cli.execution_options import read_execution_options
from stableft.cli.expected_time import time_data, time_lines
from stableft.cli.formatting import VIEW_SCHEMA, View, aligned, collected_lines
from stableft.cli.selection import Selection, read_selection
from stableft.cli.until_decided import Deciding, deciding_view, read_deciding, refuse_other_settings
from stableft.core.errors import UsageError
from stableft.execution import collect, forecast, planning, runner
from stableft.execution.forecast import Forecast
from stableft.execution.input_quality import Quality, qualities, refuse_unreadable
from stableft.execution.inputs import Inputs
from stableft.execution.planning import Plan, Redo
from stableft.execution.runner import ExecutionOptions
from stableft.storage import code_state
from stableft.storage.store import Store

RedoRuns = Annotated[
    Redo | None, option("Do finished runs again: those whose code changed since, or all.", "--redo", panel="Selection")
]


@verb
@with_options(execution=read_execution_options, selected=read_selection, deciding=read_deciding)
def plan(
    *,
    context: typer.Context,
    selected: Selection,
    deciding: Deciding | None,
    results: ResultsFolder = RESULTS,
    execution: ExecutionOptions,
    redo: RedoRuns = None,
    as_json: AsJson = False,
) -> None:
    """Show what a run would do, and its cost.

    Takes the options of `run`, and starts none of its runs. Time is estimated from earlier runs on
    this machine, else from some training steps measured now. Cached runs have a record in the results
    folder and are not done again.
    """
    store = Store(results)
    if deciding:
        refuse_other_settings(context)
        return show(deciding_view(selected, store, deciding, runner.runs_at_a_time(execution)), as_json)
    planned = planning.plan(selected.grid, store, selected.inputs, keep_weights=execution.keep_weights, redo=redo)
    show_plan(planned, store, selected, execution, as_json)


def show_plan(planned: Plan, store: Store, selected: Selection, execution: ExecutionOptions, as_json: bool) -> None:
    """Shows a plan, after measuring what it costs; `run` and `try` do so for a dry run."""
    found, expected = quality(planned, selected.inputs), expected_time(planned, store, selected, execution)
    show(plan_view(planned, store, expected, found, allow_unknown=execution.allow_unknown), as_json)


def quality(planned: Plan, inputs: Inputs) -> list[Quality]:
    """Returns what the encoders of a grid's runs can read of their data."""
    configs = [p.cell.config for p in planned.cells if p.run_id]
    return qualities([*configs, *planned.sources.values()], inputs)


def expected_time(planned: Plan, store: Store, selected: Selection, execution: ExecutionOptions) -> Forecast:
    """Returns the expected time of a plan, after checking that it could be started.

    Raises:
        UsageError: The options contradict each other, or the device lacks the precision.
        MissingInput: Collected tables can't be read, so nothing could be collected into them.
    """
    collect.check_kept(planned.grid, store)
    runner.check_options({p.cell.config.precision for p in planned.missing}, execution)
    with err.status("measuring how fast this machine is", spinner="line"):
        return forecast.forecast(planned, store, selected.inputs, execution)


def plan_view(
    planned: Plan, store: Store, expected: Forecast, found: Sequence[Quality] = (), *, allow_unknown: bool = False
) -> View:
    """Shows the runs of a grid by task, the cost of the missing ones, and the quality of inputs."""
    problems = list(planned.problems)
    try:
        if not allow_unknown and planned.missing:
            refuse_unreadable(found)
    except UsageError as error:
        problems.append(str(error))
    grid = planned.grid
    missing = planned.missing
    by_task = {task: _counts(planned, task) for task in grid.tasks}
    data = {
        "schema": VIEW_SCHEMA,
        "experiment": grid.name,
        "protocol": grid.protocol.name,
        "arms": list(grid.arms),
        "seeds": list(grid.seeds),
        "runs": len(planned.cells),
        "missing": len(missing),
        "cached": len(planned.cells) - len(missing),
        "will_run": len(missing),
        "only_collected": sum(planned.collected for planned in missing),
        "changed": planned.changed,
        "redone": len(planned.redone),
        "by_task": by_task,
        "workers": expected.workers,
        **time_data(planned, expected),
        "estimated_bytes": planning.estimated_bytes(planned, store),
        "kept_weights_bytes": planned.kept_bytes,
        "problems": problems,
        "remarks": list(planned.remarks),
        "inputs": [each.facts for each in found],
        "first": Counter(source.task for source in planned.sources.values()),
    }
    return View(_text(planned, data, expected, [line for each in found for line in each.lines]), data)


def _counts(planned: Plan, task: str) -> dict[str, int]:
    cells = [p for p in planned.cells if p.cell.task == task]
    missing = sum(not p.done for p in cells)
    return {"runs": len(cells), "missing": missing, "cached": len(cells) - missing, "will_run": missing}


def _of_weights(size: int) -> str:
    return f", of which {size / 1e6:.1f} MB are kept weights" if size else ""


def changed_lines(planned: Plan) -> list[str]:
    """Returns lines on finished runs whose code changed since, and on those that are done again."""
    changed, redone = planned.changed, len(planned.redone)
    lines = [f"{redone} finished runs are done again; their old records go to replaced/"] if redone else []
    return [*lines, f"{code_state.changes(changed)}; --redo changed runs them again"] if changed else lines


def _text(planned: Plan, data: dict, expected: Forecast, inputs: Sequence[str]) -> list[RenderableType]:
    grid = planned.grid
    rows = [
        [task, *map(str, (len(grid.arms), len(grid.seeds), of_task["runs"], of_task["cached"], of_task["will_run"]))]
        for task, of_task in data["by_task"].items()
    ]
    return [
        f"{planned.title}: {data['runs']} runs, {data['cached']} cached, {data['will_run']} will run",
        f"({grid.protocol.summary})",
        aligned(["task", "arms", "seeds", "runs", "cached", "will run"], rows),
        *changed_lines(planned),
        *collected_lines(data["only_collected"]),
        *(f"first: {count} runs on {task}, since others start from their weights" for task, count in data["first"].items()),
        *time_lines(planned, expected),
        f"disk: about {data['estimated_bytes'] / 1e6:.1f} MB" + _of_weights(planned.kept_bytes),
        *planned.remarks,
        *inputs,
        *(f"can't start yet: {problem}" for problem in data["problems"]),
    ]
