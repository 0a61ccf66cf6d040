"""Runner: does the missing runs of a grid with a backend. It does not import torch."""

import contextlib
import signal
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from stableft.core.config import RunConfig
from stableft.core.errors import MissingInput, UsageError
from stableft.execution import checkout, worker_environment
from stableft.execution.backends import backend_registry
from stableft.execution.backends.base import Backend, Cluster, default_workers
from stableft.execution.gpus import slots
from stableft.execution.inputs import Inputs
from stableft.execution.job import Job
from stableft.execution.planning import Plan
from stableft.execution.supervisor import RETRIES, ProgressCallback, Status, Supervisor, count_gpus
from stableft.models import kernels
from stableft.storage import kept_weights, run_state
from stableft.storage.store import Store

BUSY_SECONDS = 1.0
OTHER_ROWS = (
    "run {}: repeated to keep its weights, it gave other numbers than its record (other code, libraries or processor): the record "
    "stays as it is, and the kept weights name their own scores"
)


@dataclass(frozen=True)
class ExecutionOptions:
    """Options of execution; none of them changes more than the last bits of a result.

    Attributes:
        backend: A name in `stableft.execution.backends.backend_registry.BACKENDS`.
        workers: Training processes; None: one per core, or one if the device is not a CPU. Not for
            ``dask``.
        threads: CPU threads of each process; 1 gives the same bits on any number of cores.
        device: A torch device.
        packed: True for batches without padding; False for padded ones, as in the reference.
        max_retries: Further tries of failed runs, by kind of failure; see
            `stableft.execution.supervisor.retries`.
        timeout: Limit in seconds for a run; None: no limit.
        fail_fast: Stop all runs at the first failure, instead of finishing the others. A diverged
            run is no failure.
        cluster: Workers of the backend ``dask``.
        gpus: Numbers of GPUs, one for each training process, regardless of ``workers``; empty: the
            processes use ``device`` as it is.
        per_gpu: Training processes on each GPU.
        again: Command to do failed runs of this grid again, for their failure notes.
        checkpoint_minutes: Minutes of training between two checkpoints, and before the first; 0:
            none are written or read.
        identify: True if provenance names host and user.
        force_bf16: True if precision bf16 is accepted on a CPU without bf16 instructions.
        allow_unknown: True if data are accepted whose pieces the encoder mostly doesn't know.
        keep_weights: True if the last weights of each run are kept; a run without them is then missing.
    """

    backend: str = "local"
    workers: int | None = None
    threads: int = 1
    device: str = "cpu"
    packed: bool = True
    max_retries: int | Mapping[str, int] = field(default_factory=lambda: RETRIES)
    timeout: float | None = None
    fail_fast: bool = False
    cluster: Cluster = field(default_factory=Cluster)
    gpus: Sequence[int] = ()
    per_gpu: int = 1
    again: str = ""
    checkpoint_minutes: float = 10.0
    identify: bool = False
    force_bf16: bool = False
    allow_unknown: bool = False
    keep_weights: bool = False


def run_grid(
    wanted: Plan,
    store: Store,
    inputs: Inputs,
    options: ExecutionOptions,
    report: ProgressCallback = lambda *_: None,
    warn: Callable[[str], None] = lambda _: None,
) -> Iterator[Status]:
    """Does the missing runs of a plan, and yields a status as each run ends.

    After an interrupt no more runs are started, and those in flight continue to their end. A second
    interrupt, or a termination, kills all training processes at once. Finished runs are kept.

    Args:
        wanted: The plan.
        store: The results folder.
        inputs: Data and encoders of the runs.
        options: Options of execution.
        report: Called on progress.
        warn: Called with a message when the grid is interrupted, and by the backend.

    Raises:
        KeyboardInterrupt: The grid was interrupted, and the runs in flight are done.
        MissingInput: Data or weights are absent; nothing is started.
        NoDevice: A selected GPU does not exist; nothing is started.
        UsageError: The backend is unknown, or the device lacks the arithmetic or its instructions;
            nothing is started.
    """
    # Checks, before anything is started.
    if wanted.problems:
        raise MissingInput("\n".join(wanted.problems))
    check_options({planned.cell.config.precision for planned in wanted.missing}, options)
    open_backend = backend_registry.backend(options.backend)
    if not wanted.jobs:
        return
    # Jobs and the supervisor of their processes.
    code = checkout.here().keep(checkout.patches(store.root), identify=options.identify)
    jobs = [job(run_id, config, store, inputs, options, code) for run_id, config in wanted.jobs.items()]
    worker_environment.prepare(options.threads)
    gpus = slots(options.gpus, options.per_gpu, count_gpus()) if options.gpus else []
    workers = runs_at_a_time(options)
    supervisor = Supervisor(report, options.max_retries, options.timeout, slots=gpus)
    # Each status removes or writes the run's failure note before it is yielded.
    with stop_on_signals(supervisor, warn) as interrupted, open_backend(options.cluster, warn) as backend:
        try:
            for status in _run_jobs(jobs, backend, supervisor, workers, interrupted):
                if status.state == "done":
                    store.failure_path(status.job.run_id).unlink(missing_ok=True)
                    if options.keep_weights and kept_weights.of_another_trajectory(store, status.job.run_id):
                        warn(OTHER_ROWS.format(status.job.run_id))
                elif status.state != "stopped":
                    run_state.note(store, _failure(status, wanted, options.again))
                yield status
                if options.fail_fast and status.state != "done":
                    supervisor.stop()
            if interrupted:
                raise KeyboardInterrupt
        finally:
            supervisor.stop()


def runs_at_a_time(options: ExecutionOptions) -> int:
    """Returns the number of training processes at a time on this machine."""
    if options.backend == "serial":
        return 1
    slots = len(options.gpus) * options.per_gpu or options.cluster.local or options.workers
    return slots or (default_workers() if options.device == "cpu" else 1)


def check_options(precisions: Collection[str], options: ExecutionOptions) -> None:
    """Checks that runs of some precisions can be started with the options.

    Raises:
        UsageError: The backend is unknown, the options contradict each other, or the device lacks the
            arithmetic or its instructions; the message is the remedy.
    """
    backend_registry.canonical(options.backend)
    options.cluster.check(options.backend, options.workers)
    if options.keep_weights and options.cluster.gather:
        raise UsageError("--keep-weights needs workers that see the results folder: --gather sends records back, and no weights")
    if not options.device.startswith("cpu"):
        return
    if "tf32" in precisions:
        raise UsageError("precision tf32 is an arithmetic of GPUs; on a CPU use fp32 or bf16")
    remote = options.cluster.scheduler is not None  # its workers have other processors than this machine
    if "bf16" in precisions and not (options.force_bf16 or remote or kernels.bf16_instructions(kernels.this_processor().flags)):
        raise UsageError(
            "precision bf16: this processor has no bf16 instructions. On one without them bf16 products ran at 18 GFLOP/s, "
            "fp32 products at 140. Use --precision fp32 or a GPU; --force-bf16 runs it nevertheless"
        )


def _run_jobs(
    jobs: Sequence[Job], backend: Backend, supervisor: Supervisor, workers: int, interrupted: Sequence[int]
) -> Iterator[Status]:
    """Yields the status of each job that ends here.

    Jobs that other commands are running are tried again until they are done.
    """
    while jobs and not interrupted:
        busy: list[Job] = []
        for status in backend(supervisor, jobs, min(workers, len(jobs))):
            if status.state == "busy":
                busy.append(status.job)
            else:
                yield status
        if len(busy) == len(jobs):  # other commands are running all the rest, and may yet die
            time.sleep(BUSY_SECONDS)
        jobs = busy


def _failure(status: Status, wanted: Plan, again: str) -> run_state.Failure:
    cell = next(planned.cell for planned in wanted.cells if planned.run_id == status.job.run_id)
    return run_state.Failure(
        run_id=status.job.run_id,
        state=run_state.STATE_OF[status.state],
        kind=status.state,
        detail=status.detail,
        attempts=status.attempts,
        seconds=round(status.seconds, 1),
        when=run_state.now(),
        experiment=wanted.grid.name,
        protocol=wanted.grid.protocol.name,
        task=cell.task,
        arm=cell.arm,
        seed=cell.seed,
        retry=again,
    )


def job(
    run_id: str,
    config: RunConfig,
    store: Store,
    inputs: Inputs,
    options: ExecutionOptions,
    code: Mapping[str, Any] | None = None,
) -> Job:
    """Returns the job of a run, with those of its source runs; for ``code`` see `Job`."""
    return Job(
        run_id=run_id,
        config=config,
        encoder=inputs.encoder(config.encoder),
        data=inputs.data(config.task),
        task=inputs.own.get(config.task),
        results=store.root,
        device=options.device,
        threads=options.threads,
        packed=options.packed,
        checkpoint_minutes=options.checkpoint_minutes,
        code=code,
        identify=options.identify,
        coverage=_coverage(config, inputs),
        keep_weights=options.keep_weights,
        sources={
            name: job(inputs.run_id(source), source, store, inputs, options, code) for name, source in config.sources().items()
        },
    )


def _coverage(config: RunConfig, inputs: Inputs) -> Mapping[str, Any] | None:
    try:
        found = inputs.coverage(config)
    except MissingInput:  # the training process says so
        return None
    return found.facts if found else None


@contextlib.contextmanager
def stop_on_signals(supervisor: Supervisor, warn: Callable[[str], None]) -> Iterator[list[int]]:
    """Kills the training processes before an exception unwinds, so that no thread is left waiting for one.

    Yields:
        The interrupts so far.
    """
    interrupts: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and not interrupts:
            interrupts.append(number)
            supervisor.drain()
            warn("interrupted: no more runs are started; runs in flight will finish. Interrupt again to stop at once.")
            return
        supervisor.stop()
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    try:
        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # signals can only be handled in the main thread
        yield interrupts
        return
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
