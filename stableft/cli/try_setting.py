"""Try: compares a technique with the baseline on paired seeds, without a file for it."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import RenderableType

from stableft.cli.common import FIGURES, RESULTS, AsJson, FiguresFolder, ResultsFolder, beside, option, show, verb, with_options
from stableft.cli.execution_options import read_execution_options
from stableft.cli.formatting import VIEW_SCHEMA, View
from stableft.cli.plan import RedoRuns, show_plan
from stableft.cli.run import DryRun, ExecutedGrid, execute, failed, prepare, say_quality
from stableft.cli.selection import Narrowing, ProtocolName, Selection, command, parse_overrides, read_narrowing
from stableft.core.errors import UsageError, quoted
from stableft.core.experiments import get_protocol
from stableft.core.grid import Grid, Override
from stableft.core.technique import get_technique
from stableft.execution import planning
from stableft.execution.runner import ExecutionOptions
from stableft.storage.store import Store

BASELINE = "standard"
SEEDS = tuple(range(6))  # the fewest pairs that can decide
LONGEST = 60  # letters of a folder's name


@verb
@with_options(narrowing=read_narrowing, execution=read_execution_options)
def try_setting(
    *,
    context: typer.Context,
    setting: Annotated[str, typer.Argument(help="Such as reinit:num_layers=2, llrd:decay=0.9+mixout:p=0.1, or dropout=0.")],
    against: Annotated[str, option("Another such setting; standard has no technique.")] = BASELINE,
    protocol_name: ProtocolName = "laptop",
    narrowing: Narrowing,
    results: ResultsFolder = RESULTS,
    folder: FiguresFolder = None,
    execution: ExecutionOptions,
    redo: RedoRuns = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Compare a technique with the baseline.

    Both run on the same seeds, and no file is needed. Shows difference, interval, p, failed runs, cost
    in time, and how many more seeds would decide. Seeds are 0-5 unless given: fewer can't decide.
    Runs are cached; repeat it with more seeds to add to them.
    """
    store, execution = Store(results), dataclasses.replace(execution, again=command(context, "try"))
    selected = narrowing.of(trial_grid(setting, against, protocol_name))
    if not dry_run:
        prepare(store)
    planned = planning.plan(selected.grid, store, selected.inputs, keep_weights=execution.keep_weights, redo=redo)
    if dry_run:
        return show_plan(planned, store, selected, execution, as_json)
    say_quality(planned, selected.inputs, execution)
    outcome = execute(context, selected, planned, store, execution)
    if outcome.failures:
        show(View(failed(planned, store, outcome.failures, execution.again), {"failed": len(outcome.failures)}), as_json)
    elif outcome.collected is not None:
        show(trial_view(selected, store, outcome, folder or beside(results, FIGURES)), as_json)
    outcome.end(context)


def trial_grid(setting: str, against: str, protocol_name: str) -> Grid:
    """Returns the two arms, the baseline first, on the tasks of a protocol.

    Raises:
        UsageError: A setting can't be read, or both are the same.
    """
    tried, baseline = parse_setting(setting), parse_setting(against)
    if tried == baseline:
        raise UsageError(f"{quoted(setting)} against itself: name two settings")
    name = re.sub(r"[^\w.=]+", "-", f"try-{setting}" + (f"-against-{against}" if against != BASELINE else ""))
    if len(name) > LONGEST:
        name = f"{name[: LONGEST - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    protocol = get_protocol(protocol_name)
    return Grid(name, protocol, {against: baseline, setting: tried}, protocol.tasks, SEEDS)


def parse_setting(text: str) -> Override:
    """Parses ``reinit:num_layers=2+dropout=0`` into overrides of a configuration; ``standard`` into none.

    Raises:
        UsageError: a part is neither a technique nor ``field=value``.
    """
    techniques: list[dict[str, Any]] = []
    changes: dict[str, Any] = {}
    for part in (part.strip() for part in text.split("+")):
        name, _, fields = part.partition(":")
        if part == BASELINE:
            continue
        if "=" in name:
            changes |= parse_overrides([part])
        else:
            get_technique(name)
            techniques.append({"name": name, **parse_overrides([each.strip() for each in fields.split(",") if each.strip()])})
    return {"techniques": techniques or None, **changes}


def trial_view(selected: Selection, store: Store, outcome: ExecutedGrid, figures: Any) -> View:
    """Draws the scores of a trial, and shows its comparison by task."""
    from stableft.reporting import markup, report
    from stableft.reporting.figures import distributions
    from stableft.reporting.tables import paired_trial

    results = outcome.collected
    assert results is not None
    grid = selected.grid
    place = figures / grid.protocol.name / grid.name
    paths = report.render("scores", report.figure(distributions), results, place)
    paths += report.render("comparison", report.table(paired_trial), results, place)
    table = paired_trial.table(results)
    text: list[RenderableType] = [markup.to_markdown(table)]
    for row in table.to_dict("records"):
        text.append(sentence(row))
    text.append(f"figure: {paths[0]} ({grid.protocol.name}: {grid.protocol.summary})")
    against, setting = grid.arms
    rows = json.loads(table.to_json(orient="records", double_precision=15))
    data = {
        "schema": VIEW_SCHEMA, "protocol": grid.protocol.name, "setting": setting, "against": against,
        "seeds": list(grid.seeds), "tasks": rows, "results": str(store.folder(grid.protocol.name, grid.name)),
        "files": [str(path) for path in paths],
    }  # fmt: skip
    return View(text, data)


def sentence(row: Mapping[Any, Any]) -> str:
    """Returns what a row of the comparison says about one task, and what would decide it."""
    if row["p"] < 0.05:
        return f"{row['task']}: {'better' if row['difference'] > 0 else 'worse'} (p = {row['p']:.3f}, {row['pairs']} pairs)"
    more, pairs = row["more"], row["pairs"]
    enough = max(int(more), 6 - int(pairs)) if more == more and more is not None else None
    if not enough or enough > 10_000:
        return f"{row['task']}: no difference that seeds would show"
    return f"{row['task']}: undecided after {pairs} pairs; about {enough} more seeds would decide a difference of that size"
