"""`stableft run` as users call it, from any folder: results, damage, interrupts and failures.

A process of its own takes 1 s to start, and 5 s more if it trains: it is for what is about processes. The rest is in this one.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from experiments import adam
from experiments.protocol import SMOKE as PROTOCOL
from stableft.cli import run
from stableft.cli.common import Exit
from stableft.cli.selection import with_own_tasks
from stableft.core.grid import select
from stableft.execution import collect, planning, runner
from stableft.execution.inputs import Inputs
from stableft.execution.planning import Plan
from stableft.execution.runner import ExecutionOptions
from stableft.execution.supervisor import Status
from stableft.reporting import captions
from stableft.storage import run_state
from stableft.storage.store import Store
from stableft.tasks.catalog import own_tasks
from tests.conftest import Quick
from tests.helpers.commands import SMOKE, start, status_counts, wait_for_a_run, write_own
from tests.storage.test_store import record

ONE_ARM = (*SMOKE, "--results", "out", "--arms", "corrected")


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
    options = ("--tasks", "rte", "--encoder", "tiny-random", "--allow-unknown", "--seeds", "0", "--results", "out", *few)
    code, _, err = quick(tmp_path, "run", "adam", "--protocol", "paper", *options)
    assert code == 0, err
    runs = Store(tmp_path / "out").load("paper", "adam").runs
    assert runs["arm"].tolist() == ["corrected", "uncorrected"]
    assert runs["majority_score"].round(3).tolist() == [0.525, 0.525]  # 73 of the 139 test examples


OWN = ("--seeds", "0", "--results", "out", "--jobs", "1", "--set", "schedule.num_epochs=1", "--allow-unknown")
PLANNED = (*OWN[:4], *OWN[6:8])  # of them those of a command that starts nothing


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
    assert {"arms.md", "arms.tex", "score.svg", "score.pdf"} <= files.keys()
    assert b"| red-x_1-svg.csv | corrected |" in files["arms.md"]
    assert rb"red-x\_1-svg.csv & corrected &" in files["arms.tex"]
    everything = b"".join([*files.values(), results.runs.to_csv().encode(), results.metrics.to_csv().encode()])
    for word in (b"secret", b"$x_1$", b"<svg>", b"alin"):
        assert word not in everything
    assert {file.name for file in tmp_path.iterdir()} == {"secret", "out", "figures"}


@pytest.mark.slow
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


def test_own_files_leave_the_protocols_results_alone_and_may_move_but_not_change(finished: Path, tmp_path: Path, quick: Quick):
    shutil.copytree(finished / "out", tmp_path / "out")
    tables = {path: path.read_bytes() for path in (tmp_path / "out/smoke/adam").iterdir()}
    path = write_own(tmp_path / "a" / "my.csv")
    assert quick(tmp_path, "run", *SMOKE, "--tasks", f"csv:{path}", *OWN)[0] == 0
    assert {path: path.read_bytes() for path in (tmp_path / "out/smoke/adam").iterdir()} == tables
    assert Store(tmp_path / "out").collected() == [("smoke", "adam"), ("smoke+my.csv", "adam")]
    before = Store(tmp_path / "out").load("smoke+my.csv", "adam")
    moved = tmp_path / "b" / "my.csv"
    moved.parent.mkdir()
    path.rename(moved)
    code, out, _ = quick(tmp_path, "status", *SMOKE, "--tasks", "csv:b/my.csv", *PLANNED, "--json")
    assert (code, json.loads(out)["done"], json.loads(out)["pending"]) == (0, 2, 0)
    assert quick(tmp_path, "run", *SMOKE, "--tasks", f"csv:{moved}", *OWN)[0] == 0
    pd.testing.assert_frame_equal(Store(tmp_path / "out").load("smoke+my.csv", "adam").runs, before.runs)
    moved.write_text(moved.read_text().replace("mib", "mip"))
    _, out, _ = quick(tmp_path, "plan", *SMOKE, "--tasks", f"csv:{moved}", *PLANNED, "--json")
    assert (json.loads(out)["protocol"], json.loads(out)["missing"]) == ("smoke+my.csv", 2)


@pytest.mark.parametrize(
    ("tasks", "code", "message"),
    [
        ("csv:no.csv", 4, "no.csv: no such file or folder"),
        ("csv:", 2, "write a path after the colon"),
        ("csv:[/x]:smile:.csv", 4, "[/x]:smile:.csv: no such file or folder"),
        ("toy,csv:my.csv", 2, "own files are run on their own"),
        ("csv:my.csv,csv:./my.csv", 2, "two tasks would be called the same"),
        ("csv:bad.csv", 4, "bad.csv:1: no column 'text'"),
        ("my.xlsx", 2, "unknown task 'my.xlsx'; if it is a file or folder of your own, write its format before it: csv:PATH"),
        ("my.csv --text nope", 4, "my.csv:1: no column 'nope', which --text names; there are: 'text', 'label'"),
        ("toy --text nope", 2, "--text is for files of your own"),
        ("my.csv --on-duplicates none", 2, "--on-duplicates 'none': write stop, keep or drop"),
    ],
)
def test_own_files_that_cant_be_used(tmp_path: Path, quick: Quick, tasks: str, code: int, message: str):
    write_own(tmp_path / "my.csv")
    (tmp_path / "bad.csv").write_text("a,b\nc,d\n")
    for verb in ("run", "plan", "status"):
        found, out, err = quick(tmp_path, verb, *SMOKE, "--tasks", *tasks.split(" "))
        assert (found, out) == (code, "")
        assert message in " ".join(err.split())
    assert {path.name for path in tmp_path.iterdir()} == {"my.csv", "bad.csv"}


def test_records_cut_short_or_damaged_inside_are_named_set_aside_and_done_again(finished: Path, tmp_path: Path, quick: Quick):
    """What is cut short is seen before any run, what is damaged inside when it is collected."""
    shutil.copytree(finished / "out", tmp_path / "out")
    short, inside, *_ = sorted((tmp_path / "out" / "runs").iterdir())
    short.write_bytes(short.read_bytes()[:500])
    content = bytearray(inside.read_bytes())
    metadata = pq.read_metadata(inside).row_group(0)
    (values,) = (c for c in map(metadata.column, range(metadata.num_columns)) if c.path_in_schema == "value")
    content[values.dictionary_page_offset + values.total_compressed_size // 2] ^= 1  # elsewhere it may be a bit that nobody reads
    inside.write_bytes(content)
    code, _, err = quick(tmp_path, "run", *SMOKE, "--results", "out")
    assert code == 0
    before, _, after = " ".join(err.split()).partition("Running them again.")
    assert f"{short.name} is damaged (cut short); set aside" in before
    assert f"{inside.name} is damaged" in before
    assert "3 cached, 1 will run" in before
    assert (before.count("done toy / "), after.count("done toy / ")) == (1, 1)
    assert {path.name for path in (tmp_path / "out" / "damaged").iterdir()} >= {short.name, inside.name}
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
    assert err.rstrip().endswith(f"To resume, run:\npython -m stableft run adam {options}")
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
    assert "To resume, run:" in err.splitlines()[-2]


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


@pytest.mark.parametrize("finished", [0, 3])
def test_an_interrupted_grid_collects_what_is_done_and_says_what_draws_it(
    finished: int, tmp_path: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch
):
    def interrupted(wanted: Plan, store: Store, inputs: Inputs, options: ExecutionOptions, *_: object) -> Iterator[Status]:
        for run_id, config in list(wanted.jobs.items())[:finished]:
            store.write(record(run_id))
            yield Status(runner.job(run_id, config, store, inputs, options), "done", "ok", 1.0)
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run_grid", interrupted)
    code, out, err = quick(tmp_path, "run", *SMOKE, "--results", "out", "--seeds", "0-4")
    assert (code, out) == (130, "")
    lines = err.splitlines()
    assert lines[-2:] == [
        f"interrupted: {finished} runs finished and are kept, {10 - finished} are left. To resume, run:",
        "python -m stableft run adam --protocol smoke --seeds 0-4 --results out",
    ]
    if not finished:
        assert not (tmp_path / "out").exists()
        return
    assert lines[-3] == "3 runs are collected: `python -m stableft figures --results out` draws them"
    results = Store(tmp_path / "out").load("smoke", "adam")
    assert results.runs[["arm", "seed"]].to_numpy().tolist() == [["corrected", 0], ["corrected", 1], ["uncorrected", 0]]
    assert re.search("corrected . of 2, uncorrected . of 1", captions.describe(results)), "the number of runs is in every caption"


def test_a_first_answer_that_cant_be_collected_ends_no_grid(tmp_path: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch):
    ended: list[int] = []

    def uninterrupted(wanted: Plan, store: Store, inputs: Inputs, options: ExecutionOptions, *_: object) -> Iterator[Status]:
        for run_id, config in wanted.jobs.items():
            ended.append(config.seed)
            yield Status(runner.job(run_id, config, store, inputs, options), "done", "ok", 1.0)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runner, "run_grid", uninterrupted)
    monkeypatch.setattr(collect, "collect", full)
    code, _, err = quick(tmp_path, "run", *SMOKE, "--results", "out")
    assert (code, ended, err.count("done toy / ")) == (74, [0, 0, 1, 1], 4)
    assert "has ended" not in err


@pytest.mark.usefixtures("obedient")
def test_fail_fast_says_that_not_all_was_done(tmp_path: Path, quick: Quick):
    code, out, _ = quick(tmp_path, "run", *ONE_ARM, "--seeds", "2,1,3", "--jobs", "1", "--fail-fast", "--max-retries", "0")
    assert code == 1
    assert out.splitlines()[0].startswith("1 failed (crashed): toy / corrected / 2")
    assert out.splitlines()[1] == "2 more were not run"
    assert status_counts(quick, tmp_path, "--arms", "corrected", "--seeds", "1-3") == {"pending": 2, "failed": 1, "will_run": 3}


@pytest.mark.usefixtures("obedient")
def test_a_failed_run_is_not_tried_again_because_another_is_damaged(tmp_path: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(collect, "collect", lambda grid, store, inputs, warn: warn("x.parquet is damaged."))
    code, out, err = quick(tmp_path, "run", *ONE_ARM, "--seeds", "2", "--max-retries", "0")
    assert code == 1
    assert "x.parquet is damaged.\nRunning them again." in err
    assert out.splitlines()[0].startswith("1 failed (crashed): toy / corrected / 2")
    assert "were not run" not in out
    assert [note.attempts for note in run_state.failures(Store(tmp_path / "out"))] == [1]


def test_texts_that_the_encoder_does_not_know_are_refused(tmp_path: Path, quick: Quick):
    (tmp_path / "my.csv").write_text("text,label\n" + "".join(f"zzz {'qqq' * i},{'xy'[i % 2]}\n" for i in range(20)))
    asked = (*SMOKE, "--tasks", "my.csv", *OWN[:-1])
    code, _, err = quick(tmp_path, "run", *asked)
    assert code == 2
    assert "warning: my.csv: tiny-random: 100.0 % of the pieces unknown" in err
    assert "my.csv: 100 % of its pieces are unknown to tiny-random, above 20 %" in " ".join(err.split())
    assert not (tmp_path / "out" / "runs").exists()
    code, out, _ = quick(tmp_path, "plan", *SMOKE, "--tasks", "my.csv", *PLANNED)
    assert code == 0
    assert "can't start yet: my.csv: 100 % of its pieces" in out
    said = json.loads(quick(tmp_path, "run", *asked, "--allow-unknown", "--dry-run", "--json")[1])
    assert (said["problems"], said["inputs"][0]["coverage"]["shares"]["unknown"]) == ([], 1.0)


def test_own_files_tell_results_how_they_were_read(tmp_path: Path, quick: Quick):
    """Columns by option, merged labels, a test split without labels; and the command that trace prints runs."""
    rows = [("alin", "good"), ("dorn", "bad")] * 12
    table = "review;mood;split\n" + "".join(
        f"{word} mib {i};{mood.title() if i == 4 else mood};{'dev' if i > 15 else 'train'}\n" for i, (word, mood) in enumerate(rows)
    )
    (tmp_path / "my.csv").write_text(table + "alin tup;;test\ndorn tup;;test\n", encoding="utf-16")
    reading = ("--text", "review", "--label", "mood", "--on-variants", "merge")
    code, _, err = quick(tmp_path, "run", *SMOKE, "--tasks", "csv:my.csv", *reading, *OWN)
    assert code == 0, err
    assert "my.csv: labels merged: " in err
    results = Store(tmp_path / "out").load("smoke+my.csv", "adam")
    config, provenance = (json.loads(results.runs[name][0]) for name in ("config", "provenance"))
    assert {name: config["own_data"][name] for name in ("source", "like", "text", "label", "on_variants")} == {
        "source": "csv:my.csv", "like": "toy", "text": "review", "label": "mood", "on_variants": "merge",
    }  # fmt: skip
    assert provenance["coverage"]["examples"] == 26
    assert any("test has no labels" in note for note in provenance["data_notes"])
    assert set(results.runs["score_split"]) == {"validation"}
    unscored = results.predictions[results.predictions["split"] == "unlabelled"]
    assert (len(unscored), unscored["label"].isna().all(), unscored["prediction"].isin([0, 1]).all()) == (4, True, True)
    assert {"macro_f1", "multiclass_mcc"} <= set(results.metrics["metric"])
    assert quick(tmp_path, "tables", "--results", "out", "--figures", "figures")[0] == 0
    traced = json.loads(quick(tmp_path, "trace", "figures/smoke+my.csv/adam/arms.csv", "--results", "out", "--json")[1])
    command = shlex.split(traced["command"])
    assert command[:4] == ["python", "-m", "stableft", "run"]
    code, out, err = quick(tmp_path, "plan", *command[4:], *PLANNED, "--json")
    assert code == 0, err
    assert (json.loads(out)["runs"], json.loads(out)["missing"]) == (2, 0)
    (rebuilt,) = traced["rebuild"]
    assert rebuilt["exact"]
    assert "--tasks csv:my.csv" in rebuilt["steps"][-1]
    assert "--text review --label mood --on-variants merge" in rebuilt["steps"][-1]


def test_many_long_names_are_collected_and_failures_are_found(tmp_path: Path, quick: Quick):
    """Of seven names of 40 characters the folder would have more than a file system takes."""
    paths = [write_own(tmp_path / f"customer_support_tickets_2024_quarter_{i}.csv") for i in range(7)]
    asked = (*SMOKE, "--tasks", ",".join(map(str, paths)), "--arms", "corrected")
    planned = json.loads(quick(tmp_path, "plan", *asked, *PLANNED, "--json")[1])
    assert len(planned["protocol"]) < 140
    store = Store(tmp_path / "out")
    own = own_tasks(list(map(str, paths)))
    grid = with_own_tasks(select(adam.grid(PROTOCOL), seeds=[0]), own)
    for p in planning.plan(grid, store, Inputs(own)).cells:
        store.write(record(p.run_id or ""))
    collected = collect.collect(grid, store, Inputs(own))
    assert collected is not None
    assert set(collected.runs["protocol"]) == {planned["protocol"]}


def test_the_next_command_may_be_pasted() -> None:
    assert run.drawing(Store(Path("out"))) == "python -m stableft figures --results out"
    assert run.drawing(Store(Path("sp ace/it's"))) == """python -m stableft figures --results 'sp ace/it'"'"'s'"""


def test_printed_commands_name_a_folder_with_spaces(
    finished: Path, tmp_path: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = "sp ace/it's (1)"
    shutil.copytree(finished / "out", tmp_path / where)
    (tmp_path / where / "weights").mkdir(exist_ok=True)
    store, cell = Store(Path(where)), {"experiment": "adam", "protocol": "smoke", "task": "toy", "arm": "corrected", "seed": 7}
    (run_id, *_) = sorted(path.stem for path in (tmp_path / where / "runs").iterdir())
    texts = []
    with contextlib.chdir(tmp_path):
        again = f"python -m stableft retry adam --protocol smoke --seeds 7{store.option}"
        failed = planning.plan(select(adam.grid(PROTOCOL), seeds=[7], arms=["corrected"]), store, Inputs()).jobs
        run_state.note(store, run_state.Failure(run_id=next(iter(failed)), state="failed", kind="crashed", detail="a", attempts=1,
            seconds=1.0, when=run_state.now(), retry=again, **cell))  # fmt: skip
    for arguments in (
        ("run", *SMOKE, "--seeds", "0-1"), ("status", *SMOKE, "--seeds", "7"), ("failures",), ("export", run_id, "model"),
    ):  # fmt: skip
        code, out, err = quick(tmp_path, *arguments, "--results", where)
        assert code in (0, 4), err
        texts.append(out + err)
    commands = [line for text in texts for line in re.findall(r"(?:python -m )?stableft [^`\n]*--results [^`\n]*", text)]
    names = {re.split(r"stableft ", command)[1].split()[0] for command in commands}
    assert names == {"figures", "failures", "logs", "retry", "run"}
    monkeypatch.setattr(adam, "REPORT", {})
    for command in commands:
        words = shlex.split(command.removeprefix("python -m "))
        assert words[words.index("--results") + 1] == where, command
        if words[1] in ("figures", "failures"):
            assert quick(tmp_path, *words[1:])[0] == 0, command
    monkeypatch.setattr(run, "are_kept", lambda store, run_id: True)
    with contextlib.chdir(tmp_path):
        planned = planning.plan(select(adam.grid(PROTOCOL), seeds=[0]), store, Inputs(), keep_weights=True)
        shown = run.finished(planned, store, None, [], "").text
    (command,) = re.findall(r"`(stableft export [^`]*)`", "\n".join(map(str, shown)))
    assert shlex.split(command)[-1] == where


def test_a_results_folder_that_cannot_be_written_is_refused_before_anything_starts(tmp_path: Path, quick: Quick) -> None:
    (tmp_path / "file").touch()
    code, out, err = quick(tmp_path, "run", *SMOKE, "--results", "file/out")
    assert (code, out) == (Exit.IO, "")
    assert err == "error: file/out can't be written: name another folder by --results\n"
