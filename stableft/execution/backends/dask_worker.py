"""What happens inside a Dask worker: it keeps data and weights, and supervises a training process per thread."""

import contextlib
import multiprocessing
import platform
import shutil
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from stableft.core.errors import MissingInput
from stableft.core.files import write_whole
from stableft.execution import provenance
from stableft.execution import worker_environment as environment
from stableft.execution.backends.dask_payload import Parcel, family
from stableft.execution.supervisor import Status, Supervisor
from stableft.models.encoders import Encoder, from_folder
from stableft.storage.store import Store
from stableft.tasks import TaskData

WATCH_SECONDS = 1.0
IDLE_SECONDS = 20.0  # after which training processes are let go that nobody has given a run


@dataclass(frozen=True)
class Found:
    """What a worker says of itself.

    Attributes:
        versions: Of all that has a part in a run's numbers.
        sees_results: It sees the command's results folder.
        data: Fingerprints of the examples that it lacks.
        encoders: Of the encoders that it lacks.
    """

    versions: Mapping[str, str]
    sees_results: bool
    data: frozenset[str]
    encoders: frozenset[str]


@dataclass(frozen=True)
class Answer:
    """How a run ended that a worker did, and with ``--gather`` what it left.

    Attributes:
        status: Its job is without examples.
        records: Files of the records, by run: its own and those of runs that it needed.
        log: Of a run that failed.
    """

    status: Status
    records: Mapping[str, bytes] = field(default_factory=dict)
    log: bytes = b""


def versions() -> dict[str, str]:
    """Python, the packages that are recorded with every run, and this package's own source."""
    packages = {name: version.split("+")[0] for name, version in provenance.static()["packages"].items()}  # +cpu is a build
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, **packages, "stableft's source": f"{provenance.code_sha256()[:12]} (commit {provenance.commit()})"}


def describe(probe: Path | None, data: Sequence[str], encoders: Sequence[Encoder], dask_worker: Any) -> Found:
    """Looks what this worker is and has. Called on its event loop, once per worker and command.

    Args:
        probe: A file in the command's results folder; None if nobody has to see it.
        data: Fingerprints of the examples that will be needed.
        encoders: As the command knows them.
        dask_worker: Given by Dask.
    """
    if multiprocessing.parent_process() and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the command or the nanny decides
    held = _held(dask_worker)
    for encoder in encoders:
        if encoder.fingerprint not in held.encoders and _same(encoder, encoder.folder):
            held.encoders[encoder.fingerprint] = encoder.folder
    lacking = frozenset(each.fingerprint for each in encoders if each.fingerprint not in held.encoders)
    sees = probe is None or probe.is_file()
    return Found(versions(), sees, frozenset(data).difference(held.data), lacking)


def receive(data: Mapping[str, TaskData], encoders: Sequence[tuple[Encoder, Mapping[str, bytes]]], dask_worker: Any) -> None:
    """Keeps what the command sent: examples in memory, encoders in the worker's local directory.

    Raises:
        MissingInput: it is not what was sent.
    """
    held = _held(dask_worker)
    for fingerprint, examples in data.items():
        if examples.fingerprint != fingerprint:
            raise MissingInput(f"examples arrived damaged: fingerprint {examples.fingerprint}, sent {fingerprint}")
        held.data[fingerprint] = examples
    for encoder, files in encoders:
        folder = held.folder / "encoders" / encoder.fingerprint
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_whole(folder / name, content)
        if not _same(encoder, folder):
            raise MissingInput(f"encoder {encoder.name} arrived damaged at {folder}")
        held.encoders[encoder.fingerprint] = folder


def halt(command: str, dask_worker: Any) -> None:
    """Kills a command's training processes."""
    _held(dask_worker).dismiss(command)


def run(command: str, settings: Mapping[str, Any], parcel: Parcel, gather: bool) -> Answer | str:
    """The task that Dask carries: does one run and says how it ended.

    Args:
        command: Names the command that asks, and the topic of its progress.
        settings: Of its supervisor.
        parcel: What to run.
        gather: Send the record along, and leave nothing here.

    Returns:
        The answer; or the worker's address, if it lacks what the run starts from.
    """
    from distributed import get_worker

    worker: Any = get_worker()
    held = _held(worker)
    if not (set(parcel.data.values()) <= held.data.keys() and parcel.encoders <= held.encoders.keys()):
        return worker.address
    results = held.folder / command if gather else None
    if results:
        results.mkdir(parents=True, exist_ok=True)
    job = parcel.unpack(held.data, held.encoders, results)
    environment.prepare(job.threads)
    crew = held.crew(command, settings, worker)
    key = worker.get_current_task()
    crew.keys.add(key)
    try:
        status = crew.supervisor(job)
    finally:
        crew.keys.discard(key)
        crew.last = time.monotonic()
    answer = Answer(replace(status, job=parcel.job))
    return _gathered(answer, Store(results), [each.run_id for each in family(job)]) if results else answer


def _gathered(answer: Answer, store: Store, runs: Sequence[str]) -> Answer:
    """With what the run left, which is removed here."""
    records: dict[str, bytes] = {}
    for run_id in runs:
        with contextlib.suppress(FileNotFoundError):  # one that others need too may be taken by them
            records[run_id] = store.path(run_id).read_bytes()
            store.path(run_id).unlink()
    log = store.log_path(runs[0])
    said = log.read_bytes() if log.is_file() else b""
    log.unlink(missing_ok=True)
    return replace(answer, records=records, log=said)


def _same(encoder: Encoder, folder: Path) -> bool:
    """Whether a folder here holds that encoder."""
    try:
        return from_folder(encoder.name, folder, lower_case=encoder.lower_case).fingerprint == encoder.fingerprint
    except (MissingInput, OSError):
        return False


@dataclass
class _Crew:
    """The training processes that work for one command, and the tasks that they are at."""

    supervisor: Supervisor
    keys: set[str] = field(default_factory=set)
    last: float = field(default_factory=time.monotonic)

    def unwanted(self, worker: Any) -> bool:
        """The worker closes, a run was cancelled or its command is gone, or nobody has come with a run for a while."""
        tasks = worker.state.tasks
        cancelled = any((task := tasks.get(key)) is None or task.state == "cancelled" for key in list(self.keys))
        idle = not self.keys and time.monotonic() - self.last > IDLE_SECONDS
        return cancelled or idle or worker.status.name not in ("running", "paused")


@dataclass
class _Held:
    """What a worker keeps; several commands share it."""

    folder: Path
    data: dict[str, TaskData] = field(default_factory=dict)
    encoders: dict[str, Path] = field(default_factory=dict)
    crews: dict[str, _Crew] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def crew(self, command: str, settings: Mapping[str, Any], worker: Any) -> _Crew:
        """The command's, or a new one. It is watched for as long as it lives."""
        with self.lock:
            if command in self.crews:
                return self.crews[command]
            # A daemon, as Dask's nannies start their workers, may have no children since they would outlive it; training
            # processes end themselves when their parent does.
            multiprocessing.current_process().daemon = False

            def report(job: Any, step: int, total: int, loss: float) -> None:
                worker.log_event(command, [job.run_id, step, total, loss])

            crew = self.crews[command] = _Crew(Supervisor(report, **settings))
        threading.Thread(target=self._watch, args=(command, crew, worker), daemon=True).start()
        return crew

    def _watch(self, command: str, crew: _Crew, worker: Any) -> None:
        while self.crews.get(command) is crew:
            if crew.unwanted(worker):
                self.dismiss(command)
            time.sleep(WATCH_SECONDS)

    def dismiss(self, command: str) -> None:
        """Kills a command's training processes, and removes what they left here."""
        if crew := self.crews.pop(command, None):
            crew.supervisor.stop()
        shutil.rmtree(self.folder / command, ignore_errors=True)


_HELD: "WeakKeyDictionary[Any, _Held]" = WeakKeyDictionary()


def _held(worker: Any) -> _Held:
    return _HELD.setdefault(worker, _Held(Path(worker.local_directory) / "stableft"))
