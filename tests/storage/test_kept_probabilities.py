"""Of tables with more examples than are kept: which bits go, that nothing else does, and what the rest costs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stableft.reporting.tables import disagreement
from stableft.storage import table_files
from stableft.storage.frames import metrics_frame, predictions_frame, row_fingerprints
from stableft.storage.kept_probabilities import LARGE, NUM_KEPT, kept_examples, with_kept_probabilities
from stableft.storage.parquet import write_parquet
from stableft.storage.records import COLLECTED, TRAJECTORY, CellKey, RunRecord
from stableft.storage.store import Store

MANY = LARGE + 1


def probabilities(num_examples: int, classes: int, seed: int) -> np.ndarray:
    """Distributions of a run: the same examples are difficult for all, as in a real grid."""
    easy = np.random.default_rng(0).normal(0, 2.5, (num_examples, classes))
    logits = easy + np.random.default_rng(1 + seed).normal(0, 0.7, easy.shape)
    exps = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (exps / exps.sum(axis=1, keepdims=True)).astype(np.float32)


def record(seed: int, num_examples: int = MANY, classes: int = 3) -> RunRecord:
    parts = []
    for split, size in (("validation", num_examples), ("test", 7)):
        p = probabilities(size, classes, seed)
        labels = np.random.default_rng(7).integers(0, classes, size).astype(float)
        parts.append((split, labels, p.argmax(axis=1).astype(float), p))
    facts = {"score_name": "accuracy", "score_split": "validation", "majority_score": 0.5, "num_steps": 2}
    rows = [(2, "validation", "score", "", 0.5)]
    return RunRecord(
        name(seed),
        "ok",
        {"task": "toy"},
        facts,
        {"seconds": 1.0, "peak_memory_mb": 1.0},
        metrics_frame(rows),
        predictions_frame(parts),
    )


def name(seed: int) -> str:
    return f"{seed:016x}"


def cells(*seeds: int) -> list[CellKey]:
    return [CellKey("adam", "corrected", "toy", seed, name(seed)) for seed in seeds]


def as_first_written(store: Store, *records: RunRecord) -> None:
    """Puts the probabilities of all examples, in 32 bits, into the collected table: its first layout."""
    path = store.folder("smoke", "adam") / "predictions.parquet"
    table = pq.read_table(path)
    whole = pa.array([p for record in records for p in record.predictions["probabilities"]], pa.list_(pa.float32()))
    table = table.set_column(table.column_names.index("probabilities"), "probabilities", whole)
    metadata = {**pq.read_schema(path).metadata, table_files.SCHEMA: b"1"}
    pq.write_table(table.replace_schema_metadata(metadata), path)


def test_small_splits_keep_all_and_large_ones_the_same_examples_for_every_run() -> None:
    assert kept_examples(LARGE).all()
    large = kept_examples(MANY)
    assert large.sum() == NUM_KEPT
    assert (large == kept_examples(MANY)).all()


def test_collected_tables_keep_every_row_and_the_probabilities_of_some_in_16_bits(tmp_path: Path) -> None:
    store, whole = Store(tmp_path), record(1)
    store.write(whole)
    store.collect("smoke", "adam", cells(1))
    stored = store.load("smoke", "adam").predictions
    exact = ["example", "label", "prediction"]
    pd.testing.assert_frame_equal(stored[exact], whole.predictions[exact], check_dtype=False)
    kept = np.concatenate([kept_examples(MANY), np.ones(7, bool)])
    assert (stored["probabilities"].map(len) == np.where(kept, 3, 0)).all()
    before, after = (np.stack(list(frame["probabilities"][kept])) for frame in (whole.predictions, stored))
    assert (after == before.astype(np.float16)).all()


def test_the_file_of_a_run_keeps_every_bit(tmp_path: Path) -> None:
    store, whole = Store(tmp_path), record(1)
    store.write(whole)
    fingerprint = store.trajectory(name(1))
    store.collect("smoke", "adam", cells(1))
    read = store.read(name(1))
    assert (np.stack(list(read.predictions["probabilities"])) == np.stack(list(whole.predictions["probabilities"]))).all()
    assert store.load_runs("smoke", "adam")[TRAJECTORY].tolist() == [fingerprint]


def test_the_collected_rows_have_a_fingerprint_of_their_own(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(record(1))
    store.collect("smoke", "adam", cells(1))
    results = store.load("smoke", "adam")
    assert results.runs[COLLECTED].tolist() == row_fingerprints(results) != results.runs[TRAJECTORY].tolist()
    small = record(2, 9)
    few_bits = pd.Series([np.array([0.5, 0.25], np.float32)] * 16)
    store.write(replace(small, predictions=small.predictions.assign(probabilities=few_bits)))
    store.collect("smoke", "adam", cells(2))
    runs = store.load_runs("smoke", "adam")
    assert runs[COLLECTED].tolist() == runs[TRAJECTORY].tolist(), "16 bits are enough for these"


def test_tables_of_the_first_layout_give_the_same_numbers(tmp_path: Path) -> None:
    store, records = Store(tmp_path), [record(seed) for seed in range(3)]
    for each in records:
        store.write(each)
    store.collect("smoke", "adam", cells(0, 1, 2))
    new = store.load("smoke", "adam")
    as_first_written(store, *records)
    old = store.load("smoke", "adam")
    pd.testing.assert_frame_equal(disagreement.table(old), disagreement.table(new), check_exact=True)
    for mine, theirs in zip(old.predictions["probabilities"], new.predictions["probabilities"], strict=True):
        assert mine.dtype == theirs.dtype == np.float16
        assert (mine == theirs).all()


def test_rows_kept_from_tables_of_either_layout_become_the_same_bytes(tmp_path: Path) -> None:
    store, records = Store(tmp_path), [record(seed) for seed in range(2)]
    path = store.folder("smoke", "adam") / "predictions.parquet"
    for each in records:
        store.write(each)
    store.collect("smoke", "adam", cells(0, 1))
    at_once, fingerprints = path.read_bytes(), store.load_runs("smoke", "adam")[COLLECTED]
    for first_layout in (True, False):
        store.collect("smoke", "adam", cells(0))
        if first_layout:
            as_first_written(store, records[0])
            runs = pq.read_table(path.with_name("runs.parquet")).drop_columns([COLLECTED])
            pq.write_table(runs, path.with_name("runs.parquet"))
        store.collect("smoke", "adam", cells(0, 1), keep=set(cells(0)))
        assert path.read_bytes() == at_once
        assert store.load_runs("smoke", "adam")[COLLECTED].equals(fingerprints)


def test_16_bits_move_no_divergence_that_is_shown(tmp_path: Path) -> None:
    store, records = Store(tmp_path), [record(seed, LARGE) for seed in range(4)]
    for each in records:
        store.write(each)
    store.collect("smoke", "adam", cells(0, 1, 2, 3))
    (shown,) = disagreement.table(store.load("smoke", "adam"))["jensen_shannon"]
    p = np.stack([np.stack(list(each.predictions["probabilities"][:LARGE])) for each in records]).astype(np.float64)
    pairs = [(one, other) for one in range(4) for other in range(one)]

    def entropy(q: np.ndarray) -> np.ndarray:
        return -(q * np.log2(q)).sum(axis=-1)

    exact = np.mean([(entropy((p[i] + p[j]) / 2) - (entropy(p[i]) + entropy(p[j])) / 2).mean() for i, j in pairs])
    assert shown == pytest.approx(exact, abs=2e-6)


def test_tagging_and_what_is_not_finite_pass_unchanged() -> None:
    words = pa.table({"example": [0] * MANY + [1], "probabilities": pa.array([[]] * (MANY + 1), pa.list_(pa.float32()))})
    assert with_kept_probabilities(words)["probabilities"].to_pylist() == [[]] * (MANY + 1)
    odd = pa.table({"example": pa.array([None, 0, 1], pa.int32()), "probabilities": [None, [float("nan"), 1e30], [0.5, None]]})
    (a, b), (c, d) = with_kept_probabilities(odd)["probabilities"].to_pylist()[1:]
    assert (np.isnan(a), b, c, np.isnan(d)) == (True, np.inf, 0.5, True)
    assert len(with_kept_probabilities(words.slice(0, 0))) == 0


def test_a_run_of_10000_titles_in_15_classes_costs_less_than_80_kilobytes(tmp_path: Path) -> None:
    runs = [record(seed, 10_000, 15).predictions.assign(run_id=name(seed)) for seed in range(5)]
    table = pa.Table.from_pandas(pd.concat(runs, ignore_index=True), preserve_index=False)
    path = tmp_path / "predictions.parquet"
    write_parquet(with_kept_probabilities(table), path, table_files.ENCODINGS["predictions"])
    assert path.stat().st_size < 5 * 80_000
