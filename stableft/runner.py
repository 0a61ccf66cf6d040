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

import pandas as pd

from stableft import discover, environment
from stableft.backends import BACKENDS, Cluster, default_workers
from stableft.config import RunConfig
from stableft.errors import Damaged, MissingInput, UsageError
from stableft.grid import Cell, Grid
from stableft.inputs import Inputs
from stableft.records import Place, Results, Store
from stableft.supervisor import Report, Status, Supervisor
from stableft.worker import Job

BUSY_SECONDS = 1.0
TYPICAL_RUN_BYTES = 200_000


@dataclass(frozen=True)
class Planned:
    """A cell with its identity, or with the reason why it has none yet."""

    cell: Cell
    run_id: str | None
    done: bool
    problem: str = ""


@dataclass(frozen=True)
class Plan:
    """What a grid needs.

    Attributes:
        grid: The selected grid.
        cells: All of it.
        problems: What is missing before the grid can start, each once.
        sources: By identity: runs that have to be done first, since missing ones need their weights.
        source_bytes: What these weights take.
    """

    grid: Grid
    cells: Sequence[Planned]
    problems: Sequence[str] = field(default=())
    sources: Mapping[str, RunConfig] = field(default_factory=dict)
    source_bytes: int = 0

    @property
    def missing(self) -> list[Planned]:
        return [planned for planned in self.cells if not planned.done]

    @property
    def jobs(self) -> dict[str, RunConfig]:
        """By identity: the missing runs, without those that another one does first. Two arms with the same setting are one run."""
        found = {planned.run_id: planned.cell.config for planned in self.missing if planned.run_id is not None}
        return {run_id: config for run_id, config in found.items() if run_id not in self.sources}


def plan(grid: Grid, store: Store, inputs: Inputs) -> Plan:
    """Resolves every cell to its run and looks which are done. Missing inputs are listed, not raised.

    Raises:
        UsageError: runs that can't be, each arm and task with the reason.
    """
    cells: list[Planned] = []
    sources: dict[str, RunConfig] = {}
    checked: dict[str, UsageError | None] = {}
    for cell in grid.cells():
        place = f"{cell.task} / {cell.arm}"
        try:
            if place not in checked:  # other seeds are refused for the same reason
                checked[place] = _refusal(cell.config, inputs)
            if checked[place]:
                continue
            identity = inputs.run_id(cell.config)
        except MissingInput as error:
            cells.append(Planned(cell, None, done=False, problem=str(error)))
            continue
        cells.append(Planned(cell, identity, done=store.has(identity)))
        if not cells[-1].done:
            sources |= {inputs.run_id(source): source for source in cell.config.sources().values()}
    if refused := [f"{place}: {error}" for place, error in checked.items() if error]:
        raise UsageError("\n".join(refused))
    problems = tuple(dict.fromkeys(planned.problem for planned in cells if planned.problem))
    sources = {identity: source for identity, source in sources.items() if not store.weights_path(identity).is_file()}
    return Plan(grid, cells, problems, sources, sum(inputs.encoder(source.encoder).size for source in sources.values()))


def _refusal(config: RunConfig, inputs: Inputs) -> UsageError | None:
    try:
        inputs.check(config)
    except UsageError as error:
        return error
    return None


@dataclass(frozen=True)
class Execution:
    """How to run a grid; none of it changes what is computed beyond the last bits.

    Attributes:
        backend: A name in `stableft.backends.BACKENDS`.
        workers: Training processes; None: one per core, or one if the device is not a CPU. Not for ``dask``, whose cluster says it.
        threads: CPU threads of each; 1 gives the same bits on any number of cores.
        device: A torch device.
        packed: Without padding, or padded as the reference.
        max_retries: For runs whose process dies.
        timeout: Seconds that a run may take; None: any.
        fail_fast: Stop all runs at the first that fails, instead of finishing the others. A diverged run is no failure.
        cluster: Where the backend ``dask`` has its workers.
    """

    backend: str = "threads"
    workers: int | None = None
    threads: int = 1
    device: str = "cpu"
    packed: bool = True
    max_retries: int = 1
    timeout: float | None = None
    fail_fast: bool = False
    cluster: Cluster = field(default_factory=Cluster)


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
        UsageError: an unknown backend, or an arithmetic that the device does not have: likewise.
    """
    if wanted.problems:
        raise MissingInput("\n".join(wanted.problems))
    if execution.device.startswith("cpu") and any(planned.cell.config.precision == "tf32" for planned in wanted.missing):
        raise UsageError("precision tf32 is an arithmetic of GPUs; on a CPU use fp32 or bf16")
    opened = discover.named(execution.backend, BACKENDS, "backend")
    execution.cluster.check(execution.backend, execution.workers)
    jobs = [_job(run_id, config, store, inputs, execution) for run_id, config in wanted.jobs.items()]
    if not jobs:
        return
    environment.prepare(execution.threads)
    workers = execution.workers or (default_workers() if execution.device == "cpu" else 1)
    supervisor = Supervisor(report, execution.max_retries, execution.timeout)
    with _stop_on_signals(supervisor, told) as interrupted, opened(execution.cluster, told) as backend:
        try:
            while jobs and not interrupted:
                busy: list[Job] = []
                for status in backend(supervisor, jobs, min(workers, len(jobs))):
                    if status.state == "busy":
                        busy.append(status.job)
                        continue
                    if status.state not in ("done", "stopped"):
                        store.note_failure(status.job.run_id, f"{status.state}: {status.detail}")
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


def _job(run_id: str, config: RunConfig, store: Store, inputs: Inputs, execution: Execution) -> Job:
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
        sources={name: _job(inputs.run_id(source), source, store, inputs, execution) for name, source in config.sources().items()},
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
    runs = store.load(protocol, experiment).runs
    return [Place(*row) for row in runs[list(Place._fields)].itertuples(index=False, name=None)]


def _set_aside(folder: Path, places: Sequence[Place]) -> None:
    fingerprint = hashlib.sha256("".join(sorted(place.run_id for place in places)).encode()).hexdigest()[:8]
    target = folder.with_name(f"{folder.name}@{fingerprint}")
    if target.exists():
        shutil.rmtree(folder)
    else:
        folder.rename(target)


def estimate(wanted: Plan, store: Store, workers: int) -> tuple[float | None, int]:
    """Seconds and bytes that the missing runs will take, those that have to be done first among them.

    Seconds come from runs of the same task and protocol that were collected earlier, here or by the authors on the hardware in
    their provenance; None if a task has none.
    """
    protocol = wanted.grid.protocol.name
    known = [store.load(protocol, name).runs for p, name in store.collected() if p == protocol]
    times = {str(task): float(t) for task, t in pd.concat(known).groupby("task")["seconds"].median().items()} if known else {}
    missing = wanted.missing
    files = [path.stat().st_size for path in (store.root / "runs").glob("*.parquet")]
    tasks = [planned.cell.task for planned in missing if planned.run_id not in wanted.sources]
    tasks += [source.task for source in wanted.sources.values()]
    size = len(tasks) * (sum(files) // len(files) if files else TYPICAL_RUN_BYTES) + wanted.source_bytes
    if not set(tasks) <= times.keys():
        return None, size
    return sum(times[task] for task in tasks) / max(1, min(workers, len(missing))), size
