"""RTE, and the reading helpers that the families share: local files, the hub's cache, and every way in which a row can be wrong."""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stableft.errors import MissingInput
from stableft.scores import SCORES
from stableft.tasks import Task, TaskData, clue, files, glue, stratified_halves
from stableft.tasks.files import local_files, read_json_lines, read_tsv, to_examples

RTE = glue.GLUE[0]
TASK: Task = glue.TASKS[0]
HEADER = "\t".join(RTE.header)
ROWS = ["0\ta b\tc\tentailment", '1\tsays "x\td\tnot_entailment', "2\te\tf\tentailment"]


def real_data() -> bool:
    try:
        return local_files(RTE.source) is not None
    except MissingInput:
        return False


needs_data = pytest.mark.skipif(not real_data(), reason="needs STABLEFT_DATA with RTE/{train,dev}.tsv")


def write(path: Path, rows: list[str], header: str = HEADER) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8", newline="")
    return path


def refusal(content: bytes, path: Path) -> str:
    path.write_bytes(content)
    with pytest.raises(MissingInput) as caught:
        to_examples(read_tsv(path, RTE.header), RTE.source.local)
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
        examples = to_examples(read_tsv(path, RTE.header), RTE.source.local)
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
        (ROWS[0] + "\n" + ROWS[1] + "\n", 1, "expected the columns index, sentence1"),
        ("\ufeff" + GOOD, 1, "expected the columns"),
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
        list(read_tsv(tmp_path / "absent.tsv", RTE.header))


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
from stableft.errors import MissingInput
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
    env = clean | {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, input=stdin, env=env, cwd=home, capture_output=True, text=True, timeout=120, check=False)


def load_from_hub(name: str, home: Path, spec: Mapping[str, object]) -> subprocess.CompletedProcess[str]:
    home.mkdir()
    built = python(BUILD, home, stdin=json.dumps({**spec, "home": str(home)}))
    assert built.returncode == 0, built.stderr
    return python(LOAD, home, name)


@pytest.mark.parametrize("names", [list(TASK.labels), list(reversed(TASK.labels))], ids=["glue-order", "other-order"])
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
    monkeypatch.setattr(files, "_load_hub", lambda *_: table)
    with pytest.raises(MissingInput) as caught:
        to_examples(files.read_hub(RTE.source, "train"), RTE.source.hub)
    assert str(caught.value).startswith("nyu-mll/glue (rte, train)" + reason)


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
    for part in (f"{name}: no data", repo, "STABLEFT_DATA", wanted, "go online"):
        assert part in loaded.stderr
    assert "HF_HUB_OFFLINE now forbids it" in loaded.stderr
    assert "Traceback" not in loaded.stderr
