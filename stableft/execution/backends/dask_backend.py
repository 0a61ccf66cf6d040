"""Dask backend: runs on the workers of a scheduler, supervised on each worker.

The command keeps as many runs in flight as the workers have threads. Workers may come, go and die.
Before its first run, a worker reports its versions and gets the inputs that it lacks. See
``docs/clusters.md``.
"""

import contextlib
import logging
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from distributed import Future, KilledWorker
from distributed.comm.core import CommClosedError

from stableft.core.errors import MissingInput, StableftError, Unreachable, UsageError
from stableft.core.files import write_whole
from stableft.execution.backends import dask_worker
from stableft.execution.backends.base import Backend, Cluster, Warn
from stableft.execution.backends.dask_client import connection, reason
from stableft.execution.backends.dask_payload import encoders, examples, files, pack
from stableft.execution.backends.window import run_window
from stableft.execution.job import Job, Progress
from stableft.execution.supervisor import Status, Supervisor
from stableft.storage.run_state import with_heartbeat
from stableft.storage.run_summary import recorded_outcome
from stableft.storage.store import Store

REFRESH_SECONDS = 1.0  # between two queries for the present workers
ANSWER_SECONDS = 30.0  # limit for a scheduler's answer
KEPT = "Finished runs are kept; repeat the command to resume."


@contextmanager
def connected(cluster: Cluster, warn: Warn) -> Iterator[Backend]:
    """Opens a backend on a cluster's workers.

    Raises:
        Unreachable: There is no scheduler at that address, or it was lost.
        UsageError: A worker's Python, packages or source differ from those of this command.
        MissingInput: A worker does not see the results folder.
    """
    for name in ("distributed", "distributed.client"):  # Dask's configuration sets a level for both
        logging.getLogger(name).setLevel(logging.CRITICAL)  # this module reports errors itself
    with connection(cluster) as client:

        def dask(supervisor: Supervisor, jobs: Sequence[Job], workers: int) -> Iterator[Status]:
            pool = _WorkerPool(client, supervisor, jobs, cluster.gather, warn)
            with _lost(client), pool:
                yield from run_window(pool, supervisor, jobs)

        yield dask


@contextmanager
def _lost(client: Any) -> Iterator[None]:
    """Turns errors of the connection into `Unreachable`."""
    try:
        yield
    except (CommClosedError, TimeoutError) as error:
        raise _lost_error(client) from error


def _lost_error(client: Any) -> Unreachable:
    address = client.scheduler.address if client.scheduler else "its address"
    return Unreachable(f"lost the Dask scheduler at {address}. {KEPT}")


class _WorkerPool:
    """The workers of a scheduler; see `stableft.execution.backends.window.Pool`."""

    def __init__(self, client: Any, supervisor: Supervisor, jobs: Sequence[Job], gather: bool, warn: Warn) -> None:
        self._client = client
        self._supervisor = supervisor
        self._reports: dict[str, Progress] = {}
        self._gather = gather
        self._warn = warn
        self._command = f"stableft-{uuid.uuid4().hex}"
        self._store = Store(jobs[0].results.resolve())
        self._examples = examples(jobs)
        self._encoders = encoders(jobs)
        self._workers: dict[str, int] = {}
        self._looked = float("-inf")
        self._flying: dict[Any, ExitStack] = {}  # by future: the lock of its run
        self._number = 0

    def __enter__(self) -> "_WorkerPool":
        self._client.subscribe_topic(self._command, self._progress)
        if not self.slots():
            self._warn("no Dask worker has joined yet; runs begin when one does")
        return self

    def __exit__(self, *_: object) -> None:
        """Ends runs in flight, here and on the workers."""
        flying = list(self._flying)
        for lock in self._flying.values():
            lock.close()
        if self._client.status != "running":
            return
        with contextlib.suppress(Exception):  # the scheduler may have been lost
            self._client.unsubscribe_topic(self._command)
            self._client.cancel(flying, force=True)
            self._ask(dask_worker.halt, self._command, on_error="ignore")

    def slots(self) -> int:
        """Returns the number of threads of all present workers; prepares new workers."""
        if self._client.status != "running":
            raise _lost_error(self._client)
        if time.monotonic() - self._looked > REFRESH_SECONDS:
            now: dict[str, int] = self._client.sync(self._client.scheduler.ncores, callback_timeout=ANSWER_SECONDS)
            self._ready([address for address in now if address not in self._workers])
            if gone := self._workers.keys() - now.keys():
                who = "a Dask worker is" if len(gone) == 1 else f"{len(gone)} Dask workers are"
                self._warn(f"{who} gone, {len(now)} are left; runs in flight there will be done again")
            self._workers = now
            self._looked = time.monotonic()
        return sum(self._workers.values())

    def submit(self, job: Job) -> Future | Status:
        """Sends a job to the workers; returns its future, or its status if that is known at once."""
        lock, report = ExitStack(), partial(self._supervisor.report, job)
        if self._gather:  # workers do not see the results folder: lock the run here
            file = lock.enter_context(self._store.try_lock(job.run_id))
            if file is None:
                return Status(job, "busy", "already running in another process")
            if outcome := recorded_outcome(self._store, job.run_id):
                lock.close()
                return Status(job, "done", *outcome)
            report = with_heartbeat(file, report)
        self._reports[job.run_id] = report
        self._number += 1
        future: Future = self._client.submit(
            dask_worker.run,
            self._command,
            self._supervisor.settings,
            pack(job),
            self._gather,
            key=f"{self._command}-{self._number}",
            pure=False,
        )
        self._flying[future] = lock
        return future

    def status(self, future: Future, job: Job) -> Status | None:
        """Returns the status of a run whose future is done; None if it has to be done again."""
        with self._flying.pop(future):
            try:
                reply: dask_worker.RunReply | str = future.result()
            except KilledWorker as error:
                number, last = error.allowed_failures + 1, error.last_worker.address
                return Status(job, "killed", f"{number} Dask workers died while running it, the last at {last}", attempts=number)
            except (CommClosedError, TimeoutError):
                raise
            except Exception as error:
                if future.cancelled():
                    self.slots()  # raises if the scheduler is lost; else it was restarted
                    return None
                return Status(job, "crashed", f"on its Dask worker: {type(error).__name__}: {reason(error)}")
            if isinstance(reply, str):  # the address of a new worker without the inputs
                self._ready([reply])
                return None
            if self._gather:
                self._write(reply)
            return replace(reply.status, job=job)

    def _write(self, reply: dask_worker.RunReply) -> None:
        """Writes the gathered records and log of a run to the results folder."""
        for run_id, content in reply.records.items():
            path = self._store.path(run_id)
            if not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, content)
        log = self._store.log_path(reply.status.job.run_id)
        log.unlink(missing_ok=True)
        if reply.log:
            log.parent.mkdir(parents=True, exist_ok=True)
            write_whole(log, reply.log)

    def _ready(self, addresses: Sequence[str]) -> None:
        """Asks workers for their versions, and sends them missing inputs."""
        if not addresses:
            return
        # Versions and missing inputs, from all workers at once.
        with _probe(None if self._gather else self._store.root) as probe:
            replies: Mapping[str, dask_worker.WorkerInfo | Exception] = self._ask(
                dask_worker.describe, probe, list(self._examples), list(self._encoders.values()), workers=list(addresses)
            )
        # Refuse workers of other versions. Group the others by missing inputs.
        here = dask_worker.versions()
        lacking: dict[tuple[frozenset[str], frozenset[str]], list[str]] = {}
        for address, info in replies.items():
            if isinstance(info, OSError):  # it died; if it returns it counts as new
                continue
            if isinstance(info, Exception):
                raise UsageError(
                    f"Dask worker {address} can't run this stableft ({type(info).__name__}: {reason(info)}). "
                    "Install the same version there."
                )
            _refuse_other_versions(address, info.versions, here)
            if not info.sees_results:
                raise MissingInput(
                    f"Dask worker {address} does not see the results folder {self._store.root}. Mount it there, at the same path; "
                    "or add --gather, which sends records back over Dask."
                )
            if info.data or info.encoders:
                lacking.setdefault((info.data, info.encoders), []).append(address)
        # Send each group its inputs.
        for (data, wanted), workers in lacking.items():
            sent = [(self._encoders[each], files(self._encoders[each])) for each in sorted(wanted)]
            answers = self._ask(dask_worker.receive, {each: self._examples[each] for each in sorted(data)}, sent, workers=workers)
            if error := next(
                (each for each in answers.values() if isinstance(each, Exception) and not isinstance(each, OSError)), None
            ):
                raise error if isinstance(error, StableftError) else MissingInput(f"sending to {workers} failed: {reason(error)}")

    def _ask(self, function: Any, *arguments: Any, workers: Sequence[str] | None = None, on_error: str = "return") -> Any:
        return self._client.run(function, *arguments, workers=workers, on_error=on_error)

    def _progress(self, event: tuple[float, Sequence[Any]]) -> None:
        run_id, step, total, loss = event[1]
        with contextlib.suppress(ValueError):  # the run has just ended, and its lock is closed
            self._reports[run_id](step, total, loss)


def _refuse_other_versions(address: str, there: Mapping[str, str], here: Mapping[str, str]) -> None:
    def compared(version: str | None) -> str | None:
        return version and version.partition(" (commit ")[0]  # equal source may be of two commits

    differences = [
        f"{name} {there.get(name, 'none')} there, {here.get(name, 'none')} here"
        for name in [*here, *(name for name in there if name not in here)]
        if compared(there.get(name)) != compared(here.get(name))
    ]
    if differences:
        raise UsageError(
            f"Dask worker {address} has other versions: {'; '.join(differences)}. Install the same on both sides "
            "(requirements.lock), and restart the worker."
        )


@contextmanager
def _probe(results: Path | None) -> Iterator[Path | None]:
    """Creates a temporary file in the results folder, for workers to look for."""
    if results is None:
        yield None
        return
    path = results / f".{uuid.uuid4().hex}.probe"
    results.mkdir(parents=True, exist_ok=True)
    path.touch()
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
