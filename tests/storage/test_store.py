import contextlib
import errno
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stableft.core.errors import Damaged, MissingInput
from stableft.storage import table_files
from stableft.storage.frames import metrics_frame, predictions_frame
from stableft.storage.parquet import read_parquet, write_parquet
from stableft.storage.records import FOOTER, FOOTER_SHA256, CellKey, RunRecord
from stableft.storage.run_summary import summarise_record
from stableft.storage.store import Store


def record(run_id: str = "a" * 16, score: float = 0.75, outcome: str = "ok") -> RunRecord:
    rows = [(1, "train", "loss", "", 0.7), (1, "train", "lr", "", 0.0), (2, "train", "loss", "", float("nan"))]
    predictions = []
    if outcome == "ok":
        rows += [(2, "validation", "score", "", score), (2, "validation", "score", "subset", 0.5)]
        probabilities = np.array([[0.1, 0.9], [0.6, 0.4]], np.float32)
        predictions = [("validation", np.array([1.0, 0.0]), np.array([1.0, 1.0]), probabilities)]
    return RunRecord(
        run_id=run_id,
        outcome=outcome,  # pyright: ignore[reportArgumentType]
        config={"task": "toy", "adam": {"lr": 0.1}},
        facts={"score_name": "accuracy", "score_split": "validation", "majority_score": 0.5, "num_steps": 2},
        provenance={"seconds": 1.5, "peak_memory_mb": 100.0, "packages": {"torch": "0"}},
        metrics=metrics_frame(rows),
        predictions=predictions_frame(predictions),
    )


def same(a: RunRecord, b: RunRecord) -> None:
    assert (a.run_id, a.outcome, a.config, a.facts, a.provenance) == (b.run_id, b.outcome, b.config, b.facts, b.provenance)
    pd.testing.assert_frame_equal(a.metrics, b.metrics, check_dtype=False)
    assert a.predictions["example"].tolist() == b.predictions["example"].tolist()
    for mine, theirs in zip(a.predictions["probabilities"], b.predictions["probabilities"], strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("outcome", ["ok", "diverged"])
def test_a_record_comes_back_as_it_was(tmp_path: Path, outcome: str):
    store = Store(tmp_path)
    store.write(record(outcome=outcome))
    same(store.read("a" * 16), record(outcome=outcome))
    assert store.has("a" * 16)
    assert not store.has("b" * 16)


def test_the_footer_holds_config_and_provenance_for_any_parquet_reader(tmp_path: Path):
    path = Store(tmp_path).write(record())
    footer = json.loads(pq.read_schema(path).metadata[FOOTER])
    assert footer["schema"] == 1
    assert footer["config"]["adam"]["lr"] == 0.1
    assert footer["provenance"]["packages"] == {"torch": "0"}
    assert pq.ParquetFile(path).metadata.row_group(0).column(0).compression == "ZSTD"


def test_writing_fails_without_a_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = Store(tmp_path)
    store.write(record(score=0.25))
    before = store.path("a" * 16).read_bytes()

    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full_disk)
    with pytest.raises(OSError, match="No space"):
        store.write(record(score=0.75))
    assert store.path("a" * 16).read_bytes() == before
    assert os.listdir(tmp_path / "runs") == ["a" * 16 + ".parquet"]


def test_a_changed_bit_is_noticed_or_changes_nothing(tmp_path: Path):
    store = Store(tmp_path)
    whole = store.write(record()).read_bytes()
    pages = pq.ParquetFile(store.path("a" * 16)).metadata.row_group(0)
    chunk = pages.column(5)  # of the values
    start, size = chunk.dictionary_page_offset or chunk.data_page_offset, chunk.total_compressed_size
    for place in range(start, start + size, 3):
        store.path("a" * 16).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with contextlib.suppress(MissingInput):
            same(store.read("a" * 16), record())  # what changes nothing, such as a statistic, need not be noticed


def test_records_cut_short_are_found_and_set_aside(tmp_path: Path):
    store = Store(tmp_path)
    whole = store.write(record("a" * 16)).read_bytes()
    for name, content in {"b": whole[:-1], "c": b"", "d": whole[:6]}.items():
        store.path(name * 16).write_bytes(content)
    assert store.cut_short() == ["b" * 16, "c" * 16, "d" * 16]
    first = store.quarantine("b" * 16)
    store.path("b" * 16).write_bytes(b"again")
    second = store.quarantine("b" * 16)
    assert (first.read_bytes(), second.read_bytes()) == (whole[:-1], b"again")
    assert store.cut_short() == ["c" * 16, "d" * 16]


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"PAR1" + b[4:-4] + b"XXXX"])
def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path, damage):
    store = Store(tmp_path)
    path = store.write(record())
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(MissingInput, match=r"aaaa\.parquet is damaged.*Delete it and run again"):
        store.read("a" * 16)


@pytest.mark.parametrize("name", ["runs", "metrics", "predictions"])
def test_tables_of_a_newer_version_are_refused(tmp_path: Path, name: str):
    store = Store(tmp_path)
    store.write(record())
    place = CellKey("adam", "x", "toy", 0, "a" * 16)
    store.collect("smoke", "adam", [place])
    path = store.folder("smoke", "adam") / f"{name}.parquet"
    table = pq.read_table(path)
    write_parquet(table.replace_schema_metadata({**table.schema.metadata, table_files.SCHEMA: b"3"}), path)
    for read in (store.load, *([store.load_runs] if name == "runs" else [])):
        with pytest.raises(MissingInput, match=rf"{name}\.parquet was written by a newer stableft \(schema 3, here 2\): update"):
            read("smoke", "adam")
    with pytest.raises(MissingInput, match="newer stableft"):
        store.collect("smoke", "adam", [place], keep={place})
    assert pq.read_schema(path).metadata[table_files.SCHEMA] == b"3", "nothing was written over"


def test_a_foreign_or_newer_file_is_refused(tmp_path: Path):
    store = Store(tmp_path)
    write_parquet(pa.table({"x": [1]}), store.path("b" * 16))
    with pytest.raises(MissingInput, match="no run of stableft"):
        store.read("b" * 16)
    newer = pa.table({"x": [1]}).replace_schema_metadata({FOOTER: b'{"schema": 99}'})
    write_parquet(newer, store.path("b" * 16))
    with pytest.raises(MissingInput, match="newer stableft"):
        store.read("b" * 16)
    with pytest.raises(MissingInput, match="does not exist"):
        store.read("c" * 16)


def test_collecting_gives_the_agreed_columns_in_the_order_of_the_places(tmp_path: Path):
    store = Store(tmp_path)
    store.write(record("a" * 16, 0.75))
    store.write(record("b" * 16, 0.25))
    places = [CellKey("adam", "uncorrected", "toy", 0, "b" * 16), CellKey("adam", "corrected", "toy", 0, "a" * 16)]
    written = store.collect("smoke", "adam", places)
    read = store.load("smoke", "adam")
    assert store.collected() == [("smoke", "adam")]
    columns = ["experiment", "arm", "task", "seed", "run_id", "step", "split", "metric", "scope", "value"]
    assert list(read.metrics.columns) == columns
    assert read.metrics["value"].dtype == np.float64
    assert read.runs["arm"].tolist() == ["uncorrected", "corrected"]
    assert read.runs["majority_score"].tolist() == [0.5, 0.5]
    assert json.loads(read.runs["config"].iloc[0])["adam"] == {"lr": 0.1}
    pd.testing.assert_frame_equal(read.metrics, written.metrics, check_dtype=False)
    scores = read.metrics.query("metric == 'score' and scope == ''").set_index("arm")["value"]
    assert scores.to_dict() == {"uncorrected": 0.25, "corrected": 0.75}


def test_predictions_can_be_left_out(tmp_path: Path):
    store = Store(tmp_path)
    store.write(record())
    store.collect("smoke", "adam", [CellKey("adam", "corrected", "toy", 0, "a" * 16)])
    whole, part = store.load("smoke", "adam"), store.load("smoke", "adam", predictions=False)
    pd.testing.assert_frame_equal(part.metrics, whole.metrics)
    pd.testing.assert_frame_equal(part.runs, whole.runs)
    assert len(whole.predictions) == 2
    assert (len(part.predictions), list(part.predictions.columns)) == (0, list(whole.predictions.columns))


def test_collected_rows_can_outlive_their_run_files(tmp_path: Path):
    store = Store(tmp_path)
    store.write(record("a" * 16, 0.75))
    old, new = CellKey("adam", "corrected", "toy", 0, "a" * 16), CellKey("adam", "corrected", "toy", 1, "b" * 16)
    before = store.collect("smoke", "adam", [old])
    store.path("a" * 16).unlink()
    store.write(record("b" * 16, 0.25))
    after = store.collect("smoke", "adam", [old, new], keep={old})
    assert after.runs["seed"].tolist() == [0, 1]
    kept = after.metrics[after.metrics["seed"] == 0].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, before.metrics, check_dtype=False, check_categorical=False)


def test_collecting_twice_gives_the_same_bytes(tmp_path: Path):
    store = Store(tmp_path)
    store.write(record())
    place = CellKey("adam", "corrected", "toy", 0, "a" * 16)
    store.collect("smoke", "adam", [place])
    first = {p.name: p.read_bytes() for p in store.folder("smoke", "adam").iterdir()}
    store.collect("smoke", "adam", [place])
    assert {p.name: p.read_bytes() for p in store.folder("smoke", "adam").iterdir()} == first


class Killed(BaseException):
    pass


def test_a_process_that_dies_anywhere_while_collecting_leaves_the_old_tables_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store = Store(tmp_path)
    old, new = CellKey("adam", "corrected", "toy", 0, "a" * 16), CellKey("adam", "corrected", "toy", 1, "b" * 16)
    store.write(record("a" * 16, 0.75))
    store.write(record("b" * 16, 0.25))
    left: list[int] = []

    def dying(function: Callable[..., object]) -> Callable[..., object]:
        def called(*arguments: Any) -> object:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return function(*arguments)

        return called

    for name in ("rename", "replace", "rmdir"):
        monkeypatch.setattr(Path, name, dying(getattr(Path, name)))
    monkeypatch.setattr(os, "replace", dying(os.replace))
    seen = []
    for steps in range(20):
        left[:] = [1000]
        store.collect("smoke", "adam", [old])
        left[:] = [steps]
        with contextlib.suppress(Killed):
            store.collect("smoke", "adam", [old, new])
        seen.append(store.load("smoke", "adam"))
        assert seen[-1].metrics["seed"].unique().tolist() == seen[-1].runs["seed"].tolist()
    numbers = [len(results.runs) for results in seen]
    assert numbers == sorted(numbers), "the new tables appear at one moment"
    assert set(numbers) == {1, 2}


def test_tables_that_do_not_belong_together_are_refused(tmp_path: Path):
    store = Store(tmp_path)
    place = CellKey("adam", "corrected", "toy", 0, "a" * 16)
    path = store.folder("smoke", "adam") / "metrics.parquet"
    store.write(record("a" * 16, 0.75))
    store.collect("smoke", "adam", [place])
    of_another = path.read_bytes()
    store.write(record("a" * 16, 0.25))
    store.collect("smoke", "adam", [place])
    path.write_bytes(of_another)
    with pytest.raises(MissingInput, match="not of one collection"):
        store.load("smoke", "adam")


def test_rows_of_no_run_are_refused(tmp_path: Path):
    store = Store(tmp_path)
    store.write(record())
    store.collect("smoke", "adam", [CellKey("adam", "corrected", "toy", 0, "a" * 16)])
    path = store.folder("smoke", "adam") / "metrics.parquet"
    table = pq.read_table(path)
    index = table.schema.get_field_index("arm")
    strange = table.set_column(index, "arm", pa.array(["strange"] * len(table)).dictionary_encode())
    write_parquet(strange.replace_schema_metadata(table.schema.metadata), path)
    with pytest.raises(Damaged, match="name another arm than the runs"):
        store.load("smoke", "adam")


def test_missing_results_say_which_command_makes_them(tmp_path: Path):
    with pytest.raises(MissingInput, match="stableft run adam --protocol smoke"):
        Store(tmp_path).load("smoke", "adam")


def test_hundreds_of_scopes_beside_a_run_of_when_there_were_few(tmp_path: Path):
    """Older files index their scopes by 8 bits."""
    store, new = Store(tmp_path), record("b" * 16)
    surface = pd.DataFrame({"step": 2, "split": "train", "metric": "surface_loss", "scope": [f"a={i} b=0" for i in range(400)]})
    new = replace(new, metrics=pd.concat([new.metrics, surface.assign(value=0.5)], ignore_index=True))
    store.write(new)
    path = store.write(record())
    table = pq.read_table(path)
    narrow = table.column("scope").cast(pa.dictionary(pa.int8(), pa.string()))
    write_parquet(table.set_column(table.schema.get_field_index("scope"), "scope", narrow), path)
    same(store.read("a" * 16), record())
    same(store.read("b" * 16), new)
    places = [CellKey("surface", "corrected", "toy", seed, run_id) for seed, run_id in enumerate(("a" * 16, "b" * 16))]
    store.collect("smoke", "surface", places)
    assert store.load("smoke", "surface").metrics["scope"].nunique() == 402


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"run_id": "b" * 16}, "another run's"),
        ({"outcome": "fine"}, "outcome"),
        ({"facts": {}}, "score_name: Field required"),
        ({"facts": {"score_name": "accuracy", "score_split": "test", "majority_score": 0.5, "num_steps": -1}}, "num_steps"),
        ({"provenance": {"hardware": 5}}, "hardware"),
        ({"schema": None, "config": 3}, "config"),
    ],
)
def test_a_footer_that_no_run_has_is_damage(tmp_path: Path, change: dict[str, object], reason: str):
    store = Store(tmp_path)
    path = store.write(record())
    table = pq.read_table(path)
    footer = {**json.loads(table.schema.metadata[FOOTER]), **change}
    write_parquet(table.replace_schema_metadata({FOOTER: json.dumps(footer).encode()}), path)
    with pytest.raises(Damaged, match=f"{path.name} is damaged .*{reason}"):
        store.read("a" * 16)
    write_parquet(table.replace_schema_metadata({FOOTER: b"[1]"}), path)
    with pytest.raises(Damaged, match="no run of stableft"):
        store.read("a" * 16)


def test_a_footer_that_was_changed_is_damage_though_it_could_be_a_runs(tmp_path: Path):
    store = Store(tmp_path)
    path = store.write(record())
    table = pq.read_table(path)
    metadata = dict(table.schema.metadata)
    changed = metadata[FOOTER].replace(b'"majority_score": 0.5', b'"majority_score": 0.4')
    assert changed != metadata[FOOTER]
    write_parquet(table.replace_schema_metadata({**metadata, FOOTER: changed}), path)
    with pytest.raises(Damaged, match="its footer is not the one that was written"):
        store.read("a" * 16)
    del metadata[FOOTER_SHA256]
    write_parquet(table.replace_schema_metadata(metadata), path)
    same(store.read("a" * 16), record())  # as they were before the fingerprint was kept


@pytest.mark.parametrize("column", ["kind", "step", "value", "probabilities"])
def test_rows_that_no_run_has_are_damage(tmp_path: Path, column: str):
    store = Store(tmp_path)
    path = store.write(record())
    table = pq.read_table(path)
    at = table.column_names.index(column)
    for other in (table.drop_columns([column]), table.set_column(at, column, pa.nulls(len(table), table.schema.types[at]))):
        write_parquet(other, path)
        with pytest.raises(Damaged, match=f"{path.name} is damaged"):
            store.read("a" * 16)


@pytest.mark.parametrize(
    ("name", "column", "values", "reason"),
    [
        ("runs", "config", ["[]"], "config: the whole: "),
        ("runs", "provenance", ['{"started": "soon"}'], "provenance: started"),
        ("runs", "seed", [None], "column seed holds"),
        ("runs", "arm", ["a\nb"], "column arm: .* can't be printed"),
        ("runs", "outcome", ["fine"], "outcome is 'fine'"),
        ("metrics", "value", ["high"], "column value holds string"),
        ("metrics", "step", None, "no column step"),
        ("predictions", "probabilities", [1.0], "column probabilities holds double"),
    ],
)
def test_collected_tables_of_other_columns_are_damage(tmp_path: Path, name: str, column: str, values: list[object], reason: str):
    store = Store(tmp_path)
    store.write(record())
    store.collect("smoke", "adam", [CellKey("adam", "corrected", "toy", 0, "a" * 16)])
    path = store.folder("smoke", "adam") / f"{name}.parquet"
    table = pq.read_table(path)
    at = table.column_names.index(column)
    table = table.drop_columns([column]) if values is None else table.set_column(at, column, pa.array(values * len(table)))
    write_parquet(table, path)
    with pytest.raises(Damaged, match=rf"{name}\.parquet is damaged \({reason}.*run its experiment again"):
        store.load("smoke", "adam")


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes there")
def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    store = Store(tmp_path / os.fsdecode(b"r\xe9sultats \xff"))
    store.write(record())
    same(store.read("a" * 16), record())
    assert summarise_record(store, "a" * 16) is not None


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(self: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", forbidden)
    with pytest.raises(MissingInput, match=r"x\.parquet can't be read \(Permission denied\)") as caught:
        read_parquet(tmp_path / "x.parquet")
    assert not isinstance(caught.value, Damaged)
