"""Dask worker: keeps data and weights, and supervises a training process per thread."""

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
from stableft.execution import provenance, worker_environment
from stableft.execution.backends.dask_payload import JobPayload, family
from stableft.execution.supervisor import Status, Supervisor
from stableft.models.encoders import Encoder, from_folder
from stableft.storage.store import Store
from stableft.tasks import TaskData

WATCH_SECONDS = 1.0
IDLE_SECONDS = 20.0  # without a run, until training processes are ended


@dataclass(frozen=True)
class WorkerInfo:
    """Versions of a worker, and its missing inputs.

    Attributes:
        versions: Versions of everything that can change a run's numbers.
        sees_results: True if it sees the command's results folder.
        data: Fingerprints of missing examples.
        encoders: Fingerprints of missing encoders.
    """

    versions: Mapping[str, str]
    sees_results: bool
    data: frozenset[str]
    encoders: frozenset[str]


@dataclass(frozen=True)
class RunReply:
    """Status of a run on a worker, and with ``--gather`` its files.

    Attributes:
        status: The status; its job is without examples.
        records: Record files by run, including those of its source runs.
        log: Log of a failed run.
    """

    status: Status
    records: Mapping[str, bytes] = field(default_factory=dict)
    log: bytes = b""


def versions() -> dict[str, str]:
    """Returns the versions of Python, of the recorded packages, and of this package's source."""
    packages = {name: version.split("+")[0] for name, version in provenance.static()["packages"].items()}  # +cpu is a build
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, **packages, "stableft's source": f"{provenance.code_sha256()[:12]} (commit {provenance.commit()})"}


def describe(probe: Path | None, data: Sequence[str], encoders: Sequence[Encoder], dask_worker: Any) -> WorkerInfo:
    """Returns the versions of this worker and its missing inputs.

    It is called on the worker's event loop, once per worker and command.

    Args:
        probe: A file in the command's results folder; None if workers need not see that folder.
        data: Fingerprints of the needed examples.
        encoders: The needed encoders, with the command's folders.
        dask_worker: The worker, passed by Dask.
    """
    if multiprocessing.parent_process() and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the command or the nanny decides
    cache = _worker_cache(dask_worker)
    for encoder in encoders:
        if encoder.fingerprint not in cache.encoders and _same(encoder, encoder.folder):
            cache.encoders[encoder.fingerprint] = encoder.folder
    lacking = frozenset(each.fingerprint for each in encoders if each.fingerprint not in cache.encoders)
    sees = probe is None or probe.is_file()
    return WorkerInfo(versions(), sees, frozenset(data).difference(cache.data), lacking)


def receive(data: Mapping[str, TaskData], encoders: Sequence[tuple[Encoder, Mapping[str, bytes]]], dask_worker: Any) -> None:
    """Stores examples in memory, and encoders in the worker's local directory.

    Raises:
        MissingInput: A fingerprint differs from the one that was sent.
    """
    cache = _worker_cache(dask_worker)
    for fingerprint, examples in data.items():
        if examples.fingerprint != fingerprint:
            raise MissingInput(f"examples arrived damaged: fingerprint {examples.fingerprint}, sent {fingerprint}")
        cache.data[fingerprint] = examples
    for encoder, files in encoders:
        folder = cache.folder / "encoders" / encoder.fingerprint
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_whole(folder / name, content)
        if not _same(encoder, folder):
            raise MissingInput(f"encoder {encoder.name} arrived damaged at {folder}")
        cache.encoders[encoder.fingerprint] = folder


def halt(command: str, dask_worker: Any) -> None:
    """Kills a command's training processes."""
    _worker_cache(dask_worker).dismiss(command)


def run(command: str, settings: Mapping[str, Any], payload: JobPayload, gather: bool) -> RunReply | str:
    """Does a run and returns its status; this is the task submitted to Dask.

    Args:
        command: Name of the command, and of the topic of its progress.
        settings: Settings of its supervisor.
        payload: The job.
        gather: True to return the record with the status, and leave nothing here.

    Returns:
        The reply; or the worker's address, if it lacks an input of the run.
    """
    from distributed import get_worker

    worker: Any = get_worker()
    cache = _worker_cache(worker)
    if not (set(payload.data.values()) <= cache.data.keys() and payload.encoders <= cache.encoders.keys()):
        return worker.address
    results = cache.folder / command if gather else None
    if results:
        results.mkdir(parents=True, exist_ok=True)
    # Done in a training process of the command, on this thread.
    job = payload.unpack(cache.data, cache.encoders, results)
    worker_environment.prepare(job.threads)
    processes = cache.processes_for(command, settings, worker)
    key = worker.get_current_task()
    processes.keys.add(key)
    try:
        status = processes.supervisor(job)
    finally:
        processes.keys.discard(key)
        processes.last = time.monotonic()
    reply = RunReply(replace(status, job=payload.job))
    return _gathered(reply, Store(results), [each.run_id for each in family(job)]) if results else reply


def _gathered(reply: RunReply, store: Store, runs: Sequence[str]) -> RunReply:
    """Returns the reply with the files of the run, and removes them here."""
    records: dict[str, bytes] = {}
    for run_id in runs:
        with contextlib.suppress(FileNotFoundError):  # another reply may have taken a shared source run
            records[run_id] = store.path(run_id).read_bytes()
            store.path(run_id).unlink()
    log = store.log_path(runs[0])
    logged = log.read_bytes() if log.is_file() else b""
    log.unlink(missing_ok=True)
    return replace(reply, records=records, log=logged)


def _same(encoder: Encoder, folder: Path) -> bool:
    """Returns True if a folder here holds that encoder."""
    try:
        return from_folder(encoder.name, folder, lower_case=encoder.lower_case).fingerprint == encoder.fingerprint
    except (MissingInput, OSError):
        return False


@dataclass
class _CommandProcesses:
    """The training processes of one command, and the Dask tasks in progress."""

    supervisor: Supervisor
    keys: set[str] = field(default_factory=set)
    last: float = field(default_factory=time.monotonic)

    def unwanted(self, worker: Any) -> bool:
        """Returns True if the processes should end.

        That is when the worker closes, a run was cancelled (also by the end of the command), or no
        run has arrived for `IDLE_SECONDS`.
        """
        tasks = worker.state.tasks
        cancelled = any((task := tasks.get(key)) is None or task.state == "cancelled" for key in list(self.keys))
        idle = not self.keys and time.monotonic() - self.last > IDLE_SECONDS
        return cancelled or idle or worker.status.name not in ("running", "paused")


@dataclass
class _WorkerCache:
    """Inputs and training processes of a worker, shared by several commands."""

    folder: Path
    data: dict[str, TaskData] = field(default_factory=dict)
    encoders: dict[str, Path] = field(default_factory=dict)
    processes: dict[str, _CommandProcesses] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def processes_for(self, command: str, settings: Mapping[str, Any], worker: Any) -> _CommandProcesses:
        """Returns the processes of a command, and watches new ones until they end."""
        with self.lock:
            if command in self.processes:
                return self.processes[command]
            # Nannies start workers as daemons. A daemon may have no children, which would outlive it;
            # but training processes end themselves when their parent ends.
            multiprocessing.current_process().daemon = False

            def report(job: Any, step: int, total: int, loss: float) -> None:
                worker.log_event(command, [job.run_id, step, total, loss])

            processes = self.processes[command] = _CommandProcesses(Supervisor(report, **settings))
        threading.Thread(target=self._watch, args=(command, processes, worker), daemon=True).start()
        return processes

    def _watch(self, command: str, processes: _CommandProcesses, worker: Any) -> None:
        while self.processes.get(command) is processes:
            if processes.unwanted(worker):
                self.dismiss(command)
            time.sleep(WATCH_SECONDS)

    def dismiss(self, command: str) -> None:
        """Kills a command's training processes, and removes their files here."""
        if processes := self.processes.pop(command, None):
            processes.supervisor.stop()
        shutil.rmtree(self.folder / command, ignore_errors=True)


_CACHES: "WeakKeyDictionary[Any, _WorkerCache]" = WeakKeyDictionary()


def _worker_cache(worker: Any) -> _WorkerCache:
    return _CACHES.setdefault(worker, _WorkerCache(Path(worker.local_directory) / "stableft"))
