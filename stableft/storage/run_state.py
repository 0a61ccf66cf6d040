"""The state of a run, as every command shows it: from its record, its lock file and its failure note."""

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from stableft.core.anonymize import without_names
from stableft.core.errors import MissingInput, UsageError
from stableft.core.files import lock_content, write_whole
from stableft.storage.store import Store

RunState = Literal["pending", "running", "done", "failed", "oom", "timeout", "killed"]
STATES: tuple[RunState, ...] = get_args(RunState)
FAILED: tuple[RunState, ...] = ("failed", "oom", "timeout", "killed")
# By how a run's process ended, see `stableft.execution.supervisor.Status`.
STATE_OF: Mapping[str, RunState] = {
    "done": "done", "oom": "oom", "timeout": "timeout", "killed": "killed",
    "refused": "failed", "device": "failed", "io": "failed", "crashed": "failed",
}  # fmt: skip
HEARTBEAT_SECONDS = 2.0
HEARTBEAT_BYTES = 255
M = TypeVar("M", bound=BaseModel)


class Failure(BaseModel):
    """Why the last try at a run failed: the content of ``failures/<run_id>.json``. It goes when the run is done.

    Attributes:
        run_id: The run.
        state: Of `FAILED`.
        kind: How its process ended (`stableft.execution.supervisor.Status`): of a ``failed`` run ``refused``, ``device``, ``io`` or
            ``crashed``; else the state again.
        detail: What went wrong, in a line.
        attempts: Failed tries since the run was last done, those of earlier commands among them.
        seconds: That the last command's tries took.
        when: In UTC, ISO 8601.
        experiment: Where the run stood in the grid that failed; likewise protocol, task, arm and seed.
        retry: The command that runs this grid's failed runs again; empty if no command ran it.
    """

    model_config = ConfigDict(frozen=True)

    run_id: str
    state: RunState
    kind: str
    detail: str
    attempts: int
    seconds: float
    when: str
    experiment: str
    protocol: str
    task: str
    arm: str
    seed: int
    retry: str = ""

    @property
    def name(self) -> str:
        return f"{self.task} / {self.arm} / {self.seed}"

    @property
    def why(self) -> str:
        """In a line; ``crashed: ...`` for a failed run, whose state says less."""
        first = (self.detail.splitlines() or [""])[0]
        return first if self.kind == self.state else f"{self.kind}: {first}"


class RunProgress(BaseModel):
    """Progress of a running run: the content of its lock file.

    Attributes:
        pid: The training process.
        step: Optimizer steps done; those of source runs count.
        total: Number of steps; 0: not known yet.
        loss: Of that step; None: none yet, or not finite.
        seconds: Since the process began with the run.
        updated: In UTC, ISO 8601; shown to people, and not used in any computation.
    """

    model_config = ConfigDict(frozen=True)

    pid: int
    step: int = 0
    total: int = 0
    loss: float | None = None
    seconds: float = 0.0
    updated: str


@dataclass(frozen=True)
class RunStatus:
    """State of a run at this moment.

    Attributes:
        state: Of `STATES`.
        failure: Of the last try, if it failed.
        progress: Of a running run, once its process has reported any.
    """

    state: RunState
    failure: Failure | None = None
    progress: RunProgress | None = None


def parse_failures(text: str | None) -> set[str]:
    """``oom,timeout`` -> those states, or kinds of ``failed``; None: every failure.

    Raises:
        UsageError: another name.
    """
    asked: set[str] = {name.strip() for name in text.split(",")} if text else {*FAILED}
    known = [name for name, state in STATE_OF.items() if state in FAILED]
    if unknown := sorted(asked - {*FAILED, *known}):
        raise UsageError(f"no kind of failure is called {', '.join(unknown)!r}; there are: failed, {', '.join(known)}")
    return asked


def run_status(store: Store, run_id: str, collected: bool = False) -> RunStatus:
    """Returns the status of a run.

    Args:
        store: The results folder.
        run_id: Its identity.
        collected: Whether the experiment's tables have it, which counts if nothing newer is known.
    """
    if (heartbeat := lock_content(store.lock_path(run_id))) is not None:
        return RunStatus("running", progress=_parsed(RunProgress, heartbeat))
    if store.has(run_id):
        return RunStatus("done")
    if (failure := read(store.failure_path(run_id))) is not None:
        return RunStatus(failure.state, failure)
    return RunStatus("done" if collected else "pending")


def note(store: Store, failure: Failure) -> None:
    """Writes a failure note, and adds the failure to the end of the run's log.

    Nothing is noted if the disk is full or the folder can't be written to: that is then the failure itself.
    """
    log, earlier = store.log_path(failure.run_id), None
    with contextlib.suppress(OSError, MissingInput):  # a damaged note counts as none
        earlier = read(store.failure_path(failure.run_id))
    attempts = failure.attempts + (earlier.attempts if earlier else 0)
    failure = failure.model_copy(update={"detail": without_names(failure.detail), "attempts": attempts})
    with contextlib.suppress(OSError):
        for path in (log, store.failure_path("")):
            path.parent.mkdir(parents=True, exist_ok=True)
        logged = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
        log.write_text(without_names(f"{logged}{failure.kind}: {failure.detail}\n"), encoding="utf-8")
        write_whole(store.failure_path(failure.run_id), failure.model_dump_json(indent=1).encode())


def with_heartbeat(lock: BinaryIO, progress: Callable[[int, int, float], None]) -> Callable[[int, int, float], None]:
    """Wraps a progress callback so that it also writes to the run's lock file every `HEARTBEAT_SECONDS`."""
    started, written = time.monotonic(), -math.inf

    def write(step: int, total: int, loss: float) -> None:
        nonlocal written
        written = time.monotonic()
        finite = loss if math.isfinite(loss) else None
        seconds = round(written - started, 1)
        heartbeat = RunProgress(pid=os.getpid(), step=step, total=total, loss=finite, seconds=seconds, updated=now())
        with contextlib.suppress(OSError):  # the run itself will report a full disk
            lock.seek(0)
            lock.write(heartbeat.model_dump_json().encode().ljust(HEARTBEAT_BYTES) + b"\n")  # of one length, never torn

    def both(step: int, total: int, loss: float) -> None:
        if time.monotonic() - written >= HEARTBEAT_SECONDS:
            write(step, total, loss)
        progress(step, total, loss)

    write(0, 0, math.nan)
    return both


def read(path: Path) -> Failure | None:
    """Returns a failure note, or None if there is none.

    Raises:
        MissingInput: it is not as it was written.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    if (failure := _parsed(Failure, content)) is None:
        raise MissingInput(f"{path} is no note of a failed run; delete it, the run itself is not touched by that")
    return failure


def failures(store: Store) -> Iterator[Failure]:
    """Yields the failure notes of runs that are still failed, by experiment and cell."""
    notes = [note for path in store.failure_path("").parent.glob("*.json") if (note := read(path)) is not None]
    for note in sorted(notes, key=lambda note: (note.protocol, note.experiment, note.task, note.arm, note.seed)):
        if run_status(store, note.run_id).state in FAILED:
            yield note


def now() -> str:
    """Returns the time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _parsed(model: type[M], content: bytes) -> M | None:
    try:
        return model.model_validate_json(content)
    except ValidationError:  # nothing written yet, or only part
        return None
