"""Progress of a grid: its estimated end, the lines of `run` and its live board."""

import io
import re
import time
from pathlib import Path

import pytest
from rich.console import Console

from experiments import adam
from experiments.protocol import SMOKE
from stableft.cli.progress import GridProgress, Running, board, live_progress, seconds_left
from stableft.core.grid import select
from stableft.execution.inputs import Inputs
from stableft.execution.planning import Plan, plan
from stableft.execution.runner import ExecutionOptions, job
from stableft.execution.supervisor import ExitKind, Status
from stableft.storage.store import Store
from tests.conftest import wait_for

GRID = select(adam.grid(SMOKE), seeds=[0, 1])


def on(terminal: bool) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, force_terminal=terminal, width=160, height=20, highlight=False, markup=False, emoji=False), out


def statuses(planned: Plan, store: Store) -> list[Status]:
    """The first is done, the second has failed, the third diverged, the fourth was stopped."""
    ends: list[tuple[ExitKind, str, float]] = [
        ("done", "ok", 2.0),
        ("oom", "too little memory", 2.0),
        ("done", "diverged", 2.0),
        ("stopped", "", 0.0),
    ]
    jobs = [job(run_id, config, store, Inputs(), ExecutionOptions()) for run_id, config in planned.jobs.items()]
    return [Status(each, *end) for each, end in zip(jobs, ends, strict=True)]


def test_a_running_run_goes_by_its_own_pace_and_others_by_finished_ones():
    running = [Running("a", "toy", step=6, total=10, seconds=8.0, first=2), Running("b", "toy")]
    assert running[0].seconds_left == pytest.approx(8.0)
    assert running[1].seconds_left is None
    assert seconds_left(running, ["toy", "rte"], {"toy": [1.0, 3.0, 50.0]}, 2, {"rte": 6.0}) == pytest.approx((8 + 3 + 3 + 6) / 2)
    assert seconds_left(running, ["toy", "rte"], {"toy": [1.0]}, 2) is None, "nothing is known of rte"
    assert seconds_left([], ["toy"], {"toy": [1.0]}, 0) is None, "nothing runs"
    assert seconds_left([], [], {}, 0) == 0.0


def test_off_a_terminal_each_finished_run_is_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    console, out = on(terminal=False)
    store = Store(tmp_path)
    planned = plan(GRID, store, Inputs())
    with live_progress(console, planned) as progress:
        for status in statuses(planned, store):
            now += 2
            progress.end(status)
    lines = out.getvalue().splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in lines)
    assert [line.split(" ", 1)[1] for line in lines] == [
        "done toy / corrected / 0 (ok) 2 s [1/4, eta 0 min 06 s]",
        "oom toy / uncorrected / 0 (too little memory) [2/4, eta 0 min 04 s, 1 failed]",
        "done toy / corrected / 1 (diverged) 2 s [3/4, eta 0 min 02 s, 1 failed, 1 diverged]",
    ]


def test_off_a_terminal_a_minute_of_silence_is_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    console, out = on(terminal=False)
    store = Store(tmp_path)
    planned = plan(GRID, store, Inputs())
    progress = GridProgress(console, planned, {"toy": 100.0})
    ended = statuses(planned, store)

    def lines() -> list[str]:
        progress.remind()
        text = [line.split(" ", 1)[1] for line in out.getvalue().splitlines()]
        out.seek(0)
        out.truncate()
        return text

    now = 59.0
    assert lines() == []
    now = 60.0
    assert lines() == ["running starting [0/4, eta not known yet]"]
    assert lines() == []
    for status in ended[:2]:
        progress.step(status.job, 0, 24, 0.5)
    now = 120.0
    progress.step(ended[0].job, 6, 24, 0.5)
    (line,) = lines()
    one, other = line.removeprefix("running toy / corrected / 0: ").split("; toy / uncorrected / 0: ")
    assert one == "step 6 of 24, loss 0.500, 1 min 00 s"
    assert other.startswith("step 0 of 24, ")
    assert line.endswith("[0/4, eta 4 min 00 s]")  # 3 min by its own pace, and three expected to take 100 s; two at a time
    now = 170.0
    progress.end(ended[0])
    assert len(lines()) == 1
    now = 229.0
    assert lines() == [], "the end of a run was a line"
    now = 230.0
    assert len(lines()) == 1


def test_lines_come_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("stableft.cli.progress.QUIET_SECONDS", 0.05)
    console, out = on(terminal=False)
    with live_progress(console, plan(GRID, Store(tmp_path), Inputs())):
        wait_for(lambda: out.getvalue().count("running starting") >= 2, 10)


def test_on_a_terminal_it_is_a_board_with_a_line_for_each_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    console, out = on(terminal=True)
    store = Store(tmp_path)
    planned = plan(GRID, store, Inputs())
    progress = GridProgress(console, planned)
    console.print(board(progress.snapshot()))
    assert "adam (smoke): 0 done, 0 running, 4 pending; starting" in out.getvalue()
    out.seek(0)
    out.truncate()
    ended = statuses(planned, store)
    for step in (0, 3):
        now += 2
        progress.step(ended[3].job, step, 24, 0.5)
    for status in ended[:3]:
        progress.end(status)
    assert [line.split(" ", 1)[1].split(" [")[0] for line in out.getvalue().splitlines()] == [
        "oom toy / uncorrected / 0 (too little memory)"
    ]
    console.print(board(progress.snapshot()))
    text = out.getvalue()
    # 8 s of runs in 4 s: two at a time. The run that is left does 3 steps in 2 s.
    for part in (
        "adam (smoke): 2 done, 1 running, 0 pending, 1 oom, 1 diverged; about 0 min 07 s left",
        "3 of 4",
        "toy / uncorrected / 1",
        "step 3 of 24, loss 0.500, 0 min 02 s",
    ):
        assert part in text
