"""The supervisor against training processes that misbehave; what they run is replaced, the processes are real."""

import os
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from stableft.core.errors import UsageError
from stableft.execution.backends.base import local
from stableft.execution.job import Job
from stableft.execution.supervisor import Status, Supervisor, retries
from stableft.models.encoders import Encoder
from stableft.tasks import TaskData
from tests.conftest import ConfigFactory, wait_for
from tests.helpers.misbehaving import obey


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


@pytest.mark.parametrize(
    ("asked", "attempts"),
    [
        ("0", {"die": 1, "oom": 1, "crashed": 1, "sleep": 1, "refused": 1}),
        ("2", {"die": 3, "oom": 3, "crashed": 3, "sleep": 1, "refused": 1}),
        ("oom=0, killed=2,timeout=1", {"die": 3, "oom": 1, "crashed": 2, "sleep": 2, "refused": 1}),
    ],
)
def test_failures_are_retried_by_kind(job, tmp_path: Path, asked: str, attempts: dict[str, int]):
    supervisor = Supervisor(lambda *_: None, max_retries=retries(asked), timeout=0.6, target=obey)
    found = {what: supervisor(job(what)).attempts for what in attempts}
    supervisor.stop()
    assert found == attempts
    assert {what: tries(tmp_path, what) for what in attempts} == attempts


@pytest.mark.parametrize("asked", ["", "-1", "x", "oom", "oom=x", "refused=1", "oom=1,,killed=1", "1.5"])
def test_retries_that_cant_be(asked: str):
    with pytest.raises(UsageError, match="kinds: oom, crashed, killed, timeout"):
        retries(asked)


def test_each_process_has_one_gpu_and_a_dead_one_frees_it(job):
    """Two on each of two GPUs; one process is killed, and the next one gets its place."""
    supervisor = Supervisor(lambda *_: None, max_retries=0, target=obey, slots=["3", "GPU-x", "3", "GPU-x"])
    names = [f"slot-{number}" for number in range(8)] + ["die-1"] + [f"slot-{number}" for number in range(8, 16)]
    for names_at_once in (names, names):  # other threads supervise the second time, the processes stay
        statuses = list(local(supervisor, [job(name) for name in names_at_once], 4))
        assert [status.state for status in statuses if status.job.run_id == "die-1"] == ["killed"]
        at = {tuple(status.detail.split()) for status in statuses if status.state == "done"}
        assert {gpu for gpu, _ in at} == {"3", "GPU-x"}
        alive = Counter(worker.slot for worker in supervisor._workers if worker.process.is_alive())
        assert all(number <= 2 for number in alive.values()), alive
    assert len(supervisor._workers) <= 4 + 2
    supervisor.stop()
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_a_run_that_takes_too_long_is_ended_and_the_next_one_gets_a_process(job):
    supervisor = Supervisor(lambda *_: None, timeout=1, target=obey)
    slow = supervisor(job("sleep"))
    fine = supervisor(job("fine"))
    supervisor.stop()
    assert slow.seconds >= 1
    assert (slow.state, slow.detail, slow.attempts, fine.state) == ("timeout", "took more than 1 s", 1, "done")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each training process imports for itself")
def test_training_processes_are_forked_from_one_that_has_imported_everything(job):
    """A module that can't be preloaded would be left out in silence, and every process would import it again."""
    supervisor = Supervisor(lambda *_: None, target=obey)
    status = supervisor(job("loaded"))
    supervisor.stop()
    assert status.detail == "stableft.execution.preload torch transformers.models.bert.modeling_bert"


def test_a_run_is_told_how_often_it_was_started(job):
    supervisor = Supervisor(lambda *_: None, target=obey)
    assert supervisor(job("flaky-told")).detail == "attempt 2"
    assert supervisor(replace(job("told"), attempts=4)).detail == "attempt 4"  # what was tried before, by whomever, counts too
    supervisor.stop()


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
    wait_for(lambda: len(list((tmp_path / "runs").glob("*"))) == 1, 10)
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
