"""Dask: who the workers are, what they are sent, and what is said when something is missing."""

import contextlib
import dataclasses
import os
import pickle
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from distributed import Client, KilledWorker

from stableft.core.errors import MissingInput, Unreachable, UsageError
from stableft.execution.backends import dask_backend, dask_client, dask_payload, dask_worker
from stableft.execution.backends.base import Cluster
from stableft.execution.backends.dask_backend import connected
from stableft.execution.job import Job
from stableft.execution.supervisor import Supervisor
from stableft.models.encoders import Encoder
from stableft.storage import run_state as states
from stableft.storage.store import Store
from stableft.tasks import TaskData
from stableft.tasks.catalog import get_task
from tests.conftest import TAGGED, ConfigFactory, wait_for
from tests.helpers.misbehaving import obey

MakeJob = Callable[[str], Job]


@pytest.fixture
def client(scheduler: str) -> Iterator[Any]:
    with Client(scheduler, set_as_default=False) as made:
        yield made


@pytest.fixture
def heavy(job: MakeJob, toy_config: ConfigFactory) -> Job:
    """A job on a user's own files, which starts from another run; both on data of some size."""
    data = TAGGED.load()
    own = dataclasses.replace(TAGGED, name="own", load=partial(TaskData, data.train, data.validation, data.test))
    source = dataclasses.replace(job("source"), data=get_task("toy").load())
    return dataclasses.replace(job("fine"), data=data, task=own, sources={"intermediate": source})


def test_a_payload_holds_no_examples_and_unpacks_to_the_same_job(heavy: Job, tmp_path: Path):
    sent = pickle.dumps(dask_payload.pack(heavy))
    assert len(sent) < 3000 < len(pickle.dumps(heavy))
    received: dask_payload.JobPayload = pickle.loads(sent)
    folder = heavy.encoder.folder
    again = received.unpack(dask_payload.examples([heavy]), dict.fromkeys(dask_payload.encoders([heavy]), folder), None)
    assert dataclasses.replace(again, task=None) == dataclasses.replace(heavy, task=None)
    assert again.task is not None
    assert (again.task.name, again.task.labels) == ("own", TAGGED.labels)
    elsewhere = received.unpack(
        dask_payload.examples([heavy]), dict.fromkeys(dask_payload.encoders([heavy]), tmp_path / "e"), tmp_path / "r"
    )
    for each in dask_payload.family(elsewhere):
        assert (each.encoder.folder, each.results) == (tmp_path / "e", tmp_path / "r")


def test_relative_paths_are_the_senders(job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert dask_payload.pack(dataclasses.replace(job("fine"), results=Path("out"))).job.results == tmp_path / "out"


@pytest.mark.slow
def test_data_and_weights_travel_once_per_worker(scheduler: str, client: Any, heavy: Job, monkeypatch: pytest.MonkeyPatch):
    """Also to a second command: workers keep what they have by fingerprint."""
    dask_worker._CACHES.clear()
    sent: list[tuple[int, int]] = []
    ask = dask_backend._WorkerPool._ask

    def counted(self: Any, function: Any, *arguments: Any, **options: Any) -> Any:
        if function is dask_worker.receive:
            sent.extend([(len(arguments[0]), len(arguments[1]))] * len(options["workers"]))
        return ask(self, function, *arguments, **options)

    monkeypatch.setattr(dask_backend._WorkerPool, "_ask", counted)
    jobs = [dataclasses.replace(heavy, run_id=f"fine-{number}") for number in range(10)]
    for _ in range(2):
        supervisor = Supervisor(lambda *_: None, target=obey)
        with connected(Cluster(scheduler), lambda _: None) as backend:
            assert [status.state for status in backend(supervisor, jobs, 1)] == ["done"] * 10
    assert sent == [(2, 0)] * 2  # two workers, two sets of examples; the encoder's folder they see


def test_an_encoder_that_a_worker_does_not_see_is_sent_and_checked(client: Any, tiny_encoder: Encoder, tmp_path: Path):
    (address, *_) = client.nthreads()
    hidden = dataclasses.replace(tiny_encoder, folder=tmp_path / "not" / "there", fingerprint=tiny_encoder.fingerprint)
    dask_worker._CACHES.clear()

    def lacking() -> frozenset[str]:
        return client.run(dask_worker.describe, None, [], [hidden], workers=[address])[address].encoders

    assert lacking() == {tiny_encoder.fingerprint}
    files = dask_payload.files(tiny_encoder)
    damaged = {**files, "model.safetensors": files["model.safetensors"][:-1] + b"x"}
    with pytest.raises(MissingInput, match="arrived damaged"):
        client.run(dask_worker.receive, {}, [(hidden, damaged)], workers=[address])
    assert lacking() == {tiny_encoder.fingerprint}
    client.run(dask_worker.receive, {}, [(hidden, files)], workers=[address])
    assert lacking() == frozenset()


def test_an_encoder_of_that_path_but_another_content_is_not_taken(client: Any, tiny_encoder: Encoder, tmp_path: Path):
    (address, *_) = client.nthreads()
    dask_worker._CACHES.clear()
    other = tmp_path / "encoder"
    shutil.copytree(tiny_encoder.folder, other)
    (other / "vocab.txt").write_text("[PAD]\nother\n", encoding="utf-8")
    asked = dataclasses.replace(tiny_encoder, folder=other)
    assert client.run(dask_worker.describe, None, [], [asked], workers=[address])[address].encoders == {tiny_encoder.fingerprint}


def test_examples_that_arrive_damaged_are_refused(client: Any):
    data = TAGGED.load()
    with pytest.raises(MissingInput, match="examples arrived damaged"):
        client.run(dask_worker.receive, {"0" * 64: data}, [])


def test_a_worker_that_has_forgotten_is_sent_all_again(scheduler: str, job: MakeJob):
    """As one that was started anew at the same address, between two looks at who is there."""
    supervisor = Supervisor(lambda *_: None, target=obey)
    states = []
    with connected(Cluster(scheduler), lambda _: None) as backend:
        for status in backend(supervisor, [job(f"fine-{number}") for number in range(6)], 1):
            states.append(status.state)
            dask_worker._CACHES.clear()
    assert states == ["done"] * 6


def test_another_version_is_refused_and_both_are_named():
    here = {"python": "3.11", "torch": "2.13.0", "stableft's source": "aaa (commit 1)"}
    dask_backend._refuse_other_versions("tcp://w:1", here, here)
    dask_backend._refuse_other_versions("tcp://w:1", {**here, "stableft's source": "aaa (commit 2+)"}, here)  # equal source
    there = {"python": "3.11", "torch": "2.12.0", "stableft's source": "bbb (commit 2)", "joblib": "1.6"}
    with pytest.raises(UsageError) as refused:
        dask_backend._refuse_other_versions("tcp://w:1", there, here)
    for part in (
        "tcp://w:1",
        "torch 2.12.0 there, 2.13.0 here",
        "source bbb (commit 2) there, aaa (commit 1) here",
        "joblib 1.6 there",
    ):
        assert part in str(refused.value)


def test_versions_are_compared_before_the_first_run(scheduler: str, job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    describe, versions = dask_worker.describe, dask_worker.versions

    def older(probe: Any, data: Any, encoders: Any, dask_worker: Any) -> dask_worker.WorkerInfo:
        return dataclasses.replace(describe(probe, data, encoders, dask_worker), versions={**versions(), "torch": "1.0"})

    monkeypatch.setattr(dask_worker, "describe", older)
    supervisor = Supervisor(lambda *_: None, target=obey)
    with (
        connected(Cluster(scheduler), lambda _: None) as backend,
        pytest.raises(UsageError, match=r"Dask worker tcp://.* torch 1.0 there"),
    ):
        list(backend(supervisor, [job("fine")], 1))
    assert not list(tmp_path.glob("*.tries"))


def test_a_worker_that_does_not_see_the_results_is_refused_and_gather_is_named(
    scheduler: str, job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    describe = dask_worker.describe
    monkeypatch.setattr(
        dask_worker, "describe", lambda probe, data, encoders, dask_worker: describe(tmp_path / "no", data, encoders, dask_worker)
    )
    supervisor = Supervisor(lambda *_: None, target=obey)
    with (
        connected(Cluster(scheduler), lambda _: None) as backend,
        pytest.raises(MissingInput, match=r"does not see the results folder .* add --gather"),
    ):
        list(backend(supervisor, [job("fine")], 1))
    assert not list(tmp_path.glob("*.tries"))
    assert not list(tmp_path.glob(".*"))  # the file that workers look for is gone


def test_nobody_there(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dask_client, "CONNECT_SECONDS", 0.5)
    with (
        pytest.raises(Unreachable, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"),
        connected(Cluster("tcp://127.0.0.1:9"), lambda _: None),
    ):
        pass
    assert Unreachable.exit_code == 74


def test_a_run_under_which_too_many_workers_died_is_killed_and_others_go_on(job: MakeJob):
    class Ended:
        def result(self) -> None:
            raise KilledWorker("key", SimpleNamespace(address="tcp://w:1"), 3)  # pyright: ignore[reportArgumentType]

    pool = dask_backend._WorkerPool(None, Supervisor(lambda *_: None), [job("fine")], False, print)
    future: Any = Ended()
    pool._flying[future] = contextlib.ExitStack()
    status = pool.status(future, job("fine"))
    assert status is not None
    assert (status.state, status.attempts) == ("killed", 4)
    assert status.detail == "4 Dask workers died while running it, the last at tcp://w:1"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"address": null}x'])
def test_a_file_that_is_no_scheduler_file(tmp_path: Path, content: str):
    path = tmp_path / "scheduler.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(MissingInput, match=r"scheduler\.json is no scheduler file of Dask"), connected(Cluster(str(path)), print):
        pass


def test_tls_without_certificates_or_with_absent_ones(tmp_path: Path):
    with pytest.raises(UsageError, match="speaks TLS"), connected(Cluster("tls://127.0.0.1:9"), print):
        pass
    absent = tmp_path / "no.pem"
    with (
        pytest.raises(MissingInput, match="TLS: no file"),
        connected(Cluster("tls://127.0.0.1:9", None, False, *[absent] * 3), print),
    ):
        pass


def test_with_gather_another_command_that_is_at_a_run_keeps_it(scheduler: str, job: MakeJob, tmp_path: Path):
    supervisor = Supervisor(lambda *_: None, target=obey)
    with connected(Cluster(scheduler, gather=True), lambda _: None) as backend:
        with Store(tmp_path).try_lock("fine"):
            # A lock is a process's; flock tells two openings of a file apart, so here it can be its own rival.
            assert [status.state for status in backend(supervisor, [job("fine")], 1)] == ["busy"]
        assert [status.state for status in backend(supervisor, [job("fine")], 1)] == ["done"]


def test_with_gather_a_run_in_flight_is_seen_in_the_results_folder(scheduler: str, job: MakeJob, tmp_path: Path):
    supervisor, store = Supervisor(lambda *_: None, target=obey), Store(tmp_path)
    with connected(Cluster(scheduler, gather=True), lambda _: None) as backend:
        thread = threading.Thread(target=lambda: list(backend(supervisor, [job("sleep")], 1)))
        thread.start()
        wait_for(lambda: states.run_status(store, "sleep").progress is not None)
        supervisor.stop()
        thread.join(timeout=20)
    assert states.run_status(store, "sleep").state == "pending"


@pytest.mark.parametrize(
    ("status", "tasks", "idle", "unwanted"),
    [
        ("running", {"a": "executing"}, 0.0, False),
        ("paused", {"a": "executing"}, 1e9, False),
        ("running", {"a": "cancelled"}, 0.0, True),  # its command cancelled it, or is gone
        ("running", {}, 0.0, True),
        ("closing", {"a": "executing"}, 0.0, True),
        ("running", None, 0.0, False),
        ("running", None, 1e9, True),
    ],
)
def test_when_a_worker_lets_training_processes_go(status: str, tasks: dict[str, str] | None, idle: float, unwanted: bool):
    processes = dask_worker._CommandProcesses(Supervisor(lambda *_: None), keys=set() if tasks is None else {"a"})
    processes.last -= idle
    known = {key: SimpleNamespace(state=state) for key, state in (tasks or {}).items()}
    worker = SimpleNamespace(status=SimpleNamespace(name=status), state=SimpleNamespace(tasks=known))
    assert processes.unwanted(worker) is unwanted


@pytest.mark.slow
def test_a_local_cluster_leaves_the_environment_as_it_was():
    before = dict(os.environ)
    with dask_client.local_cluster(1):
        assert os.environ != before, "else there is nothing to test: Dask no longer writes its settings there"
    assert os.environ == before
