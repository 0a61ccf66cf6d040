"""Supervisor: does runs in processes, and returns a status even if a process dies."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Literal

from stableft.core.errors import UsageError
from stableft.execution.job import Job
from stableft.execution.worker import serve
from stableft.storage.store import Store

ExitKind = Literal["done", "refused", "device", "io", "oom", "crashed", "killed", "timeout", "stopped", "busy"]
# Further tries by kind of failure. Other failures, and most timeouts, would only repeat.
RETRIES: Mapping[str, int] = {"oom": 1, "crashed": 1, "killed": 1, "timeout": 0}
ProgressCallback = Callable[[Job, int, int, float], None]  # job, step, number of steps, training loss
# Training processes are forked from a server that has imported everything and started nothing. So
# they begin within milliseconds and share its memory. On other systems than Linux, libraries start
# threads when imported, and a fork would lose them.
if sys.platform == "linux":
    _CONTEXT = multiprocessing.get_context("forkserver")
    _CONTEXT.set_forkserver_preload(["stableft.execution.worker", "stableft.execution.run_job", "stableft.execution.preload"])
else:
    _CONTEXT = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Status:
    """The end of a run.

    Attributes:
        job: The run.
        state: ``done``; ``refused``: an input is wrong; ``device``: it can't be used; ``io``: the
            disk is full or can't be written to; ``oom``: not enough memory; ``crashed``: an
            exception; ``killed``: the process died; ``timeout``; ``stopped``: by the user;
            ``busy``: already running in another process.
        detail: The outcome (``ok``, ``diverged``) of a run that is done; else the error.
        seconds: Duration of a run that is done; else the duration of all tries.
        attempts: Number of starts.
    """

    job: Job
    state: ExitKind
    detail: str
    seconds: float = 0.0
    attempts: int = 1


class Supervisor:
    """Runs jobs in training processes, one for each calling thread.

    A process that dies is replaced, and its run is tried again.

    Args:
        report: Called on progress, in the supervising thread.
        max_retries: Further tries of a failed run, for the kinds in `RETRIES` or by kind; the last
            failure decides. Diverged runs are done.
        timeout: Limit in seconds for a run; None: no limit.
        target: Main function of a training process, with the protocol of
            `stableft.execution.worker.serve`.
        slots: Values of ``CUDA_VISIBLE_DEVICES``, one for each simultaneous process, which then sees
            only this GPU. A slot is free again when its process is dead. Empty: any number of
            processes, and each sees all GPUs.
    """

    def __init__(
        self,
        report: ProgressCallback,
        max_retries: int | Mapping[str, int] = RETRIES,
        timeout: float | None = None,
        target: Callable[[Connection], None] = serve,
        slots: Sequence[str] = (),
    ) -> None:
        self.report = report
        self._timeout = timeout
        self._target = target
        self._retries = max_retries if isinstance(max_retries, Mapping) else retries(str(max_retries))
        self._lock = threading.Lock()
        self._workers: list[_Worker] = []  # all ever started
        self._idle: list[_Worker] = []
        self._slots = list(slots)
        self._bound = bool(slots)
        self._stopping = self._draining = False

    def __call__(self, job: Job) -> Status:
        """Does a run and returns its status. No failure of the run raises an exception."""
        started, attempts = time.monotonic(), 0
        while True:
            attempts += 1
            kind, detail, seconds = self._attempt(replace(job, attempts=job.attempts + attempts - 1))
            if attempts > self._retries.get(kind, 0) or self._draining:
                return Status(job, kind, detail, seconds if kind == "done" else time.monotonic() - started, attempts)

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments, without ``report``, for another supervisor with the same behaviour."""
        return {"max_retries": self._retries, "timeout": self._timeout, "target": self._target}

    @property
    def halted(self) -> bool:
        """True once no more runs are started."""
        return self._stopping or self._draining

    @property
    def stopped(self) -> bool:
        """True once runs in flight are not waited for either."""
        return self._stopping

    def drain(self) -> None:
        """Stops starting runs; those in flight continue to their end."""
        self._draining = True

    def stop(self) -> None:
        """Kills all training processes; runs in flight end as ``stopped``, later ones are not started."""
        self._stopping = True
        for worker in list(self._workers):
            worker.process.kill()
        for worker in list(self._workers):
            worker.gone()

    def _attempt(self, job: Job) -> tuple[ExitKind, str, float]:
        if self.halted:
            return "stopped", "not started", 0.0
        worker = self._take()
        try:
            return self._supervise(worker, job)
        finally:
            self._give_back(worker)

    def _supervise(self, worker: "_Worker", job: Job) -> tuple[ExitKind, str, float]:
        """Sends a job to a process and waits for the end; returns kind, detail and seconds."""
        before = _oom_kills()
        worker.results = job.results
        try:
            worker.started()
            deadline = None if self._timeout is None else time.monotonic() + self._timeout
            worker.connection.send(job)
            # Each turn handles one message, or the end of the process or of the time.
            while True:
                rest = None if deadline is None else max(0.0, deadline - time.monotonic())
                if not wait([worker.connection, worker.process.sentinel], rest):
                    worker.process.kill()
                    worker.process.join(10)
                    worker.gone()
                    return "timeout", f"took more than {self._timeout:g} s", 0.0
                if not worker.connection.poll():
                    raise EOFError
                reply = worker.connection.recv()
                if reply[0] == "progress":
                    self.report(job, *reply[1:])
                elif reply[0] == "done":
                    return "done", reply[1], reply[2]
                elif reply[0] == "busy":
                    return "busy", "already running in another process", 0.0
                else:
                    return reply[0], reply[1], 0.0
        except (EOFError, OSError):
            # The process died: its exit code and the system's counter of kills give the reason.
            worker.process.join(10)
            worker.gone()
            code = worker.process.exitcode
            ending = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
            if self._stopping:
                return "stopped", "stopped", 0.0
            if code == -signal.SIGKILL and _oom_kills() > before:
                return "oom", "its process was killed when the system ran out of memory", 0.0
            return "killed", f"its process ended with {ending}", 0.0

    def _take(self) -> "_Worker":
        with self._lock:
            while self._idle:
                if (worker := self._idle.pop()).process.is_alive():
                    return worker
                self._free(worker)
            slot = self._slots.pop(0) if self._bound else None
        worker = _Worker(self._target, slot)
        with self._lock:
            self._workers.append(worker)
        if self._stopping:  # stopped since the check in _attempt
            worker.process.kill()
        return worker

    def _give_back(self, worker: "_Worker") -> None:
        with self._lock:
            if worker.process.is_alive():
                self._idle.append(worker)
            else:
                self._free(worker)

    def _free(self, worker: "_Worker") -> None:
        if worker.slot is not None:
            self._slots.append(worker.slot)


def retries(text: str) -> dict[str, int]:
    """Parses the option ``--max-retries``.

    ``2`` means two further tries of every kind in `RETRIES`, except those with 0 there (timeouts).
    ``oom=0,killed=3`` replaces some values of `RETRIES`.

    Raises:
        UsageError: The text is anything else.
    """
    if text.isdecimal():
        return {kind: int(text) if number else 0 for kind, number in RETRIES.items()}
    asked = [[piece.strip() for piece in part.partition("=")] for part in text.split(",")]
    if not all(kind in RETRIES and number.isdecimal() for kind, _, number in asked):
        kinds = ", ".join(RETRIES)
        raise UsageError(f"--max-retries {text}: write a number, or numbers by kind such as oom=0,killed=3; kinds: {kinds}")
    return {**RETRIES, **{kind: int(number) for kind, _, number in asked}}


def _oom_kills() -> int:
    """Returns the number of out-of-memory kills since the system started (Linux; elsewhere 0)."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def count_gpus() -> int:
    """Returns torch's number of GPUs, from another process, since this one must not import torch."""
    ours, theirs = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_send_gpus, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:  # the process died
        return 0
    finally:
        process.join(10)


def _send_gpus(connection: Connection) -> None:
    import torch

    connection.send(torch.cuda.device_count())


def _begin(target: Callable[[Connection], None], connection: Connection, slot: str | None) -> None:
    """Runs the main function of a training process, with one visible GPU if there are slots.

    Nothing has used a GPU before, so the process opens no other.
    """
    if slot is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = slot
    connection.send(("ready",))
    target(connection)


class _Worker:
    def __init__(self, target: Callable[[Connection], None], slot: str | None = None) -> None:
        self.slot = slot
        self.connection, theirs = _CONTEXT.Pipe()
        self.process = _CONTEXT.Process(target=_begin, args=(target, theirs, slot), daemon=True, name="stableft-worker")
        self.process.start()
        theirs.close()
        self.results: Path | None = None
        self._ready = False

    def started(self) -> None:
        """Waits until the process has started.

        This time is not part of any run's time, as the first process imports everything.

        Raises:
            EOFError: The process died before.
        """
        if not self._ready:
            wait([self.connection, self.process.sentinel])
            if not self.connection.poll():
                raise EOFError
            self.connection.recv()
            self._ready = True

    def gone(self) -> None:
        """Removes the drafts of the process, after its death."""
        wait([self.process.sentinel], 10)  # not join(): only one thread may call it
        if self.results is not None and self.process.pid is not None:
            Store(self.results).drop_drafts(self.process.pid)
