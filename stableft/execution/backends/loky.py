"""Loky's processes, each of which supervises a training process of its own.

A loky process that dies takes all others along and breaks the executor; the runs that were in flight are then done by a new one
(``docs/adr/0017-dask-and-loky.md``).
"""

import atexit
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.backend import get_context

from stableft.execution.backends.window import slide
from stableft.execution.supervisor import Status, Supervisor
from stableft.execution.worker import Job

ALLOWED_DEATHS = 3  # of loky processes under one run, as Dask's allowed-failures


def loky(supervisor: Supervisor, jobs: Sequence[Job], workers: int) -> Iterator[Status]:
    """As many at a time as there are processes."""
    pool = _Pool(supervisor, workers)
    try:
        yield from slide(pool, supervisor, jobs)
    finally:
        pool.close()


class _Pool:
    def __init__(self, supervisor: Supervisor, workers: int) -> None:
        self._supervisor = supervisor
        self._workers = workers
        self._executor: _Executor | None = None
        self._deaths: dict[str, int] = {}
        self._jobs: dict[str, Job] = {}

    def slots(self) -> int:
        return self._workers

    def submit(self, job: Job) -> "Future[Status]":
        self._jobs[job.run_id] = job
        try:
            return self._running().submit(job)
        except BrokenProcessPool:  # one died a moment ago
            return self._running(fresh=True).submit(job)

    def status(self, future: "Future[Status]", job: Job) -> Status | None:
        try:
            return future.result()
        except BrokenProcessPool as error:
            self._deaths[job.run_id] = deaths = self._deaths.get(job.run_id, 0) + 1
            if deaths <= ALLOWED_DEATHS:
                return None
            return Status(job, "killed", f"{deaths} times a loky process died that supervised this run or another: {error}")

    def close(self) -> None:
        if self._executor:
            self._executor.close()

    def _running(self, *, fresh: bool = False) -> "_Executor":
        if self._executor is None or fresh:
            self.close()
            self._executor = _Executor(self._supervisor, self._workers, self._progress)
        return self._executor

    def _progress(self, run_id: str, step: int, total: int, loss: float) -> None:
        self._supervisor.report(self._jobs[run_id], step, total, loss)


class _Executor:
    """An executor of loky, and the thread that hears of its processes' progress."""

    def __init__(self, supervisor: Supervisor, workers: int, progress: Any) -> None:
        context: Any = get_context("loky")
        self._events = context.SimpleQueue()
        self._pool = ProcessPoolExecutor(
            workers, context=context, initializer=_begin, initargs=(supervisor.settings, self._events, os.getpid())
        )
        self._listener = threading.Thread(target=self._listen, args=(progress,), daemon=True)
        self._listener.start()

    def submit(self, job: Job) -> "Future[Status]":
        return self._pool.submit(_supervise, job)

    def close(self) -> None:
        self._pool.shutdown(wait=True, kill_workers=True)
        self._events.put(None)
        self._listener.join(timeout=1)  # a process that died while it wrote may have left half an event

    def _listen(self, progress: Any) -> None:
        while (event := self._events.get()) is not None:
            progress(*event)


# --- in a loky process ---

_SUPERVISOR: list[Supervisor] = []


def _begin(settings: dict[str, Any], events: Any, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the command decides
    # A daemon may have no children since they would outlive it; training processes end themselves when their parent does.
    multiprocessing.current_process().daemon = False
    # Here it is ``loky``, which a training process that is told of it does not know.
    multiprocessing.set_start_method("spawn", force=True)
    _SUPERVISOR.append(Supervisor(lambda job, step, total, loss: events.put((job.run_id, step, total, loss)), **settings))
    atexit.register(_SUPERVISOR[0].stop)
    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()


def _die_with(parent: int) -> None:
    """A process that is at a run does not notice that nobody waits for it."""
    while os.getppid() == parent:
        time.sleep(1)
    _SUPERVISOR[0].stop()
    os._exit(1)


def _supervise(job: Job) -> Status:
    return _SUPERVISOR[0](job)
