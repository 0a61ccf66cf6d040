"""A grid as it goes, seen from any terminal: what is done, running and failed, and when it will be over."""

import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from stableft.cli import run_views
from stableft.execution import planning
from stableft.execution.planning import Plan
from stableft.reporting.markup import duration
from stableft.storage import run_summary as outcomes
from stableft.storage.run_state import FAILED, STATES, Failure, RunProgress, RunStatus
from stableft.storage.store import Store

SECONDS = 1.0  # between looks
IDLE_LOOKS = 10  # after which a command that does runs of the tables anew is taken to be gone; a process takes seconds to start
ROWS = 16  # of running runs, and of failed ones, that a board has room for


@dataclass(frozen=True)
class Snapshot:
    """A grid at one moment.

    Attributes:
        title: Which grid.
        counts: Runs by state, and those of the done that diverged.
        running: Names, and how far they have come.
        failed: The notes of failed runs.
        left: Seconds until all is done, with as many runs at a time as now; None: nothing runs, or nothing was measured yet.
    """

    title: str
    counts: Counter[str]
    running: Sequence[tuple[str, RunProgress | None]]
    failed: Sequence[Failure]
    left: float | None

    @property
    def over(self) -> bool:
        return not self.counts["pending"] and not self.counts["running"]

    @property
    def line(self) -> str:
        kinds = [state for state in ("done", "running", "pending", *FAILED) if state in STATES[:3] or self.counts[state]]
        said = ", ".join(f"{self.counts[kind]} {kind}" for kind in kinds)
        return said + f", {self.counts['diverged']} diverged" * bool(self.counts["diverged"])

    @property
    def eta(self) -> str:
        if self.over:
            return "nothing is left to do"
        if not self.counts["running"]:
            return "no command is at it"
        return "time left: not known yet" if self.left is None else f"about {duration(self.left)} left"


class Watch:
    """Looks at a grid again and again; reads each finished run once.

    Args:
        planned: The grid; two cells that are one run count as one.
        store: Where its results are.
    """

    def __init__(self, planned: Plan, store: Store) -> None:
        self._cells = list({p.run_id or id(p): p for p in reversed(planned.cells)}.values())[::-1]
        self._plan = Plan(planned.grid, [replace(p, collected=False) for p in self._cells])
        self._collected = {p.run_id for p in self._cells if p.collected}
        self._store = store
        self._known = planning.typical_seconds(planned.grid.protocol.name, store)
        self._briefs: dict[str, outcomes.RunSummary] = {}
        self._idle = IDLE_LOOKS

    def look(self) -> Snapshot:
        counts: Counter[str] = Counter()
        times: dict[str, list[float]] = defaultdict(list)
        cells = self._cells_now()
        for p, seen in cells:
            counts[seen.state] += 1
            if seen.state == "done" and p.run_id and (brief := self._brief(p.run_id)):
                counts["diverged"] += brief.outcome == "diverged"
                if brief.seconds is not None:
                    times[p.cell.task].append(brief.seconds)
        typical = {**self._known, **{task: statistics.median(found) for task, found in times.items()}}
        left = [
            _left(seen.progress, typical.get(p.cell.task)) for p, seen in cells if seen.state in ("pending", "running")
        ]  # fmt: skip
        known = [seconds for seconds in left if seconds is not None]
        grid = self._plan.grid
        return Snapshot(
            f"{grid.name} ({grid.protocol.name})",
            counts,
            [(run_views.name(p), seen.progress) for p, seen in cells if seen.state == "running"],
            [seen.failure for _, seen in cells if seen.failure],
            sum(known) / counts["running"] if counts["running"] and len(known) == len(left) else None,
        )

    def _cells_now(self) -> run_views.Cells:
        """Runs that only the collected tables have, as in a fresh clone, are pending while a command is at the grid."""
        cells = run_views.look(self._plan, self._store)
        self._idle = 0 if any(seen.state == "running" for _, seen in cells) else self._idle + 1
        if self._idle <= IDLE_LOOKS:
            return cells
        return [(p, RunStatus("done") if seen.state == "pending" and p.run_id in self._collected else seen) for p, seen in cells]

    def _brief(self, run_id: str) -> outcomes.RunSummary | None:
        if run_id not in self._briefs and (brief := outcomes.summarise_record(self._store, run_id)):
            self._briefs[run_id] = brief
        return self._briefs.get(run_id)


def _left(doing: RunProgress | None, typical: float | None) -> float | None:
    """Seconds that a run has still to go: by its own pace, if it has one, else by what such runs take."""
    if doing and doing.step and doing.total:
        return doing.seconds / doing.step * (doing.total - doing.step)
    return typical


def board(snapshot: Snapshot) -> RenderableType:
    """A screen of it."""
    rows = Table(box=None, pad_edge=False, show_header=False)
    for name, doing in snapshot.running[:ROWS]:
        total = doing.total if doing and doing.total else None
        bar = ProgressBar(total=total or 1, completed=doing.step if doing else 0, width=20)
        rows.add_row(f"  {name}", bar, run_views.far(doing).removeprefix(", "))
    if (more := len(snapshot.running) - ROWS) > 0:
        rows.add_row(f"  and {more} more")
    failed = [f"  {failure.state}: {failure.name} ({failure.why})" for failure in snapshot.failed[-ROWS:]]
    return Group(f"{snapshot.title}: {snapshot.line}; {snapshot.eta}", rows, *failed)


def watch(console: Console, grid: Watch, sleep: Callable[[float], None] = time.sleep) -> None:
    """Shows a grid every second until nothing is left to do; off a terminal, a line whenever a count changes."""
    if not console.is_terminal:
        said = ""
        while not (now := grid.look()).over:
            if now.line != said:
                said = now.line
                console.print(f"{datetime.now():%H:%M:%S} {now.title}: {said}; {now.eta}")
            sleep(SECONDS)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while not (now := grid.look()).over:
            live.update(board(now), refresh=True)
            sleep(SECONDS)
