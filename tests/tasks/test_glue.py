"""GLUE and the shared reading helpers: files, the hub's cache, all kinds of malformed rows."""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stableft.core.errors import MissingInput
from stableft.tasks import Example, Task, TaskData, clue, glue, stratified_halves
from stableft.tasks.readers import corpus_files
from stableft.tasks.readers.corpus_files import local_files, read_json_lines, read_tsv, to_examples
from stableft.tasks.scores import SCORES

if TYPE_CHECKING:
    from datasets import Dataset

RTE = glue.GLUE[0]
TASKS = {task.name: task for task in glue.TASKS}
TASK: Task = TASKS["rte"]
HEADER = "index\tsentence1\tsentence2\tlabel"
ROWS = ["0\ta b\tc\tentailment", '1\tsays "x\td\tnot_entailment', "2\te\tf\tentailment"]


def real_data() -> bool:
    try:
        return all(local_files(entry.source) is not None for entry in glue.GLUE if not entry.large)
    except MissingInput:
        return False


needs_data = pytest.mark.skipif(not real_data(), reason="needs STABLEFT_DATA with RTE, MRPC, STS-B and CoLA, {train,dev}.tsv each")


def write(path: Path, rows: list[str], header: str = HEADER) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8", newline="")
    return path


def refusal(content: bytes, path: Path) -> str:
    path.write_bytes(content)
    with pytest.raises(MissingInput) as caught:
        to_examples(read_tsv(path, RTE.source.local.names), RTE.source.local)
    return str(caught.value)


# --- the real data ---


@pytest.fixture(scope="module")
def rte() -> TaskData:
    return TASK.load()


@needs_data
def test_rte_has_the_protocols_sizes_and_majorities(rte: TaskData) -> None:
    assert (len(rte.train), len(rte.validation), len(rte.test)) == (2490, 138, 139)
    assert Counter(e.label for e in rte.train) == {0: 1249, 1: 1241}
    assert Counter(e.label for e in rte.validation) == {0: 73, 1: 65}
    majorities = [SCORES[TASK.score].constant([e.label for e in split]) for split in (rte.validation, rte.test)]
    assert [round(100 * m, 1) for m in majorities] == [52.9, 52.5]
    assert all(e.pair for split in (rte.train, rte.validation, rte.test) for e in split)
    assert any(e.text.count('"') % 2 == 1 for e in rte.train), "the bare quotes that a CSV reader would swallow"


@needs_data
def test_rte_never_changes_unnoticed(rte: TaskData) -> None:
    assert rte.fingerprint == "e207f59baa8bbfbbe812ebf5b34a001f9ba00484b5f52bd2d0f6f5dfcdc74bc1"


@needs_data
def test_rte_halves_equal_an_independent_reading_of_the_rule(rte: TaskData) -> None:
    paths = local_files(RTE.source)
    assert paths is not None
    rows = [line.split("\t") for line in paths[1].read_text(encoding="utf-8").split("\n")[1:-1]]
    halves = naive_halves([row[3] for row in rows])
    for half, split in zip(halves, (rte.validation, rte.test), strict=True):
        assert [(rows[i][1], rows[i][2], rows[i][3]) for i in half] == [(e.text, e.pair, TASK.labels[int(e.label)]) for e in split]


@needs_data
@pytest.mark.parametrize(
    ("name", "sizes", "majorities", "fingerprint"),
    [
        ("mrpc", (3668, 203, 205), [81.3, 81.2], "087652e305bad89c07e85eee0e3015d9a948fc61537215590b02a74b667a3b4a"),
        ("stsb", (5749, 722, 778), [0, 0], "208d2533235cbadf40853102ce071a74be6c3a83cf4a542a74e87555fc8cf419"),
        ("cola", (8551, 521, 522), [0, 0], "e27c97ae8a18b6327cccd1baeb8cd5dfaed41e0dae76ea3bb076191cfde5864e"),
    ],
)
def test_the_small_tasks_have_the_protocols_sizes_and_majorities(
    name: str, sizes: tuple[int, ...], majorities: list[float], fingerprint: str
) -> None:
    task, data = TASKS[name], TASKS[name].load()
    assert (len(data.train), len(data.validation), len(data.test)) == sizes
    scores = [SCORES[task.score].constant([e.label for e in split]) for split in (data.validation, data.test)]
    assert [round(100 * score, 1) for score in scores] == majorities
    assert data.fingerprint == fingerprint
    # Cut to 1,000 training examples, it is scored on the same ones.
    cut = TASKS[f"{name}_1k"].load()
    assert (cut.validation, cut.test) == (data.validation, data.test)
    assert len(cut.train) == 1000
    assert set(cut.train) <= set(data.train)
    if task.labels:
        assert Counter(e.label for e in cut.train) == {0: 500, 1: 500}


@pytest.mark.parametrize("name", ["rte", "mrpc", "cola"])
def test_the_whole_development_set_can_be_the_validation_split(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    train, dev = ((Example(f"{split} {i}", None, i % 2) for i in range(n)) for split, n in (("train", 8), ("dev", 7)))
    splits = tuple(train), tuple(dev)
    monkeypatch.setattr(glue, "_read", lambda entry: splits)
    whole = TASKS[f"{name}_dev"]
    assert whole.load() == TaskData(*splits, ())
    assert whole.score == {"rte": "accuracy", "mrpc": "accuracy_and_f1", "cola": "mcc"}[name]


@needs_data
def test_distinct_scores_of_stsb_are_classes_of_the_halves() -> None:
    data = TASKS["stsb"].load()
    counts = Counter(e.label for e in (*data.validation, *data.test))
    assert (sum(counts.values()), len(counts)) == (1500, 78)
    assert Counter(e.label for e in data.validation) == Counter({label: n // 2 for label, n in counts.items()})
    assert sum(n == 1 for n in counts.values()) == 31
    assert {type(label) for label in counts} == {float}


@needs_data
@pytest.mark.parametrize(
    ("name", "fingerprint"),
    [
        ("rte_1k", "fb12b7265e6217834b00cc32a965cab66130a1c0b75b848c6d244e9faa645c75"),
        ("mrpc_1k", "e9080c27fae8b04cbc280d02d4066f95fae3ac66f28eefda428747d7d541f649"),
        ("stsb_1k", "020ab9603f34fbb32da593ab370f238a9267a4f2cb1d5bb44775278921277ea8"),
        ("cola_1k", "53f1f65ec676e2a8a8a761482418eb8e7bb500d3c0a0dd7a5e7d366e85efb102"),
    ],
)
def test_the_draws_never_change_unnoticed(name: str, fingerprint: str) -> None:
    assert TASKS[name].load().fingerprint == fingerprint


# --- halves ---


def naive_halves(labels: list[str]) -> tuple[list[int], list[int]]:
    """Zhang et al.'s rule, written down again: one shuffle with seed 1 for each label, first floor(n / 2) to validation."""
    first, second = [], []
    for label in set(labels):
        items = [i for i in range(len(labels)) if labels[i] == label]
        np.random.RandomState(1).shuffle(items)
        middle = int(np.floor(len(items) / 2))
        first.extend(items[:middle])
        second.extend(items[middle:])
    return sorted(first), sorted(second)


@given(st.lists(st.sampled_from("abcd"), max_size=60))
def test_halves_partition_every_label(labels: list[str]) -> None:
    codes = [ord(label) for label in labels]
    validation, test = stratified_halves(codes)
    assert sorted(validation + test) == list(range(len(codes)))
    counts = Counter(codes)
    assert Counter(codes[i] for i in validation) == Counter({label: n // 2 for label, n in counts.items()})
    assert (validation, test) == naive_halves(labels)


# --- draws ---


def naive_draws(labels: list[str], share: int) -> tuple[list[int], list[int]]:
    """Zhang et al.'s rule, written down again with numpy's global generator."""
    np.random.seed(0)
    first, last = [], []
    for label in dict.fromkeys(labels):
        items = np.array([i for i in range(len(labels)) if labels[i] == label])
        np.random.shuffle(items)
        first.extend(items[:share])
        last.extend(items[-share:])
    return sorted(first), sorted(last)


@given(st.lists(st.sampled_from("abc"), max_size=60), st.integers(1, 12))
def test_draws_are_balanced_and_equal_an_independent_reading_of_the_rule(labels: list[str], share: int) -> None:
    codes = [ord(label) for label in labels]
    draws = glue.draw(codes, share), glue.draw(codes, share, last=True)
    assert draws == naive_draws(labels, share)
    counts = Counter(labels)
    for drawn in draws:
        assert Counter(labels[i] for i in drawn) == Counter({label: min(share, n) for label, n in counts.items()})
    if all(n >= 2 * share for n in counts.values()):
        assert set(draws[0]).isdisjoint(draws[1])


# --- every task's own layout, with invented rows ---


def words(name: str, split: str, i: int) -> tuple[str, str]:
    """Two invented texts; a bare quote and another script in some."""
    return f'{name} {split} "vep {i}', f"wug \u00e9 {i}"


def mnli(votes: int) -> tuple[str, Callable[..., list[object]]]:
    header = "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\tsentence2_parse"
    header += "\tsentence1\tsentence2\t" + "\t".join(f"label{n}" for n in range(1, votes + 1)) + "\tgold_label"
    return header, lambda i, a, b, y: [i, i, f"{i}n", "fiction", *["( x )"] * 4, a, b, *["neutral"] * votes, y]


# Header line (CoLA has none) and cells of a row (number, two texts, label as this layout writes it), of train and of dev.
STSB = "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore"
LOCAL: dict[str, tuple[str, Callable[..., list[object]]]] = {
    "rte": (HEADER, lambda i, a, b, y: [i, a, b, y]),
    "mrpc": ("\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String", lambda i, a, b, y: [y, 2 * i, 2 * i + 1, a, b]),
    "stsb": (STSB, lambda i, a, b, y: [i, "news", "f", 2017, i, "s", "s", a, b, y]),
    "cola": ("", lambda i, a, b, y: ["inv", y, "*", a]),
    "sst2": ("sentence\tlabel", lambda i, a, b, y: [a, y]),
    "qnli": ("index\tquestion\tsentence\tlabel", lambda i, a, b, y: [i, a, b, y]),
    "qqp": ("id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate", lambda i, a, b, y: [i, 2 * i, 2 * i + 1, a, b, y]),
    "mnli": mnli(1),
}
LOCAL_DEV = {**LOCAL, "mnli": mnli(5)}
ENTRIES = {entry.source.name: entry for entry in glue.GLUE}
SIZES = {"train": 29, "dev": 11}
NUM_TRAIN = 14
SCORES_WRITTEN = ("0", "0.00", "5.000", "3.8", "2.917", "4.200000", "1.25")


def label(name: str, i: int, *, hub: bool) -> object:
    """The label of row i as a file or the hub writes it."""
    entry = ENTRIES[name]
    if not entry.labels:
        return float(SCORES_WRITTEN[i % 7]) if hub else SCORES_WRITTEN[i % 7]
    place = i % len(entry.labels)
    assert isinstance(entry.source.local.classes, tuple)
    return place if hub else entry.source.local.classes[place]


def write_layout(root: Path, name: str) -> tuple[Path, ...]:
    source = ENTRIES[name].source
    paths = tuple(root / source.folders[0] / file for file in source.files)
    for path, split, (header, cells) in zip(paths, ("train", "dev"), (LOCAL[name], LOCAL_DEV[name]), strict=True):
        rows = [cells(i, *words(name, split, i), label(name, i, hub=False)) for i in range(SIZES[split])]
        lines = ["\t".join(map(str, row)) for row in rows]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([header] * bool(header) + lines) + "\n", encoding="utf-8", newline="")
    return paths


def hub_table(name: str, split: str) -> "Dataset":
    """What ``nyu-mll/glue`` holds, as `datasets` gives it: class numbers by the hub's names, scores in single precision."""
    from datasets import ClassLabel, Dataset, Features, Value

    entry, names = ENTRIES[name], ENTRIES[name].source.hub
    texts = [words(name, split, i) for i in range(SIZES[split])]
    kinds: dict = {names.text: Value("string"), "label": ClassLabel(names=list(entry.labels)) if entry.labels else Value("float32")}
    columns: dict[str, list] = {names.text: [a for a, _ in texts], "label": [label(name, i, hub=True) for i in range(SIZES[split])]}
    if names.pair is not None:
        kinds[names.pair], columns[names.pair] = Value("string"), [b for _, b in texts]
    kinds["idx"], columns["idx"] = Value("int32"), list(range(SIZES[split]))
    return Dataset.from_dict(columns, features=Features(kinds))


@pytest.mark.parametrize("name", TASKS)
def test_files_and_hub_give_the_same_task(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glue, "NUM_TRAIN", NUM_TRAIN)
    root = name.removesuffix("_1k").removesuffix("_dev")
    entry, task = ENTRIES[root], TASKS[name]
    write_layout(tmp_path, root)
    monkeypatch.setenv("STABLEFT_DATA", str(tmp_path))
    data = task.load()
    monkeypatch.delenv("STABLEFT_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # where nobody has fetched it
    splits = dict(zip(entry.source.splits, ("train", "dev"), strict=True))
    monkeypatch.setattr(corpus_files, "_load_hub", lambda source, split: hub_table(source.name, splits[split]))
    assert task.load() == data

    share = NUM_TRAIN // max(1, len(entry.labels))
    drawn = share * max(1, len(entry.labels)) if name.endswith("_1k") else SIZES["train"]
    halves = len(data.validation) + len(data.test) == SIZES["dev"]
    assert halves == (not name.endswith("_1k") or not entry.large)
    assert (len(data.train), len(data.test)) == (drawn, len(data.test) if halves else SIZES["dev"])
    for split, origin in ((data.train, "train"), (data.validation, "dev" if halves else "train"), (data.test, "dev")):
        for example in split:
            i = int(example.text.split()[-1])
            text, pair = words(root, origin, i)
            assert (example.text, example.pair) == (text, None if root in ("cola", "sst2") else pair)
            assert example.label == (i % len(entry.labels) if entry.labels else float(SCORES_WRITTEN[i % 7]))
    texts = [e.text for split in (data.train, data.validation, data.test) for e in split]
    assert len(texts) == len(set(texts)), "no example is in two splits"
    if entry.labels and name.endswith("_1k"):
        assert set(Counter(e.label for e in data.train).values()) == {share}


def test_a_class_with_too_few_examples_for_a_draw_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STABLEFT_DATA", str(tmp_path))
    for name, wanted in (("rte", 500), ("stsb", 1000), ("sst2", 1000), ("mnli", 666)):
        write_layout(tmp_path, name)
        with pytest.raises(MissingInput, match=f"^{name}: 29 training examples are too few, {wanted} are needed of each class"):
            TASKS[f"{name}_1k"].load()
    monkeypatch.setattr(glue, "NUM_TRAIN", 30)  # 15 of each of two classes, of which one has 14
    with pytest.raises(MissingInput, match="15 are needed"):
        TASKS["rte_1k"].load()


@pytest.mark.parametrize("name", ["qqp", "rte"])
def test_only_qqp_has_empty_texts(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glue, "NUM_TRAIN", NUM_TRAIN)
    monkeypatch.setenv("STABLEFT_DATA", str(tmp_path))
    path = write_layout(tmp_path, name)[1]
    path.write_text(path.read_text(encoding="utf-8").replace(words(name, "dev", 3)[1], ""), encoding="utf-8")
    if name == "qqp":
        assert TASKS["qqp_1k"].load().test[3].pair == ""
    else:
        with pytest.raises(MissingInput, match=r"dev\.tsv:5: sentence2 is empty"):
            TASKS["rte"].load()


@pytest.mark.parametrize(
    ("name", "row", "reason"),
    [
        ("mrpc", "2\t90\t91\ta\tb", "unknown label '2', expected one of 0, 1"),
        ("mrpc", "1\t4\t91\ta\tb", "#1 ID '4' was already used at"),
        ("mrpc", "1\t90\t91\ta\t", "#2 String is empty"),
        ("mrpc", "1\t90\t91\ta", "4 columns, expected 5"),
        ("stsb", "90\tg\tf\t1\t1\ts\ts\ta\tb\t5.01", "score is '5.01', expected a number from 0 to 5"),
        ("stsb", "90\tg\tf\t1\t1\ts\ts\ta\tb\t-0.1", "score is '-0.1'"),
        ("stsb", "90\tg\tf\t1\t1\ts\ts\ta\tb\tnan", "score is 'nan'"),
        ("stsb", "90\tg\tf\t1\t1\ts\ts\ta\tb\t0_5", "score is '0_5'"),
        ("stsb", "90\tg\tf\t1\t1\ts\ts\ta\tb\t", "score is ''"),
        ("stsb", "90\tg\tf\t1\t1\ts\ts\t \tb\t2", "sentence1 is empty"),
        ("stsb", "2\tg\tf\t1\t1\ts\ts\ta\tb\t2", "index '2' was already used at"),
        ("cola", "inv\t*\t1\ta", "unknown label '*', expected one of 0, 1"),
        ("cola", "inv\t1\t\t", "sentence is empty"),
        ("cola", "inv\t1\ta", "3 columns, expected 4"),
        ("sst2", "a\tpositive", "unknown label 'positive'"),
        ("sst2", "a\tb\t1", "3 columns, expected 2"),
        ("qnli", "90\ta\tb\tneutral", "unknown label 'neutral'"),
        ("qnli", "2\ta\tb\tentailment", "index '2' was already used at"),
        ("qqp", "90\t1\t2\ta\tb", "5 columns, expected 6"),
        ("qqp", "90\t1\t2\ta\tb\tyes", "unknown label 'yes'"),
        ("mnli", "\t".join(["90"] * 8 + ["a", "b"] + ["neutral"] * 5 + ["-"]), "unknown label '-'"),
        ("mnli", "\t".join(["90"] * 8 + ["a", "b"] + ["neutral"] * 2), "12 columns, expected 16"),
    ],
)
def test_a_malformed_row_of_any_task_is_named_and_stops(
    name: str, row: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STABLEFT_DATA", str(tmp_path))
    path = write_layout(tmp_path, name)[1]
    line = len(path.read_text(encoding="utf-8").splitlines()) + 1
    path.write_text(path.read_text(encoding="utf-8") + row + "\n", encoding="utf-8")
    with pytest.raises(MissingInput) as caught:
        TASKS[f"{name}_1k"].load()
    assert str(caught.value).startswith(f"{path}:{line}: {reason}")


@pytest.mark.parametrize("name", LOCAL)
def test_a_missing_split_wrong_header_or_encoding_of_any_task_is_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STABLEFT_DATA", str(tmp_path))
    train, dev = write_layout(tmp_path, name)
    rows = train.read_bytes()
    train.write_bytes(rows + "vep \u00e9\n".encode("latin-1"))
    with pytest.raises(MissingInput, match=rf"{train.name}:{rows.count(10) + 1}: not UTF-8"):
        TASKS[f"{name}_1k"].load()
    if LOCAL[name][0]:
        train.write_bytes(rows[rows.index(b"\n") + 1 :])
        with pytest.raises(MissingInput, match=rf"{train.name}:1: header .* expected the columns"):
            TASKS[f"{name}_1k"].load()
    train.write_bytes(b"")
    with pytest.raises(MissingInput, match=rf"{train.name}:1: the file has no rows"):
        TASKS[f"{name}_1k"].load()
    dev.unlink()
    with pytest.raises(MissingInput, match=rf"not found: {dev}"):
        TASKS[f"{name}_1k"].load()


# --- local files ---

CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r"), min_size=1).filter(lambda s: bool(s.strip()))
TABLE = st.lists(st.tuples(CELL, CELL, st.sampled_from(TASK.labels)), min_size=1, max_size=8)


@settings(max_examples=60)
@given(TABLE, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_any_table_survives_the_tsv(table: list[tuple[str, str, str]], end: str, final: bool) -> None:
    lines = [HEADER, *("\t".join([str(i), *row]) for i, row in enumerate(table))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "train.tsv")
        path.write_text(end.join(lines) + end * final, encoding="utf-8", newline="")
        examples = to_examples(read_tsv(path, RTE.source.local.names), RTE.source.local)
    assert [(e.text, e.pair, TASK.labels[int(e.label)]) for e in examples] == table


@pytest.mark.parametrize("folder", ["RTE", "glue/RTE"])
def test_layouts_of_the_data_folder(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STABLEFT_DATA", str(tmp_path))
    for name in RTE.source.files:
        write(tmp_path / folder / name, ROWS)
    data = TASK.load()
    assert [e.label for e in data.train] == [0, 1, 0]
    assert data.train[1].text == 'says "x'
    assert (len(data.validation), len(data.test)) == (1, 2)


def test_a_data_folder_without_the_task_is_an_error_and_not_a_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STABLEFT_DATA", str(tmp_path))
    write(tmp_path / "glue/RTE/train.tsv", ROWS)
    with pytest.raises(MissingInput) as caught:
        TASK.load()
    tried = [tmp_path / "RTE/train.tsv", tmp_path / "RTE/dev.tsv", tmp_path / "glue/RTE/dev.tsv"]
    assert ", ".join(map(str, tried)) in str(caught.value)
    monkeypatch.setenv("STABLEFT_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(MissingInput, match=r"nowhere is not a folder"):
        TASK.load()


GOOD = f"{HEADER}\n{ROWS[0]}\n"


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (GOOD + "1\ta\tentailment\n", 3, "3 columns, expected 4"),
        (GOOD + "1\ta\tb\tc\tentailment\n", 3, "5 columns, expected 4"),
        (GOOD + "\n", 3, "1 columns, expected 4"),
        (GOOD + "1\ta\tb\tEntailment\n", 3, "unknown label 'Entailment'"),
        (GOOD + "1\t \tb\tentailment\n", 3, "sentence1 is empty"),
        (GOOD + "1\ta\t\tentailment\n", 3, "sentence2 is empty"),
        (GOOD + ROWS[0] + "\n", 3, "index '0' was already used at"),
        (GOOD + "bad\n" + "1\ta\tb\tworse\n", 3, "1 columns, expected 4"),
        (HEADER + "\n", 1, "no rows"),
        ("", 1, "no rows"),
        (ROWS[0] + "\n" + ROWS[1] + "\n", 1, "expected the columns sentence1, sentence2, label, index"),
    ],
)
def test_a_malformed_row_is_named_and_stops(content: str, line: int, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "dev.tsv"
    message = refusal(content.encode(), path)
    assert message.startswith(f"{path}:{line}: ")
    assert reason in message


def test_undecodable_bytes_are_named_by_line(tmp_path: Path) -> None:
    path = tmp_path / "dev.tsv"
    message = refusal(GOOD.encode() + b"1\ta\xe9b\tc\tentailment\n", path)
    assert message.startswith(f"{path}:3: not UTF-8")
    assert "0xe9" in message


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"absent\.tsv: No such file"):
        list(read_tsv(tmp_path / "absent.tsv", RTE.source.local.names))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("{", "bad JSON"),
        ("", "bad JSON"),
        ("[1]", "a JSON list, expected an object"),
        ('{"label": "100"}', "key 'sentence' is missing"),
        ('{"label": 100, "sentence": "a"}', "'label' holds int, expected a string"),
        ('{"label": "105", "sentence": "a"}', "unknown label '105'"),
        ('{"label": "100", "sentence": "\\u3000"}', "sentence is empty"),
        ('{"label": "100", "sentence": "\\ud800"}', "not valid Unicode"),
    ],
)
def test_a_malformed_json_row_is_named_and_stops(row: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    path.write_text('{"label": "100", "sentence": "a", "keywords": 3}\n' + row + "\n", encoding="utf-8")
    with pytest.raises(MissingInput) as caught:
        to_examples(read_json_lines(path, clue.SOURCE.local.names), clue.SOURCE.local)
    assert str(caught.value).startswith(f"{path}:2: ")
    assert reason in str(caught.value)


def test_an_empty_json_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dev.json").touch()
    with pytest.raises(MissingInput, match="no rows"):
        list(read_json_lines(tmp_path / "dev.json", ("label",)))


# --- the hub, offline: `datasets` itself reads a cache that its own builder wrote, as after one download ---

BUILD = """
import json, sys
from datasets import ClassLabel, Dataset, Features, Value
from datasets.packaged_modules.parquet.parquet import Parquet
spec = json.load(sys.stdin)
kinds = {name: Value("int32" if name == "idx" else "string") for name in spec["train"]}
features = Features(kinds | {"label": ClassLabel(names=spec["names"])})
files = {}
for split in ("train", "validation"):
    files[split] = [f"{spec['home']}/{split}.parquet"]
    Dataset.from_dict(spec[split], features=features).to_parquet(files[split][0])
owner, name = spec["repo"].split("/")
builder = Parquet(dataset_name=name, config_name=spec["config"], features=features, data_files=files)
builder.download_and_prepare(output_dir=f"{spec['home']}/datasets/{owner}___{name}/{spec['config']}/0.0.0/{'0' * 40}")
"""
LOAD = """
import sys
from stableft.core.errors import MissingInput
from stableft.tasks import clue, glue
task = {task.name: task for task in (*glue.TASKS, *clue.TASKS)}[sys.argv[1]]
try:
    data = task.load()
except MissingInput as error:
    sys.exit(str(error))
print(data.fingerprint, "torch" in sys.modules)
"""


def python(code: str, home: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "STABLEFT_"))}
    env = clean | {"HF_HOME": str(home), "XDG_CACHE_HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, input=stdin, env=env, cwd=home, capture_output=True, text=True, timeout=120, check=False)


def load_from_hub(name: str, home: Path, spec: Mapping[str, object]) -> subprocess.CompletedProcess[str]:
    home.mkdir()
    built = python(BUILD, home, stdin=json.dumps({**spec, "home": str(home)}))
    assert built.returncode == 0, built.stderr
    return python(LOAD, home, name)


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(list(TASK.labels), id="glue-order", marks=pytest.mark.slow),
        pytest.param(list(reversed(TASK.labels)), id="other-order"),  # the harder one; each starts two processes
    ],
)
def test_rte_from_the_hub_equals_rte_from_files(names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [row.split("\t") for row in ROWS]
    columns = {"sentence1": [c[1] for c in cells], "sentence2": [c[2] for c in cells], "idx": [0, 1, 2]}
    columns |= {"label": [names.index(c[3]) for c in cells]}
    spec = {"repo": "nyu-mll/glue", "config": "rte", "names": names, "train": columns, "validation": columns}
    loaded = load_from_hub("rte", tmp_path / "home", spec)
    for name in RTE.source.files:
        write(tmp_path / "RTE" / name, ROWS)
    monkeypatch.setenv("STABLEFT_DATA", str(tmp_path))
    assert loaded.stdout.split() == [TASK.load().fingerprint, "False"], loaded.stderr


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"sentence1": ["a", "b"], "sentence2": ["c", "d"], "idx": [0, 1], "label": [0, -1]}, ":2: unknown label '-1'"),
        ({"sentence1": ["a", "b"], "sentence2": ["c", None], "idx": [0, 1], "label": [0, 1]}, ":2: sentence2 is empty"),
        ({"sentence1": ["a", "b"], "sentence2": ["c", "d"], "idx": [0, 0], "label": [0, 1]}, ":2: idx '0' was already used"),
        ({"sentence1": ["a"], "idx": [0], "label": [0]}, ": no column sentence2"),
        ({"sentence1": [], "sentence2": [], "idx": [], "label": []}, ": the split has no rows"),
    ],
)
def test_a_malformed_row_from_the_hub_is_named(columns: dict[str, list], reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from datasets import ClassLabel, Dataset, Features, Value

    kinds = {name: Value("int32" if name == "idx" else "string") for name in columns}
    table = Dataset.from_dict(columns, features=Features(kinds | {"label": ClassLabel(names=list(TASK.labels))}))
    monkeypatch.setattr(corpus_files, "_load_hub", lambda *_: table)
    with pytest.raises(MissingInput) as caught:
        to_examples(corpus_files.read_hub(RTE.source, "train"), RTE.source.hub)
    assert str(caught.value).startswith("nyu-mll/glue (rte, train)" + reason)


@pytest.mark.slow
def test_tnews_from_the_hub_equals_tnews_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codes, titles = list(clue.CLASSES), [f"标题{i}" for i in range(1003)]
    labels = [i % 15 for i in range(1003)]
    train = {"sentence": titles, "label": labels, "idx": list(range(1003))}
    dev = {"sentence": titles[:2], "label": labels[:2], "idx": [0, 1]}
    spec = {"repo": "clue/clue", "config": "tnews", "names": codes, "train": train, "validation": dev}
    loaded = load_from_hub("tnews50k", tmp_path / "home", spec)
    (tmp_path / "tnews").mkdir()
    for name, split in zip(clue.SOURCE.files, (train, dev), strict=True):
        rows = [{"sentence": s, "label": codes[y]} for s, y in zip(split["sentence"], split["label"], strict=True)]
        (tmp_path / "tnews" / name).write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    monkeypatch.setenv("STABLEFT_DATA", str(tmp_path))
    data = {task.name: task for task in clue.TASKS}["tnews50k"].load()
    assert (len(data.train), len(data.validation)) == (1000, 1)
    assert loaded.stdout.split() == [data.fingerprint, "False"], loaded.stderr


@pytest.mark.parametrize(("name", "repo"), [("rte", "nyu-mll/glue"), ("tnews", "clue/clue")])
def test_without_files_or_hub_the_message_says_what_to_do(name: str, repo: str, tmp_path: Path) -> None:
    loaded = python(LOAD, tmp_path, name)
    assert loaded.returncode == 1
    wanted = {"rte": "RTE/{train.tsv,dev.tsv}", "tnews": "tnews_public/{train.json,dev.json}"}[name]
    for part in (f"{name}: no data", repo, "STABLEFT_DATA", wanted, f"data fetch {name}`"):
        assert part in loaded.stderr
    assert "Traceback" not in loaded.stderr


def test_development_rows_that_cannot_be_halved_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of each label: none would be left for validation."""
    monkeypatch.setenv("STABLEFT_DATA", str(tmp_path))
    for file in ("train.tsv", "dev.tsv"):
        write(tmp_path / "RTE" / file, ["0\ta\tb\tentailment", "1\tc\td\tnot_entailment"])
    with pytest.raises(MissingInput, match="rte: 2 development examples can't be halved: no two have the same label"):
        glue.load(glue.GLUE[0])
