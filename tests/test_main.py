"""The command line as users call it, from any folder: what runs anything, in a process of its own; the rest in this one."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from stableft.__main__ import app
from stableft.records import Store

SMOKE = ("adam", "--protocol", "smoke")


def start(folder: Path, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "stableft", *arguments],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, **environment},
    )


def call(folder: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    process = start(folder, *arguments, **environment)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


Quick = Callable[..., tuple[int, str, str]]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Quick:
    """What `call` does, without the seconds that a new process takes to import everything."""

    def called(folder: Path, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.chdir(folder)
        result = CliRunner().invoke(app, arguments)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return called


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    code, out, err = call(folder, "run", *SMOKE, "--seeds", "0-1", "--results", "out", "--jobs", "2")
    assert code == 0, err
    assert "4 runs collected in out/smoke/adam" in out
    assert "next: `python -m stableft report --results out` draws them" in out
    assert err.count("done toy / ") == 4
    return folder


def test_plan_as_json_has_what_scripts_need(finished: Path, quick: Quick):
    code, out, _ = quick(finished, "plan", *SMOKE, "--results", "out", "--seeds", "0-3", "--json")
    plan = json.loads(out)
    assert code == 0
    assert {k: plan[k] for k in ("experiment", "protocol", "runs", "missing", "by_task")} == {
        "experiment": "adam", "protocol": "smoke", "runs": 8, "missing": 4, "by_task": {"toy": {"runs": 8, "missing": 4}},
    }  # fmt: skip
    assert plan["estimated_seconds"] > 0


def test_another_precision_is_another_run(finished: Path, quick: Quick):
    code, out, _ = quick(finished, "plan", *SMOKE, "--results", "out", "--precision", "bf16", "--json")
    assert (code, json.loads(out)["missing"]) == (0, 4)


def test_a_dry_run_starts_nothing(tmp_path: Path, quick: Quick):
    code, out, _ = quick(tmp_path, "run", *SMOKE, "--dry-run", "--json")
    assert (code, json.loads(out)["missing"]) == (0, 4)
    assert list(tmp_path.iterdir()) == []


def test_status_counts_cells(finished: Path, quick: Quick):
    code, out, _ = quick(finished, "status", *SMOKE, "--results", "out", "--seeds", "0-2", "--json")
    status = json.loads(out)
    assert code == 0
    assert (status["runs"], status["done"], status["missing"], status["failed"]) == (6, 4, 2, 0)


def test_reporting_twice_gives_the_same_bytes_without_torch(finished: Path):
    # A torch that can't be imported stands in for a machine without it.
    (finished / "poison").mkdir(exist_ok=True)
    (finished / "poison" / "torch.py").write_text("raise ImportError('torch is not needed for reports')")
    contents = []
    for name in ("first", "second"):
        code, _, err = call(finished, "report", "--results", "out", "--figures", name, PYTHONPATH=str(finished / "poison"))
        assert code == 0, err
        contents.append({p.relative_to(finished / name): p.read_bytes() for p in (finished / name).rglob("*") if p.is_file()})
    assert contents[0] == contents[1]
    names = {path.name for path in contents[0]}
    for stem in ("train_loss", "score", "score_distribution", "bias_magnitude"):
        assert {f"{stem}.{kind}" for kind in ("pdf", "png", "svg", "csv", "txt")} <= names
    assert {"scores.md", "scores.tex", "scores.csv"} <= names


@pytest.mark.parametrize("what", ["experiments", "techniques", "protocols", "tasks", "encoders"])
def test_listings_have_a_line_each(tmp_path: Path, quick: Quick, what: str):
    code, out, _ = quick(tmp_path, "ls", what)
    _, data, _ = quick(tmp_path, "ls", what, "--json")
    listed = json.loads(data)[what]
    assert code == 0
    assert len(out.splitlines()) >= len(listed) >= (1 if what == "techniques" else 2)
    assert all(listed.values())


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("run", "adma", "--protocol", "smoke"), 2, "unknown experiment 'adma'; known: adam"),
        (("run", "adam", "--protocol", "huge"), 2, "unknown protocol 'huge'; known: smoke"),
        (("run", *SMOKE, "--tasks", "rte"), 2, "has no task 'rte'; it has: toy"),
        (("run", *SMOKE, "--arms", "fixed"), 2, "has no arm 'fixed'; it has: corrected, uncorrected"),
        (("run", *SMOKE, "--seeds", "5-1"), 2, "seeds '5-1'"),
        (("run", *SMOKE, "--set", "adam.lrr=1"), 2, "unknown configuration field 'adam.lrr'"),
        (("run", *SMOKE, "--set", "adam.lr=-1"), 2, "impossible configuration: adam.lr"),
        (("run", *SMOKE, "--set", "adam.lr"), 2, "write field=value"),
        (("run", *SMOKE, "--set", 'techniques=[{"name": "mixuot"}]'), 2, "unknown technique 'mixuot'; known: grouped_llrd, "),
        (("run", *SMOKE, "--precision", "fp8"), 2, "impossible configuration: precision"),
        (("run", *SMOKE, "--jobs", "0"), 2, "greater than or equal to 1"),
        (("run", *SMOKE, "--backend", "slurm"), 2, "unknown backend"),
        (("run", *SMOKE, "--encoder", "/no/such/model"), 4, "ENCODER=/path/to/model"),
        (("run", "adam", "--protocol", "paper"), 4, "STABLEFT_DATA"),
        (("report",), 4, "no collected results"),
        (("ls", "everything"), 2, "can't list 'everything'"),
    ],
)
def test_bad_input_gets_one_clear_error(
    tmp_path: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, message: str
):
    monkeypatch.setenv("STABLEFT_DATA", str(tmp_path))
    found, out, err = quick(tmp_path, *arguments)
    assert (found, out) == (code, "")
    assert message in " ".join(err.split()).replace("│ ", "").replace(" │", "")
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_device_that_is_not_there(tmp_path: Path, quick: Quick):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    code, out, _ = call(tmp_path, "run", *SMOKE, "--device", "cuda", "--seeds", "0-1", "--fail-fast", "--jobs", "1")
    assert code == 69
    assert out.count("no CUDA device") == 1  # the others were not tried
    status = json.loads(quick(tmp_path, "status", *SMOKE, "--seeds", "0-1", "--json")[1])
    assert (status["done"], status["missing"], status["failed"]) == (0, 3, 1)
    assert Path(tmp_path, status["failures"][0].split(": ")[1]).read_text().startswith("device: ")


def test_the_paper_protocol_starts_on_the_real_rte(tmp_path: Path):
    """BERT-large can't run here; its place is taken by the tiny encoder, everything else is the protocol's."""
    if not os.environ.get("STABLEFT_DATA"):
        pytest.skip("set STABLEFT_DATA to a folder with GLUE's RTE")
    few = ("--set", "schedule.num_epochs=null", "--set", "schedule.num_steps=2", "--set", "max_length=64")
    options = ("--tasks", "rte", "--encoder", "tiny-random", "--seeds", "0", "--results", "out", *few)
    code, _, err = call(tmp_path, "run", "adam", "--protocol", "paper", *options)
    assert code == 0, err
    runs = Store(tmp_path / "out").load("paper", "adam").runs
    assert runs["arm"].tolist() == ["corrected", "uncorrected"]
    assert runs["majority_score"].round(3).tolist() == [0.525, 0.525]  # 73 of the 139 test examples


def test_the_version_names_the_commit(tmp_path: Path):
    code, out, _ = call(tmp_path, "--version")
    assert code == 0
    assert re.fullmatch(r"stableft \d+\.\d+\.\d+ \(([0-9a-f]{12}\+?|not a git checkout)\)\n", out)


def test_debug_shows_the_traceback(tmp_path: Path):
    code, _, err = call(tmp_path, "--debug", "plan", "adma")
    assert code == 1
    assert "UsageError" in err
    assert "Traceback" in err


def test_a_damaged_result_is_named(finished: Path, tmp_path: Path):
    import shutil

    shutil.copytree(finished / "out", tmp_path / "out")
    victim = sorted((tmp_path / "out" / "runs").iterdir())[0]
    victim.write_bytes(victim.read_bytes()[:500])
    code, _, err = call(tmp_path, "run", *SMOKE, "--results", "out")
    assert code == 4
    assert f"{victim.name} is damaged" in " ".join(err.split())
    assert "Traceback" not in err


def test_a_read_only_results_folder_is_an_io_error(tmp_path: Path):
    (tmp_path / "out").write_text("a file where the folder should be")
    code, _, err = call(tmp_path, "run", *SMOKE, "--results", "out", "--seeds", "0")
    assert code == 74
    assert "Traceback" not in err


LONGER = ("--set", "schedule.num_epochs=25", "--results", "out", "--jobs", "2")


def _wait_for_a_run(folder: Path, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 60
    while not list(folder.glob("out/runs/*.parquet")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_killed_half_way_and_repeated_gives_the_undisturbed_metrics(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert call(tmp_path / "a", "run", *SMOKE, *LONGER)[0] == 0
    process = start(tmp_path / "b", "run", *SMOKE, *LONGER)
    _wait_for_a_run(tmp_path / "b", process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    done = len(list((tmp_path / "b" / "out" / "runs").glob("*.parquet")))
    assert 1 <= done < 4
    code, _, err = call(tmp_path / "b", "run", *SMOKE, *LONGER)
    assert code == 0
    assert err.count("done toy / ") == 4 - done
    stores = [Store(tmp_path / name / "out") for name in "ab"]
    undisturbed, resumed = (store.load("smoke", "adam") for store in stores)
    pd.testing.assert_frame_equal(undisturbed.metrics, resumed.metrics, check_exact=True)
    pd.testing.assert_frame_equal(undisturbed.predictions, resumed.predictions, check_exact=True)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_ends_at_once_and_keeps_what_is_done(tmp_path: Path, number: int, code: int):
    process = start(tmp_path, "run", *SMOKE, *LONGER, "--seeds", "0-5")
    _wait_for_a_run(tmp_path, process)
    os.killpg(process.pid, number)
    started = time.monotonic()
    _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert time.monotonic() - started < 5
    assert "Traceback" not in err
    files = [path.name for path in (tmp_path / "out" / "runs").iterdir()]
    assert files
    assert all(name.endswith(".parquet") for name in files)
    while subprocess.run(["pgrep", "-g", str(process.pid)], capture_output=True).stdout:  # no process stays behind
        assert time.monotonic() - started < 10
        time.sleep(0.1)
