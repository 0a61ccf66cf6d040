"""Stored files: read back as they were written, made again, or refused as damaged; never believed when they are not whole."""

import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import strategies as st

from stableft.core.errors import StableftError
from stableft.core.feasibility import check, outline
from stableft.models import token_cache
from stableft.models.encoders import Encoder, resolve
from stableft.models.loading import load_tokenizer, read_body, read_settings
from stableft.models.model import load_model
from stableft.models.tokens import Tokens
from stableft.models.weights import read_weights, save_weights
from stableft.reporting import artifact_metadata, captions, compare_results, experiment_summary, html_page, run_scores
from stableft.reporting.tables import score_summary
from stableft.storage import run_summary
from stableft.storage.frames import METRIC_COLUMNS, PREDICTION_COLUMNS
from stableft.storage.records import FOOTER, CellKey, RunRecord
from stableft.storage.store import Store
from stableft.tasks import Example, TaggedExample, TaskData
from stableft.tasks.readers import example_cache
from tests.conftest import ConfigFactory
from tests.fuzz.inputs import answer, damaged, fuzz
from tests.storage.test_store import record

RUN_ID = "a" * 16
JSON_VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    99,
    1e308,
    math.nan,
    math.inf,
    "",
    "x",
    "../..",
    [],
    {},
    [1],
    {"x": 1},
    "toy",
    "ok",
    [[[]]],
]


def changed_table(table: pa.Table, change: str, number: int) -> pa.Table:
    """A valid parquet table that is not what was written: columns gone, renamed, exchanged, of another type or null, rows gone."""
    names = table.column_names
    at, other = number % len(names), (number // 7) % len(names)
    if change == "drop":
        return table.drop_columns([names[at]])
    if change == "rename":
        return table.rename_columns([f"{name}_" if i == at else name for i, name in enumerate(names)])
    if change == "exchange":
        order = [names[{at: other, other: at}.get(i, i)] for i in range(len(names))]
        return table.rename_columns(order)
    if change == "nulls":
        return table.set_column(at, names[at], pa.nulls(len(table), table.column(at).type))
    if change == "text":
        return table.set_column(at, names[at], pa.array(["\u00e9" * (number % 3)] * len(table)))
    if change == "numbers":
        return table.set_column(at, names[at], pa.array([[math.nan, math.inf, -1.0, 1e300][number % 4]] * len(table)))
    if change == "lists":
        return table.set_column(at, names[at], pa.array([[number]] * len(table)))
    if change == "twice":
        return table.append_column(names[at], table.column(other))
    return table.slice(number % (len(table) + 1))


CHANGE = st.tuples(
    st.sampled_from(["drop", "rename", "exchange", "nulls", "text", "numbers", "lists", "twice", "rows"]), st.integers(0, 10_000)
)


def changed_json(value: Any, steps: list[int], new: Any) -> Any:
    """A JSON value with something deep inside replaced, or removed where the new value is ``...``."""
    if not steps or not isinstance(value, dict) or not value:
        return None if new is ... else new
    key = list(value)[steps[0] % len(value)]
    if len(steps) == 1 and new is ...:
        return {name: inner for name, inner in value.items() if name != key}
    return {**value, key: changed_json(value[key], steps[1:], None if new is ... else new)}


PATCH = st.tuples(st.lists(st.integers(0, 50), max_size=4), st.sampled_from([..., *JSON_VALUES]))


def rewritten(path: Path, change: tuple[str, int] | None, footer: bytes | None) -> bytes:
    table = pq.read_table(path)
    metadata = table.schema.metadata
    if change:
        table = changed_table(table, *change).replace_schema_metadata(metadata)
    if footer is not None:
        table = table.replace_schema_metadata({FOOTER: footer})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


def check_record(found: RunRecord) -> None:
    assert found.run_id == RUN_ID
    assert found.outcome in ("ok", "diverged")
    assert list(found.metrics.columns) == METRIC_COLUMNS
    assert list(found.predictions.columns) == PREDICTION_COLUMNS
    assert found.metrics["step"].dtype == np.int64
    assert found.metrics["value"].dtype == np.float64
    json.dumps([dict(found.config), dict(found.facts), dict(found.provenance)])


def test_run_records(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = store.write(record())
    whole = path.read_bytes()
    footer = json.loads(pq.read_schema(path).metadata[FOOTER])
    place = CellKey("adam", "corrected", "toy", 0, RUN_ID)

    def read(make: Callable[[], bytes]) -> None:
        path.write_bytes(whole)
        content = make()
        path.write_bytes(content)
        found = answer(tmp_path, lambda: store.read(RUN_ID), path)
        results = answer(tmp_path, lambda: store.collect("smoke", "adam", [place]), path)
        assert isinstance(results, StableftError) or not isinstance(found, StableftError)
        if not isinstance(found, StableftError):
            check_record(found)
        if not isinstance(results, StableftError):
            answer(tmp_path, lambda: use(store), path, "adam", "toy")

    footers = PATCH.map(lambda patch: json.dumps(changed_json(footer, *patch)).encode())
    fuzz(
        "run records",
        read,
        st.one_of(
            damaged(whole, text=False).map(lambda content: lambda: content),
            CHANGE.map(lambda change: lambda: rewritten(path, change, None)),
            st.one_of(footers, footers, damaged(json.dumps(footer).encode())).map(lambda text: lambda: rewritten(path, None, text)),
        ),
    )


def use(store: Store) -> None:
    """What is done with collected tables."""
    for place in store.collected():
        results = store.load(*place)
        run_scores.final_scores(results)
        score_summary.table(results)
        captions.describe(results)
        experiment_summary.summarize(results)
        artifact_metadata.origin_of(results, "x")
    compare_results.compare(store, store)


def test_collected_tables(tmp_path: Path) -> None:
    store = Store(tmp_path)
    runs = []
    for seed, (run_id, arm) in enumerate([(letter * 16, arm) for letter in "ab" for arm in ("corrected", "uncorrected")]):
        run_id = run_id[:-1] + str(seed)
        store.write(record(run_id, 0.5 + seed / 10))
        runs.append(CellKey("adam", arm, "toy", seed // 2, run_id))
    store.collect("smoke", "adam", runs)
    folder = store.folder("smoke", "adam")
    whole = {name: (folder / f"{name}.parquet").read_bytes() for name in ("runs", "metrics", "predictions")}
    use(store)

    def read(name: str, make: Callable[[Path], bytes]) -> None:
        for each, content in whole.items():
            (folder / f"{each}.parquet").write_bytes(content)
        path = folder / f"{name}.parquet"
        path.write_bytes(make(path))
        answer(tmp_path, lambda: use(store), path, folder, "adam", "toy")
        answer(tmp_path, lambda: run_summary.summarise_tables(store, "smoke", "adam"), path, folder)

    contents = [
        st.one_of(
            damaged(content, text=False).map(lambda content: lambda path: content),
            CHANGE.map(lambda change: lambda path: rewritten(path, change, None)),
            CHANGE.map(lambda change: lambda path: rewritten(path, change, None)),
        )
        for content in whole.values()
    ]
    fuzz(
        "collected", lambda pair: read(*pair), st.one_of(*(st.tuples(st.just(n), c) for n, c in zip(whole, contents, strict=True)))
    )


SAID = artifact_metadata.Origin("adam", "laptop", "train_loss", "0" * 12, ("a" * 12,)).to_json()
DESCRIPTION = f'<description xmlns="{artifact_metadata.DUBLIN_CORE}">{SAID.replace(chr(34), "&quot;")}</description>'
SVG = f'<svg xmlns="http://www.w3.org/2000/svg"><metadata>{DESCRIPTION}</metadata><g id="a"><use href="#a"/></g></svg>'
CAPTION = f"Experiment adam, protocol laptop; scored: toy on test. Resampling seed 0. Run set {'0' * 12}."
PNG = (
    artifact_metadata.PNG_SIGNATURE
    + len(f"Description\0{SAID}").to_bytes(4, "big")
    + b"tEXtDescription\0"
    + SAID.encode()
    + b"\0\0\0\0"
)
TABLE = f"| task | n |\n| --- | ---: |\n| a\\|b | 3 |\n\n{CAPTION}\n"
SHOWN = {
    "svg": SVG.encode(), "png": PNG, "pdf": b"%PDF-1.4\n1 0 obj\n<< /Subject (" + SAID.encode() + b") >>\n",
    "txt": CAPTION.encode(),
    "md": TABLE.encode(), "csv": b"a,b\n1,x\n",
}  # fmt: skip


def test_origins_of_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `trace` and `report` read: figures, captions, tables."""
    results: Any = None
    monkeypatch.setattr(html_page, "run_set", lambda results: "0" * 12)

    def read(suffix: str, content: bytes) -> None:
        path = tmp_path / f"figure.{suffix}"
        path.write_bytes(content)
        said = answer(tmp_path, lambda: artifact_metadata.read_origin(path), path)
        if isinstance(said, artifact_metadata.Origin):
            assert isinstance(said.run_set, str)
        shown = answer(tmp_path, lambda: html_page._entry(tmp_path / "figure", results), tmp_path)
        if isinstance(shown, html_page.PageEntry):
            assert re.fullmatch(r"(data:image/svg\+xml,[A-Za-z0-9 \"=:;/,%._~-]*)?", shown.image)
            assert shown.table is None or all(len(row) == len(shown.table.head) for row in shown.table.rows)

    for suffix, content in SHOWN.items():
        (tmp_path / f"figure.{suffix}").write_bytes(content)
    assert all(artifact_metadata.read_origin(tmp_path / f"figure.{suffix}").protocol == "laptop" for suffix in SHOWN)
    fuzz("origins", lambda pair: read(*pair), st.one_of(*(st.tuples(st.just(s), damaged(c)) for s, c in SHOWN.items())))


DATA = TaskData((Example("one", None, 0), Example("two", "pair", 1)), (Example("three", None, 0.5),))
TAGS = TaskData((TaggedExample(("a", "b"), (0, 1)),), (TaggedExample(("c",), (0,)),))


def test_cached_examples(tmp_path: Path) -> None:
    paths = {tmp_path / "data.json": DATA, tmp_path / "tags.json": TAGS}
    for path, data in paths.items():
        example_cache.load_or_make(path, lambda data=data: data)

    def read(path: Path, content: bytes) -> None:
        path.write_bytes(content)
        assert answer(tmp_path, lambda: example_cache.load_or_make(path, lambda: paths[path])) == paths[path]

    files = st.one_of(*(st.tuples(st.just(path), damaged(path.read_bytes())) for path in paths))
    fuzz("data cache", lambda pair: read(*pair), files)


def test_cached_tokens(tmp_path: Path) -> None:
    tokens = Tokens(np.arange(6), np.array([0, 0, 1, 0, 0, 0]), np.array([0, 3, 4, 6]), np.array([0.0, 2.5, 1.0]))
    made = ({"train": tokens, "validation": tokens}, np.array([3, 7]))
    folder = tmp_path / "tokens"
    token_cache.load_or_make(folder, lambda: made)
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}

    def read(name: str, content: bytes | None) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for each, kept in whole.items():
            (folder / each).write_bytes(kept)
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content)
        splits, pieces = answer(tmp_path, lambda: token_cache.load_or_make(folder, lambda: made))
        assert pieces.tolist() == [3, 7]
        for found in splits.values():
            for field in ("ids", "segments", "offsets", "labels"):
                np.testing.assert_array_equal(getattr(found, field), getattr(tokens, field))
        assert list(splits) == ["train", "validation"]

    files = [st.tuples(st.just(name), st.one_of(damaged(kept, text=False), st.none())) for name, kept in whole.items()]
    fuzz("token cache", lambda pair: read(*pair), st.one_of(*files))


def test_weights_of_other_runs(tmp_path: Path, tiny_encoder: Encoder, toy_config: ConfigFactory) -> None:
    init = torch.Generator().manual_seed(0)
    model, _ = load_model(tiny_encoder, toy_config(), 2, init, pieces=np.arange(45), packed=True)
    path = tmp_path / "weights.safetensors"
    save_weights(model, tiny_encoder, path)
    whole, right = path.read_bytes(), read_weights(path)

    def read(content: bytes) -> None:
        path.write_bytes(content)
        found = answer(tmp_path, lambda: read_weights(path), path)
        if not isinstance(found, StableftError):
            assert found.keys() == right.keys()
            assert all(bool((found[name] == right[name]).all()) for name in right)

    fuzz("weights", read, damaged(whole, text=False))


@pytest.fixture
def folder(tmp_path: Path, tiny_encoder: Encoder) -> Path:
    """A copy of the tiny encoder's folder."""
    return Path(shutil.copytree(tiny_encoder.folder, tmp_path / "mine"))


def changed_settings(path: Path) -> st.SearchStrategy[bytes]:
    """A JSON file with other values, or damaged."""
    whole = json.loads(path.read_bytes())
    values = st.sampled_from(
        [*JSON_VALUES, 2, 3, 4, 32, 10**6, 10**12, 2**63, "gelu", "bert", "roberta", "gpt2", "albert", "t5", "AutoModel"]
    )
    patched = st.dictionaries(
        st.sampled_from([*whole, "model_type", "auto_map", "dtype", "n_layers", "num_hidden_groups"]), values, max_size=3
    )
    return st.one_of(patched.map(lambda patch: json.dumps({**whole, **patch}).encode()), damaged(path.read_bytes()))


def test_settings_of_an_encoder(folder: Path, tmp_path: Path, toy_config: ConfigFactory) -> None:
    def read(content: bytes) -> None:
        (folder / "config.json").write_bytes(content)
        encoder = answer(tmp_path, lambda: resolve(str(folder)), folder)
        if isinstance(encoder, StableftError):
            return
        config = toy_config()
        known = answer(tmp_path, lambda: outline(config, 64, encoder.settings), folder)
        if not isinstance(known, StableftError):
            answer(tmp_path, lambda: check(config, known))
        answer(tmp_path, lambda: read_settings(encoder), folder)

    fuzz("encoder settings", read, changed_settings(folder / "config.json"))


def test_tokenizer_of_an_encoder(folder: Path, tmp_path: Path) -> None:
    encoder = resolve(str(folder))
    tokenizer = load_tokenizer(encoder)
    tokenizer.save_pretrained(tmp_path / "saved")
    shutil.copyfile(tmp_path / "saved" / "tokenizer.json", folder / "tokenizer.json")
    names = ("tokenizer.json", "tokenizer_config.json", "vocab.txt")
    whole = {name: (folder / name).read_bytes() for name in names}

    def read(name: str, content: bytes | None) -> None:
        for each, kept in whole.items():
            (folder / each).write_bytes(kept)
        (folder / name).unlink() if content is None else (folder / name).write_bytes(content)
        found = answer(tmp_path, lambda: load_tokenizer(encoder), folder)
        if not isinstance(found, StableftError):
            assert found("alin bral", truncation=True, max_length=8)["input_ids"]

    files = [
        st.tuples(st.just(name), st.one_of(changed_settings(folder / name) if name.endswith("json") else damaged(kept), st.none()))
        for name, kept in whole.items()
    ]
    fuzz("encoder tokenizers", lambda pair: read(*pair), st.one_of(*files))


def test_weights_of_an_encoder(folder: Path, tmp_path: Path) -> None:
    weights = folder / "model.safetensors"
    length = 8 + int.from_bytes(weights.read_bytes()[:8], "little")
    whole = weights.read_bytes()
    settings = (folder / "config.json").read_bytes()

    def load(encoder: Encoder) -> Any:
        return read_body(encoder, read_settings(encoder))

    def read(header: bytes, content: bytes | None, config: bytes) -> None:
        weights.write_bytes(header + whole[length:] if content is None else content)
        (folder / "config.json").write_bytes(config)
        found = answer(tmp_path, lambda: load(resolve(str(folder))), folder)
        if not isinstance(found, StableftError):
            assert all(parameter.device.type == "cpu" for parameter in found[0].parameters())

    headers = damaged(whole[:length], text=False)
    kept, none, same = st.just(whole[:length]), st.none(), st.just(settings)
    contents = damaged(whole, text=False)
    small = changed_settings(folder / "config.json")
    fuzz(
        "encoder weights",
        lambda files: read(*files),
        st.one_of(st.tuples(headers, none, same), st.tuples(kept, contents, same), st.tuples(kept, none, small)),
    )
