"""Data files of every kind: read as what they say, or refused with their path and one clear message."""

import csv
import gzip
import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from stableft.core.errors import StableftError
from stableft.core.own_data import OwnData
from stableft.core.visible_text import is_visible
from stableft.execution.predicted_files import TABLE_FORMS, table_content
from stableft.reporting.published import COLUMNS, NUMBERS, read_published
from stableft.tasks import Example, TaggedExample, Task, TaskData, clue, commonlit, doccode, docread, docs, glue, ner, user_files
from stableft.tasks.readers.whole_tables import read_whole
from tests.fuzz.inputs import answer, damaged, fuzz


def check_example(example: Any, kind: str, labels: Sequence[str]) -> None:
    """What every reader promises of an example."""
    if isinstance(example, TaggedExample):
        assert kind == "tagging"
        assert len(example.words) == len(example.tags) > 0
        assert all(example.words)
        assert all(0 <= tag < len(labels) for tag in example.tags)
        "".join(example.words).encode()
        return
    assert isinstance(example, Example)
    f"{example.text}{example.pair or ''}".encode()
    if kind == "regression":
        assert isinstance(example.label, float)
        assert math.isfinite(example.label)
    else:
        assert isinstance(example.label, int)
        assert 0 <= example.label < len(labels)


def check_task(task: Task) -> None:
    assert all(is_visible(name) for name in (task.name, *task.labels))
    check_data(task, task.load())


def check_data(task: Task, data: TaskData) -> None:
    assert len(data.train) > 0 < len(data.validation)
    assert len(data.fingerprint) == 64
    for split in (data.train, data.validation, data.test):
        for example in split:
            check_example(example, task.kind, task.labels)


ROWS = [
    ("one, two", "x", "train"),
    ('say "three"', "y", "train"),
    ("four", "x", "validation"),
    ("five \u00e9\u4e2d", "y", "validation"),
]
OBJECTS = [{"text": text, "label": label, "split": split} for text, label, split in ROWS]
SCORES = [{"text": f"text {i}", "pair": f"pair {i}", "score": i / 4} for i in range(24)]
TAGGED = "\n\n".join(f"a{i} O\nb B-x\nc I-x\nd B-y\ne O" for i in range(22)) + "\n"
BMES = "\n\n".join(f"a{i} O\nb B-x\nc M-x\nd E-x\ne S-y" for i in range(22)) + "\n"
CONLL = "-DOCSTART- -X- O\n\n" + "\n\n".join(f"# {i}\na{i} NN O\nb NN U-x\nc NN B-y\nd NN L-y" for i in range(22)) + "\n"
FILES: dict[str, list[bytes]] = {
    "csv": [
        (
            'text,label,split\n"one, two",x,train\n"say ""three""",y,train\nfour,x,validation\nfive \u00e9\u4e2d,y,validation\n'
        ).encode(),
        ("text,pair,score\n" + "".join(f"text {i},pair {i},{i / 4}\n" for i in range(24))).encode(),
    ],
    "tsv": ["".join("\t".join(row) + "\n" for row in [("text", "label", "split"), *ROWS]).encode()],
    "json": [json.dumps(OBJECTS, indent=1).encode(), json.dumps(SCORES).encode()],
    "jsonl": ["\n".join(map(json.dumps, OBJECTS)).encode(), "\n".join(map(json.dumps, SCORES)).encode() + b"\n"],
    "bio": [TAGGED.encode(), BMES.encode(), CONLL.encode()],
}


def test_own_files(tmp_path: Path) -> None:
    def read(form: str, content: bytes) -> None:
        path = tmp_path / f"mine.{form}"
        path.write_bytes(content)
        task = answer(tmp_path, lambda: user_files.read(f"{form}:{path}"), path)
        if not isinstance(task, StableftError):
            check_task(task)

    files = st.one_of(*(st.tuples(st.just(form), damaged(*valid)) for form, valid in FILES.items()))
    fuzz("own files", lambda file: read(*file), files)


OWN = st.builds(
    OwnData,
    text=st.sampled_from([None, "pair", "1", "nope"]),
    label=st.sampled_from([None, "label", "2", "a.b.0"]),
    encoding=st.sampled_from([None, "utf-16", "utf-16-le", "cp1252", "gb18030", "idna", "rot13", "x\0"]),
    on_duplicates=st.sampled_from(["stop", "keep", "drop"]),
    on_variants=st.sampled_from(["stop", "merge", "keep"]),
)
WRITTEN: tuple[Callable[[bytes], bytes], ...] = (
    bytes,
    gzip.compress,
    lambda content: content.decode().encode("utf-16"),
    lambda content: content.replace(b"\n", b"\r"),
    lambda content: content.replace(b",", b";"),
)


def test_own_files_in_other_forms_and_by_options(tmp_path: Path) -> None:
    def read(form: str, content: bytes, own: OwnData) -> None:
        path = tmp_path / f"mine.{form}"
        path.write_bytes(content)
        task = answer(tmp_path, lambda: user_files.read(f"{form}:{path}", own), path, "--text", "--label", "--encoding")
        if not isinstance(task, StableftError):
            check_task(task)

    forms = [(form, write(content)) for form, contents in FILES.items() for content in contents for write in WRITTEN]
    files = st.sampled_from(forms).flatmap(lambda file: st.tuples(st.just(file[0]), damaged(file[1]), OWN))
    fuzz("own files by options", lambda file: read(*file), files)


def csv_rows(text: str, separator: str) -> Iterator[list[str]]:
    others = csv.field_size_limit(2**31 - 1)
    yield from csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    csv.field_size_limit(others)


def test_whole_tables(tmp_path: Path) -> None:
    """What `predict` reads, and writes again with columns of its own: no row, text or column is lost."""

    def read(form: str, content: bytes, own: OwnData) -> None:
        path = tmp_path / f"mine.{form}"
        path.write_bytes(content)
        table = answer(tmp_path, lambda: read_whole(form, path, own), path, "--text", "--label", "--encoding")
        if isinstance(table, StableftError):
            return
        assert {len(values) for values in (table.places, *table.values.values())} == {len(table.rows)}
        assert {len(row) for row in table.rows} == {len(table.names)}
        added = {"added": list(range(len(table.rows)))}
        for out in TABLE_FORMS:
            written = answer(tmp_path, lambda out=out: table_content(out, table, added), path, "--out")
            if isinstance(written, StableftError):
                continue
            assert len(written.decode().splitlines()) > len(table.rows) - (out == "jsonl")
            if out == "jsonl":
                objects = [json.loads(line, parse_constant=str) for line in written.decode().split("\n")[:-1]]
                assert [each["added"] for each in objects] == added["added"]
                assert len(set(map(len, objects))) == 1 or form in ("jsonl", "json")
                assert form in ("jsonl", "json") or len(objects[0]) == len(table.names) + 1
                continue
            lines = written.decode().split("\n")[:-1]
            rows = list(csv_rows(written.decode(), table.separator)) if out == "csv" else [line.split("\t") for line in lines]
            assert [row[-1] for row in rows] == ["added", *map(str, added["added"])]
            assert {len(row) for row in rows} == {len(table.names) + 1}
            assert rows[0][:-1] == list(table.names)

    forms = [(form, content) for form, contents in FILES.items() if form != "bio" for content in contents]
    forms += [(form, write(content)) for form, content in forms[:3] for write in WRITTEN]
    forms += [("csv", b"id,text,id,\n1,one,2,\n3,,4,x\n"), ("tsv", b"text\ttext2\ttext2\na\t\t\n")]
    odd = rb'{"text": "a", "\ud800": 1, "n": {"x": [NaN, 1e999]}}' + b"\n" + rb'{"text": "\udc00\u0000\r\u2028", "m": null}'
    forms += [("jsonl", odd), ("json", b"[" + odd.replace(b"\n", b",") + b"]")]
    files = st.sampled_from(forms).flatmap(lambda file: st.tuples(st.just(file[0]), damaged(file[1]), OWN))
    fuzz("whole tables", lambda file: read(*file), files)


def test_own_folders(tmp_path: Path) -> None:
    def read(form: str, contents: list[bytes | None]) -> None:
        for split, content in zip(("train", "validation", "test"), contents, strict=True):
            path = tmp_path / form / f"{split}.{form}"
            path.parent.mkdir(exist_ok=True)
            path.unlink(missing_ok=True)
            if content is not None:
                path.write_bytes(content)
        task = answer(tmp_path, lambda: user_files.read(f"{form}:{tmp_path / form}"), tmp_path / form)
        if not isinstance(task, StableftError):
            check_task(task)

    csv = b"text,label\na %d,x\nb %d,y\nc %d,x\n"
    bio = b"a%d O\nb B-x\n\nc%d B-y\nd I-y\n\ne%d O\n"
    valid = {form: [file.replace(b"%d", b"%d" % i) for i in range(3)] for form, file in (("csv", csv), ("bio", bio))}

    def part(form: str, i: int) -> st.SearchStrategy[bytes | None]:
        return st.one_of(st.just(valid[form][i]), st.just(valid[form][i]), damaged(valid[form][i]), st.none())

    folders = st.one_of(*(st.tuples(st.just(form), st.tuples(*(part(form, i) for i in range(3)))) for form in valid))
    fuzz("own folders", lambda folder: read(*folder), folders)


def glue_rows(name: str) -> bytes:
    """A small valid file of a GLUE task."""
    cells = {
        "rte": lambda i: (str(i), f"premise {i}", "hypothesis", ("entailment", "not_entailment")[i % 2]),
        "mrpc": lambda i: (str(i % 2), f"{i}", f"{i + 100}", f'a "first {i}', "second"),
        "stsb": lambda i: (str(i), "main", "file", "2012", str(i), "s1", "s2", f"one {i}", "two", str(i / 4)),
        "cola": lambda i: ("src", str(i % 2), "*", f"sentence {i}"),
        "qqp": lambda i: (str(i), str(i), str(i), f"question {i}", "", str(i % 2)),
    }[name]
    heads = {
        "rte": "index\tsentence1\tsentence2\tlabel\n",
        "mrpc": "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n",
        "stsb": "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n",
        "cola": "",
        "qqp": "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n",
    }
    return (heads[name] + "".join("\t".join(cells(i)) + "\n" for i in range(8))).encode()


def corpus(folder: Path, tasks: Sequence[Task], *files: str) -> Callable[[Sequence[bytes]], None]:
    """A test that puts contents into the files of a corpus and loads its tasks."""
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)

    def read(contents: Sequence[bytes]) -> None:
        for file, content in zip(files, contents, strict=True):
            (folder / file).write_bytes(content)
        for task in tasks:
            data = answer(folder, task.load, folder, task.name.partition("_")[0].rstrip("0123456789k"))
            if not isinstance(data, StableftError):
                check_data(task, data)

    return read


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STABLEFT_DATA", str(tmp_path))
    return tmp_path


def one_damaged(*valid: bytes) -> st.SearchStrategy[tuple[bytes, ...]]:
    """Files that belong together, one of them damaged."""
    parts = [st.tuples(*(damaged(v) if i == j else st.just(v) for j, v in enumerate(valid))) for i in range(len(valid))]
    return st.one_of(*parts)


def named(tasks: Sequence[Task], *names: str) -> list[Task]:
    return [task for task in tasks if task.name in names]


def test_glue(data_folder: Path) -> None:
    folders = {"rte": "RTE", "mrpc": "MRPC", "stsb": "STS-B", "cola": "CoLA", "qqp": "QQP"}
    tests, valid = {}, {name: glue_rows(name) for name in folders}
    for name, folder in folders.items():
        tests[name] = corpus(data_folder, named(glue.TASKS, name, f"{name}_1k"), f"{folder}/train.tsv", f"{folder}/dev.tsv")
        tests[name]([valid[name]] * 2)
    pairs = st.one_of(*(st.tuples(st.just(name), one_damaged(file, file)) for name, file in valid.items()))
    fuzz("glue", lambda pair: tests[pair[0]](pair[1]), pairs)


def test_tnews(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clue, "NUM_TRAIN", 4)
    lines = [json.dumps({"label": list(clue.CLASSES)[i % 15], "sentence": f"\u4e2d title {i}", "keywords": ""}) for i in range(12)]
    train, dev = ("\n".join(lines[i : i + 8]).encode() for i in (0, 4))
    fuzz("tnews", corpus(data_folder, clue.TASKS, "tnews/train.json", "tnews/dev.json"), one_damaged(train, dev))


def test_cluener(data_folder: Path) -> None:
    row = {"text": "Ada Li at Nowhere", "label": {"name": {"Ada Li": [[0, 5]]}, "address": {"Nowhere": [[10, 16]]}}}
    content = "\n".join(json.dumps(row | {"id": i}) for i in range(6)).encode()
    tasks = named(ner.TASKS, "cluener")
    fuzz("cluener", corpus(data_folder, tasks, "cluener/train.json", "cluener/dev.json"), one_damaged(content, content))


def test_resume_ner(data_folder: Path) -> None:
    content = "\n\n".join("Z B-NAME\nX E-NAME\n, O\nY S-RACE\nq B-ORG\nr M-ORG\ns E-ORG" for _ in range(4)).encode()
    files = [f"resume_ner/{split}.char.bmes" for split in ("train", "dev", "test")]
    fuzz("resume_ner", corpus(data_folder, named(ner.TASKS, "resume_ner"), *files), one_damaged(content, content, content))


def test_commonlit(data_folder: Path) -> None:
    rows = "".join(f'a{i},,,"An excerpt, number {i}.\nIts end.",{i / 7 - 1},0.{i + 1}\n' for i in range(12))
    content = ("id,url_legal,license,excerpt,target,standard_error\n" + rows).encode()
    tasks = named(commonlit.TASKS, "commonlit0", "commonlit4")
    fuzz("commonlit", corpus(data_folder, tasks, "commonlit/train.csv"), one_damaged(content))


DOCSTRING = """Return the ``item`` of a table, see :class:`~pandas.Table`. It takes "some" time, e.g. an hour [1]_.

A longer paragraph of plain prose that has enough words to count as one, and it ends in a stop. Then it goes on for a while,
(so that sentences differ), until everything is said. Use ``None`` if nothing is known about the table, and the end comes.

    - a list
"""
SOURCE = f'''"""Module."""
class Table:
    """{DOCSTRING}"""
    def get(self):
        """Give an item back."""
add_newdoc("m", "name", """One more of these.""")
'''.encode()


def test_docstrings_of_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources of installed packages are parsed and never run."""
    package = tmp_path / "fuzzed_package"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)

    def read(content: bytes) -> None:
        path = package / "module.py"
        path.write_bytes(content)
        found = answer(tmp_path, lambda: docs.read_docs("fuzzed_package"), path)
        answer(tmp_path, lambda: docread.read_paragraphs(["fuzzed_package"]), path)
        tagged = answer(tmp_path, lambda: doccode.read_sentences(["fuzzed_package"]), path)
        if not isinstance(tagged, StableftError):
            assert all("\n" not in doc.summary for doc in found)
            for example in tagged:
                check_example(example, "tagging", doccode.LABELS)

    fuzz("docstrings", read, damaged(SOURCE))


def test_published_numbers(tmp_path: Path) -> None:
    cells = [
        "zhang2021",
        "Table 1",
        "exact",
        "bert-large",
        "adam",
        "rte",
        "a, b",
        "test",
        "accuracy",
        "20",
        "0.7",
        "0.01",
        "",
        "0.6",
        "0.8",
    ]
    row = [*cells, "0", 'a "note"'][: len(COLUMNS)]
    rows = [[*row[:5], f"task {i}", *row[6:]] for i in range(4)]
    content = "\n".join(
        [",".join(COLUMNS), *(",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows), ""]
    ).encode()
    path = tmp_path / "published.csv"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        frame = answer(tmp_path, lambda: read_published(path), path)
        if not isinstance(frame, StableftError):
            assert list(frame.columns) == [*COLUMNS, "here"]
            assert (frame["n"] >= 1).all()
            assert frame[NUMBERS].map(lambda number: not math.isinf(number)).all(axis=None)

    path.write_bytes(content)
    assert len(read_published(path)) == 4
    fuzz("published", read, damaged(content))
