"""A run in a process of its own: whatever happens to that process, one status comes back."""

import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Literal

from stableft.records import Store
from stableft.worker import Job, serve

State = Literal["done", "refused", "device", "io", "oom", "crashed", "killed", "timeout", "stopped", "busy"]
RETRIED = ("oom", "crashed", "killed")  # the other failures would only be repeated
Report = Callable[[Job, int, int, float], None]
# Training processes are forked from one that has imported everything and started nothing: they begin within milliseconds, and share
# its memory. Elsewhere than on Linux libraries start threads when they are imported, which a fork would lose.
if sys.platform == "linux":
    _CONTEXT = multiprocessing.get_context("forkserver")
    _CONTEXT.set_forkserver_preload(["stableft.worker", "stableft.finetune", "stableft.token_cache"])
else:
    _CONTEXT = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Status:
    """How a run ended.

    Attributes:
        state: ``done``; ``refused``: an input is wrong; ``device``: it can't be used; ``io``: the disk is full or can't be
            written to; ``oom``: not enough memory; ``crashed``: an exception; ``killed``: the process died; ``timeout``;
            ``stopped``: by the user; ``busy``: another command is doing it.
        detail: What went wrong, or the outcome (``ok``, ``diverged``) of a run that is done.
        seconds: Of a run that is done.
        attempts: How often it was started.
    """

    job: Job
    state: State
    detail: str
    seconds: float = 0.0
    attempts: int = 1


class Supervisor:
    """Keeps one training process per thread, restarts it when it dies, and retries a run once.

    Args:
        report: Called on progress, from the supervising thread.
        max_retries: For runs of the states `RETRIED`; diverged runs are done.
        timeout: Seconds that a run may take; None: any.
        target: What a training process runs; it speaks the protocol of `stableft.worker.serve`.
    """

    def __init__(
        self,
        report: Report,
        max_retries: int = 1,
        timeout: float | None = None,
        target: Callable[[Connection], None] = serve,
    ) -> None:
        self.report = report
        self._timeout = timeout
        self._target = target
        self.max_retries = max_retries
        self._local = threading.local()
        self._lock = threading.Lock()
        self._workers: list[_Worker] = []
        self._stopping = self._draining = False

    def __call__(self, job: Job) -> Status:
        """Does one run and says how it ended. Never raises for anything that happens to the run."""
        attempts = 0
        while True:
            attempts += 1
            state, detail, seconds = self._attempt(job)
            if state not in RETRIED or attempts > self.max_retries or self._draining:
                return Status(job, state, detail, seconds, attempts)

    @property
    def settings(self) -> dict[str, Any]:
        """What another supervisor needs, beside its own report, to treat runs as this one does."""
        return {"max_retries": self.max_retries, "timeout": self._timeout, "target": self._target}

    @property
    def halted(self) -> bool:
        """No more runs are started."""
        return self._stopping or self._draining

    @property
    def stopped(self) -> bool:
        """Nor are those in flight waited for."""
        return self._stopping

    def drain(self) -> None:
        """Starts no more runs; those in flight go on to their end."""
        self._draining = True

    def stop(self) -> None:
        """Kills all training processes; runs in flight end as ``stopped``, later ones are not started."""
        self._stopping = True
        for worker in list(self._workers):
            worker.process.kill()
        for worker in list(self._workers):
            worker.gone()

    def _attempt(self, job: Job) -> tuple[State, str, float]:
        if self.halted:
            return "stopped", "not started", 0.0
        worker = self._worker()
        before = _oom_kills()
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        worker.results = job.results
        try:
            worker.connection.send(job)
            while True:
                rest = None if deadline is None else max(0.0, deadline - time.monotonic())
                if not wait([worker.connection, worker.process.sentinel], rest):
                    worker.process.kill()
                    worker.process.join(10)
                    worker.gone()
                    return "timeout", f"took more than {self._timeout:g} s", 0.0
                if not worker.connection.poll():
                    raise EOFError
                answer = worker.connection.recv()
                if answer[0] == "progress":
                    self.report(job, *answer[1:])
                elif answer[0] == "done":
                    return "done", answer[1], answer[2]
                elif answer[0] == "busy":
                    return "busy", "another command is at it", 0.0
                else:
                    return answer[0], answer[1], 0.0
        except (EOFError, OSError):
            worker.process.join(10)
            worker.gone()
            self._local.worker = None
            code = worker.process.exitcode
            how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
            if self._stopping:
                return "stopped", "stopped", 0.0
            if code == -signal.SIGKILL and _oom_kills() > before:
                return "oom", "its process was killed when the system ran out of memory", 0.0
            return "killed", f"its process ended with {how}", 0.0

    def _worker(self) -> "_Worker":
        worker: _Worker | None = getattr(self._local, "worker", None)
        if worker is None or not worker.process.is_alive():
            worker = self._local.worker = _Worker(self._target)
            with self._lock:
                self._workers.append(worker)
        return worker


def _oom_kills() -> int:
    """How many processes this system has killed for want of memory since it started (Linux; elsewhere 0)."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


class _Worker:
    def __init__(self, target: Callable[[Connection], None]) -> None:
        self.connection, theirs = _CONTEXT.Pipe()
        self.process = _CONTEXT.Process(target=target, args=(theirs,), daemon=True, name="stableft-worker")
        self.process.start()
        theirs.close()
        self.results: Path | None = None

    def gone(self) -> None:
        """To be called after its death: what it was writing is removed."""
        wait([self.process.sentinel], 10)  # not join(), which only one thread may call
        if self.results is not None and self.process.pid is not None:
            Store(self.results).drop_drafts(self.process.pid)
