"""Dask with processes that are really processes: schedulers and workers that die, interrupts, sockets, TLS, versions."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest

from stableft.storage.code_state import PARTS, digest
from stableft.storage.store import Store
from tests.conftest import wait_for
from tests.core.test_plugins import TECHNIQUE
from tests.helpers.commands import SMOKE, call, start, wait_for_a_run

pytestmark = pytest.mark.slow

RUN = ("run", *SMOKE, "--set", "schedule.num_epochs=25", "--results", "out")
DASK = (*RUN, "--backend", "dask")
Process = subprocess.Popen[bytes]
Begin = Callable[..., Process]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Starts one of Dask's own programs, whose end is the test's."""
    begun: list[Process] = []

    def dask(*arguments: str, **environment: str) -> Process:
        command = [sys.executable, "-m", "dask", *arguments, "--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"]
        with open(tmp_path / f"{arguments[0]}-{len(begun)}.log", "wb") as log:
            begun.append(
                subprocess.Popen(
                    command, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True, env={**os.environ, **environment}
                )
            )
        return begun[-1]

    yield dask
    for process in begun:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def scheduler_file(begin: Begin, tmp_path: Path) -> str:
    begin("scheduler", "--port", "0", "--scheduler-file", "scheduler.json")
    wait_for((tmp_path / "scheduler.json").is_file, 60)
    return str(tmp_path / "scheduler.json")


def worker(begin: Begin, scheduler_file: str, *options: str, **environment: str) -> Process:
    return begin("worker", "--scheduler-file", scheduler_file, "--nthreads", "1", *options, **environment)


def records(folder: Path) -> list[Path]:
    return list(folder.glob("out/runs/*.parquet"))


def ends(err: str) -> list[str]:
    """The runs that are said to be done, by name."""
    return sorted(line.split(" done ")[1].split(" (")[0] for line in err.splitlines() if " done toy / " in line)


def same_tables(a: Path, b: Path) -> None:
    first, second = (Store(folder / "out").load("smoke", "adam") for folder in (a, b))
    pd.testing.assert_frame_equal(first.metrics, second.metrics, check_exact=True)
    pd.testing.assert_frame_equal(first.predictions, second.predictions, check_exact=True)


def test_a_worker_killed_in_mid_run_and_another_that_comes_cost_nothing(begin: Begin, scheduler_file: str, tmp_path: Path):
    workers = [worker(begin, scheduler_file, "--no-nanny") for _ in range(3)]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    seeds = ("--seeds", "0-5")
    process = start(tmp_path / "b", *DASK, *seeds, "--scheduler", scheduler_file)
    wait_for_a_run(tmp_path / "b", process)
    family = psutil.Process(workers[0].pid).children(recursive=True)
    workers[0].kill()
    recorded = {path: path.stat().st_mtime_ns for path in records(tmp_path / "b")}
    worker(begin, scheduler_file, "--no-nanny")
    assert 0 < len(recorded) < 10, "killed in mid-run"
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "a Dask worker is gone, 2 are left" in err or "a Dask worker is gone, 3 are left" in err
    names = [f"toy / {arm} / {seed}" for arm in ("corrected", "uncorrected") for seed in range(6)]
    assert ends(err) == names, "all, each once"
    assert err.count("(ok)") == len(names)
    assert {path: path.stat().st_mtime_ns for path in recorded} == recorded, "what was finished is not done again"
    assert not [each for each in family if each.is_running()], "a worker's training process ends with it"
    assert call(tmp_path / "a", *RUN, *seeds)[0] == 0
    same_tables(tmp_path / "a", tmp_path / "b")
    assert not list((tmp_path / "b" / "out" / "locks").iterdir())


def test_a_scheduler_that_dies_ends_the_command_and_the_same_command_goes_on(begin: Begin, scheduler_file: str, tmp_path: Path):
    worker(begin, scheduler_file, "--no-nanny", "--death-timeout", "5")
    process = start(tmp_path, *DASK, "--seeds", "0-9", "--scheduler", scheduler_file)
    wait_for_a_run(tmp_path, process)
    scheduler = next(each for each in psutil.Process().children() if "scheduler" in each.cmdline()[3])
    scheduler.kill()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 74, err
    assert "error: lost the Dask scheduler" in err
    assert "Traceback" not in err
    done = len(records(tmp_path))
    assert 0 < done < 20
    code, _, err = call(tmp_path, *DASK, "--seeds", "0-1", "--local-cluster", "1")
    assert code == 0, err


def test_a_command_that_is_killed_leaves_no_run_behind_on_the_workers(begin: Begin, scheduler_file: str, tmp_path: Path):
    serving = worker(begin, scheduler_file, "--no-nanny")

    def training() -> list[psutil.Process]:
        return [each for child in psutil.Process(serving.pid).children() for each in child.children()]

    process = start(tmp_path, *DASK, "--seeds", "0-4", "--scheduler", scheduler_file)
    wait_for_a_run(tmp_path, process)
    assert training()
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    wait_for(lambda: not training())
    done = len(records(tmp_path))
    assert done < 10
    code, _, err = call(tmp_path, *DASK, "--seeds", "0-4", "--scheduler", scheduler_file)
    assert code == 0, err
    assert len(ends(err)) == 10 - done


@pytest.mark.parametrize(
    ("numbers", "code"), [((signal.SIGINT,), 130), ((signal.SIGINT, signal.SIGINT), 130), ((signal.SIGTERM,), 143)]
)
def test_interrupts_of_a_local_cluster_and_where_it_listens(tmp_path: Path, numbers: tuple[int, ...], code: int):
    process = start(tmp_path, *DASK, "--seeds", "0-9", "--local-cluster", "2")
    wait_for_a_run(tmp_path, process)
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    listening = {
        connection.laddr.ip
        for each in family
        for connection in each.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN or not connection.raddr
    }
    assert listening == {"127.0.0.1"}
    for number in numbers:
        os.killpg(process.pid, number)
        time.sleep(0.2)
    _, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert len(ends(err)) <= len(records(tmp_path)) <= 6
    if len(numbers) == 1 and code == 130:
        assert len(ends(err)) == len(records(tmp_path)) >= 2, "those in flight go on to their end"
    wait_for(lambda: not [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE])


def test_tls_nannies_and_no_shared_disk(begin: Begin, tmp_path: Path):
    if not shutil.which("openssl"):
        pytest.skip("openssl makes the certificates, and is not here")
    certificate(tmp_path)
    tls = ("--tls-ca-file", "cert.pem", "--tls-cert", "cert.pem", "--tls-key", "key.pem", "--protocol", "tls")
    begin("scheduler", "--port", "0", "--scheduler-file", "scheduler.json", *tls)
    wait_for((tmp_path / "scheduler.json").is_file, 60)
    worker(begin, str(tmp_path / "scheduler.json"), *tls)
    mine = ("--tls-ca", "../cert.pem", "--tls-cert", "../cert.pem", "--tls-key", "../key.pem")
    for name in "ab":
        (tmp_path / name).mkdir()
    asked = ("--seeds", "0", "--scheduler", "../scheduler.json")
    code, _, err = call(tmp_path / "b", *DASK, *asked, "--gather", *mine)
    assert code == 0, err
    assert not (tmp_path / "b" / "out" / "tokens").exists(), "nothing but records came back"
    assert call(tmp_path / "a", *RUN, "--seeds", "0")[0] == 0
    same_tables(tmp_path / "a", tmp_path / "b")
    code, _, err = call(tmp_path / "b", *DASK, "--seeds", "1", "--scheduler", "../scheduler.json")
    assert code == 2, "without a certificate nobody gets in"
    assert "speaks TLS" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("backend", [("dask", "--local-cluster", "2"), ("local", "--jobs", "2")])
def test_a_command_that_is_killed_leaves_no_process_behind(tmp_path: Path, backend: tuple[str, ...]):
    process = start(tmp_path, *RUN, "--seeds", "0-9", "--backend", *backend)
    wait_for_a_run(tmp_path, process)
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) >= 4
    process.kill()
    process.communicate()
    wait_for(lambda: not [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE])
    assert len(records(tmp_path)) < 20


def certificate(folder: Path) -> None:
    command = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda package: (package / "another.py").touch(), "has other versions: "),
        (lambda package: (package / "execution" / "backends" / "dask_worker.py").write_text("x = 1\n"), "can't run this stableft"),
    ],
)
def test_a_worker_of_another_version_is_refused_by_name(
    begin: Begin, scheduler_file: str, tmp_path: Path, project: Path, change: Callable[[Path], object], message: str
):
    shutil.copytree(project / "stableft", tmp_path / "other" / "stableft")
    change(tmp_path / "other" / "stableft")
    worker(begin, scheduler_file, "--no-nanny", PYTHONPATH=str(tmp_path / "other"))
    code, _, err = call(tmp_path, *DASK, "--seeds", "0", "--scheduler", scheduler_file)
    assert code == 2, err
    assert "Dask worker tcp://127.0.0.1:" in err
    assert message in err
    assert "Traceback" not in err
    assert not records(tmp_path)


def test_workers_are_sent_the_technique_of_a_plugin(begin: Begin, scheduler_file: str, tmp_path: Path):
    """They were started without it, in an environment that does not name it."""
    worker(begin, scheduler_file)
    (tmp_path / "shrink.py").write_text(TECHNIQUE)
    words = ("try", "shrink:factor=0.5", "--plugin", "shrink.py", "--protocol", "smoke", "--seeds", "0", "--results", "out")
    code, _, err = call(tmp_path, *words, "--backend", "dask", "--scheduler", scheduler_file, "--json")
    assert code == 0, err
    runs = pd.read_parquet(next(tmp_path.glob("out/smoke/*/runs.parquet")))
    codes = [provenance["code"] for provenance in map(json.loads, runs["provenance"])]
    assert sorted(map(len, codes)) == [len(PARTS), len(PARTS) + 1]
    assert max(codes, key=len)["technique shrink"] == digest(TECHNIQUE)
