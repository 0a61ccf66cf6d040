"""A grid as another terminal sees it: states, and when it will be over."""

import io
import time
from pathlib import Path

import pytest
from rich.console import Console

from experiments import adam
from experiments.protocol import SMOKE
from stableft.cli import watch
from stableft.core.grid import select
from stableft.execution.inputs import Inputs
from stableft.execution.planning import plan
from stableft.storage import run_state
from stableft.storage.records import CellKey
from stableft.storage.run_state import RunProgress
from stableft.storage.store import Store
from tests.storage.test_run_state import failure
from tests.storage.test_store import record

GRID = select(adam.grid(SMOKE), seeds=[0, 1])


class Clockwork:
    """Does the runs of a grid one after the other; each lasts for three looks."""

    def __init__(self, store: Store) -> None:
        self.store, self.runs = store, [p.run_id or "" for p in plan(GRID, store, Inputs()).cells]
        self.looks, self.lock = 0, None

    def tick(self, _: float) -> None:
        number, phase = divmod(self.looks, 3)
        self.looks += 1
        if phase == 0:
            self.lock = self.store.try_lock(self.runs[number])
            self.file = self.lock.__enter__()
        elif phase == 1:
            assert self.file is not None
            progress = RunProgress(pid=1, step=2, total=8, loss=0.25, seconds=10.0, updated="2099-01-01T00:00:00+00:00")
            self.file.write(progress.model_dump_json().encode())
        else:
            if number == 1:
                run_state.note(self.store, failure(self.runs[number], "oom"))
            else:
                self.store.write(record(self.runs[number], outcome="diverged" if number == 2 else "ok"))
            assert self.lock is not None
            self.lock.__exit__(None, None, None)


def watched(store: Store, terminal: bool) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=160, height=20, highlight=False, markup=False, emoji=False)
    work = Clockwork(store)
    watch.watch_grid(console, watch.Watch(plan(GRID, store, Inputs()), store), sleep=work.tick)
    assert work.looks == 12
    return out.getvalue()


def test_off_a_terminal_each_change_is_a_line(tmp_path: Path):
    lines = [line.split(": ", 1)[1] for line in watched(Store(tmp_path), terminal=False).splitlines()]
    assert lines[:5] == [
        "0 done, 0 running, 4 pending; no command is running this grid",
        "0 done, 1 running, 3 pending; time left: not known yet",
        "1 done, 0 running, 3 pending; no command is running this grid",
        "1 done, 1 running, 2 pending; about 0 min 04 s left",  # a run took 1.5 s, this one and two more are left
        "1 done, 0 running, 2 pending, 1 oom; no command is running this grid",
    ]
    assert len(lines) == 8
    assert lines[-1] == "2 done, 1 running, 0 pending, 1 oom, 1 diverged; about 0 min 02 s left"


def test_on_a_terminal_it_is_a_board(tmp_path: Path):
    text = watched(Store(tmp_path), terminal=True)
    for part in ("adam (smoke): 1 done, 1 running", "  toy / ", "step 2 of 8, loss 0.250, 0 min 10 s", "oom: toy / corrected / 0"):
        assert part in text


def test_the_time_left_goes_by_a_runs_own_pace_where_nothing_is_known(tmp_path: Path):
    store = Store(tmp_path)
    planned = plan(select(GRID, arms=["corrected"], seeds=[0]), store, Inputs())
    work = Clockwork(store)
    work.runs = [planned.cells[0].run_id or ""]
    grid = watch.Watch(planned, store)
    work.tick(0)
    work.tick(0)
    assert grid.look().left == pytest.approx(10 / 2 * 6)


def test_what_a_fresh_clone_has_only_collected_is_left_to_do_while_a_command_recomputes_it(tmp_path: Path):
    store = Store(tmp_path)
    cells = plan(GRID, store, Inputs()).cells
    for p in cells:
        store.write(record(p.run_id or ""))
    store.collect("smoke", "adam", [CellKey("adam", p.cell.arm, p.cell.task, p.cell.seed, p.run_id or "") for p in cells])
    for p in cells:
        store.path(p.run_id or "").unlink()
    planned = plan(GRID, store, Inputs())
    work, grid = Clockwork(store), watch.Watch(planned, store)
    assert grid.look().over
    work.tick(0)
    assert grid.look().line == "0 done, 1 running, 3 pending"
    work.tick(0)
    work.tick(0)
    for _ in range(watch.IDLE_LOOKS):  # the next process is about to start
        now = grid.look()
        assert (now.line, now.over) == ("1 done, 0 running, 3 pending", False)
    now = grid.look()  # no command is running it any more
    assert (now.line, now.over) == ("1 done, 0 running, 0 pending, 3 collected", True)
    assert now.eta == "no command is running this grid"


def test_a_clock_that_jumps_changes_no_estimate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    before = watched(Store(tmp_path / "a"), terminal=False)
    ticks = iter(range(10**9, 0, -(10**6)))
    monkeypatch.setattr(time, "time", lambda: float(next(ticks)))
    after = watched(Store(tmp_path / "b"), terminal=False)
    assert [line.split(" ", 1)[1] for line in before.splitlines()] == [line.split(" ", 1)[1] for line in after.splitlines()]
