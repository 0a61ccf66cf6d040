"""Progress of a grid: snapshots with the estimated time left, and their live display in `run`."""

import statistics
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from stableft.cli.formatting import cell_name
from stableft.execution.job import Job
from stableft.execution.planning import Plan
from stableft.execution.supervisor import Status
from stableft.reporting.markup import duration
from stableft.storage.run_state import FAILED, STATE_OF, STATES, Failure

ROWS = 16  # shown running runs, and shown failed runs, at most
QUIET_SECONDS = 60.0  # at most, between two lines without a terminal


@dataclass(frozen=True)
class Running:
    """Progress of a running run.

    Attributes:
        name: Task, arm and seed.
        task: Its task.
        step: Completed optimizer steps.
        total: Number of steps; 0: not known yet.
        loss: Training loss at ``step``; None: not known yet, or not finite.
        seconds: Seconds since step ``first``.
        first: First step that was observed; 0 if observed from the start.
    """

    name: str
    task: str
    step: int = 0
    total: int = 0
    loss: float | None = None
    seconds: float = 0.0
    first: int = 0

    @property
    def text(self) -> str:
        if not self.total:
            return "starting"
        loss = "" if self.loss is None else f", loss {self.loss:.3f}"
        return f"step {self.step} of {self.total}{loss}, {duration(self.seconds)}"

    @property
    def seconds_left(self) -> float | None:
        """Seconds until its end at its own pace; None before it can be measured."""
        done = self.step - self.first
        return self.seconds / done * (self.total - self.step) if done > 0 and self.total else None


def seconds_left(
    running: Iterable[Running],
    pending: Iterable[str],
    times: Mapping[str, Sequence[float]],
    at_a_time: float,
    known: Mapping[str, float] | None = None,
) -> float | None:
    """Estimates the seconds until all runs are done.

    A running run is extrapolated from its own pace. Any other run is assumed to take the median time
    of the finished runs of its task.

    Args:
        running: Running runs.
        pending: Task of each pending run.
        times: Seconds of finished runs, by task.
        at_a_time: Number of runs at a time; may be a mean.
        known: Seconds of a run by task, for tasks without a finished run.

    Returns:
        The estimate; None if nothing runs, or for some run no time is known yet.
    """
    typical = {**(known or {}), **{task: statistics.median(seconds) for task, seconds in times.items()}}
    left: list[float | None] = [typical.get(task) for task in pending]
    for run in running:
        left.append(typical.get(run.task) if run.seconds_left is None else run.seconds_left)
    measured = [seconds for seconds in left if seconds is not None]
    if not left:
        return 0.0
    return sum(measured) / at_a_time if at_a_time and len(measured) == len(left) else None


@dataclass(frozen=True)
class Snapshot:
    """A grid at one moment.

    Attributes:
        title: Name and scale of the grid.
        counts: Number of runs by state, of ``collected`` runs without a record, and of done runs that
            ``diverged``.
        running: Running runs.
        failed: Failures of failed runs.
        left: Seconds until all runs are done; None: not known.
        idle: Text in place of the time left if no run is running.
    """

    title: str
    counts: Counter[str]
    running: Sequence[Running]
    failed: Sequence[Failure]
    left: float | None
    idle: str = "no command is running this grid"

    @property
    def over(self) -> bool:
        return not self.counts["pending"] and not self.counts["running"]

    @property
    def line(self) -> str:
        kinds = [
            state for state in ("done", "running", "pending", "collected", *FAILED) if state in STATES[:3] or self.counts[state]
        ]
        counts = ", ".join(f"{self.counts[kind]} {kind}" for kind in kinds)
        return counts + f", {self.counts['diverged']} diverged" * bool(self.counts["diverged"])

    @property
    def eta(self) -> str:
        if self.over and not self.counts["collected"]:
            return "nothing is left to do"
        if not self.counts["running"]:
            return self.idle
        return "time left: not known yet" if self.left is None else f"about {duration(self.left)} left"


def board(snapshot: Snapshot) -> RenderableType:
    """Renders a snapshot for a terminal."""
    rows = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(3):
        rows.add_column(overflow="fold")  # an ellipsis would hide digits, and not every encoding has it
    total = sum(snapshot.counts[state] for state in (*STATES, "collected"))
    waiting = snapshot.counts["pending"] + snapshot.counts["running"]
    rows.add_row("  all runs", ProgressBar(total=total or 1, completed=total - waiting, width=20), f"{total - waiting} of {total}")
    for run in snapshot.running[:ROWS]:
        rows.add_row(f"  {run.name}", ProgressBar(total=run.total or 1, completed=run.step, width=20), run.text)
    if (more := len(snapshot.running) - ROWS) > 0:
        rows.add_row(f"  and {more} more")
    failed = [f"  {failure.state}: {failure.name} ({failure.why})" for failure in snapshot.failed[-ROWS:]]
    return Group(f"{snapshot.title}: {snapshot.line}; {snapshot.eta}", rows, *failed)


class GridProgress:
    """Progress of the runs of this command. Its methods may be called from several threads.

    Args:
        console: Receives a line for each failed run; if it is no terminal, for each finished one too.
        plan: The plan. Its missing runs are executed.
        known: Expected seconds of a run by task, until runs of the task are finished.
    """

    def __init__(self, console: Console, plan: Plan, known: Mapping[str, float] | None = None) -> None:
        self._console = console
        self._known = known or {}
        self._printed = time.monotonic()
        self._title = f"{plan.grid.name} ({plan.grid.protocol.name})"
        self._cells = {p.run_id: p for p in reversed(plan.cells)}
        self._waiting = {run_id: config.task for run_id, config in plan.jobs.items()}
        self._total = len(self._waiting)
        self._counts = Counter(done=len({p.run_id for p in plan.cells if p.done}))
        self._running: dict[str, tuple[float, Running]] = {}
        self._times: dict[str, list[float]] = defaultdict(list)
        self._started = time.monotonic()
        self._lock = threading.Lock()

    def step(self, job: Job, step: int, total: int, loss: float) -> None:
        """Records a completed step of a run."""
        with self._lock:
            if job.run_id not in self._running:
                first = Running(cell_name(self._cells[job.run_id]), job.config.task, first=step)
                self._running[job.run_id] = (time.monotonic(), first)
            started, run = self._running[job.run_id]
            finite = loss if abs(loss) < float("inf") else None
            self._running[job.run_id] = (started, replace(run, step=step, total=total, loss=finite))

    def end(self, status: Status) -> None:
        """Records the end of a run, and prints a line about it."""
        run_id = status.job.run_id
        with self._lock:
            self._running.pop(run_id, None)
            if status.state == "stopped":
                return
            self._waiting.pop(run_id, None)
            self._times[status.job.config.task].append(status.seconds)
            self._counts[STATE_OF[status.state]] += 1
            self._counts["diverged"] += status.detail == "diverged"
        if status.state == "done" and self._console.is_terminal:
            return
        now, state = datetime.now().strftime("%H:%M:%S"), STATE_OF[status.state]
        why = status.detail if state == status.state else f"{status.state}: {status.detail}"
        seconds = f" {status.seconds:.0f} s" if status.state == "done" else ""
        self._printed = time.monotonic()
        self._console.print(f"{now} {state} {cell_name(self._cells[run_id])} ({why}){seconds} [{self._note()}]")

    def remind(self) -> None:
        """Prints a line about the running runs, unless one was printed in the last `QUIET_SECONDS`."""
        if time.monotonic() - self._printed < QUIET_SECONDS:
            return
        self._printed = time.monotonic()
        running = self.snapshot().running
        runs = "; ".join(f"{run.name}: {run.text}" for run in running[:ROWS]) or "starting"
        more = f"; and {len(running) - ROWS} more" if len(running) > ROWS else ""
        self._console.print(f"{datetime.now():%H:%M:%S} running {runs}{more} [{self._note()}]")

    def _note(self) -> str:
        snapshot = self.snapshot()
        failed = sum(snapshot.counts[state] for state in FAILED)
        eta = "not known yet" if snapshot.left is None else duration(snapshot.left)
        ended = f"{self._total - len(self._waiting)}/{self._total}, eta {eta}"
        diverged = snapshot.counts["diverged"]
        return ended + f", {failed} failed" * bool(failed) + f", {diverged} diverged" * bool(diverged)

    def snapshot(self) -> Snapshot:
        """Returns the current state of the grid.

        The number of runs at a time is measured: total seconds of all runs over elapsed seconds, at least
        the number of running ones.
        """
        now = time.monotonic()
        with self._lock:
            running = [replace(run, seconds=now - started) for started, run in self._running.values()]
            pending = [task for run_id, task in self._waiting.items() if run_id not in self._running]
            busy = sum(map(sum, self._times.values())) + sum(run.seconds for run in running)
            at_a_time = max(len(running), busy / max(now - self._started, 1e-9))
            left = seconds_left(running, pending, self._times, at_a_time, self._known)
            counts = self._counts + Counter(running=len(running), pending=len(pending))
        return Snapshot(self._title, counts, running, (), left, idle="starting")


@contextmanager
def live_progress(console: Console, plan: Plan, known: Mapping[str, float] | None = None) -> Iterator[GridProgress]:
    """Yields the progress of the missing runs of a plan.

    On a terminal it is shown live; otherwise there is a line at least every `QUIET_SECONDS`.

    Args:
        console: See `GridProgress`, as for the others.
    """
    progress = GridProgress(console, plan, known)
    if not plan.missing:
        yield progress
    elif console.is_terminal:
        with Live(get_renderable=lambda: board(progress.snapshot()), console=console, refresh_per_second=4, transient=True):
            yield progress
    else:
        with _repeated(progress.remind, QUIET_SECONDS / 10):
            yield progress


@contextmanager
def _repeated(call: Callable[[], None], seconds: float) -> Iterator[None]:
    """Calls a function again and again in a thread, until the block ends."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(seconds):
            call()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
