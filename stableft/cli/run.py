"""Run: executes the missing runs of a grid, collects them, and prints the next command."""

import contextlib
import dataclasses
import shlex
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, NamedTuple, NoReturn

import typer
from rich.console import RenderableType

from stableft.cli.common import RESULTS, AsJson, Exit, ResultsFolder, err, option, show, verb, with_options
from stableft.cli.execution_options import read_execution_options
from stableft.cli.expected_time import time_lines
from stableft.cli.formatting import VIEW_SCHEMA, View, cell_data, cell_name, collected_lines
from stableft.cli.plan import RedoRuns, changed_lines, expected_time, show_plan
from stableft.cli.progress import live_progress
from stableft.cli.selection import Selection, command, failures_command, read_selection
from stableft.cli.until_decided import Deciding, deciding_view, next_selections, read_deciding, refuse_other_settings
from stableft.core import plugins
from stableft.core.errors import NothingSelected, StableftError, Unwritable
from stableft.core.experiments import all_experiments
from stableft.core.files import is_writable
from stableft.core.grid import join_spans
from stableft.execution import collect, planning, runner
from stableft.execution.forecast import Forecast
from stableft.execution.input_quality import qualities, refuse_unreadable
from stableft.execution.inputs import Inputs
from stableft.execution.planning import Plan
from stableft.execution.runner import ExecutionOptions
from stableft.execution.supervisor import Status
from stableft.storage import run_state
from stableft.storage.kept_weights import are_kept, is_done
from stableft.storage.records import Results
from stableft.storage.store import Store

DryRun = Annotated[bool, option("Only print the plan.", "--dry-run")]


@verb
@with_options(execution=read_execution_options, selected=read_selection, deciding=read_deciding)
def run(
    *,
    context: typer.Context,
    selected: Selection,
    results: ResultsFolder = RESULTS,
    execution: ExecutionOptions,
    deciding: Deciding | None,
    redo: RedoRuns = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Run the missing runs of a grid.

    Then collects all finished runs. After an interruption, repeat the command to resume.
    """
    if deciding:
        return run_until_decided(context, selected, Store(results), execution, deciding, dry_run, as_json)
    execution = dataclasses.replace(execution, again=command(context, "retry"))
    store = Store(results)
    if not dry_run:
        prepare(store)
    planned = planning.plan(selected.grid, store, selected.inputs, keep_weights=execution.keep_weights, redo=redo)
    if dry_run:
        return show_plan(planned, store, selected, execution, as_json)
    if not planned.cells:
        raise NothingSelected(f"no run of {selected.grid.name} is selected")
    say_quality(planned, selected.inputs, execution)
    perform(context, selected, planned, store, execution, as_json)


def prepare(store: Store) -> None:
    """Checks that results can be written, and sets truncated records aside, before a grid is planned.

    Raises:
        Unwritable: The folder can't be written.
    """
    if not is_writable(store.root):
        raise Unwritable(f"{store.root} can't be written: name another folder by --results")
    collect.set_aside_cut_short(store, err.print)


def run_until_decided(
    context: typer.Context,
    selected: Selection,
    store: Store,
    execution: ExecutionOptions,
    deciding: Deciding,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Adds seeds where claims are open, batch by batch, and shows what became of the claims."""
    refuse_other_settings(context)
    execution = dataclasses.replace(execution, again=command(context, "run"))
    workers, before = runner.runs_at_a_time(execution), None
    while not dry_run and (batches := next_selections(selected, store, deciding)) and batches != before:
        before = batches
        for part in batches:
            err.print(f"{', '.join(part.grid.tasks)}: {', '.join(part.grid.arms)}, seeds {join_spans(part.grid.seeds)}")
            planned = planning.plan(part.grid, store, part.inputs, keep_weights=execution.keep_weights)
            with contextlib.redirect_stdout(sys.stderr):  # the outcome of a batch is not that of the command
                perform(context, part, planned, store, execution, False)
    show(deciding_view(selected, store, deciding, workers), as_json)


def say_quality(planned: Plan, inputs: Inputs, execution: ExecutionOptions) -> None:
    """Prints how the data of missing runs are read, and what their encoders can read of them.

    Raises:
        UsageError: too many pieces are unknown, and that is not accepted.
    """
    found = qualities([*planned.jobs.values(), *planned.sources.values()], inputs)
    for line in (line for each in found for line in each.lines):
        err.print(line)
    if not execution.allow_unknown:
        refuse_unreadable(found)


class ExecutedGrid(NamedTuple):
    """A grid after its execution: its tables and what failed.

    Attributes:
        collected: The collected tables; None if no run is done.
        failures: Statuses of failed runs.
        damaged: A message for each damaged record.
    """

    collected: Results | None
    failures: Sequence[Status]
    damaged: Sequence[str]

    def end(self, context: typer.Context) -> None:
        """Ends the command if a run failed; the most severe failure decides the exit code."""
        if self.damaged:
            again = command(context, "try" if context.info_name == "try" else "run")
            err.print(*self.damaged, f"To run them again: {again}", sep="\n")
            raise typer.Exit(Exit.RUNS_FAILED)
        if self.failures:
            codes = {"refused": Exit.MISSING_INPUT, "device": Exit.NO_DEVICE, "io": Exit.IO}
            raise typer.Exit(max(codes.get(failure.state, Exit.RUNS_FAILED) for failure in self.failures))


def perform(
    context: typer.Context,
    selected: Selection,
    planned: Plan,
    store: Store,
    execution: ExecutionOptions,
    as_json: bool,
) -> None:
    """Does a plan, see `execute`, and shows the outcome."""
    outcome = execute(context, selected, planned, store, execution)
    show(finished(planned, store, outcome.collected, outcome.failures, execution.again), as_json)
    outcome.end(context)


def execute(context: typer.Context, selected: Selection, planned: Plan, store: Store, execution: ExecutionOptions) -> ExecutedGrid:
    """Says how long a plan takes, executes it, and collects its runs.

    After an interrupt it collects the finished runs too. Runs with damaged records are repeated once,
    except by `retry`.
    """
    failures: list[Status] = []
    try:
        expected = announced(planned, store, selected, execution)
    except KeyboardInterrupt:
        _end_interrupted(context, selected, planned, store, failures, execution.again)
    replaced = {} if planned.problems else planning.set_aside_redone(planned, store)
    damaged: list[str] = []
    collected = None
    missing = planned
    # A record may prove damaged only when it is read to be collected.
    for last in (False, True):
        damaged.clear()
        try:
            for status in _runs(selected, missing, store, execution, expected, damaged.append):
                if status.state not in ("done", "stopped"):
                    failures.append(status)
        except KeyboardInterrupt:
            _end_interrupted(context, selected, planned, store, failures, execution.again)
        collected = collect.collect(selected.whole, store, selected.inputs, damaged.append)
        if last or not damaged or context.info_name == "retry":
            break
        err.print(*damaged, "Running them again.", sep="\n")
        failed = {status.job.run_id for status in failures}
        missing = planning.plan(
            selected.grid,
            store,
            selected.inputs,
            chosen=lambda run_id, failed=failed: run_id not in failed,
            keep_weights=planned.keep_weights,
        )
    if replaced:
        others = planning.other_numbers(replaced, store)
        err.print(f"{len(replaced)} runs were done again, {others} of them with other numbers; old records: {store.root}/replaced/")
    return ExecutedGrid(collected, failures, damaged)


def announced(planned: Plan, store: Store, selected: Selection, execution: ExecutionOptions) -> Forecast:
    """Prints the number of runs and their expected time, and returns the latter."""
    expected = expected_time(planned, store, selected, execution)
    if planned.missing and not planned.problems:
        total, missing = len(planned.cells), len(planned.missing)
        err.print(f"{planned.title}: {total} runs, {total - missing} cached, {missing} will run")
        collected = sum(p.collected for p in planned.missing)
        err.print(*planned.remarks, *changed_lines(planned), *collected_lines(collected), *time_lines(planned, expected), sep="\n")
    elif lines := changed_lines(planned):
        err.print(*lines, sep="\n")
    return expected


def _runs(
    selected: Selection,
    planned: Plan,
    store: Store,
    execution: ExecutionOptions,
    expected: Forecast,
    warn: Callable[[str], None],
) -> Iterator[Status]:
    """Executes the missing runs of a plan with their progress shown, and yields a status as each ends.

    As soon as the first seed has ended, its runs are collected: a first answer. The grid continues
    meanwhile. ``warn`` is called for each damaged record.
    """
    seeds = [config.seed for config in planned.jobs.values()]
    first = {run_id for run_id, config in planned.jobs.items() if config.seed == seeds[0]}
    more = len(first) < len(seeds)
    with live_progress(err, planned, expected.by_task()) as progress:
        for status in runner.run_grid(planned, store, selected.inputs, execution, progress.step, err.print):
            progress.end(status)
            yield status
            if status.job.run_id not in first or status.state == "stopped":
                continue
            first.remove(status.job.run_id)
            if more and not first:
                with contextlib.suppress(StableftError, OSError):  # the collection at the end reports what is wrong
                    collected = collect.collect(selected.whole, store, selected.inputs, warn)
                    if collected and selected.grid.name in all_experiments():
                        err.print(f"seed {seeds[0]} has ended. {drawable(collected, store)}; the grid continues.")


def drawable(collected: Results, store: Store) -> str:
    """Returns a sentence on the collected runs and the command that draws them."""
    return f"{len(collected.runs)} runs are collected: `{drawing(store)}` draws them"


def drawing(store: Store) -> str:
    """Returns the command that draws the collected results."""
    plugged = shlex.join(plugins.words())
    if not store.option and not plugged:
        return "make report"
    return f"python -m stableft figures{store.option}" + (f" {plugged}" if plugged else "")


def _end_interrupted(
    context: typer.Context, selected: Selection, planned: Plan, store: Store, failures: Sequence[Status], again: str
) -> NoReturn:
    """Collects the finished runs, prints how to draw them and how to resume, and ends the command."""
    # Nothing runs any more; another interrupt would end in a traceback.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resume = command(context, context.info_name or "run")
    collected = None
    if any(map(store.has, planned.jobs)):
        try:
            collected = collect.collect(selected.whole, store, selected.inputs, err.print)
        except (StableftError, OSError) as error:
            err.print(f"not collected: {error}")
    if collected is not None and selected.grid.name in all_experiments():
        err.print(drawable(collected, store))
    err.print(interrupted(planned, store, failures, resume, again))
    raise typer.Exit(Exit.INTERRUPTED)


def finished(planned: Plan, store: Store, collected: Results | None, failures: Sequence[Status], again: str) -> View:
    """Shows the place of the results, the failed runs, and the next command."""
    grid = planned.grid
    folder = store.folder(grid.protocol.name, grid.name)
    text: list[RenderableType] = []
    # Summarize the scores, if the grid has few arms.
    if collected is not None:
        from stableft.reporting import markup
        from stableft.reporting.tables import score_summary

        if len(grid.arms) <= 4:
            text.append(markup.to_markdown(score_summary.table(collected)))
        text.append(f"{grid.protocol.name}: {grid.protocol.summary}")
        text.append(f"{len(collected.runs)} runs collected in {folder}/{{runs,metrics,predictions}}.parquet")
    text += failed(planned, store, failures, again) if failures else [f"next: `{drawing(store)}` draws them"]
    kept = [p.run_id for p in planned.cells if planned.keep_weights and p.run_id and are_kept(store, p.run_id)]
    if kept:
        export = f"stableft export {kept[0]} FOLDER{store.option}"
        text.append(f"{len(kept)} runs have kept weights: `{export}` writes the first as a model")
    places = {p.run_id: cell_data(p) for p in reversed(planned.cells)}
    data = {
        "schema": VIEW_SCHEMA, "experiment": grid.name, "protocol": grid.protocol.name, "results": str(folder),
        "collected": 0 if collected is None else len(collected.runs),
        "failed": [
            {**places[s.job.run_id], "state": run_state.STATE_OF[s.state], "kind": s.state, "detail": s.detail,
             "attempts": s.attempts, "log": str(store.log_path(s.job.run_id))}
            for s in failures
        ],
        "retry": again if failures else None, **({"kept_weights": kept} if planned.keep_weights else {}),
    }  # fmt: skip
    return View(text, data)


def failed(planned: Plan, store: Store, failures: Sequence[Status], again: str) -> list[str]:
    """Returns a line for each kind of failure, and the next commands."""
    names = {p.run_id: cell_name(p) for p in reversed(planned.cells)}
    lines = []
    for kind, count in Counter(status.state for status in failures).most_common():
        first = next(status for status in failures if status.state == kind)
        label = kind if run_state.STATE_OF[kind] == kind else f"failed ({kind})"
        detail = (first.detail.splitlines() or [""])[0]
        such = "" if count == 1 else "such as "
        lines.append(f"{count} {label}: {such}{names[first.job.run_id]}: {detail} (log: {store.log_path(first.job.run_id)})")
    ended = {status.job.run_id for status in failures}
    if left := sum(not is_done(store, run_id, planned.keep_weights) for run_id in planned.jobs if run_id not in ended):
        lines.append(f"{left} more were not run")
    return [*lines, f"next: `{failures_command(planned, store)}` lists the failures,", f"      `{again}` runs them again"]


def interrupted(planned: Plan, store: Store, failures: Sequence[Status], resume: str, again: str) -> str:
    """Returns the closing lines of an interrupted command."""
    left = sum(not is_done(store, run_id, planned.keep_weights) for run_id in planned.jobs)
    lines = failed(planned, store, failures, again) if failures else []
    counts = f"interrupted: {len(planned.jobs) - left} runs finished and are kept, {left} are left."
    return "\n".join([*lines, f"{counts} To resume, run:", resume])
