"""Watch: follows a grid from any terminal, by the files of the results folder."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from rich.console import Console
from rich.live import Live

from stableft.cli.formatting import cell_name
from stableft.cli.progress import QUIET_SECONDS, Running, Snapshot, board, seconds_left
from stableft.execution.planning import Plan, Planned
from stableft.storage import run_state, run_summary
from stableft.storage.run_state import RunProgress, RunStatus
from stableft.storage.store import Store

SECONDS = 1.0  # between two looks
# After so many looks without a running run, a command that recomputes collected runs counts as
# ended. Several are needed, since a process takes seconds to start.
IDLE_LOOKS = 10
Cells = Sequence[tuple[Planned, RunStatus]]


def cell_states(planned: Plan, store: Store) -> Cells:
    """Returns the cells of a grid with their states; a cell without its inputs is pending."""
    return [(p, run_state.run_status(store, p.run_id, p.collected) if p.run_id else RunStatus("pending")) for p in planned.cells]


def running_runs(cells: Cells) -> list[Running]:
    """Returns the running runs, with the progress recorded by their processes."""
    return [_running(p, status.progress) for p, status in cells if status.state == "running"]


def _running(p: Planned, progress: RunProgress | None) -> Running:
    start = Running(cell_name(p), p.cell.task)
    if progress is None:
        return start
    return replace(start, step=progress.step, total=progress.total, loss=progress.loss, seconds=progress.seconds)


class Watch:
    """Repeated looks at a grid. Each finished run is read once.

    Args:
        planned: The grid. Cells with the same run count once.
        store: The results.
    """

    def __init__(self, planned: Plan, store: Store) -> None:
        self._cells = list({p.run_id or id(p): p for p in reversed(planned.cells)}.values())[::-1]
        self._plan = Plan(planned.grid, [replace(p, collected=False) for p in self._cells])
        self._collected = {p.run_id for p in self._cells if p.collected}
        self._store = store
        self._briefs: dict[str, run_summary.RunSummary] = {}
        self._idle = IDLE_LOOKS

    def look(self) -> Snapshot:
        """Returns the current state of the grid."""
        # Count the states, and collect the times of finished runs.
        cells = self._cells_now()
        counts = Counter("collected" if self._only_collected(p, status) else status.state for p, status in cells)
        times: dict[str, list[float]] = defaultdict(list)
        for p, status in cells:
            if status.state == "done" and p.run_id and (brief := self._brief(p.run_id)):
                counts["diverged"] += brief.outcome == "diverged"
                if brief.seconds is not None:
                    times[p.cell.task].append(brief.seconds)
        running = running_runs(cells)
        pending = [p.cell.task for p, status in cells if status.state == "pending"]
        grid = self._plan.grid
        return Snapshot(
            f"{grid.name} ({grid.protocol.name})",
            counts,
            running,
            [status.failure for _, status in cells if status.failure],
            seconds_left(running, pending, times, len(running)),
        )

    def _cells_now(self) -> Cells:
        """Returns the cells with their states.

        Collected runs without a record are pending while a command runs the grid, and done otherwise.
        """
        cells = cell_states(self._plan, self._store)
        self._idle = 0 if any(status.state == "running" for _, status in cells) else self._idle + 1
        if self._idle <= IDLE_LOOKS:
            return cells
        return [
            (p, RunStatus("done") if status.state == "pending" and p.run_id in self._collected else status) for p, status in cells
        ]

    def _only_collected(self, p: Planned, status: RunStatus) -> bool:
        return status.state == "done" and p.run_id in self._collected and not self._store.has(p.run_id or "")

    def _brief(self, run_id: str) -> run_summary.RunSummary | None:
        if run_id not in self._briefs and (brief := run_summary.summarise_record(self._store, run_id)):
            self._briefs[run_id] = brief
        return self._briefs.get(run_id)


def watch_grid(console: Console, grid: Watch, sleep: Callable[[float], None] = time.sleep) -> None:
    """Shows a grid every second until nothing is left to do.

    Without a terminal, prints a line per change, and at least every `QUIET_SECONDS`.
    """
    if not console.is_terminal:
        shown, printed = "", 0.0
        while not (now := grid.look()).over:
            if now.line != shown or time.monotonic() - printed >= QUIET_SECONDS:
                shown, printed = now.line, time.monotonic()
                console.print(f"{datetime.now():%H:%M:%S} {now.title}: {shown}; {now.eta}")
            sleep(SECONDS)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while not (now := grid.look()).over:
            live.update(board(now), refresh=True)
            sleep(SECONDS)
