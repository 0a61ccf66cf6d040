"""What came of runs, read from footers and tables alone."""

from pathlib import Path

from stableft.storage import run_summary
from stableft.storage.records import CellKey
from stableft.storage.run_summary import RunSummary
from stableft.storage.store import Store
from tests.storage.test_store import record


def test_a_record_and_the_tables_say_the_same(tmp_path: Path):
    store = Store(tmp_path)
    runs = [record(), record("b" * 16, outcome="diverged")]
    for run in runs:
        store.write(run)
    assert run_summary.summarise_tables(store, "smoke", "adam") == {}
    store.collect("smoke", "adam", [CellKey("adam", arm, "toy", 0, run.run_id) for arm, run in zip("xy", runs, strict=True)])
    briefs = {run.run_id: run_summary.summarise_record(store, run.run_id) for run in runs}
    assert run_summary.summarise_tables(store, "smoke", "adam") == briefs
    found = briefs["b" * 16]
    assert found is not None
    assert (found.task, found.outcome, found.seconds) == ("toy", "diverged", 1.5)


def test_a_record_that_is_absent_or_cut_short_says_nothing(tmp_path: Path):
    store = Store(tmp_path)
    assert run_summary.summarise_record(store, "a" * 16) is None
    path = store.write(record())
    path.write_bytes(path.read_bytes()[:-1])
    assert run_summary.summarise_record(store, "a" * 16) is None


def test_the_end_of_a_run_is_what_its_record_says(tmp_path: Path):
    store = Store(tmp_path)
    assert run_summary.recorded_outcome(store, "a" * 16) is None
    path = store.write(record(outcome="diverged"))
    assert run_summary.recorded_outcome(store, "a" * 16) == ("diverged", 1.5)
    path.write_bytes(path.read_bytes()[:-1])
    assert run_summary.recorded_outcome(store, "a" * 16) == ("its record can't be read", 0.0)


def test_tables_from_before_trajectories_were_kept(tmp_path: Path):
    store = Store(tmp_path)
    store.write(record())
    results = store.collect("smoke", "adam", [CellKey("adam", "x", "toy", 0, "a" * 16)])
    for name in ("runs",):
        old = results.runs.drop(columns=["trajectory_sha256"]).assign(seconds=float("nan"))
        old.to_parquet(store.folder("smoke", "adam") / f"{name}.parquet")
    assert run_summary.summarise_tables(store, "smoke", "adam") == {"a" * 16: RunSummary("toy", "ok", None, None)}
