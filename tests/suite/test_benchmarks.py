"""The benchmark's own arithmetic and texts, and that all of it runs."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import engine, equality, grid, steps, table
from benchmarks.__main__ import main, write
from benchmarks.statistic import Row, as_json, interleave, speedups, summary
from benchmarks.subject import Spec, Trained
from benchmarks.variants import PACKED_BF16, VARIANTS
from benchmarks.work import BASE, MINILM, RTE, SHAPES, TINY, TNEWS, Shape, Size, lengths, small, splits, write_random_encoder
from stableft.models import kernels
from stableft.models.encoders import Encoder, resolve
from stableft.models.loading import load_tokenizer

needs_trainer = pytest.mark.skipif(
    importlib.util.find_spec("accelerate") is None, reason="accelerate is not installed: benchmarks/requirements.txt"
)


def result(rows: list[dict[str, Any]], commit: str = "abc", *, quick: bool = False) -> dict[str, Any]:
    return {
        "date": "2026-01-01", "commit": commit, "threads": 2, "versions": {"torch": "2"}, "load_before": "0.1", "minutes": 1.0,
        "quick": quick, "rows": rows, "hardware": {"cpu": "CPU", "cores": 4, "memory_mb": 2048, "system": "Linux"},
    }  # fmt: skip


def test_summary_is_median_and_extremes():
    assert summary([3.0, 1.0, 10.0]) == {"median": 3.0, "min": 1.0, "max": 10.0, "rounds": 3}


def test_a_ratio_says_how_many_times_better_round_by_round():
    assert speedups([10.0, 30.0], [5.0, 10.0], higher_is_better=False) == [2.0, 3.0]
    assert speedups([10.0, 30.0], [5.0, 60.0], higher_is_better=True) == [0.5, 2.0]
    assert speedups([10.0, 30.0], [5.0], higher_is_better=False) == [2.0]  # rounds that both have


def test_every_round_measures_every_variant_once_and_begins_with_another_one():
    seen: list[tuple[str, int]] = []
    variants = {name: lambda number, name=name: seen.append((name, number)) or number for name in "abc"}
    found = interleave(variants, 3, {"c": 1})
    assert found == {"a": [0, 1, 2], "b": [0, 1, 2], "c": [0]}
    assert [name for name, _ in seen] == ["a", "b", "c", "b", "a", "a", "b"]


def test_ratios_are_formed_within_a_group_and_unit_only():
    rows = [
        Row("one", "A", "ms", [10.0, 20.0]),
        Row("one", "B", "ms", [5.0, 5.0], extra={"note": "text", "more": [1.0, 3.0]}),
        Row("one", "C", "GFLOP/s", [1.0, 1.0]),
        Row("two", "D", "ms", [1.0, 1.0]),
    ]
    b, c, d = (as_json(row, rows, ["A"]) for row in rows[1:])
    assert b["ratios"]["A"] == {"median": 3.0, "min": 2.0, "max": 4.0, "rounds": 2}
    assert b["extra"] == {"note": "text", "more": {"median": 2.0, "min": 1.0, "max": 3.0, "rounds": 2}}
    assert c["ratios"] == d["ratios"] == {}


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1234.5, "1,234"), (100.4, "100"), (12.345, "12.3"), (0.06543, "0.0654"), (2.4e-7, "2.4e-07"), (-26.7, "-26.7")],
)
def test_numbers_have_three_digits(value: float, text: str):
    assert table.number(value) == text


def test_a_table_shows_unit_median_spread_rounds_and_ratios():
    rows = [Row("work", "A slow", "ms", [10.0, 20.0]), Row("work", "B fast", "ms", [5.0, 5.0], extra={"note": "x"})]
    lines = table.group([as_json(row, rows, ["A slow"]) for row in rows]).splitlines()
    assert lines[0] == "| variant | value | unit | rounds | times A | note |"
    assert lines[2] == "| A slow | 15 (10-20) | ms | 2 | 1 (1-1) |  |"
    assert lines[3] == "| B fast | 5 (5-5) | ms | 2 | 3 (2-4) | x |"
    assert len({line.count("|") for line in lines}) == 1


def test_the_page_shows_every_kind_of_processor_beside_the_others():
    page = table.page(
        {"processors": {"Zen": {"grid": result([], "def", quick=True), "gemm": result([])}, "Other": {"grid": result([])}}}
    )
    assert (page.count("commit abc"), page.count("commit def"), page.count("mean nothing")) == (2, 1, 1)
    places = [page.index(text) for text in ("(`gemm`)", "### Zen", "(`grid`)", "### Other")]
    assert places == sorted(places)
    assert page.count("### Zen") == 2


def test_every_part_has_a_title_and_a_note():
    assert set(table.TITLES) == set(table.NOTES)


def test_parts_and_processors_that_were_not_measured_stay_on_file(tmp_path: Path):
    write({"schema": 2, "processors": {"Zen": {"grid": result([], "old")}, "Other": {"grid": result([], "far")}}}, tmp_path)
    on_file = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    on_file["processors"]["Zen"]["gemm"] = result([], "new")
    write(on_file, tmp_path)
    kept = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["processors"]
    assert {kind: list(parts) for kind, parts in kept.items()} == {"Other": ["grid"], "Zen": ["gemm", "grid"]}
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert all(f"commit {name}" in page for name in ("old", "new", "far"))


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]):
    assert main(["nonsense"]) == 2
    assert "known: gemm" in capsys.readouterr().err


def test_rte_lengths_are_log_normal_and_cut():
    drawn = lengths(RTE, 20_000, np.random.default_rng(0))
    assert np.median(drawn) == pytest.approx(60, abs=1)
    assert drawn.mean() == pytest.approx(66.5, abs=1)
    assert drawn.max() == 128
    assert (drawn == 128).mean() == pytest.approx(0.065, abs=0.01)


def test_tnews_lengths_are_normal_and_bounded():
    drawn = lengths(TNEWS, 20_000, np.random.default_rng(0))
    assert drawn.mean() == pytest.approx(24.5, abs=0.2)
    assert drawn.std() == pytest.approx(6, abs=0.2)
    assert (drawn.min(), drawn.max()) >= (8, 45)
    assert drawn.max() <= 52


@pytest.mark.parametrize("shape", SHAPES)
def test_texts_have_as_many_pieces_as_they_claim(shape: Shape, tiny_encoder: Encoder):
    made, validation = splits(small(shape), tiny_encoder.folder)
    tokenizer = load_tokenizer(tiny_encoder)
    pairs = [one.pair for one in made] if shape.pairs else None
    encoded = tokenizer([one.text for one in made], pairs, truncation=True, max_length=64)
    assert [len(ids) for ids in encoded["input_ids"]] == [one.length for one in made]
    assert splits(small(shape), tiny_encoder.folder) == (made, validation)
    assert {one.label for one in made} <= set(range(shape.num_labels))


def test_executed_operations_leave_out_what_the_last_block_skips():
    assert MINILM.body == 10_616_832
    assert BASE.body == 84_934_656
    whole = MINILM.flops(1000, 10, training=True, first_token_only=False)
    part = MINILM.flops(1000, 10, training=True, first_token_only=True)
    assert whole == 6 * MINILM.body * 1000
    assert 1 - part / whole == pytest.approx(0.1375, abs=1e-3)
    assert MINILM.flops(1000, 10, training=False, first_token_only=True) == part / 3
    assert MINILM.flops(7, 7, training=True, first_token_only=True) == 6 * MINILM.body * 7  # nothing to skip


def test_a_random_encoder_is_one_that_stableft_reads(tmp_path: Path, tiny_encoder: Encoder):
    folder = write_random_encoder(Size("BERT 1x16", 1, 16, 2), tiny_encoder.folder, tmp_path / "encoder")
    assert len(load_tokenizer(resolve(str(folder)))) == len(load_tokenizer(tiny_encoder))


def test_task_files_are_what_the_loaders_read(tmp_path: Path, tiny_encoder: Encoder, monkeypatch: pytest.MonkeyPatch):
    from stableft.tasks.catalog import get_task

    monkeypatch.setenv("STABLEFT_DATA", str(tmp_path / "data"))
    for shape in (small(RTE), small(TNEWS)):
        work = grid.Work(shape, tiny_encoder.folder, tmp_path / shape.task, 2, 1, 1)
        grid.write_inputs(work)
        (tmp_path / "data").mkdir(exist_ok=True)
        for folder in (work.folder / "data").iterdir():
            folder.rename(tmp_path / "data" / folder.name)
        loaded = get_task(shape.task).load()
        assert len(loaded.train) == (64 if shape.pairs else 1000)
        assert len(loaded.validation) + len(loaded.test) == shape.num_validation


@pytest.mark.parametrize("packed", [True, False])
def test_the_engine_is_driven_step_by_step(packed: bool, tiny_encoder: Encoder):
    options = {"packed": packed, "precision": "fp32"}
    subject = engine.Engine(Spec("", tiny_encoder.folder, small(RTE), dropout=0.0, options=options))
    first: Trained = subject.train(1, 2, log=True)
    assert len(first.losses) == 3
    assert first.sequences == 2 * small(RTE).batch_size
    assert subject.train(1, 2, log=True).losses == first.losses  # each call starts from the beginning
    assert subject.evaluate(5).logits.shape == (5, 2)


def test_a_variant_that_the_processor_cannot_run_is_marked_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch):
    assert PACKED_BF16.supported == engine.has_bf16()
    monkeypatch.setattr(engine, "has_bf16", lambda: False)
    assert [variant.name[0] for variant in VARIANTS if variant.supported] == list("ABCDE")
    one = steps.Measured(step_ms=2.0, step_rate=1.0, gemm={"fp32": 2.0, "fp32 oneDNN": 4.0, "bf16": 1.0})
    samples = {name: [one] for name in ("GEMM", *(variant.name for variant in VARIANTS if variant.supported))}
    rows = steps._rows("steps", "work", steps.PLANS[RTE.name, TINY.name], samples)
    rows.append(equality._rows("work", PACKED_BF16, {})[0])
    rows.append(grid._row("work", PACKED_BF16, None, grid.Work(RTE, Path(), Path(), 1, 1, 1)))
    made = [as_json(row, rows, ["A Trainer, run_glue's defaults"]) for row in rows]
    marked = [row for row in made if row["name"] == PACKED_BF16.name]
    assert [row["missing"] for row in marked] == ["not supported by this processor"] * 3
    assert [row["median"] for row in made if row["name"][0] in "ABCDE"] == [2.0] * 5
    line = next(line for line in table.group(made).splitlines() if line.startswith("| F "))
    assert line.startswith("| F stableft, packed, bf16 | not supported by this processor | ms per step | 0 |")


@needs_trainer
@pytest.mark.slow
def test_all_parts_run(tmp_path: Path):
    assert main(["--quick", "--out", str(tmp_path)]) == 0
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    parts = results["processors"][kernels.this_processor().kind]
    assert list(parts) == list(table.TITLES)
    for name, part in parts.items():
        assert part["rows"], name
        assert part["quick"]
    losses = {row["name"][0]: row["median"] for row in parts["equality"]["rows"]}
    assert all(losses[name] < 1e-6 for name in "BCDE")
    assert TINY.name in (tmp_path / "README.md").read_text(encoding="utf-8")
