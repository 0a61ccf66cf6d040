"""The commands that look after runs, on runs that fail as they are told to."""

import functools
import json
import shlex
import shutil
from pathlib import Path

import pytest

from experiments import adam
from experiments.protocol import SMOKE as PROTOCOL
from stableft.cli import watch as watching
from stableft.core.grid import select
from stableft.execution import collect, planning, runner
from stableft.execution.inputs import Inputs
from stableft.execution.supervisor import Supervisor
from stableft.storage import run_state as states
from stableft.storage.store import Store
from tests.conftest import Quick
from tests.helpers.misbehaving import by_seed
from tests.storage.test_store import record

SMOKE = ("adam", "--protocol", "smoke", "--results", "out")
ONE_ARM = (*SMOKE, "--arms", "corrected")


@pytest.fixture
def obedient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training processes that fail as their run's seed says: 1 is killed, 2 crashes, 3 is refused, 4 has too little memory."""
    monkeypatch.setattr(runner, "Supervisor", functools.partial(Supervisor, target=by_seed))


def done(folder: Path, seeds: list[int]) -> Store:
    """Results of the smoke grid as if it had been run; the last run diverged."""
    store, inputs = Store(folder / "out"), Inputs()
    grid = select(adam.grid(PROTOCOL), seeds=seeds)
    runs = [p.run_id or "" for p in planning.plan(grid, store, inputs).cells]
    for run_id in runs:
        store.write(record(run_id, outcome="diverged" if run_id == runs[-1] else "ok"))
    collect.collect(grid, store, inputs)
    return store


def status(quick: Quick, folder: Path, *options: str) -> dict[str, int]:
    code, out, err = quick(folder, "status", *SMOKE, *options, "--json")
    assert code == 0, err
    found = json.loads(out)
    names = (*states.STATES, "diverged", "only_collected")
    assert {name: found[name] for name in names} == {name: sum(cell[name] for cell in found["cells"]) for name in names}
    return {name: found[name] for name in names if found[name]}


@pytest.mark.usefixtures("obedient")
def test_a_grid_with_failures_from_its_end_to_their_retry(tmp_path: Path, quick: Quick):
    options = ("--seeds", "1-4", "--jobs", "1", "--max-retries", "crashed=2,oom=0,killed=0")
    code, out, _ = quick(tmp_path, "run", *ONE_ARM, *options)
    assert code == 4  # of the refused run; the highest code of all failures
    again = "python -m stableft retry adam --protocol smoke --arms corrected --seeds 1-4 --results out"
    lines = out.splitlines()
    assert [line.split(":")[0] for line in lines[:4]] == ["1 killed", "1 failed (crashed)", "1 failed (refused)", "1 oom"]
    assert lines[1].startswith("1 failed (crashed): toy / corrected / 2: crashed as asked (log: out/logs/")
    assert lines[4] == "next: `python -m stableft failures adam --protocol smoke --results out` lists what failed,"
    (command,) = [line.split("`")[1] for line in lines[5:]]
    assert set(shlex.split(command)) == {*shlex.split(again), *options}
    assert status(quick, tmp_path, "--seeds", "0-4", "--arms", "corrected") == {"pending": 1, "failed": 2, "oom": 1, "killed": 1}

    failures = json.loads(quick(tmp_path, "failures", "--results", "out", "--json")[1])["failures"]
    found = {failure["seed"]: (failure["state"], failure["kind"], failure["attempts"]) for failure in failures}
    assert found == {
        1: ("killed", "killed", 1), 2: ("failed", "crashed", 3), 3: ("failed", "refused", 1), 4: ("oom", "oom", 1),
    }  # fmt: skip
    assert {failure["retry"] for failure in failures} == {command}
    code, out, _ = quick(tmp_path, "failures", "adam", "--results", "out")
    for part in ("toy / corrected / 2", "failed", "crashed: crashed as asked", failures[0]["run_id"], f"again: {command}"):
        assert part in out
    assert "no run has failed" in quick(tmp_path, "failures", "adam", "--protocol", "laptop", "--results", "out")[1]

    code, out, err = quick(tmp_path, "retry", *SMOKE, "--seeds", "0-4", "--only", "oom,crashed", "--dry-run")
    assert (code, out) == (0, "2 runs of adam at smoke that failed are done again: 1 failed, 1 oom\n")
    code, out, err = quick(tmp_path, "retry", *SMOKE, "--seeds", "0-4", "--only", "oom,crashed", "--max-retries", "0", "--json")
    assert err.startswith("2 runs of adam at smoke that failed are done again: 1 failed, 1 oom\n")
    assert (code, {(failed["seed"], failed["kind"]) for failed in json.loads(out)["failed"]}) == (1, {(2, "crashed"), (4, "oom")})
    tries = {note.seed: note.attempts for note in states.failures(Store(tmp_path / "out"))}
    assert tries == {1: 1, 2: 4, 3: 1, 4: 2}

    code, out, _ = quick(tmp_path, "retry", *SMOKE, "--seeds", "0-4", "--only", "timeout")
    assert (code, out) == (0, "no run of adam at smoke has failed so: nothing is done again\n")


@pytest.mark.usefixtures("obedient")
def test_logs_are_shown_by_run_and_by_experiment(tmp_path: Path, quick: Quick):
    quick(tmp_path, "run", *ONE_ARM, "--seeds", "2,4", "--max-retries", "0")
    (first, second) = states.failures(Store(tmp_path / "out"))
    code, out, _ = quick(tmp_path, "logs", first.run_id[:5], "--results", "out", "--follow")
    assert (code, out) == (0, "crashed: crashed as asked\n")
    code, out, _ = quick(tmp_path, "logs", "adam", "--results", "out")
    assert code == 0
    assert out.splitlines() == [
        f"== toy / corrected / 2 ({first.run_id}): failed", "crashed: crashed as asked",
        f"== toy / corrected / 4 ({second.run_id}): oom", "oom: oom as asked",
    ]  # fmt: skip


@pytest.mark.usefixtures("obedient")
def test_fail_fast_says_that_not_all_was_done(tmp_path: Path, quick: Quick):
    code, out, _ = quick(tmp_path, "run", *ONE_ARM, "--seeds", "2,1,3", "--jobs", "1", "--fail-fast", "--max-retries", "0")
    assert code == 1
    assert out.splitlines()[0].startswith("1 failed (crashed): toy / corrected / 2")
    assert out.splitlines()[1] == "2 more were not done"
    assert status(quick, tmp_path, "--arms", "corrected", "--seeds", "1-3") == {"pending": 2, "failed": 1}


@pytest.mark.usefixtures("obedient")
def test_a_failed_run_is_not_tried_again_because_another_is_damaged(tmp_path: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(collect, "collect", lambda grid, store, inputs, warn: warn("x.parquet is damaged."))
    code, out, err = quick(tmp_path, "run", *ONE_ARM, "--seeds", "2", "--max-retries", "0")
    assert code == 1
    assert "x.parquet is damaged.\nThese runs are done again." in err
    assert out.splitlines()[0].startswith("1 failed (crashed): toy / corrected / 2")
    assert "were not done" not in out
    assert [note.attempts for note in states.failures(Store(tmp_path / "out"))] == [1]


def test_collected_runs_and_those_whose_records_are_here_are_told_apart(tmp_path: Path, quick: Quick):
    store = done(tmp_path, [0, 1])
    assert status(quick, tmp_path) == {"done": 4, "diverged": 1}
    shutil.rmtree(store.root / "runs")  # as in a fresh clone
    assert status(quick, tmp_path, "--seeds", "0-2") == {"done": 4, "only_collected": 4, "pending": 2}
    _, out, _ = quick(tmp_path, "status", *SMOKE)
    assert "4 of the done runs are only in the collected tables, as in a fresh clone: `run` does them anew" in out
    plan = json.loads(quick(tmp_path, "plan", *SMOKE, "--seeds", "0-2", "--json")[1])
    assert (plan["missing"], plan["only_collected"]) == (6, 4)
    assert "4 of the missing are in the collected tables" in quick(tmp_path, "plan", *SMOKE, "--seeds", "0-2")[1]


def test_a_grid_that_is_done_is_watched_to_its_end_at_once(tmp_path: Path, quick: Quick):
    done(tmp_path, [0, 1])
    code, out, _ = quick(tmp_path, "status", *SMOKE, "--watch")
    assert code == 0
    assert out.splitlines()[:3] == [
        "task  arm          done  running  pending", "toy   corrected       2        0        0",
        "toy   uncorrected     2        0        0",
    ]  # fmt: skip


def test_a_watch_ends_by_an_interrupt(tmp_path: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch):
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(watching.watch, "__defaults__", (interrupt,))
    code, out, err = quick(tmp_path, "status", *SMOKE, "--watch")
    assert (code, len(out.splitlines()), err) == (130, 1, "")
    assert out.endswith("adam (smoke): 0 done, 0 running, 4 pending; no command is at it\n")


def test_garbage_is_listed_and_deleted_only_if_asked_for(tmp_path: Path, quick: Quick):
    store = done(tmp_path, [0])
    (store.root / "tokens" / "x").mkdir(parents=True)
    (store.root / "tokens" / "x" / "pieces.npy").write_bytes(bytes(10**6))
    listed = json.loads(quick(tmp_path, "gc", "--results", "out", "--json")[1])
    assert (listed["deleted"], listed["bytes"], len(listed["items"]), listed["kept"]) == (False, 10**6, 1, [])
    code, out, _ = quick(tmp_path, "gc", "--results", "out", "--runs")
    assert out.splitlines()[-1].endswith("may be deleted; --yes does")
    assert (store.root / "tokens" / "x").is_dir()
    code, out, _ = quick(tmp_path, "gc", "--results", "out", "--yes")
    assert (code, out.splitlines()[-1]) == (0, "1 files and folders of 1.0 MB deleted")
    assert not (store.root / "tokens" / "x").exists()
    assert status(quick, tmp_path, "--seeds", "0") == {"done": 2, "diverged": 1}


def test_a_results_folder_that_is_none_is_one_clear_error(tmp_path: Path, quick: Quick):
    (tmp_path / "out").write_text("a file where the folder should be")
    code, out, err = quick(tmp_path, "status", *SMOKE)
    assert (code, out, len(err.splitlines())) == (74, "", 1)
    assert "Not a directory" in err
