"""Run state: the state of a run, from its record, its lock file and its failure note."""

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
    """The failure note of a run: the content of ``failures/<run_id>.json``.

    It describes the last try, and is removed when the run is done.

    Attributes:
        run_id: The run.
        state: One of `FAILED`.
        kind: End of the process (`stableft.execution.supervisor.Status`). For a ``failed`` run
            ``refused``, ``device``, ``io`` or ``crashed``; else the same as the state.
        detail: The error, in a line.
        attempts: Failed tries since the run was last done, including those of earlier commands.
        seconds: Duration of the last command's tries.
        when: Time of the failure in UTC, ISO 8601.
        experiment: Cell of the run in the failed grid; likewise protocol, task, arm and seed.
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
        """The reason in a line, with the kind in front if it is not the state (``crashed: ...``)."""
        first = (self.detail.splitlines() or [""])[0]
        return first if self.kind == self.state else f"{self.kind}: {first}"


class RunProgress(BaseModel):
    """Progress of a running run: the content of its lock file.

    Attributes:
        pid: The training process.
        step: Optimizer steps done, including those of source runs.
        total: Number of steps; 0 while it is not known.
        loss: Training loss of that step; None if there is none yet, or it is not finite.
        seconds: Seconds since the process began the run.
        updated: Time in UTC, ISO 8601; shown to people, and not used in any computation.
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
        state: One of `STATES`.
        failure: Failure note of the last try, if it failed.
        progress: Progress of a running run, once its process has reported any.
    """

    state: RunState
    failure: Failure | None = None
    progress: RunProgress | None = None


def parse_failures(text: str | None) -> set[str]:
    """Parses ``oom,timeout`` into states, or kinds of ``failed``; None means every failure.

    Raises:
        UsageError: A name is neither a failed state nor a kind.
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
        run_id: Identity of the run.
        collected: True if the experiment's tables have the run. Then it is ``done``, unless a lock
            file, record or failure note is newer evidence.
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

    Writes nothing if the disk is full or the folder is read-only, since that is the failure itself.
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
            # Padded to one length, so that a reader never sees half of an update.
            lock.write(heartbeat.model_dump_json().encode().ljust(HEARTBEAT_BYTES) + b"\n")

    def both(step: int, total: int, loss: float) -> None:
        if time.monotonic() - written >= HEARTBEAT_SECONDS:
            write(step, total, loss)
        progress(step, total, loss)

    write(0, 0, math.nan)
    return both


def read(path: Path) -> Failure | None:
    """Returns a failure note, or None if there is none.

    Raises:
        MissingInput: The note is damaged.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    if (failure := _parsed(Failure, content)) is None:
        raise MissingInput(f"{path} is no note of a failed run; delete it (this does not affect the run itself)")
    return failure


def failures(store: Store, unread: Callable[[str], None] | None = None) -> Iterator[Failure]:
    """Yields the failure notes of runs that are still failed, by experiment and cell.

    Args:
        store: The results folder.
        unread: Called with a sentence for each damaged note, which is left out; None: it is an error.

    Raises:
        MissingInput: A note is damaged, and ``unread`` is None.
    """
    notes: list[Failure] = []
    for path in sorted(store.failure_path("").parent.glob("*.json")):
        try:
            note = read(path)
        except MissingInput as error:
            if unread is None:
                raise
            unread(str(error))
            continue
        notes += [note] if note else []
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
