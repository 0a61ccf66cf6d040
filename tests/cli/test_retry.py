"""`stableft retry` and `failures`, on runs that fail on request."""

import json
import shlex
from pathlib import Path

import pytest

from stableft.storage import run_state
from stableft.storage.store import Store
from tests.conftest import Quick
from tests.helpers.commands import SMOKE, status_counts

SMOKE_OUT = (*SMOKE, "--results", "out")
ONE_ARM = (*SMOKE, "--results", "out", "--arms", "corrected")


@pytest.mark.usefixtures("obedient")
def test_a_grid_with_failures_from_its_end_to_their_retry(tmp_path: Path, quick: Quick):
    options = ("--seeds", "1-4", "--jobs", "1", "--max-retries", "crashed=2,oom=0,killed=0")
    code, out, _ = quick(tmp_path, "run", *ONE_ARM, *options)
    assert code == 4  # of the refused run; the highest code of all failures
    again = "python -m stableft retry adam --protocol smoke --arms corrected --seeds 1-4 --results out"
    lines = out.splitlines()
    assert [line.split(":")[0] for line in lines[:4]] == ["1 killed", "1 failed (crashed)", "1 failed (refused)", "1 oom"]
    assert lines[1].startswith("1 failed (crashed): toy / corrected / 2: crashed as asked (log: out/logs/")
    assert lines[4] == "next: `python -m stableft failures adam --protocol smoke --results out` lists the failures,"
    (command,) = [line.split("`")[1] for line in lines[5:]]
    assert set(shlex.split(command)) == {*shlex.split(again), *options}
    assert status_counts(quick, tmp_path, "--seeds", "0-4", "--arms", "corrected") == {
        "pending": 1,
        "failed": 2,
        "oom": 1,
        "killed": 1,
        "will_run": 5,
    }

    failures = json.loads(quick(tmp_path, "failures", "--results", "out", "--json")[1])["failures"]
    found = {failure["seed"]: (failure["state"], failure["kind"], failure["attempts"]) for failure in failures}
    assert found == {
        1: ("killed", "killed", 1), 2: ("failed", "crashed", 3), 3: ("failed", "refused", 1), 4: ("oom", "oom", 1),
    }  # fmt: skip
    assert {failure["retry"] for failure in failures} == {command}
    code, out, _ = quick(tmp_path, "failures", "adam", "--results", "out")
    for part in ("toy / corrected / 2", "failed", "crashed: crashed as asked", failures[0]["run_id"], f"retry: {command}"):
        assert part in out
    assert "no failed runs" in quick(tmp_path, "failures", "adam", "--protocol", "laptop", "--results", "out")[1]

    code, out, err = quick(tmp_path, "retry", *SMOKE_OUT, "--seeds", "0-4", "--only", "oom,crashed", "--dry-run")
    assert (code, out) == (0, "2 failed runs of adam at smoke to retry: 1 failed, 1 oom\n")
    code, out, err = quick(tmp_path, "retry", *SMOKE_OUT, "--seeds", "0-4", "--only", "oom,crashed", "--max-retries", "0", "--json")
    assert err.startswith("2 failed runs of adam at smoke to retry: 1 failed, 1 oom\n")
    assert (code, {(failed["seed"], failed["kind"]) for failed in json.loads(out)["failed"]}) == (1, {(2, "crashed"), (4, "oom")})
    tries = {note.seed: note.attempts for note in run_state.failures(Store(tmp_path / "out"))}
    assert tries == {1: 1, 2: 4, 3: 1, 4: 2}

    code, out, _ = quick(tmp_path, "retry", *SMOKE_OUT, "--seeds", "0-4", "--only", "timeout")
    assert (code, out) == (0, "no such failed run of adam at smoke: nothing to retry\n")
