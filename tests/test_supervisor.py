"""The supervisor against training processes that misbehave; what they run is replaced, the processes are real."""

import sys
import threading
import time
from pathlib import Path

import pytest

from stableft.encoders import Encoder
from stableft.supervisor import Status, Supervisor
from stableft.tasks import TaskData
from stableft.worker import Job
from tests.conftest import ConfigFactory
from tests.misbehaving import obey


@pytest.fixture
def job(toy_config: ConfigFactory, tmp_path: Path):
    def make(run_id: str) -> Job:
        data = TaskData((), ())
        return Job(run_id, toy_config(), Encoder("tiny-random", tmp_path, "w"), data, results=tmp_path)

    return make


def tries(folder: Path, run_id: str) -> int:
    return (folder / f"{run_id}.tries").stat().st_size


@pytest.mark.parametrize(
    ("what", "state", "attempts"),
    [
        ("fine", "done", 1),
        ("flaky", "done", 2),
        ("die", "killed", 2),
        ("crashed", "crashed", 2),
        ("refused", "refused", 1),
        ("io", "io", 1),
        ("oom", "oom", 2),
        ("busy", "busy", 1),
    ],
)
def test_every_end_is_a_status(job, tmp_path: Path, what: str, state: str, attempts: int):
    supervisor = Supervisor(lambda *_: None, target=obey)
    status = supervisor(job(what))
    supervisor.stop()
    assert (status.state, status.attempts, tries(tmp_path, what)) == (state, attempts, attempts)
    if what == "die":
        assert "signal 9" in status.detail


def test_a_run_that_takes_too_long_is_ended_and_the_next_one_gets_a_process(job):
    supervisor = Supervisor(lambda *_: None, timeout=1, target=obey)
    slow = supervisor(job("sleep"))
    supervisor._timeout = None  # starting a process on a busy machine can itself take a second
    fine = supervisor(job("fine"))
    supervisor.stop()
    assert (slow.state, slow.detail, slow.attempts, fine.state) == ("timeout", "took more than 1 s", 1, "done")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each training process imports for itself")
def test_training_processes_are_forked_from_one_that_has_imported_everything(job):
    """A module that can't be preloaded would be left out in silence, and every process would import it again."""
    supervisor = Supervisor(lambda *_: None, target=obey)
    status = supervisor(job("loaded"))
    supervisor.stop()
    assert status.detail == "stableft.finetune torch"


def test_progress_is_reported(job):
    seen = []
    supervisor = Supervisor(lambda *event: seen.append(event[1:]), target=obey)
    supervisor(job("fine"))
    supervisor.stop()
    assert seen == [(1, 2, 0.5)]


def test_stop_ends_runs_in_flight_at_once_and_starts_no_more(job):
    supervisor = Supervisor(lambda *_: None, target=obey)
    statuses: list[Status] = []
    thread = threading.Thread(target=lambda: statuses.extend(supervisor(job(name)) for name in ("sleep", "fine")))
    thread.start()
    time.sleep(1.5)
    supervisor.stop()
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert [status.state for status in statuses] == ["stopped", "stopped"]


@pytest.mark.parametrize("ending", ["stop", "timeout"])
def test_what_a_killed_process_was_writing_is_removed(job, tmp_path: Path, ending: str):
    supervisor = Supervisor(lambda *_: None, timeout=2 if ending == "timeout" else None, target=obey)
    thread = threading.Thread(target=supervisor, args=(job("write"),))
    thread.start()
    deadline = time.monotonic() + 10
    while not (draft := list((tmp_path / "runs").glob("*") if (tmp_path / "runs").exists() else ())):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert len(draft) == 1
    if ending == "timeout":
        thread.join(timeout=10)
    supervisor.stop()
    assert not list((tmp_path / "runs").iterdir())
    thread.join(timeout=10)


def test_the_same_process_serves_many_runs(job):
    supervisor = Supervisor(lambda *_: None, target=obey)
    for name in ("fine-1", "fine-2"):
        supervisor(job(name))
    assert len(supervisor._workers) == 1
    supervisor.stop()
