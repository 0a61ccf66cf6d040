"""From `run --keep-weights` to a folder, as users type it."""

import json
from pathlib import Path

import pytest

from tests.cli.test_predict import write_reviews
from tests.conftest import Quick
from tests.helpers.commands import SMOKE

ONE = (*SMOKE, "--arms", "corrected", "--seeds", "0", "--results", "out")


def test_a_plan_says_what_kept_weights_take(finished: Path, quick: Quick):
    """In finished runs without weights all are missing again."""
    plain, keeping = (json.loads(quick(finished, "plan", *ONE, *more, "--json")[1]) for more in ((), ("--keep-weights",)))
    assert (plain["missing"], plain["kept_weights_bytes"]) == (0, 0)
    assert keeping["missing"] == 1
    assert keeping["kept_weights_bytes"] > 100_000
    assert keeping["estimated_bytes"] > keeping["kept_weights_bytes"]
    out = quick(finished, "plan", *ONE, "--keep-weights")[1]
    assert "of which 0.1 MB are kept weights" in out
    code, _, err = quick(finished, "plan", *ONE, "--keep-weights", "--backend", "dask", "--local-cluster", "1", "--gather")
    assert code == 2
    assert "--keep-weights needs workers that see the results folder" in err


def test_an_export_without_kept_weights_names_the_command_that_keeps_them(finished: Path, quick: Quick):
    (run_id, *_) = sorted(path.stem for path in (finished / "out" / "runs").glob("*.parquet"))
    code, _, err = quick(finished, "export", run_id, "model", "--results", "out")
    assert code == 4
    assert "were not kept; this repeats it and keeps them: stableft run adam --protocol smoke --arms" in err
    assert "--keep-weights --results out" in err
    assert not (finished / "model").exists()


@pytest.mark.slow
def test_from_a_table_of_excel_to_answers(tmp_path: Path, quick: Quick):
    write_reviews(tmp_path / "reviews.csv")
    own = ("--tasks", "csv:reviews.csv", "--text", "Review", "--label", "Sentiment", "--allow-unknown")
    run = ("run", *ONE, *own)
    assert quick(tmp_path, *run)[0] == 0
    (record,) = (tmp_path / "out" / "runs").glob("*.parquet")
    before = record.read_bytes()
    code, out, err = quick(tmp_path, *run, "--keep-weights")
    assert code == 0, err
    assert "gave other numbers" not in err
    assert record.read_bytes() == before
    assert f"1 runs have kept weights: `stableft export {record.stem} FOLDER --results out`" in out
    assert "1 runs, 1 cached, 0 will run" in quick(tmp_path, *run, "--keep-weights", "--dry-run")[1]
    assert quick(tmp_path, "export", record.stem[:5], "model", "--results", "out")[0] == 0
    code, _, err = quick(tmp_path, "export", record.stem[:5], "model", "--results", "out")
    assert code == 2
    assert "already exists" in err
    assert quick(tmp_path, "predict", "model", "reviews.csv", "--out", "answers.csv")[0] == 0
    # Garbage collection leaves kept weights unless they are asked for.
    weights = tmp_path / "out" / "weights" / f"{record.stem}.safetensors"
    _, out, __ = quick(tmp_path, "gc", "--results", "out", "--yes")
    assert "kept: the weights of 1 runs (0.1 MB)" in out
    assert weights.is_file()
    assert quick(tmp_path, "gc", "--results", "out", "--yes", "--kept-weights")[0] == 0
    assert not weights.exists()
