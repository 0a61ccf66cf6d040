"""`stableft status`: the states of runs, once or watched."""

import json
import shutil
from pathlib import Path

import pytest

from stableft.cli import watch
from stableft.core import config
from stableft.storage import identities
from tests.conftest import Quick
from tests.helpers.commands import SMOKE, done, status_counts

SMOKE_OUT = (*SMOKE, "--results", "out")


def test_status_counts_cells(finished: Path, quick: Quick):
    code, out, _ = quick(finished, "status", *SMOKE, "--results", "out", "--seeds", "0-2", "--json")
    status = json.loads(out)
    assert code == 0
    assert (status["runs"], status["done"], status["pending"], status["failed"]) == (6, 4, 2, 0)


def test_collected_runs_and_those_whose_records_are_here_are_told_apart(tmp_path: Path, quick: Quick):
    store = done(tmp_path, [0, 1])
    assert status_counts(quick, tmp_path) == {"done": 4, "diverged": 1}
    shutil.rmtree(store.root / "runs")  # as in a fresh clone
    assert status_counts(quick, tmp_path, "--seeds", "0-2") == {"done": 4, "only_collected": 4, "pending": 2}
    _, out, _ = quick(tmp_path, "status", *SMOKE_OUT)
    assert "4 of the done runs have no record here (fresh clone); `run` will recompute them" in out
    plan = json.loads(quick(tmp_path, "plan", *SMOKE_OUT, "--seeds", "0-2", "--json")[1])
    assert (plan["missing"], plan["only_collected"]) == (6, 4)
    _, out, _ = quick(tmp_path, "plan", *SMOKE_OUT, "--seeds", "0-2")
    assert "4 of the missing runs already have results (fresh clone); `run` will recompute them" in out


def test_runs_of_an_older_identity_are_named(finished: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch):
    assert json.loads(quick(finished, "status", *SMOKE_OUT, "--json")[1])["stale"] == 0
    monkeypatch.setattr(config, "IDENTITY_SCHEMA", 99)
    identities._identity.cache_clear()
    assert json.loads(quick(finished, "status", *SMOKE_OUT, "--json")[1])["stale"] == 4
    assert "stale: adam at smoke: 4 of 4 runs are stale" in quick(finished, "status", *SMOKE_OUT)[1]
    identities._identity.cache_clear()


def test_a_grid_that_is_done_is_watched_to_its_end_at_once(tmp_path: Path, quick: Quick):
    done(tmp_path, [0, 1])
    code, out, _ = quick(tmp_path, "status", *SMOKE_OUT, "--watch")
    assert code == 0
    assert out.splitlines()[:3] == [
        "task  arm          done  running  pending", "toy   corrected       2        0        0",
        "toy   uncorrected     2        0        0",
    ]  # fmt: skip


def test_a_watch_ends_by_an_interrupt(tmp_path: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch):
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(watch.watch_grid, "__defaults__", (interrupt,))
    code, out, err = quick(tmp_path, "status", *SMOKE_OUT, "--watch")
    assert (code, len(out.splitlines()), err) == (130, 1, "")
    assert out.endswith("adam (smoke): 0 done, 0 running, 4 pending; no command is running this grid\n")


def test_a_results_folder_that_is_none_is_one_clear_error(tmp_path: Path, quick: Quick):
    (tmp_path / "out").write_text("a file where the folder should be")
    code, out, err = quick(tmp_path, "status", *SMOKE_OUT)
    assert (code, out, len(err.splitlines())) == (74, "", 1)
    assert "Not a directory" in err
