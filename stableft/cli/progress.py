"""The progress of a grid: a live board on a terminal, one line per finished run elsewhere."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from stableft.cli.run_views import name
from stableft.execution.job import Job
from stableft.execution.planning import Plan
from stableft.execution.supervisor import Status
from stableft.reporting.markup import duration
from stableft.storage.run_state import STATE_OF


class Board:
    """Told of progress from several threads; estimates the end from the runs that this command finished."""

    def __init__(self, console: Console, plan: Plan) -> None:
        self._console = console
        self._names = {p.run_id: name(p) for p in plan.cells}
        self._total = len(plan.jobs)
        self._done = self._failed = self._diverged = 0
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._rows: dict[str, TaskID] = {}
        self.bars = Progress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
            BarColumn(bar_width=10),
            MofNCompleteColumn(table_column=Column(no_wrap=True, min_width=7)),
            TimeElapsedColumn(table_column=Column(no_wrap=True, min_width=7)),
            TextColumn("{task.fields[note]}", table_column=Column(no_wrap=True, min_width=18)),
            console=console,
            transient=True,
            expand=True,
        )
        self._all = self.bars.add_task(f"{plan.grid.name} ({plan.grid.protocol.name})", total=self._total, note="starting")

    def progress(self, job: Job, step: int, total: int, loss: float) -> None:
        """A run has come that far."""
        with self._lock:
            if job.run_id not in self._rows:
                self._rows[job.run_id] = self.bars.add_task(f"  {self._names[job.run_id]}", total=total, note="")
            self.bars.update(self._rows[job.run_id], completed=step, note=f"loss {loss:.3f}")

    def ended(self, status: Status) -> None:
        """A run is over."""
        with self._lock:
            if (row := self._rows.pop(status.job.run_id, None)) is not None:
                self.bars.remove_task(row)
            if status.state == "stopped":
                return
            self._done += status.state == "done"
            self._failed += status.state != "done"
            self._diverged += status.detail == "diverged"
            rest = self._total - self._done - self._failed
            eta = (time.monotonic() - self._started) / (self._done + self._failed) * rest
            note = f"eta {duration(eta)}"
            note += f", {self._failed} failed" * bool(self._failed) + f", {self._diverged} diverged" * bool(self._diverged)
            self.bars.update(self._all, completed=self._done + self._failed, note=note)
        run, state = self._names[status.job.run_id], STATE_OF[status.state]
        why = status.detail if state == status.state else f"{status.state}: {status.detail}"
        seconds = f" {status.seconds:.0f} s" if status.state == "done" else ""
        if status.state != "done" or not self._console.is_terminal:
            now = datetime.now().strftime("%H:%M:%S")
            self._console.print(
                f"{now} {state} {run} ({why}){seconds} [{self._done + self._failed}/{self._total}, {note}]",
                markup=False,
            )


@contextmanager
def board(console: Console, plan: Plan) -> Iterator[Board]:
    """A board for the missing runs of a plan; live only on a terminal."""
    show = Board(console, plan)
    if console.is_terminal and plan.missing:
        with show.bars:
            yield show
    else:
        yield show
