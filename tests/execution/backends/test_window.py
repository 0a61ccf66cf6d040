"""The window of futures, with futures that the test ends itself."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest

from stableft.execution.backends import window
from stableft.execution.job import Job
from stableft.execution.supervisor import Status, Supervisor

MakeJob = Callable[[str], Job]


class Fake:
    """Runs are over as soon as they are begun, with what their name says."""

    def __init__(self, slots: int = 2) -> None:
        self.room = slots
        self.begun: list[str] = []
        self.most = self.flying = 0

    def slots(self) -> int:
        return self.room

    def submit(self, job: Job) -> "Future[Status | None] | Status":
        self.begun.append(job.run_id)
        if job.run_id.startswith("busy"):
            return Status(job, "busy", "")
        self.flying += 1
        self.most = max(self.most, self.flying)
        future: Future[Status | None] = Future()
        again = job.run_id.startswith("again") and self.begun.count(job.run_id) < 3
        state = "stopped" if job.run_id.startswith("stopped") and self.begun.count(job.run_id) < 2 else "done"
        threading.Timer(0.005, lambda: future.set_result(None if again else Status(job, state, ""))).start()
        return future

    def status(self, future: "Future[Status | None]", job: Job) -> Status | None:
        self.flying -= 1
        return future.result()


def ends(statuses: Iterator[Status]) -> dict[str, str]:
    found = [(status.job.run_id, status.state) for status in statuses]
    assert len(dict(found)) == len(found), "none ends twice"
    return dict(found)


def supervisor() -> Supervisor:
    return Supervisor(lambda *_: None)


@pytest.mark.parametrize("slots", [1, 3, 100])
def test_every_job_ends_once_and_no_more_are_in_flight_than_there_is_room_for(job: MakeJob, slots: int):
    pool = Fake(slots)
    names = [f"fine-{number}" for number in range(10)] + ["busy-1"]
    assert ends(window.run_window(pool, supervisor(), [job(name) for name in names])) == {
        **dict.fromkeys(names[:-1], "done"), "busy-1": "busy",
    }  # fmt: skip
    assert pool.most <= slots


def test_a_run_is_done_again_that_was_lost_or_stopped_by_nobody_here(job: MakeJob):
    pool = Fake()
    assert ends(window.run_window(pool, supervisor(), [job("again"), job("stopped")])) == {"again": "done", "stopped": "done"}
    assert sorted(pool.begun) == ["again"] * 3 + ["stopped"] * 2


def test_workers_may_come_late(job: MakeJob, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(window, "TICK", 0.01)
    pool = Fake(0)
    threading.Timer(0.1, lambda: setattr(pool, "room", 1)).start()
    assert ends(window.run_window(pool, supervisor(), [job("fine")])) == {"fine": "done"}


@pytest.mark.parametrize("how", ["drain", "stop"])
def test_halting_between_two_ends(job: MakeJob, how: str):
    """After ``drain`` what is in flight is waited for, after ``stop`` it isn't; what did not begin is told as stopped."""
    pool, watch = Fake(2), supervisor()
    found = window.run_window(pool, watch, [job(f"fine-{number}") for number in range(6)])
    first = next(found)
    getattr(watch, how)()
    rest = ends(found)
    assert first.state == "done"
    assert list(rest.values()).count("done") == (1 if how == "drain" else 0)
    assert set(rest.values()) <= {"done", "stopped"}
    assert len(rest) == 5
    assert len(pool.begun) == 2
