"""What every backend promises: the same numbers, and that nothing that happens to a run happens to another."""

import io
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from joblib.externals.loky.backend import context as loky_context

from benchmarks import engine
from experiments import adam
from experiments.protocol import SMOKE
from stableft.core.errors import UsageError
from stableft.core.grid import select
from stableft.execution.backends.backend_registry import BACKENDS, backend, canonical
from stableft.execution.backends.base import Cluster
from stableft.execution.collect import collect
from stableft.execution.inputs import Inputs
from stableft.execution.job import Job
from stableft.execution.planning import plan
from stableft.execution.runner import ExecutionOptions, run_grid, runs_at_a_time
from stableft.execution.supervisor import Status, Supervisor
from stableft.storage.records import Results
from stableft.storage.store import Store
from tests.conftest import wait_for
from tests.helpers.misbehaving import obey
from tests.storage.test_store import record

EVERY = ["serial", "local", "dask", "gather"]
PARALLEL = EVERY[1:]
GRID = select(adam.grid(SMOKE), seeds=[0])


def results(folder: Path, execution: ExecutionOptions) -> Results:
    store, inputs = Store(folder), Inputs()
    statuses = list(run_grid(plan(GRID, store, inputs), store, inputs, execution))
    assert [(status.state, status.attempts) for status in statuses] == [("done", 1)] * 2
    found = collect(GRID, store, inputs)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return results(tmp_path_factory.mktemp("reference"), ExecutionOptions("serial"))


@pytest.mark.parametrize("name", ["dask", "gather"])  # of local in test_runner.py
def test_the_collected_tables_are_equal_value_for_value(reference: Results, scheduler: str, tmp_path: Path, name: str):
    found = results(tmp_path, ExecutionOptions("dask", cluster=Cluster(scheduler, gather=name == "gather")))
    pd.testing.assert_frame_equal(found.metrics, reference.metrics, check_exact=True)
    pd.testing.assert_frame_equal(found.predictions, reference.predictions, check_exact=True)
    identity = ["arm", "task", "seed", "run_id", "outcome", "trajectory_sha256"]
    pd.testing.assert_frame_equal(found.runs[identity], reference.runs[identity])


@pytest.mark.parametrize("name", EVERY)
def test_what_happens_to_a_run_happens_to_no_other(job: Callable[[str], Job], opened, name: str):
    supervisor = Supervisor(lambda *_: None, target=obey)
    names = ["fine-1", "die-1", "refused-1", "fine-2", "crashed-1", "oom-1", "io-1", "busy-1", "flaky-1", "fine-3"]
    with opened(name) as backend:
        ends = {s.job.run_id: (s.state, s.attempts) for s in backend(supervisor, [job(name) for name in names], 2)}
    supervisor.stop()
    assert ends == {
        "fine-1": ("done", 1), "fine-2": ("done", 1), "fine-3": ("done", 1), "flaky-1": ("done", 2), "die-1": ("killed", 2),
        "refused-1": ("refused", 1), "crashed-1": ("crashed", 2), "oom-1": ("oom", 2), "io-1": ("io", 1), "busy-1": ("busy", 1),
    }  # fmt: skip


@pytest.mark.parametrize("name", EVERY)
def test_a_run_that_hangs_is_ended_and_the_next_one_is_done(job: Callable[[str], Job], opened, name: str):
    hasty, patient = (Supervisor(lambda *_: None, timeout=timeout, target=obey) for timeout in (1, None))
    with opened(name) as backend:
        ends = [(s.state, s.attempts) for s in (*backend(hasty, [job("sleep")], 1), *backend(patient, [job("fine")], 1))]
    hasty.stop()
    patient.stop()
    assert ends == [("timeout", 1), ("done", 1)]


@pytest.mark.parametrize("name", EVERY)
def test_a_run_that_has_a_record_by_then_is_not_done_again(job: Callable[[str], Job], opened, tmp_path: Path, name: str):
    path = Store(tmp_path).write(record("there", outcome="diverged"))
    written = path.stat().st_mtime_ns
    supervisor = Supervisor(lambda *_: None)
    with opened(name) as backend:
        ends = [(s.state, s.detail, s.seconds) for s in backend(supervisor, [job("there")], 1)]
    supervisor.stop()
    assert ends == [("done", "diverged", 1.5)], "as the record says, whoever wrote it"
    assert path.stat().st_mtime_ns == written


@pytest.mark.parametrize("name", EVERY)
def test_progress_arrives(job: Callable[[str], Job], opened, name: str):
    seen: list[tuple[str, int, int, float]] = []
    supervisor = Supervisor(lambda job, *event: seen.append((job.run_id, *event)), target=obey)
    with opened(name) as backend:
        assert [status.state for status in backend(supervisor, [job("fine")], 1)] == ["done"]
        wait_for(lambda: bool(seen), 5)
    supervisor.stop()
    assert seen == [("fine", 1, 2, 0.5)]


@pytest.mark.parametrize("name", PARALLEL)
def test_stop_ends_runs_in_flight_and_starts_no_more(job: Callable[[str], Job], opened, tmp_path: Path, name: str):
    supervisor = Supervisor(lambda *_: None, target=obey)
    statuses: list[Status] = []
    jobs = [job(f"sleep-{number}") for number in range(4)]
    with opened(name) as backend:
        thread = threading.Thread(target=lambda: statuses.extend(backend(supervisor, jobs, 2)))
        thread.start()
        if name != "gather":
            wait_for(lambda: len(list(tmp_path.glob("*.tries"))) == 2, 200)
        supervisor.stop()
        thread.join(timeout=20)
        assert not thread.is_alive()
    assert sorted((status.job.run_id, status.state) for status in statuses) == [(each.run_id, "stopped") for each in jobs]


@pytest.mark.parametrize("name", PARALLEL)
def test_drain_lets_runs_in_flight_end_and_starts_no_more(job: Callable[[str], Job], opened, name: str):
    supervisor = Supervisor(lambda *_: supervisor.drain(), target=obey)  # by the first to report progress
    with opened(name) as backend:
        ends = [status.state for status in backend(supervisor, [job(f"fine-{number}") for number in range(20)], 2)]
    supervisor.stop()
    assert len(ends) == 20
    assert set(ends) == {"done", "stopped"}


@pytest.mark.parametrize(
    ("backend", "workers", "cluster", "message"),
    [
        ("local", None, Cluster("tcp://a:1"), "options of --backend dask"),
        ("dask", None, Cluster(), "needs either --scheduler ADDRESS or --local-cluster N"),
        ("dask", None, Cluster("tcp://a:1", 2), "needs either"),
        ("dask", 3, Cluster("tcp://a:1"), "leave --jobs out"),
        ("dask", None, Cluster("tls://a:1", tls_ca=Path("ca.pem")), "--tls-ca, --tls-cert and --tls-key together"),
        ("dask", None, Cluster(None, 2, False, *[Path("x.pem")] * 3), "and --scheduler tls://"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(backend: str, workers: int | None, cluster: Cluster, message: str):
    with pytest.raises(UsageError, match=message):
        cluster.check(backend, workers)


def test_every_backend_is_tested_here():
    assert {"serial", "local", "dask"} == BACKENDS.keys()


def test_an_earlier_name_is_accepted():
    assert canonical("threads") == canonical("local") == "local"
    assert backend("threads") is BACKENDS["local"]


def test_a_backend_that_is_gone_is_refused_and_the_others_are_named():
    with pytest.raises(UsageError, match="unknown backend 'loky'; known: serial, local, dask"):
        backend("loky")


@pytest.mark.parametrize(
    ("quota", "affinity", "limit", "expected"),
    [
        ("max 100000", 64, None, 64),
        ("150000 100000", 64, None, 2),  # of one and a half cores' time
        ("50000 100000", 64, None, 1),
        ("max 100000", 3, None, 3),
        ("max 100000", 64, "5", 5),
    ],
)
def test_as_many_runs_at_a_time_as_cores_may_be_used(
    quota: str, affinity: int, limit: str | None, expected: int, monkeypatch: pytest.MonkeyPatch
):
    """A container's quota, here of cgroup v2, leaves the number of the machine's cores as it is."""

    def opened(path: Any, *arguments: Any, **options: Any) -> Any:
        return io.StringIO(quota) if path == "/sys/fs/cgroup/cpu.max" else open(path, *arguments, **options)

    monkeypatch.setattr(loky_context, "open", opened, raising=False)
    exists = os.path.exists
    monkeypatch.setattr(os.path, "exists", lambda path: path == "/sys/fs/cgroup/cpu.max" or exists(path))
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(affinity)), raising=False)
    monkeypatch.delenv("LOKY_MAX_CPU_COUNT", raising=False)
    if limit:
        monkeypatch.setenv("LOKY_MAX_CPU_COUNT", limit)
    assert runs_at_a_time(ExecutionOptions()) == expected
    assert engine.workers() == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (ExecutionOptions(workers=7), 7),
        (ExecutionOptions("serial", workers=7), 1),
        (ExecutionOptions(device="cuda"), 1),
        (ExecutionOptions(device="cuda", gpus=(0, 2), per_gpu=3), 6),
        (ExecutionOptions("dask", cluster=Cluster(local=4)), 4),
    ],
)
def test_runs_at_a_time(options: ExecutionOptions, expected: int):
    assert runs_at_a_time(options) == expected
