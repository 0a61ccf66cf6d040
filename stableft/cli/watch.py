"""Watch: a grid as any terminal sees it, from the files of the results folder."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from rich.console import Console
from rich.live import Live

from stableft.cli.formatting import cell_name
from stableft.cli.progress import Running, Snapshot, board, seconds_left
from stableft.execution import planning
from stableft.execution.planning import Plan, Planned
from stableft.storage import run_state as states
from stableft.storage import run_summary as outcomes
from stableft.storage.run_state import RunProgress, RunStatus
from stableft.storage.store import Store

SECONDS = 1.0  # between two looks
IDLE_LOOKS = 10  # after which a command that recomputes collected runs counts as gone; a process takes seconds to start
Cells = Sequence[tuple[Planned, RunStatus]]


def cell_states(planned: Plan, store: Store) -> Cells:
    """Returns the cells of a grid with their states; one whose inputs are absent is pending."""
    return [(p, states.run_status(store, p.run_id, p.collected) if p.run_id else RunStatus("pending")) for p in planned.cells]


def running_runs(cells: Cells) -> list[Running]:
    """Returns the running ones, with the progress that their processes have recorded."""
    return [_running(p, seen.progress) for p, seen in cells if seen.state == "running"]


def _running(p: Planned, doing: RunProgress | None) -> Running:
    start = Running(cell_name(p), p.cell.task)
    return replace(start, step=doing.step, total=doing.total, loss=doing.loss, seconds=doing.seconds) if doing else start


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
        """Returns the grid as it is now."""
        cells = self._cells_now()
        counts = Counter(seen.state for _, seen in cells)
        times: dict[str, list[float]] = defaultdict(list)
        for p, seen in cells:
            if seen.state == "done" and p.run_id and (brief := self._brief(p.run_id)):
                counts["diverged"] += brief.outcome == "diverged"
                if brief.seconds is not None:
                    times[p.cell.task].append(brief.seconds)
        running = running_runs(cells)
        pending = [p.cell.task for p, seen in cells if seen.state == "pending"]
        grid = self._plan.grid
        return Snapshot(
            f"{grid.name} ({grid.protocol.name})",
            counts,
            running,
            [seen.failure for _, seen in cells if seen.failure],
            seconds_left(running, pending, times, len(running), self._known),
        )

    def _cells_now(self) -> Cells:
        """Returns the cells. While a command runs the grid, collected runs without a record are pending."""
        cells = cell_states(self._plan, self._store)
        self._idle = 0 if any(seen.state == "running" for _, seen in cells) else self._idle + 1
        if self._idle <= IDLE_LOOKS:
            return cells
        return [(p, RunStatus("done") if seen.state == "pending" and p.run_id in self._collected else seen) for p, seen in cells]

    def _brief(self, run_id: str) -> outcomes.RunSummary | None:
        if run_id not in self._briefs and (brief := outcomes.summarise_record(self._store, run_id)):
            self._briefs[run_id] = brief
        return self._briefs.get(run_id)


def watch_grid(console: Console, grid: Watch, sleep: Callable[[float], None] = time.sleep) -> None:
    """Shows a grid every second until nothing is left to do; off a terminal, each change is a line."""
    if not console.is_terminal:
        shown = ""
        while not (now := grid.look()).over:
            if now.line != shown:
                shown = now.line
                console.print(f"{datetime.now():%H:%M:%S} {now.title}: {shown}; {now.eta}")
            sleep(SECONDS)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while not (now := grid.look()).over:
            live.update(board(now), refresh=True)
            sleep(SECONDS)
