"""The commands that run grids, and those that look after runs: which are where, why they failed, what may be deleted."""

import signal
from pathlib import Path
from typing import Annotated

import typer

from stableft.cli import run_views, views
from stableft.cli import watch as watching
from stableft.cli.common import Exit, Json, ResultsFolder, err, out, show, verb
from stableft.cli.progress import board
from stableft.cli.selection import (
    Arms,
    EncoderName,
    Experiment,
    Precision,
    ProtocolName,
    Request,
    Seeds,
    Set,
    Tasks,
    command,
    request,
)
from stableft.core.errors import NothingSelected, UsageError
from stableft.core.experiments import all_experiments, all_grids, get_experiment
from stableft.execution import collect, planning, runner
from stableft.execution.backends import backend_registry
from stableft.execution.backends.base import Cluster, default_workers
from stableft.execution.gpus import parse_gpus
from stableft.execution.supervisor import Status, retries
from stableft.storage import run_state as states
from stableft.storage.store import Store

app = typer.Typer()

Jobs = Annotated[int | None, typer.Option(min=1, help="Runs at a time; by default one per core.")]
Threads = Annotated[int, typer.Option(min=1, help="CPU threads of each run; other than 1 changes the last bits.")]
Device = Annotated[str | None, typer.Option(help="A torch device; by default cpu, or cuda with --gpus.")]
Gpus = Annotated[str | None, typer.Option(help="Numbers of GPUs, such as 0,1: each run is on one of them.")]
PerGpu = Annotated[int | None, typer.Option(min=1, help="Runs at a time on each of --gpus; by default 1.")]
Backend = Annotated[str, typer.Option(help="local (a process each), serial or dask (docs/clusters.md).")]
Scheduler = Annotated[str | None, typer.Option(help="Dask: the scheduler's address, or its file.")]
LocalCluster = Annotated[int | None, typer.Option(min=1, help="Dask: that many workers here, on loopback.")]
Gather = Annotated[bool, typer.Option("--gather", help="Dask: records come back over it; workers need no shared disk.")]
TlsCa = Annotated[Path | None, typer.Option(help="Dask: the authority that both sides trust.")]
TlsCert = Annotated[Path | None, typer.Option(help="Dask: this command's certificate.")]
TlsKey = Annotated[Path | None, typer.Option(help="Dask: its key.")]
MaxRetries = Annotated[str, typer.Option(help="Further tries of a run that fails: a number, or by kind, such as oom=0,killed=3.")]
Timeout = Annotated[float | None, typer.Option(min=1, help="Seconds that a run may take.")]
FailFast = Annotated[bool, typer.Option("--fail-fast/--keep-going", help="Stop at the first failed run.")]
Padded = Annotated[bool, typer.Option("--padded", help="Run padded batches, as the reference implementation.")]
Minutes = Annotated[float, typer.Option(min=0, help="Between checkpoints, from which a run goes on if it was stopped; 0: none.")]
Identify = Annotated[bool, typer.Option("--identify", help="Name host and user in provenance; never otherwise.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only print the plan.")]
RESULTS = Path("results")


@app.command()
@verb
def plan(
    experiment: Experiment, protocol: ProtocolName = "laptop", seeds: Seeds = None, tasks: Tasks = None, arms: Arms = None,
    encoder: EncoderName = None, precision: Precision = None, set_: Set = None, results: ResultsFolder = RESULTS,
    jobs: int | None = None, as_json: Json = False,
) -> None:  # fmt: skip
    """What a run would do: counts, what is missing, time and disk. Starts nothing."""
    asked = request(experiment, protocol, seeds, tasks, arms, encoder, precision, set_)
    _show_plan(planning.plan(asked.grid, Store(results), asked.inputs), Store(results), jobs or default_workers(), as_json)


def _show_plan(planned: planning.Plan, store: Store, workers: int, as_json: bool) -> None:
    show(views.plan(planned, *planning.estimate(planned, store, workers), workers), as_json)


@app.command()
@verb
def run(
    context: typer.Context,
    experiment: Experiment, protocol: ProtocolName = "laptop", seeds: Seeds = None, tasks: Tasks = None, arms: Arms = None,
    encoder: EncoderName = None, precision: Precision = None, set_: Set = None, results: ResultsFolder = RESULTS,
    jobs: Jobs = None, threads: Threads = 1, device: Device = None, gpus: Gpus = None, per_gpu: PerGpu = None,
    backend: Backend = "local", scheduler: Scheduler = None, local_cluster: LocalCluster = None, gather: Gather = False,
    tls_ca: TlsCa = None, tls_cert: TlsCert = None, tls_key: TlsKey = None,
    max_retries: MaxRetries = "1", timeout: Timeout = None, fail_fast: FailFast = False, padded: Padded = False,
    identify: Identify = False, checkpoint_minutes: Minutes = 10, dry_run: DryRun = False, as_json: Json = False,
) -> None:  # fmt: skip
    """Runs what is missing of a grid, then collects. Interrupt it as you like; the same command goes on."""
    execution = _execution(context, command(context, "retry"))
    asked, store = request(experiment, protocol, seeds, tasks, arms, encoder, precision, set_), Store(results)
    if not dry_run:
        collect.set_aside_cut_short(store, err.print)
    planned = planning.plan(asked.grid, store, asked.inputs)
    if dry_run:
        return _show_plan(planned, store, _workers(execution), as_json)
    if not planned.cells:
        raise NothingSelected(f"no run of {experiment} is selected")
    _perform(context, asked, planned, store, execution, as_json)


@app.command()
@verb
def retry(
    context: typer.Context,
    experiment: Experiment, protocol: ProtocolName = "laptop", seeds: Seeds = None, tasks: Tasks = None, arms: Arms = None,
    encoder: EncoderName = None, precision: Precision = None, set_: Set = None, results: ResultsFolder = RESULTS,
    only: Annotated[str | None, typer.Option(help="Only these states or kinds of failure, such as oom,timeout; else all.")] = None,
    jobs: Jobs = None, threads: Threads = 1, device: Device = None, gpus: Gpus = None, per_gpu: PerGpu = None,
    backend: Backend = "local", scheduler: Scheduler = None, local_cluster: LocalCluster = None, gather: Gather = False,
    tls_ca: TlsCa = None, tls_cert: TlsCert = None, tls_key: TlsKey = None,
    max_retries: MaxRetries = "1", timeout: Timeout = None, fail_fast: FailFast = False, padded: Padded = False,
    identify: Identify = False, checkpoint_minutes: Minutes = 10, dry_run: DryRun = False, as_json: Json = False,
) -> None:  # fmt: skip
    """Does failed runs again, and no others. A diverged run is a result: it is done."""
    execution = _execution(context, command(context, "retry", "only"))
    asked, store = request(experiment, protocol, seeds, tasks, arms, encoder, precision, set_), Store(results)
    kinds = states.parse_failures(only)
    failed = {note.run_id: note for note in states.failures(store) if kinds & {note.state, note.kind}}
    planned = planning.plan(asked.grid, store, asked.inputs, chosen=lambda run_id: run_id in failed)
    said = run_views.to_retry(planned, [failed[run_id] for run_id in planned.jobs])
    if dry_run or not planned.cells:
        return show(said, as_json)
    err.print(*said.text)
    _perform(context, asked, planned, store, execution, as_json)


def _execution(context: typer.Context, again: str) -> runner.ExecutionOptions:
    """From the options that `run` and `retry` both have, which only this function reads.

    Raises:
        UsageError: they contradict each other.
    """
    given = context.params
    gpus, per_gpu, device, jobs = given["gpus"], given["per_gpu"], given["device"], given["jobs"]
    numbers = parse_gpus(gpus) if gpus is not None else []
    slots = len(numbers) * (per_gpu or 1)
    if per_gpu and not numbers:
        raise UsageError("--per-gpu says how many runs are on each of --gpus: name these too")
    if numbers and device not in (None, "cuda"):
        raise UsageError(f"--gpus {gpus} and --device {device} contradict each other: leave one out")
    if numbers and jobs not in (None, slots):
        raise UsageError(f"--gpus {gpus} with {per_gpu or 1} on each are {slots} runs at a time, --jobs {jobs}: leave --jobs out")
    backend = backend_registry.canonical(given["backend"])
    if numbers and backend != "local":
        raise UsageError(f"--gpus needs --backend local, not {given['backend']}")
    tls = {name: Path(given[name]) if given[name] else None for name in ("tls_ca", "tls_cert", "tls_key")}
    return runner.ExecutionOptions(
        backend=backend,
        workers=jobs,
        threads=given["threads"],
        device=device or ("cuda" if numbers else "cpu"),
        packed=not given["padded"],
        max_retries=retries(given["max_retries"]),
        timeout=given["timeout"],
        fail_fast=given["fail_fast"],
        cluster=Cluster(given["scheduler"], given["local_cluster"], given["gather"], **tls),
        gpus=numbers,
        per_gpu=per_gpu or 1,
        again=again,
        checkpoint_minutes=given["checkpoint_minutes"],
        identify=given["identify"],
    )


def _workers(execution: runner.ExecutionOptions) -> int:
    return len(execution.gpus) * execution.per_gpu or execution.workers or default_workers()


def _perform(
    context: typer.Context, asked: Request, planned: planning.Plan, store: Store, execution: runner.ExecutionOptions, as_json: bool
) -> None:
    """Runs, collects, and says what came of it and what to type next. Runs whose records are found damaged are done once more."""
    verb = context.info_name or "run"
    failures: list[Status] = []
    damaged: list[str] = []
    collected = None
    missing = planned
    for last in (False, True):
        failures += _run(missing, store, asked, execution, verb, context)
        damaged.clear()
        collected = collect.collect(asked.whole, store, asked.inputs, damaged.append)
        if last or not damaged or verb != "run":
            break
        err.print(*damaged, "These runs are done again.", sep="\n", markup=False)
        failed = {status.job.run_id for status in failures}
        missing = planning.plan(asked.grid, store, asked.inputs, chosen=lambda run_id, failed=failed: run_id not in failed)
    show(run_views.finished(planned, store, collected, failures, execution.again), as_json)
    if damaged:
        err.print(*damaged, f"This does these runs again: {command(context, 'run')}", sep="\n", markup=False)
        raise typer.Exit(Exit.RUNS_FAILED)
    if failures:
        codes = {"refused": Exit.MISSING_INPUT, "device": Exit.NO_DEVICE, "io": Exit.IO}
        raise typer.Exit(max(codes.get(failure.state, Exit.RUNS_FAILED) for failure in failures))


def _run(
    planned: planning.Plan, store: Store, asked: Request, execution: runner.ExecutionOptions, verb: str, context: typer.Context
) -> list[Status]:
    """Runs what a plan lacks; those that failed."""
    failures: list[Status] = []
    try:
        with board(err, planned) as shown:
            for status in runner.run_grid(planned, store, asked.inputs, execution, shown.progress, err.print):
                shown.ended(status)
                if status.state not in ("done", "stopped"):
                    failures.append(status)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing runs any more, and one that comes now would end in a traceback
        err.print(run_views.interrupted(planned, store, failures, command(context, verb), execution.again))
        raise typer.Exit(Exit.INTERRUPTED) from None
    return failures


@app.command()
@verb
def status(
    experiment: Experiment, protocol: ProtocolName = "laptop", seeds: Seeds = None, tasks: Tasks = None, arms: Arms = None,
    encoder: EncoderName = None, precision: Precision = None, set_: Set = None, results: ResultsFolder = RESULTS,
    watch: Annotated[bool, typer.Option("--watch", help="Show it every second until nothing is left to do.")] = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Which runs of a grid are done, running, pending or failed; also those that another command is doing."""
    if watch and as_json:
        raise UsageError("--watch is for people: leave out --json, or --watch")
    asked, store = request(experiment, protocol, seeds, tasks, arms, encoder, precision, set_), Store(results)
    planned = planning.plan(asked.grid, store, asked.inputs)
    if watch:
        try:
            watching.watch(out, watching.Watch(planned, store))
        except KeyboardInterrupt:
            raise typer.Exit(Exit.INTERRUPTED) from None
        planned = planning.plan(asked.grid, store, asked.inputs)
    show(run_views.status(planned, store), as_json)


@app.command()
@verb
def failures(
    experiment: Annotated[str | None, typer.Argument(help="Only of this experiment.")] = None,
    protocol: Annotated[str | None, typer.Option(help="Only at this scale.")] = None,
    results: ResultsFolder = RESULTS,
    as_json: Json = False,
) -> None:
    """Runs that failed and were not done since: why, where their logs are, what does them again."""
    if experiment:
        get_experiment(experiment)
    store = Store(results)
    found = [note for note in states.failures(store) if experiment in (None, note.experiment) and protocol in (None, note.protocol)]
    show(run_views.failures(found, store), as_json)


@app.command("logs")
@verb
def logs_(
    what: Annotated[str, typer.Argument(metavar="RUN|EXPERIMENT", help="A run's first digits, or an experiment.")],
    protocol: Annotated[str | None, typer.Option(help="Of an experiment: only at this scale.")] = None,
    results: ResultsFolder = RESULTS,
    follow: Annotated[bool, typer.Option("--follow", help="Of a run: go on as it writes, until it ends.")] = False,
) -> None:
    """The log of a run, or of all failed runs of an experiment. Logs of done runs are not kept."""
    from stableft.execution import run_logs

    store = Store(results)
    if what in all_experiments():
        if follow:
            raise UsageError("--follow shows one run: name it by its first digits, which `failures` and `status --json` tell")
        noted = [note for note in states.failures(store) if note.experiment == what and protocol in (None, note.protocol)]
        show(run_views.failure_logs(noted, store), as_json=False)
        return
    try:
        for part in run_logs.follow(store, run_logs.find(store, what), follow):
            out.print(part, end="")
    except KeyboardInterrupt:
        raise typer.Exit(Exit.INTERRUPTED) from None


@app.command()
@verb
def gc(
    results: ResultsFolder = RESULTS,
    yes: Annotated[bool, typer.Option("--yes", help="Delete; otherwise only lists.")] = False,
    runs: Annotated[bool, typer.Option("--runs", help="Also run records whose rows stand in collected tables.")] = False,
    only_copies: Annotated[
        bool, typer.Option("--only-copies", help="Also what was measured and stands nowhere else: it is lost then.")
    ] = False,
    as_json: Json = False,
) -> None:
    """What may be deleted of the results folder, with sizes. Deletes nothing without --yes, and no only copy of a measurement."""
    from stableft.execution import cleanup as garbage

    store = Store(results)
    found = garbage.find(store, all_grids(), runs, only_copies)
    if yes:
        garbage.delete(store, found)
    show(run_views.garbage(found, deleted=yes), as_json)
