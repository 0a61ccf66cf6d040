"""Runner: does the missing runs of a grid with a backend. Needs no torch."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from stableft.storage import run_state
from stableft.storage.store import Store

BUSY_SECONDS = 1.0


@dataclass(frozen=True)
class ExecutionOptions:
    """How to run a grid; none of it changes more than the last bits of a result.

    Attributes:
        backend: A name in `stableft.execution.backends.backend_registry.BACKENDS`.
        workers: Training processes; None: one per core, or one if the device is not a CPU. Not for ``dask``.
        threads: CPU threads of each; 1 gives the same bits on any number of cores.
        device: A torch device.
        packed: Without padding, or padded as the reference.
        max_retries: Further tries of runs whose process dies, by kind of failure; see `stableft.execution.supervisor.retries`.
        timeout: Seconds that a run may take; None: any.
        fail_fast: Stop all runs at the first that fails, instead of finishing the others. A diverged run is no failure.
        cluster: Where the backend ``dask`` has its workers.
        gpus: Numbers of GPUs, each training process on one of them, whatever ``workers`` says; none: ``device`` as it is.
        per_gpu: Training processes on each of these.
        again: The command that does failed runs of this grid again, for their failure notes.
        checkpoint_minutes: Minutes of training between two checkpoints, and before the first; 0: none are written or read.
        identify: Provenance names host and user.
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


def run_grid(
    wanted: Plan,
    store: Store,
    inputs: Inputs,
    options: ExecutionOptions,
    report: ProgressCallback = lambda *_: None,
    warn: Callable[[str], None] = lambda _: None,
) -> Iterator[Status]:
    """Runs what is missing, yielding a status as each run ends.

    After an interrupt no more runs are started, and those in flight continue to their end. A second one, or a
    termination, kills all training processes at once. Finished runs are kept.

    Args:
        wanted: What to run.
        store: The results folder.
        inputs: Data and encoders of the runs.
        options: How to run.
        report: Called on progress.
        warn: Called when the grid is interrupted, with what happens next.

    Raises:
        KeyboardInterrupt: the grid was interrupted, and the runs in flight are done.
        MissingInput: data or weights are absent: nothing is started.
        NoDevice: there is no GPU of a number asked for: likewise.
        UsageError: an unknown backend, or an arithmetic that the device does not have: likewise.
    """
    if wanted.problems:
        raise MissingInput("\n".join(wanted.problems))
    if options.device.startswith("cpu") and any(planned.cell.config.precision == "tf32" for planned in wanted.missing):
        raise UsageError("precision tf32 is an arithmetic of GPUs; on a CPU use fp32 or bf16")
    open_backend = backend_registry.backend(options.backend)
    options.cluster.check(options.backend, options.workers)
    if not wanted.jobs:
        return
    code = checkout.here().keep(checkout.patches(store.root), identify=options.identify)
    jobs = [job(run_id, config, store, inputs, options, code) for run_id, config in wanted.jobs.items()]
    worker_environment.prepare(options.threads)
    gpus = slots(options.gpus, options.per_gpu, count_gpus()) if options.gpus else []
    workers = len(gpus) or options.workers or (default_workers() if options.device == "cpu" else 1)
    supervisor = Supervisor(report, options.max_retries, options.timeout, slots=gpus)
    with _stop_on_signals(supervisor, warn) as interrupted, open_backend(options.cluster, warn) as backend:
        try:
            for status in _run_jobs(jobs, backend, supervisor, workers, interrupted):
                if status.state == "done":
                    store.failure_path(status.job.run_id).unlink(missing_ok=True)
                elif status.state != "stopped":
                    run_state.note(store, _failure(status, wanted, options.again))
                yield status
                if options.fail_fast and status.state != "done":
                    supervisor.stop()
            if interrupted:
                raise KeyboardInterrupt
        finally:
            supervisor.stop()


def _run_jobs(
    jobs: Sequence[Job], backend: Backend, supervisor: Supervisor, workers: int, interrupted: Sequence[int]
) -> Iterator[Status]:
    """Yields the status of each job that ends here; those that other commands are doing are tried again until they are done."""
    while jobs and not interrupted:
        busy: list[Job] = []
        for status in backend(supervisor, jobs, min(workers, len(jobs))):
            if status.state == "busy":
                busy.append(status.job)
            else:
                yield status
        if len(busy) == len(jobs):  # other commands are doing all the rest, and may yet die
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
        sources={
            name: job(inputs.run_id(source), source, store, inputs, options, code) for name, source in config.sources().items()
        },
    )


@contextlib.contextmanager
def _stop_on_signals(supervisor: Supervisor, warn: Callable[[str], None]) -> Iterator[list[int]]:
    """Kills the training processes before an exception unwinds, so that no thread is left waiting for one.

    Yields:
        The interrupts so far.
    """
    interrupts: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and not interrupts:
            interrupts.append(number)
            supervisor.drain()
            warn("interrupted: no more runs are started, those in flight go on to their end. Interrupt again to stop at once.")
            return
        supervisor.stop()
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    try:
        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread, which alone handles signals
        yield interrupts
        return
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
