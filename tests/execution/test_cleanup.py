"""What may be deleted: never the only copy of a measurement, never what a run that goes on may be using."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from experiments import adam
from experiments.protocol import SMOKE
from stableft.cli.gc import garbage_view
from stableft.core.grid import Grid, select
from stableft.core.model_facts import ModelFacts
from stableft.execution import cleanup
from stableft.execution.inputs import Inputs
from stableft.storage import kept_weights, run_state
from stableft.storage.records import CellKey
from stableft.storage.store import Store
from stableft.techniques.intermediate import Intermediate
from tests.storage.test_run_state import at_work, failure
from tests.storage.test_store import record

GRID = select(adam.grid(SMOKE), arms=["corrected"], seeds=[0])
DONE, COLLECTED, FAILED, PENDING = ("d" * 16, "c" * 16, "f" * 16, "e" * 16)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """One of everything: a run that is done, one that is also collected, one that failed, one that was interrupted."""
    store = Store(tmp_path / "out")
    for run_id in (DONE, COLLECTED):
        store.write(record(run_id, score=0.5))
        run_state.note(store, failure(run_id))
    store.collect("smoke", "adam", [CellKey("adam", "x", "toy", 0, COLLECTED)])
    run_state.note(store, failure(FAILED))
    for name in ("locks", "claims", "checkpoints", "tokens/x", "weights", "damaged", "smoke/adam/.draft"):
        (store.root / name).mkdir(parents=True, exist_ok=True)
    for run_id in (DONE, FAILED):
        (store.root / "checkpoints" / f"{run_id}.pt").write_bytes(b"12345")
        (store.root / "damaged" / f"{run_id}.parquet").write_bytes(b"12345")
    old_lock = store.root / "claims" / FAILED  # of an earlier version
    tokens, weights = store.root / "tokens/x/y.npy", store.root / "weights/x.lock"
    for path in (store.log_path(PENDING), store.lock_path(PENDING), old_lock, tokens, weights):
        path.write_bytes(b"")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for pid in (dead.pid, os.getpid()):
        (store.path("").parent / f".{DONE}.parquet.{pid}.abc.tmp").touch()
    return store


def files(store: Store) -> set[str]:
    return {str(path.relative_to(store.root)) for path in store.root.rglob("*") if path.is_file()}


def delete(store: Store, runs: bool = False, only_copies: bool = False) -> set[str]:
    """What goes."""
    before = files(store)
    found = cleanup.find(store, [GRID], runs, only_copies)
    assert files(store) == before, "looking deletes nothing"
    cleanup.delete(store, found)
    return before - files(store)


def test_what_says_nothing_any_more_goes_and_every_measurement_stays(store: Store):
    gone = delete(store)
    (draft,) = (name for name in gone if name.endswith(".abc.tmp"))
    assert str(os.getpid()) not in draft.split(".")
    assert gone - {draft} == {
        f"logs/{DONE}.log", f"logs/{COLLECTED}.log", f"logs/{PENDING}.log", f"failures/{DONE}.json", f"failures/{COLLECTED}.json",
        f"locks/{PENDING}", f"claims/{FAILED}", f"checkpoints/{DONE}.pt", f"damaged/{DONE}.parquet", "tokens/x/y.npy",
        "weights/x.lock",
    }  # fmt: skip
    assert {f"runs/{DONE}.parquet", f"runs/{COLLECTED}.parquet", f"damaged/{FAILED}.parquet", f"logs/{FAILED}.log"} <= files(store)
    assert {f"checkpoints/{FAILED}.pt", f"failures/{FAILED}.json", "smoke/adam/metrics.parquet"} <= files(store)
    assert delete(store) == set(), "and nothing is left to delete"


def test_records_go_only_if_asked_for_and_the_only_copies_only_if_that_too(store: Store):
    assert not {name for name in delete(store) if name.startswith("runs/") and name.endswith(".parquet")}
    assert delete(store, only_copies=True) == {f"damaged/{FAILED}.parquet"}
    assert delete(store, runs=True) == {f"runs/{COLLECTED}.parquet"}
    assert delete(store, runs=True, only_copies=True) == {f"runs/{DONE}.parquet"}


def test_a_record_with_other_rows_than_the_collected_is_the_only_copy_of_its_own(store: Store):
    store.write(record(COLLECTED, score=0.75))
    assert f"runs/{COLLECTED}.parquet" not in delete(store, runs=True)


def test_tables_set_aside_go_if_each_run_stands_elsewhere(store: Store):
    folder = store.folder("smoke", "adam")
    aside = folder.with_name("adam@12345678")
    store.collect("smoke", "adam", [CellKey("adam", "x", "toy", 0, DONE)])
    folder.rename(aside)
    store.collect("smoke", "adam", [CellKey("adam", "x", "toy", 0, COLLECTED)])
    found = cleanup.find(store, [], runs=True, only_copies=True)
    assert {item.path for item in found.items if item.only_copy} >= {aside, store.path(DONE)}, "neither is the other's copy"
    assert f"smoke/{aside.name}/runs.parquet" in delete(store)
    aside.mkdir()
    (aside / "runs.parquet").write_bytes(b"damaged")
    (kept,) = (item.path for item in cleanup.find(store, []).kept if item.kind == "tables set aside")
    assert kept == aside


def test_while_a_run_goes_on_nothing_that_it_may_use_is_touched(store: Store):
    with at_work(store, PENDING):
        gone = delete(store)
        assert gone
        assert not {name for name in gone if name.split("/")[0] in ("tokens", "weights", "locks", "runs") or PENDING in name}
        assert "1 runs are running" in str(garbage_view(cleanup.find(store, [GRID]), deleted=False).text[-1])
    assert f"locks/{PENDING}" in delete(store)


def test_weights_stay_as_long_as_a_missing_run_needs_them(tmp_path: Path):
    store, inputs = Store(tmp_path), Inputs()
    grid = Grid("x", SMOKE, {"two": {"techniques": (Intermediate(task="toyscore"),)}}, ["toy"], [0])
    (cell,) = grid.cells()
    (source,) = cell.config.sources().values()
    path = store.weights_path(inputs.run_id(source))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"1234")
    assert cleanup.find(store, [grid]).items == []
    assert [item.path for item in cleanup.find(store, [GRID]).items] == [path]
    store.write(record(inputs.run_id(cell.config)))
    (item,) = cleanup.find(store, [grid]).items
    assert (item.path, item.size, item.kind) == (path, 4, "weights that no missing run needs")


def test_weights_stay_where_it_cant_be_told_who_needs_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STABLEFT_DATA", str(tmp_path))
    store = Store(tmp_path)
    grid = Grid("x", SMOKE, {"two": {"techniques": (Intermediate(task="rte"),)}}, ["toy"], [0])
    for run_id, task in (("a" * 16, "rte"), ("b" * 16, "toy")):
        run = record(run_id)
        store.write(type(run)(**{**vars(run), "config": {"task": task}}))
        store.weights_path(run_id).parent.mkdir(exist_ok=True)
        store.weights_path(run_id).touch()
    assert [item.path.stem for item in cleanup.find(store, [grid]).items] == ["b" * 16]


def test_an_empty_folder_has_no_garbage(tmp_path: Path):
    found = cleanup.find(Store(tmp_path / "none"), [GRID])
    cleanup.delete(Store(tmp_path / "none"), found)
    assert garbage_view(found, deleted=True).text == ["nothing to delete"]
    assert not (tmp_path / "none").exists()


def test_weights_that_were_asked_for_go_only_if_that_is_asked_for_too(store: Store):
    facts = ModelFacts(run_id=DONE, task="toy", kind="regression", labels=(), score="spearman", pairs=False, max_length=32)
    kept, others = store.weights_path(DONE), store.weights_path(COLLECTED)
    save_file({"x": np.zeros(3)}, kept, {kept_weights.FACTS: facts.model_dump_json()})
    save_file({"x": np.zeros(3)}, others)
    found = cleanup.find(store, [GRID])
    assert [item.path for item in found.kept_weights] == [kept]
    assert "kept: the weights of 1 runs" in str(garbage_view(found, deleted=False).text[-1])
    assert f"weights/{COLLECTED}.safetensors" in delete(store)
    assert kept.is_file()
    found = cleanup.find(store, [GRID], weights=True)
    assert not found.kept_weights
    assert kept in [item.path for item in found.items]
