"""The command line as users call it, from any folder.

A process of its own takes 1 s to start, and 5 s more if it trains: it is for what is about processes. The rest is in this one.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from experiments import adam
from stableft.storage.store import Store
from stableft.tasks.catalog import get_task
from tests.conftest import Quick, wait_for

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


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, quick: Quick) -> Path:
    folder = tmp_path_factory.mktemp("work")
    code, out, err = quick(folder, "run", *SMOKE, "--seeds", "0-1", "--results", "out", "--jobs", "2")
    assert code == 0, err
    assert "4 runs collected in out/smoke/adam" in out
    assert "next: `python -m stableft figures --results out` draws them" in out
    assert err.count("done toy / ") == 4
    return folder


@pytest.fixture(scope="module")
def shown(finished: Path, quick: Quick) -> Path:
    """Figures and tables of these runs, written by this process."""
    for verb in ("figures", "tables"):
        assert quick(finished, verb, "--results", "out", "--figures", "shown")[0] == 0
    return finished / "shown"


def contents(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.suffix != ".html" and path.is_file()}


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
    assert (status["runs"], status["done"], status["pending"], status["failed"]) == (6, 4, 2, 0)


@pytest.mark.slow
def test_reporting_twice_gives_the_same_bytes_without_torch(finished: Path, shown: Path):
    # A torch that can't be imported stands in for a machine without it.
    (finished / "poison").mkdir(exist_ok=True)
    (finished / "poison" / "torch.py").write_text("raise ImportError('torch is not needed for reports')")
    paths = os.pathsep.join([str(finished / "poison"), os.environ.get("PYTHONPATH", "")])
    for verb in ("figures", "tables"):
        code, _, err = call(finished, verb, "--results", "out", "--figures", "again", PYTHONPATH=paths)
        assert code == 0, err
    again = contents(finished / "again")
    assert again == contents(shown)
    names = {path.name for path in again}
    for stem in ("train_loss", "score", "score_distribution", "bias_magnitude"):
        assert {f"{stem}.{kind}" for kind in ("pdf", "png", "svg", "csv", "txt")} <= names
    assert {"scores.md", "scores.tex", "scores.csv"} <= names


def test_from_results_to_a_page_and_from_a_figure_back_to_its_runs(finished: Path, shown: Path, quick: Quick):
    code, _, err = quick(finished, "report", "--results", "out", "--figures", "none")
    assert code == 4
    assert "none/smoke/adam/train_loss is neither drawn nor written yet: type `make figures tables`" in " ".join(err.split())
    pages = []
    for moment in (10**9, 2 * 10**9):  # when the figures were drawn is not in the page
        for path in shown.rglob("*"):
            os.utime(path, (moment, moment))
        assert quick(finished, "report", "--results", "out", "--figures", "shown")[0] == 0
        pages.append((shown / "smoke" / "report.html").read_bytes())
    assert pages[0] == pages[1]
    ids = sorted(Store(finished / "out").load("smoke", "adam").runs["run_id"])
    for name in ("train_loss.pdf", "scores.md", "scores.csv", "scores.tex"):
        code, out, _ = quick(finished, "trace", f"shown/smoke/adam/{name}", "--results", "out", "--json")
        said = json.loads(out)
        assert code == 0
        assert (said["experiment"], said["protocol"], said["entry"]) == ("adam", "smoke", name.split(".")[0])
        assert said["current"]
        assert said["run_ids"] == ids
    code, out, _ = quick(finished, "trace", "shown/smoke/adam/score.svg", "--results", "out")
    assert code == 0
    for part in ("that of the collected results", "4 runs; arms: corrected, uncorrected; tasks: toy; seeds: 0-1", ids[0]):
        assert part in out
    assert out.splitlines()[-1] == "to run them: python -m stableft run adam --protocol smoke"
    code, _, err = quick(finished, "trace", "shown/smoke/adam/score.svg", "--results", "elsewhere")
    assert (code, "no results are collected" in " ".join(err.split())) == (4, True)


def test_two_results_folders_are_compared(finished: Path, tmp_path: Path, quick: Quick):
    code, out, _ = quick(finished, "compare", "out", "out", "--strict", "--json")
    said = json.loads(out)
    assert (code, said["counts"]) == (0, {"equal": 2})
    assert all(cell["identical"] for cell in said["cells"])
    code, out, _ = quick(finished, "compare", "out", "out")
    assert out.count("equal, bit for bit") == 2
    assert quick(finished, "run", *SMOKE, "--seeds", "0-1", "--set", "adam.lr=1e-9", "--results", str(tmp_path / "b"))[0] == 0
    code, out, _ = quick(finished, "compare", "out", str(tmp_path / "b"), "--json")
    assert (code, json.loads(out)["counts"].get("equal", 0)) == (0, 0)


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
        (("run", *SMOKE, "--set", 'techniques=[{"name": "mixuot"}]'), 2, "unknown technique 'mixuot'; known: "),
        (
            ("run", *SMOKE, "--set", 'techniques=[{"name": "reinit", "num_layers": 3}]'),
            2,
            "toy / uncorrected: reinit: num_layers 3 is",
        ),
        (
            ("plan", *SMOKE, "--set", 'techniques=[{"name": "swa", "start_epoch": 3}]'),
            2,
            "toy / corrected: swa: the start, after 24",
        ),
        (("plan", *SMOKE, "--set", "max_length=65"), 2, "toy / corrected: max_length 65 is more than the 64 positions"),
        (("run", *SMOKE, "--set", "evaluation.start_epoch=3"), 2, "toy / corrected: evaluation.start_epoch: frequent points start"),
        (("run", *SMOKE, "--precision", "tf32"), 2, "precision tf32 is an arithmetic of GPUs"),
        (("run", *SMOKE, "--precision", "fp8"), 2, "impossible configuration: precision"),
        (("run", *SMOKE, "--jobs", "0"), 2, "greater than or equal to 1"),
        (("run", *SMOKE, "--backend", "slurm"), 2, "unknown backend"),
        (("run", *SMOKE, "--max-retries", "refused=1"), 2, "write a number, or numbers by kind such as oom=0,killed=3"),
        (("run", *SMOKE, "--gpus", "0,0"), 2, "write the numbers of GPUs, each once"),
        (("run", *SMOKE, "--gpus", "0", "--device", "cpu"), 2, "--gpus 0 and --device cpu contradict each other"),
        (("run", *SMOKE, "--gpus", "0,1", "--per-gpu", "2", "--jobs", "3"), 2, "are 4 runs at a time, --jobs 3"),
        (("run", *SMOKE, "--gpus", "0", "--backend", "serial"), 2, "--gpus needs --backend local"),
        (("retry", *SMOKE, "--per-gpu", "2"), 2, "name these too"),
        (("retry", *SMOKE, "--only", "diverged"), 2, "no kind of failure is called 'diverged'"),
        (("status", *SMOKE, "--watch", "--json"), 2, "leave out --json"),
        (("failures", "adma"), 2, "unknown experiment 'adma'"),
        (("logs", "0123"), 4, "no experiment is called 0123"),
        (("logs", "adam", "--follow"), 2, "--follow shows one run"),
        (("run", *SMOKE, "--backend", "dask"), 2, "needs either --scheduler ADDRESS or --local-cluster N"),
        (("run", *SMOKE, "--gather"), 2, "are options of --backend dask"),
        (("run", *SMOKE, "--encoder", "/no/such/model"), 4, "ENCODER=/path/to/model"),
        (("run", "adam", "--protocol", "paper"), 4, "STABLEFT_DATA"),
        (("figures",), 4, "no collected results"),
        (("tables", "adam", "--protocol", "smoke"), 4, "no collected results"),
        (("figures", "adma"), 2, "unknown experiment 'adma'"),
        (("report", "--protocol", "smoke"), 4, "no collected results"),
        (("trace", "none.pdf"), 4, "none.pdf: no such file"),
        (("compare", "a", "b"), 4, "no collected results in"),
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
    code, out, _ = quick(tmp_path, "run", *SMOKE, "--device", "cuda", "--seeds", "0-1", "--fail-fast", "--jobs", "1")
    assert code == 69
    assert out.count("no CUDA device") == 1  # the others were not tried
    status = json.loads(quick(tmp_path, "status", *SMOKE, "--seeds", "0-1", "--json")[1])
    assert (status["done"], status["pending"], status["failed"]) == (0, 3, 1)
    (failure,) = status["failures"]
    assert (failure["state"], failure["kind"]) == ("failed", "device")
    assert Path(tmp_path, failure["log"]).read_text().startswith("device: ")


def test_the_paper_protocol_starts_on_the_real_rte(tmp_path: Path, quick: Quick):
    """BERT-large can't run here; its place is taken by the tiny encoder, everything else is the protocol's."""
    if not os.environ.get("STABLEFT_DATA"):
        pytest.skip("set STABLEFT_DATA to a folder with GLUE's RTE")
    few = ("--set", "schedule.num_epochs=null", "--set", "schedule.num_steps=2", "--set", "max_length=64")
    options = ("--tasks", "rte", "--encoder", "tiny-random", "--seeds", "0", "--results", "out", *few)
    code, _, err = quick(tmp_path, "run", "adam", "--protocol", "paper", *options)
    assert code == 0, err
    runs = Store(tmp_path / "out").load("paper", "adam").runs
    assert runs["arm"].tolist() == ["corrected", "uncorrected"]
    assert runs["majority_score"].round(3).tolist() == [0.525, 0.525]  # 73 of the 139 test examples


def write_own(path: Path) -> Path:
    """A file of invented sentences of two classes, told apart by one word each."""
    rows = [f'"{word} {animal}, {number}",{label}' for number in range(6) for animal in ("mib", "tup") for word, label in WORDS]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return path


WORDS = (("alin", "<b>$x_1$|"), ("dorn", "[/red]"))
OWN = ("--seeds", "0", "--results", "out", "--jobs", "1", "--set", "schedule.num_epochs=1")


def few_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the report of ``adam`` one figure and the tables: each figure takes half a second."""
    left_out = ("train_loss", "train_loss_range", "score_distribution", "best_of", "bias_magnitude", "loss_and_score")
    monkeypatch.setattr(adam, "REPORT", {name: item for name, item in adam.REPORT.items() if name not in left_out})


def test_own_files_from_a_table_to_a_report(tmp_path: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch):
    """The file's name and labels try to break out of paths, LaTeX, SVG and Markdown."""
    few_figures(monkeypatch)
    path = write_own(tmp_path / "secret" / "[red] $x_1$ & <svg>\\|%.csv")
    asked = (*SMOKE, "--tasks", f"csv:{path}")
    name = "red-x_1-svg.csv"
    code, out, err = quick(tmp_path, "run", *asked, *OWN)
    assert code == 0, err
    assert f"smoke+{name}: {name} with the settings of toy at smoke" in out
    assert f"2 runs collected in out/smoke+{name}/adam" in out
    results = Store(tmp_path / "out").load(f"smoke+{name}", "adam")
    assert set(results.runs["task"]) == {name}
    assert results.runs["majority_score"].tolist() == [0.5, 0.5]
    assert json.loads(results.runs["config"][0])["task"] == name
    for verb in ("figures", "tables"):
        assert quick(tmp_path, verb, "--results", "out", "--figures", "figures")[0] == 0
    files = {file.name: file.read_bytes() for file in (tmp_path / "figures" / f"smoke+{name}" / "adam").iterdir()}
    assert {"scores.md", "scores.tex", "score.svg", "score.pdf"} <= files.keys()
    assert b"| red-x_1-svg.csv | corrected |" in files["scores.md"]
    assert rb"red-x\_1-svg.csv & corrected &" in files["scores.tex"]
    everything = b"".join([*files.values(), results.runs.to_csv().encode(), results.metrics.to_csv().encode()])
    for word in (b"secret", b"$x_1$", b"<svg>", b"alin"):
        assert word not in everything
    assert {file.name for file in tmp_path.iterdir()} == {"secret", "out", "figures"}


def test_own_scores_are_run_and_reported(tmp_path: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch):
    few_figures(monkeypatch)  # of a regression all are drawn in test_runner.py
    rows = [f"{word} {number} mib,{value + number / 10}" for number in range(12) for word, value in (("alin", 0), ("dorn", 1))]
    (tmp_path / "my.csv").write_text("\n".join(["text,score", *rows]))
    code, _, err = quick(tmp_path, "run", *SMOKE, "--tasks", "csv:my.csv", *OWN)
    assert code == 0, err
    runs = Store(tmp_path / "out").load("smoke+my.csv", "adam").runs
    assert runs["score_name"].tolist() == ["spearman"] * 2
    assert quick(tmp_path, "figures", "--results", "out", "--figures", "figures")[0] == 0
    checked = json.loads(quick(tmp_path, "data", "check", "csv:my.csv", "--json")[1])
    assert (checked["kind"], checked["splits"]["test"]["examples"]) == ("regression", 2)


def test_own_files_may_move_but_not_change(tmp_path: Path, quick: Quick):
    path = write_own(tmp_path / "a" / "my.csv")
    assert quick(tmp_path, "run", *SMOKE, "--tasks", f"csv:{path}", *OWN)[0] == 0
    before = Store(tmp_path / "out").load("smoke+my.csv", "adam")
    moved = tmp_path / "b" / "my.csv"
    moved.parent.mkdir()
    path.rename(moved)
    code, out, _ = quick(tmp_path, "status", *SMOKE, "--tasks", "csv:b/my.csv", *OWN[:4], *OWN[6:], "--json")
    assert (code, json.loads(out)["done"], json.loads(out)["pending"]) == (0, 2, 0)
    assert quick(tmp_path, "run", *SMOKE, "--tasks", f"csv:{moved}", *OWN)[0] == 0
    pd.testing.assert_frame_equal(Store(tmp_path / "out").load("smoke+my.csv", "adam").runs, before.runs)
    moved.write_text(moved.read_text().replace("mib", "mip"))
    _, out, _ = quick(tmp_path, "plan", *SMOKE, "--tasks", f"csv:{moved}", *OWN[:4], *OWN[6:], "--json")
    assert (json.loads(out)["protocol"], json.loads(out)["missing"]) == ("smoke+my.csv", 2)


def test_own_files_leave_the_protocols_results_alone(finished: Path, tmp_path: Path, quick: Quick):
    shutil.copytree(finished / "out", tmp_path / "out")
    tables = {path: path.read_bytes() for path in (tmp_path / "out/smoke/adam").iterdir()}
    assert quick(tmp_path, "run", *SMOKE, "--tasks", f"csv:{write_own(tmp_path / 'my.csv')}", *OWN)[0] == 0
    assert {path: path.read_bytes() for path in (tmp_path / "out/smoke/adam").iterdir()} == tables
    assert Store(tmp_path / "out").collected() == [("smoke", "adam"), ("smoke+my.csv", "adam")]


@pytest.mark.parametrize(
    ("tasks", "code", "message"),
    [
        ("csv:no.csv", 4, "no.csv: no such file or folder"),
        ("csv:", 2, "write a path after the colon"),
        ("csv:[/x]:smile:.csv", 4, "[/x]:smile:.csv: no such file or folder"),
        ("toy,csv:my.csv", 2, "own files are run on their own"),
        ("csv:my.csv,csv:./my.csv", 2, "two tasks would be called the same"),
        ("csv:bad.csv", 4, "bad.csv:1: no column 'text'"),
        ("my.csv", 2, "has no task 'my.csv'; it has: toy"),
    ],
)
def test_own_files_that_cant_be_used(tmp_path: Path, quick: Quick, tasks: str, code: int, message: str):
    write_own(tmp_path / "my.csv")
    (tmp_path / "bad.csv").write_text("a,b\nc,d\n")
    for verb in ("run", "plan", "status"):
        found, out, err = quick(tmp_path, verb, *SMOKE, "--tasks", tasks)
        assert (found, out) == (code, "")
        assert message in " ".join(err.split())
    assert {path.name for path in tmp_path.iterdir()} == {"my.csv", "bad.csv"}


@pytest.mark.parametrize("task", ["toy", "docs15", "csv"])
def test_data_are_checked(tmp_path: Path, quick: Quick, parsed_once: None, task: str):
    spec = f"csv:{write_own(tmp_path / 'my.csv')}" if task == "csv" else task
    code, text, _ = quick(tmp_path, "data", "check", spec)
    _, raw, _ = quick(tmp_path, "data", "check", spec, "--json")
    said, data = json.loads(raw), get_task(spec).load()
    assert (code, said["task"], said["fingerprint"]) == (0, "my.csv" if task == "csv" else task, data.fingerprint)
    assert {name: split["examples"] for name, split in said["splits"].items()} == {
        name: len(rows) for name in ("train", "validation", "test") if (rows := getattr(data, name))
    }
    for name, split in said["splits"].items():
        assert sum(split["labels"].values()) == split["examples"]
        assert all(label in text for label in split["labels"])  # as they are, not read as markup
        assert split["constant_score"] == max(split["labels"].values()) / split["examples"]
        assert split["shared"] == dict.fromkeys(set(said["splits"]) - {name}, 0)
    assert data.fingerprint in text
    assert json.loads(raw)["splits"]["train"]["words"]["max"] < 20


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("check", "nope"), 2, "unknown task 'nope'; known: "),
        (("check", "csv:no.csv"), 4, "no.csv: no such file or folder"),
        (("check", "csv:"), 2, "write a path after the colon"),
        (("check", "rte"), 4, "lacks the task's files"),
        (("check",), 2, "Missing argument"),
        (("chekc", "toy"), 2, "No such command"),
    ],
)
def test_data_that_cant_be_checked(
    tmp_path: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, message: str
):
    monkeypatch.setenv("STABLEFT_DATA", str(tmp_path))
    found, out, err = quick(tmp_path, "data", *arguments)
    assert (found, out) == (code, "")
    assert message in " ".join(err.split()).replace("│ ", "").replace(" │", "")


def test_tagged_data_are_checked(tmp_path: Path, quick: Quick):
    (tmp_path / "my.bio").write_text("\n".join(f"word{i} O\nAda B-[red]\nByron I-[red]\n" for i in range(20)))
    code, text, _ = quick(tmp_path, "data", "check", "bio:my.bio")
    assert code == 0
    assert text.startswith("my.bio: tagging of sentences, judged by entity_f1")
    assert re.search(r"\[red\] entities +16 +2 +2", text)
    splits = json.loads(quick(tmp_path, "data", "check", "bio:my.bio", "--json")[1])["splits"]
    assert splits["train"]["labels"] == {"O": 16, "B-[red]": 16, "I-[red]": 16}
    assert (splits["train"]["words"]["max"], splits["test"]["entities"]) == (3, {"[red]": 2})


def test_checking_data_needs_no_torch(tmp_path: Path):
    (tmp_path / "torch.py").write_text("raise ImportError('torch is not needed to look at data')")
    spec = f"csv:{write_own(tmp_path / 'my.csv')}"
    code, out, err = call(
        tmp_path, "data", "check", spec, PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    )
    assert (code, err) == (0, "")
    assert out.startswith("my.csv: classification of texts, judged by accuracy")


def test_the_version_names_the_commit(tmp_path: Path):
    code, out, _ = call(tmp_path, "--version")
    assert code == 0
    assert re.fullmatch(r"stableft \d+\.\d+\.\d+ \(([0-9a-f]{12}\+?|not a git checkout)\)\n", out)


def test_debug_shows_the_traceback(tmp_path: Path):
    code, _, err = call(tmp_path, "--debug", "plan", "adma")
    assert code == 1
    assert "UsageError" in err
    assert "Traceback" in err


def test_a_record_that_was_cut_short_is_named_set_aside_and_done_again(finished: Path, tmp_path: Path, quick: Quick):
    shutil.copytree(finished / "out", tmp_path / "out")
    victim = sorted((tmp_path / "out" / "runs").iterdir())[0]
    victim.write_bytes(victim.read_bytes()[:500])
    code, _, err = quick(tmp_path, "run", *SMOKE, "--results", "out")
    assert code == 0
    assert f"{victim.name} is damaged (cut short); set aside" in " ".join(err.split())
    assert (tmp_path / "out" / "damaged" / victim.name).is_file()
    _same_metrics(finished, tmp_path)


def test_a_record_that_is_damaged_inside_is_named_set_aside_and_done_again(finished: Path, tmp_path: Path, quick: Quick):
    shutil.copytree(finished / "out", tmp_path / "out")
    victim = sorted((tmp_path / "out" / "runs").iterdir())[0]
    content = bytearray(victim.read_bytes())
    metadata = pq.read_metadata(victim).row_group(0)
    (values,) = (c for c in map(metadata.column, range(metadata.num_columns)) if c.path_in_schema == "value")
    content[values.dictionary_page_offset + values.total_compressed_size // 2] ^= 1  # elsewhere it may be a bit that nobody reads
    victim.write_bytes(content)
    code, _, err = quick(tmp_path, "run", *SMOKE, "--results", "out")
    assert code == 0
    assert f"{victim.name} is damaged" in " ".join(err.split())
    assert "These runs are done again." in err
    assert (tmp_path / "out" / "damaged" / victim.name).is_file()
    _same_metrics(finished, tmp_path)


def _same_metrics(a: Path, b: Path) -> None:
    one, other = (pd.read_parquet(folder / "out" / "smoke" / "adam" / "metrics.parquet") for folder in (a, b))
    pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_a_read_only_results_folder_is_an_io_error(tmp_path: Path, quick: Quick):
    (tmp_path / "out").write_text("a file where the folder should be")
    code, _, err = quick(tmp_path, "run", *SMOKE, "--results", "out", "--seeds", "0")
    assert code == 74
    assert "Traceback" not in err


LONGER = ("--set", "schedule.num_epochs=10", "--results", "out", "--jobs", "2")


def wait_for_a_run(folder: Path, process: "subprocess.Popen[str]") -> None:
    wait_for(lambda: bool(list(folder.glob("out/runs/*.parquet"))) or process.poll() is not None, 200)
    assert process.poll() is None, process.communicate()


@pytest.mark.slow
def test_killed_half_way_and_repeated_gives_the_undisturbed_metrics(tmp_path: Path, quick: Quick):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert quick(tmp_path / "a", "run", *SMOKE, *LONGER)[0] == 0
    process = start(tmp_path / "b", "run", *SMOKE, *LONGER)
    wait_for_a_run(tmp_path / "b", process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    done = len(list((tmp_path / "b" / "out" / "runs").glob("*.parquet")))
    assert 1 <= done < 4
    code, _, err = quick(tmp_path / "b", "run", *SMOKE, *LONGER)
    assert code == 0
    assert err.count("done toy / ") == 4 - done
    stores = [Store(tmp_path / name / "out") for name in "ab"]
    undisturbed, resumed = (store.load("smoke", "adam") for store in stores)
    pd.testing.assert_frame_equal(undisturbed.metrics, resumed.metrics, check_exact=True)
    pd.testing.assert_frame_equal(undisturbed.predictions, resumed.predictions, check_exact=True)


@pytest.mark.slow
def test_an_interrupt_lets_runs_in_flight_finish_and_starts_no_more(tmp_path: Path, quick: Quick):
    process = start(tmp_path, "run", *SMOKE, *LONGER, "--seeds", "0-9")
    wait_for_a_run(tmp_path, process)
    seen = json.loads(quick(tmp_path, "status", *SMOKE, *LONGER[:4], "--seeds", "0-9", "--json")[1])
    assert seen["running"] == len(seen["progress"]) <= 2
    assert seen["done"] + seen["running"] + seen["pending"] == 20
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Interrupt again to stop at once" in err
    options = "--protocol smoke --seeds 0-9 --set schedule.num_epochs=10 --results out --jobs 2"
    assert err.rstrip().endswith(f"This goes on:\npython -m stableft run adam {options}")
    done = len(list((tmp_path / "out" / "runs").iterdir()))
    assert 2 <= done <= 5, "what was done, two in flight, and one more for each that ended before the signal came"
    assert err.count("done toy / ") == done


@pytest.mark.slow
def test_interrupts_that_come_until_the_very_end_change_nothing(tmp_path: Path):
    process = start(tmp_path, "run", *SMOKE, *LONGER, "--seeds", "0-5")
    wait_for_a_run(tmp_path, process)
    while process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.005)
    _, err = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "This goes on:" in err.splitlines()[-2]


@pytest.mark.slow
@pytest.mark.parametrize(("numbers", "code"), [((signal.SIGINT, signal.SIGINT), 130), ((signal.SIGTERM,), 143)])
def test_a_second_interrupt_or_a_termination_ends_at_once_and_keeps_what_is_done(
    tmp_path: Path, numbers: tuple[int, ...], code: int
):
    process = start(tmp_path, "run", *SMOKE, *LONGER, "--seeds", "0-5")
    wait_for_a_run(tmp_path, process)
    for number in numbers:
        os.killpg(process.pid, number)
        time.sleep(0.2)
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
