"""Processes: starts the processes to measure, and communicates with them."""

import contextlib
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.subject import Spec

PATIENCE = 60.0  # seconds to wait for the end of a process
ROOT = Path(__file__).resolve().parent.parent


class Answer(NamedTuple):
    """Return value of a subject's method, and its process's peak memory in MiB and number of threads."""

    value: Any
    peak_mb: float
    threads: int


class BenchmarkError(Exception):
    """Failure of a measured process."""


def environment(changes: Mapping[str, str], scratch: Path) -> dict[str, str]:
    """Builds the environment variables of a process to measure.

    It removes the caller's variables that influence speed, and excludes the network and GPUs.
    """
    fixed = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "TMPDIR": str(scratch)}
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "MKL_", "KMP_", "GLIBC_", "MALLOC_", "LD_PRELOAD"))}
    return {**kept, **fixed, **changes}


class Nursery:
    """Forks subjects from a process that has imported ``modules`` in a given environment.

    Args:
        modules: Modules to import beforehand.
        changes: Environment variables.
        folder: Folder of its socket and its log.
    """

    def __init__(self, modules: Sequence[str], changes: Mapping[str, str], folder: Path) -> None:
        folder.mkdir(parents=True)
        self._log = folder / "log.txt"
        self._listener = Listener(str(folder / "socket"), family="AF_UNIX")
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.subject", *modules], env=environment(changes, folder), cwd=ROOT,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        self._awake = False

    def start(self, spec: Spec) -> Connection:
        """Starts a process with the subject of a spec; does not wait until it is ready."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if not self._awake and self._process.stdout.readline() != "ready\n":
            raise BenchmarkError(f"a process could not be started:\n{self.log()}")
        self._awake = True
        self._process.stdin.write(f"{self._listener.address}\n")
        self._process.stdin.flush()
        connection = self._listener.accept()
        connection.send(spec)
        return connection

    def log(self) -> str:
        """Returns the end of the output of its processes."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-3000:]

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(PATIENCE)
        self._listener.close()


class Team:
    """Equal subjects that work at the same time."""

    def __init__(self, nursery: Nursery, spec: Spec, members: int) -> None:
        self._nursery = nursery
        self._connections = [nursery.start(spec) for _ in range(members)]
        self._receive("ready")

    def call(self, method: str, *arguments: Any, **options: Any) -> list[Answer]:
        """Calls a method of all subjects at once; returns after the last answer."""
        for connection in self._connections:
            connection.send((method, arguments, options))
        return [Answer(*answer) for answer in self._receive("done")]

    def _receive(self, expected: str) -> list[Any]:
        answers = []
        for connection in self._connections:
            try:
                state, answer = connection.recv()
            except EOFError:
                raise BenchmarkError(f"a process died:\n{self._nursery.log()}") from None
            if state != expected:
                raise BenchmarkError(answer)
            answers.append(answer)
        return answers

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


@contextmanager
def team(nursery: Nursery, spec: Spec, members: int) -> Iterator[Team]:
    """Yields a `Team`, and closes it at the end."""
    made = Team(nursery, spec, members)
    try:
        yield made
    finally:
        made.close()


class Finished(NamedTuple):
    """A finished program: duration in seconds, start time, and the last line of its output."""

    seconds: float
    started: float
    line: str


def run_program(arguments: Sequence[str], changes: Mapping[str, str], log: Path) -> Finished:
    """Runs ``python -m ...`` in a fresh process and waits for it."""
    started = time.time()
    with open(log, "ab") as file:
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            env=environment(changes, log.parent),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
            check=False,
        )
    seconds = time.time() - started
    if done.returncode != 0:
        raise BenchmarkError(f"{arguments[0]} failed:\n{log.read_text(encoding='utf-8', errors='replace')[-3000:]}")
    return Finished(seconds, started, done.stdout.strip().splitlines()[-1])


class Command(NamedTuple):
    """A finished command: duration and processor time in seconds, peak memory in MiB.

    Processor time and memory are those of all its processes.
    """

    seconds: float
    processor: float
    peak_mb: float


def run_command(arguments: Sequence[str], folder: Path) -> Command:
    """Runs ``python -m ...`` as a user would, in a folder, and samples its memory ten times a second."""
    began, before, peak = time.perf_counter(), os.times(), 0.0
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env=environment({"PYTHONPATH": str(ROOT)}, folder), cwd=folder, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        while process.poll() is None:
            peak = max(peak, _memory_mb(process.pid))
            time.sleep(0.1)
        if process.returncode != 0:
            log.seek(0)
            raise BenchmarkError(f"{' '.join(arguments)} failed:\n{log.read().decode(errors='replace')[-3000:]}")
    after = os.times()
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    return Command(time.perf_counter() - began, processor, peak)


def _memory_mb(session: int) -> float:
    """Sums the resident memory of all processes of a session; NaN without ``/proc``.

    Memory that processes share counts for each.
    """
    if not Path("/proc/self/stat").exists():
        return math.nan
    pages = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            pages += int(fields[21]) if int(fields[3]) == session else 0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
