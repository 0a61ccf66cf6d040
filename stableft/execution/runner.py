"""From a grid to results: what is missing is run, what is there is collected. Needs no torch."""

import contextlib
import hashlib
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from stableft.core.config import RunConfig
from stableft.core.errors import Damaged, MissingInput, UsageError
from stableft.core.grid import Grid
from stableft.core.registry import named
from stableft.execution import checkout
from stableft.execution import worker_environment as environment
from stableft.execution.backends import BACKENDS, Cluster, default_workers
from stableft.execution.gpus import slots
from stableft.execution.inputs import Inputs
from stableft.execution.plan import Plan
from stableft.execution.plan import estimate as estimate
from stableft.execution.plan import plan as plan
from stableft.execution.supervisor import RETRIES, Report, Status, Supervisor, count_gpus
from stableft.execution.worker import Job
from stableft.storage import run_state as states
from stableft.storage.store import Place, Results, Store

BUSY_SECONDS = 1.0


@dataclass(frozen=True)
class Execution:
    """How to run a grid; none of it changes what is computed beyond the last bits.

    Attributes:
        backend: A name in `stableft.execution.backends.BACKENDS`.
        workers: Training processes; None: one per core, or one if the device is not a CPU. Not for ``dask``, whose cluster says it.
        threads: CPU threads of each; 1 gives the same bits on any number of cores.
        device: A torch device.
        packed: Without padding, or padded as the reference.
        max_retries: Further tries of runs whose process dies, by kind of failure; see `stableft.execution.supervisor.retries`.
        timeout: Seconds that a run may take; None: any.
        fail_fast: Stop all runs at the first that fails, instead of finishing the others. A diverged run is no failure.
        cluster: Where the backend ``dask`` has its workers.
        gpus: Numbers of GPUs, each training process on one of them, whatever ``workers`` says; none: ``device`` as it is.
        per_gpu: Training processes on each of these.
        again: The command that does failed runs of this grid again; it stands in their notes.
        checkpoint_minutes: Of training between two checkpoints of a run, and before the first; 0: none are written or read.
        identify: Provenance names host and user.
    """

    backend: str = "threads"
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
    execution: Execution,
    report: Report = lambda *_: None,
    told: Callable[[str], None] = lambda _: None,
) -> Iterator[Status]:
    """Runs what is missing, yielding a status as each run ends.

    After an interrupt no more runs are started, and those in flight go on to their end; a second one, or a termination, kills all
    training processes at once. What was finished stays.

    Args:
        wanted: What to run.
        store: Where to.
        inputs: What runs start from.
        execution: How to run.
        report: Told of progress.
        told: Told that the grid was interrupted, and what happens now.

    Raises:
        KeyboardInterrupt: the grid was interrupted, and what was in flight is done.
        MissingInput: data or weights are absent: nothing is started.
        NoDevice: there is no GPU of a number asked for: likewise.
        UsageError: an unknown backend, or an arithmetic that the device does not have: likewise.
    """
    if wanted.problems:
        raise MissingInput("\n".join(wanted.problems))
    if execution.device.startswith("cpu") and any(planned.cell.config.precision == "tf32" for planned in wanted.missing):
        raise UsageError("precision tf32 is an arithmetic of GPUs; on a CPU use fp32 or bf16")
    opened = named(execution.backend, BACKENDS, "backend")
    execution.cluster.check(execution.backend, execution.workers)
    if not wanted.jobs:
        return
    code = checkout.here().keep(checkout.patches(store.root), identify=execution.identify)
    jobs = [job(run_id, config, store, inputs, execution, code) for run_id, config in wanted.jobs.items()]
    environment.prepare(execution.threads)
    bound = slots(execution.gpus, execution.per_gpu, count_gpus()) if execution.gpus else []
    workers = len(bound) or execution.workers or (default_workers() if execution.device == "cpu" else 1)
    supervisor = Supervisor(report, execution.max_retries, execution.timeout, slots=bound)
    with _stop_on_signals(supervisor, told) as interrupted, opened(execution.cluster, told) as backend:
        try:
            while jobs and not interrupted:
                busy: list[Job] = []
                for status in backend(supervisor, jobs, min(workers, len(jobs))):
                    if status.state == "busy":
                        busy.append(status.job)
                        continue
                    if status.state == "done":
                        store.failure_path(status.job.run_id).unlink(missing_ok=True)
                    elif status.state != "stopped":
                        states.note(store, _failure(status, wanted, execution.again))
                    yield status
                    if execution.fail_fast and status.state != "done":
                        supervisor.stop()
                if len(busy) == len(jobs):  # all that is left is being done by other commands, which may yet die
                    time.sleep(BUSY_SECONDS)
                jobs = busy
            if interrupted:
                raise KeyboardInterrupt
        finally:
            supervisor.stop()


def _failure(status: Status, wanted: Plan, again: str) -> states.Failure:
    cell = next(planned.cell for planned in wanted.cells if planned.run_id == status.job.run_id)
    return states.Failure(
        run_id=status.job.run_id,
        state=states.STATE_OF[status.state],
        kind=status.state,
        detail=status.detail,
        attempts=status.attempts,
        seconds=round(status.seconds, 1),
        when=states.now(),
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
    execution: Execution,
    code: Mapping[str, Any] | None = None,
) -> Job:
    """What a training process is given for a run; for ``code`` see `Job`."""
    return Job(
        run_id=run_id,
        config=config,
        encoder=inputs.encoder(config.encoder),
        data=inputs.data(config.task),
        task=inputs.own.get(config.task),
        results=store.root,
        device=execution.device,
        threads=execution.threads,
        packed=execution.packed,
        checkpoint_minutes=execution.checkpoint_minutes,
        code=code,
        identify=execution.identify,
        sources={
            name: job(inputs.run_id(source), source, store, inputs, execution, code) for name, source in config.sources().items()
        },
    )


@contextlib.contextmanager
def _stop_on_signals(supervisor: Supervisor, told: Callable[[str], None]) -> Iterator[list[int]]:
    """Kills the training processes before an exception unwinds, so that no thread is left waiting for one.

    Yields:
        The interrupts so far.
    """
    interrupts: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and not interrupts:
            interrupts.append(number)
            supervisor.drain()
            told("interrupted: no more runs are started, those in flight go on to their end. Interrupt again to stop at once.")
            return
        supervisor.stop()
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    try:
        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: signals are somebody else's business
        yield interrupts
        return
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def collect(grid: Grid, store: Store, inputs: Inputs, told: Callable[[str], None] = lambda _: None) -> Results | None:
    """Gathers all finished runs of an experiment into its tables.

    Runs of other seeds that were collected before stay, if the grid still derives the same identity for them; tables that hold
    any other run are set aside as ``<experiment>@<fingerprint>``, never overwritten.

    Args:
        grid: The whole grid of the experiment (all arms and tasks), at the seeds asked for.
        told: Of records that are damaged: they are set aside and left out, and the next run of the grid does them again.

    Returns:
        The collected tables, or None if no run is done.
    """
    store.root.mkdir(parents=True, exist_ok=True)
    with store.collecting():
        return _collect(grid, store, inputs, told)


def _collect(grid: Grid, store: Store, inputs: Inputs, told: Callable[[str], None]) -> Results | None:
    protocol = grid.protocol.name
    earlier = _collected_places(store, protocol, grid.name)
    seeds = sorted({*grid.seeds, *(place.seed for place in earlier)})
    full = Grid(grid.name, grid.protocol, grid.arms, grid.tasks, seeds)
    arms, tasks = list(full.arms), list(full.tasks)
    places: list[Place] = []
    for cell in sorted(full.cells(), key=lambda cell: (arms.index(cell.arm), tasks.index(cell.task), cell.seed)):
        with contextlib.suppress(MissingInput):
            places.append(Place(grid.name, cell.arm, cell.task, cell.seed, inputs.run_id(cell.config)))
    derived = set(places)
    if any(place not in derived for place in earlier):
        _set_aside(store.folder(protocol, grid.name), earlier)
        earlier = []
    kept = {place for place in earlier if not store.has(place.run_id)}
    done = [place for place in places if place in kept or store.has(place.run_id)]
    while done:
        try:
            return store.collect(protocol, grid.name, done, keep=kept)
        except Damaged as error:
            if error.path.parent != store.path("").parent:
                raise
            told(f"{error} It was set aside as {store.quarantine(error.path.stem)}.")
            done = [place for place in done if place.run_id != error.path.stem]
    return None


def set_aside_cut_short(store: Store, told: Callable[[str], None]) -> None:
    """Takes records that were cut short out of the way, so that their runs are done again."""
    for run_id in store.cut_short():
        told(f"{store.path(run_id)} is damaged (cut short); set aside as {store.quarantine(run_id)}, its run is done again.")


def _collected_places(store: Store, protocol: str, experiment: str) -> list[Place]:
    if (protocol, experiment) not in store.collected():
        return []
    runs = store.load_runs(protocol, experiment)
    return [Place(*row) for row in runs[list(Place._fields)].itertuples(index=False, name=None)]


def _set_aside(folder: Path, places: Sequence[Place]) -> None:
    fingerprint = hashlib.sha256("".join(sorted(place.run_id for place in places)).encode()).hexdigest()[:8]
    target = folder.with_name(f"{folder.name}@{fingerprint}")
    if target.exists():
        shutil.rmtree(folder)
    else:
        folder.rename(target)
