"""The user's own files: formats, layouts, names, and all kinds of malformed rows."""

import codecs
import csv
import gzip
import io
import json
import os
import pickle
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stableft.core.errors import MissingInput, UsageError
from stableft.core.own_data import OwnData
from stableft.tasks import Example, Task, TaskData, user_files, user_splits
from stableft.tasks.catalog import all_tasks, get_task, own_tasks

SPLIT = "text,label,split\na,x,train\nb,y,train\nc,x,validation\nd,y,validation\n"
EXPECTED = TaskData(
    train=(Example("a", None, 0), Example("b", None, 1)), validation=(Example("c", None, 0), Example("d", None, 1))
)  # fmt: skip


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def as_csv(rows: Sequence[Sequence[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def refusal(spec: str) -> str:
    with pytest.raises(MissingInput) as caught:
        user_files.read(spec)
    return str(caught.value)


# --- formats and layouts ---


def test_one_file_with_splits(tmp_path: Path) -> None:
    task = user_files.read(f"csv:{write(tmp_path / 'my.csv', SPLIT)}")
    assert (task.name, task.kind, task.labels, task.score) == ("my.csv", "classification", ("x", "y"), "accuracy")
    assert task.load() == EXPECTED
    assert task.summary == "Own file: texts, 2 classes; 2 train, 2 validation"


def test_the_three_formats_say_the_same(tmp_path: Path) -> None:
    rows = [line.split(",") for line in SPLIT.splitlines()]
    objects = [json.dumps(dict(zip(rows[0], row, strict=True))) for row in rows[1:]]
    specs = [
        f"csv:{write(tmp_path / 'my.csv', SPLIT)}",
        f"tsv:{write(tmp_path / 'my.tsv', SPLIT.replace(',', chr(9)))}",
        f"jsonl:{write(tmp_path / 'my.jsonl', chr(10).join(objects))}",
    ]
    assert [user_files.read(spec).load().fingerprint for spec in specs] == [EXPECTED.fingerprint] * 3


def test_a_folder_with_a_file_for_each_split(tmp_path: Path) -> None:
    write(tmp_path / "reviews/train.csv", "label,text\nx,a\ny,b\n")
    write(tmp_path / "reviews/validation.csv", "text,label\nc,x\nd,y\n")
    task = user_files.read(f"csv:{tmp_path / 'reviews'}")
    assert task.name == "reviews.csv"
    assert task.load() == EXPECTED
    write(tmp_path / "reviews/test.csv", "text,label\ne,y\nf,x\n")
    assert [e.label for e in user_files.read(f"csv:{tmp_path / 'reviews'}").load().test] == [1, 0]


def test_pairs_quotes_and_what_spreadsheets_write(tmp_path: Path) -> None:
    rows = [
        "\ufefftext,pair,label,split,note",
        '"a, ""b""\r\nc",p,x,train,1',
        "b,q,y,train,2",
        "c,r,x,validation,3",
        "d,s,y,validation,4",
    ]
    content = "\r\n".join(rows)
    data = user_files.read(f"csv:{write(tmp_path / 'my.csv', content)}").load()
    assert data.train[0] == Example('a, "b"\nc', "p", 0)
    assert [e.pair for e in data.validation] == ["r", "s"]


def test_quotes_mean_nothing_in_tsv(tmp_path: Path) -> None:
    content = 'text\tlabel\tsplit\n"a\tx\ttrain\nb"\ty\ttrain\nc\tx\tvalidation\nd\ty\tvalidation\n'
    assert [e.text for e in user_files.read(f"tsv:{write(tmp_path / 'my.tsv', content)}").load().train] == ['"a', 'b"']


def test_classes_are_sorted_text_even_if_written_as_numbers(tmp_path: Path) -> None:
    rows = [
        {"text": f"t{i}", "label": label, "split": "train" if i < 3 else "validation"}
        for i, label in enumerate([10, 9, "a", 9, 10])
    ]
    task = user_files.read(f"jsonl:{write(tmp_path / 'my.jsonl', chr(10).join(map(json.dumps, rows)))}")
    assert task.labels == ("10", "9", "a")
    assert [e.label for e in task.load().train] == [0, 1, 2]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_scores_are_numbers_as_they_were_written(form: str, tmp_path: Path) -> None:
    values = ["-1.5", "2e-1", "3", "+.5"] if form == "csv" else [-1.5, 0.2, 3, 0.5]
    rows = [{"text": f"t{i}", "score": v, "split": "train" if i < 2 else "validation"} for i, v in enumerate(values)]
    content = as_csv([list(rows[0]), *(list(map(str, row.values())) for row in rows)])
    content = content if form == "csv" else "\n".join(map(json.dumps, rows))
    task = user_files.read(f"{form}:{write(tmp_path / 'my', content)}")
    assert (task.kind, task.labels, task.score) == ("regression", (), "spearman")
    labels = [e.label for e in task.load().train + task.load().validation]
    assert labels == [-1.5, 0.2, 3.0, 0.5]
    assert all(isinstance(label, float) for label in labels)  # an integer would give another fingerprint


CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), min_size=1).filter(lambda s: bool(s.strip()))


@settings(max_examples=60, deadline=None)
@given(st.lists(CELL, min_size=4, max_size=8, unique=True))
def test_any_text_survives_quoted_csv_and_jsonl(texts: list[str]) -> None:
    rows = [
        {"text": text, "label": "xy"[i % 2], "split": "validation" if i < 2 else "train"} for i, text in enumerate(texts)
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        table = io.StringIO()
        writer = csv.DictWriter(table, list(rows[0]), quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        tables = {"csv": table.getvalue(), "jsonl": "\n".join(map(json.dumps, rows)) + "\n"}
        for form, content in tables.items():
            data = user_files.read(f"{form}:{write(Path(folder, 'my'), content)}").load()
            assert [e.text for e in data.validation + data.train] == texts


# --- names and places ---


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("my.csv", "my.csv"),
        ("My_file-2.csv", "My_file-2.csv"),
        ("my.v2.csv", "my-v2.csv"),
        ("my data (2).csv", "my-data-2.csv"),
        ("my.txt", "my-txt.csv"),
        ("<svg onload=x>|$x^2$ & \\input{y}%.csv", "svg-onload-x-x-2-input-y.csv"),
        ("=1+1.csv", "1-1.csv"),
        ("[bold]:smile:.csv", "bold-smile.csv"),
        ("a\nb\x1b[31m.csv", "a-b-31m.csv"),
        ("..a", "a.csv"),
        ("x" * 200 + ".csv", "x" * 40 + ".csv"),
        ("my.csv.gz", "my.csv"),
        ("评论.csv", "file-6849b825.csv"),
    ],
)
def test_a_name_is_safe_everywhere(path: str, name: str) -> None:
    assert user_files.task_name("csv", Path("/data") / path) == name
    assert name not in all_tasks()


@pytest.mark.parametrize("path", ["---.csv", "", "..", "/"])
def test_a_path_without_a_name_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="rename it"):
        user_files.task_name("csv", Path("/") / path)


def test_no_registered_task_is_called_like_a_file() -> None:
    assert not [name for name in all_tasks() if "." in name or user_files.is_own(name)]


def test_it_is_the_same_task_wherever_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = user_files.read(f"csv:{write(tmp_path / 'a/my.csv', SPLIT)}")
    write(tmp_path / "b/c/my.csv", SPLIT)
    monkeypatch.chdir(tmp_path / "b")
    monkeypatch.setenv("HOME", str(tmp_path / "b"))
    for spec in ("csv:c/my.csv", "csv:./c/../c/my.csv", "csv:~/c/my.csv"):
        task = user_files.read(spec)
        assert (task.name, task.labels, task.load().fingerprint) == (first.name, first.labels, first.load().fingerprint)


def test_a_task_travels_to_another_process_without_its_file(tmp_path: Path) -> None:
    path = write(tmp_path / "my.csv", SPLIT)
    task: Task = user_files.read(f"csv:{path}")
    path.unlink()
    sent = pickle.dumps(task)
    assert str(tmp_path).encode() not in sent
    assert pickle.loads(sent).load() == EXPECTED


def test_the_look_up_answers_for_files_and_for_names(tmp_path: Path) -> None:
    spec = f"csv:{write(tmp_path / 'my.csv', SPLIT)}"
    assert get_task(spec).name == "my.csv"
    assert get_task("toy").name == "toy"
    assert [task.name for task in own_tasks([spec])] == ["my.csv"]
    assert own_tasks(["toy", "rte"]) == own_tasks([]) == []
    with pytest.raises(UsageError, match="own files are run on their own"):
        own_tasks(["toy", spec])
    with pytest.raises(UsageError, match=r"unknown task 'xlsx:my\.xlsx'"):
        get_task("xlsx:my.xlsx")


# --- files without splits ---


def unsplit(counts: dict[str, int]) -> str:
    labels = [label for label, n in counts.items() for _ in range(n)]
    return as_csv([("text", "label"), *((f"text {i}", label) for i, label in enumerate(labels))])


def test_a_file_without_splits_is_split_by_class(tmp_path: Path) -> None:
    task = user_files.read(f"csv:{write(tmp_path / 'my.csv', unsplit({'x': 60, 'y': 30, 'z': 10}))}")
    data = task.load()
    counts = [Counter(task.labels[int(e.label)] for e in split) for split in (data.train, data.validation, data.test)]
    assert counts == [{"x": 48, "y": 24, "z": 8}, {"x": 6, "y": 3, "z": 1}, {"x": 6, "y": 3, "z": 1}]
    numbers = [int(e.text.split()[1]) for e in data.train]
    assert numbers == sorted(numbers), "rows stay in the order of the file"


def held_out(labels: list[str] | None) -> list[list[int]]:
    splits = user_splits.divide(labels, 30)
    return [[i for i, name in enumerate(splits) if name == split] for split in ("validation", "test")]


def test_the_split_never_changes() -> None:
    """A different split would make every earlier result on such a file useless."""
    assert held_out(["x"] * 27 + ["y"] * 3) == [[19, 21, 24], [1, 10, 27]]
    assert held_out(None) == [[19, 24, 27], [1, 10, 21]]


@given(st.lists(st.sampled_from("abcd"), min_size=20, max_size=80))
def test_the_split_keeps_each_classs_share(labels: list[str]) -> None:
    splits = user_splits.divide(labels, len(labels))
    tenth = len(labels) // 10
    assert Counter(splits) == {"validation": tenth, "test": tenth, "train": len(labels) - 2 * tenth}
    for label, n in Counter(labels).items():
        held = Counter(split for split, other in zip(splits, labels, strict=True) if other == label)
        # Each class is cut at the same quantile, so that it differs from its share by the cut's rounding, in both splits.
        assert abs(held["validation"] + held["test"] - 2 * tenth * n / len(labels)) <= 1.5
        assert held["train"] > 0


# --- refusals ---

HEAD = "text,label,split\na,x,train\n"
REST = "b,y,train\nc,x,validation\nd,y,validation\n"


@pytest.mark.parametrize(
    ("content", "place", "reason"),
    [
        ("", ":1", "no column 'text'; there are: none"),
        ("text,label\n", ":1", "no rows"),
        ("words,label\na,x\n", ":1", "no column 'text'; there are: 'words', 'label'"),
        ("text;label\na;x\n", "", "1 rows; at least 20 are needed"),
        ("text:label\na:x\n", ":1", "no column 'text'; there are: 'text:label'; name it by --text"),
        ("text,split\na,train\n", ":1", "'label' (classes) or 'score' (numbers) is needed"),
        ("text,label,score\na,x,1\n", ":1", "'label' (classes) or 'score' (numbers) is needed"),
        ("text,label,text\na,x,b\n", ":1", "column text more than once"),
        (HEAD + "b,y\n" + REST, ":3", "2 columns, expected 3"),
        (HEAD + "b,y,train,1\n", ":3", "4 columns, expected 3"),
        (HEAD + ",,\n" + REST, ":3", "text is empty, and so is all of the row"),
        (HEAD + "b,y,held\n", ":3", "unknown split 'held', expected one of train, validation, test"),
        (HEAD + " ,y,train\n" + REST, ":3", "text is empty"),
        (HEAD + "e,,train\n" + REST, ":3", "label is empty"),
        (HEAD + "e,z\x1b[31m,train\n" + REST, ":3", "label 'z\\x1b[31m' has unprintable characters"),
        (HEAD + REST + "e,z,validation\n", ":6", "label 'z' never occurs in train, which has x, y"),
        (HEAD + REST + "a,x,validation\n", ":6", "this input of validation is also in train, at {path}:2"),
        (HEAD + "b,x,train\nc,x,validation\nd,x,validation\n", "", "train has 2 rows, all of one label"),
        (HEAD + "b,y,train\nc,x,validation\n", "", "validation has 1 rows, all of one label"),
        (HEAD + "b,y,train\n", "", "no row of split 'validation'"),
        ('text,label,split\n"a\nb",x,train\n"c"d,y,train\n', ":4", "bad CSV"),
        ('text,label,split\n"a,x,train\nb,y,train\n', ":2", "bad CSV"),
        ("text,pair,label,split\na,p,x,train\nb,,y,train\nc,p,x,validation\nd,p,y,validation\n", ":3", "pair is empty"),
        ("text,score,split\na,1,train\nb,nan,train\nc,1,validation\n", ":3", "score 'nan' is not a finite number"),
        ("text,score,split\na,1,train\nb,1e999,train\nc,1,validation\n", ":3", "score '1e999' is not a finite number"),
        ("text,score,split\na,1,train\nb,1_0,train\nc,1,validation\n", ":3", "score '1_0' is not a finite number"),
        ("text,score,split\na,1,train\nb,good,train\nc,1,validation\n", ":3", "score 'good' is not a finite number"),
        ("text,score,split\na,1,train\nb,1.0,train\nc,1,validation\n", "", "train has 2 rows, all of one label"),
        (unsplit({"x": 10, "y": 9}), "", "19 rows; at least 20 are needed to split them"),
        (unsplit({"x": 10, "y": 10}) + "text 3,x\n", ":22", "repeats the input of {path}:5;"),
    ],
)
def test_a_malformed_table_is_named_and_stops(content: str, place: str, reason: str, tmp_path: Path) -> None:
    path = write(tmp_path / "my.csv", content)
    message = refusal(f"csv:{path}")
    assert message.startswith(f"{path}{place}: ")
    assert reason.format(path=path) in message


ROW = '{"text": "a", "label": "x", "split": "train"}\n'
HELD = ROW.replace("train", "validation")


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ("", 1, "no rows"),
        (ROW + "{\n", 2, "bad JSON"),
        (ROW + "[" * 100_000 + "\n", 2, "bad JSON"),
        (ROW + "{\n}\n", 2, "write one object on each line, or an array [...] of them"),
        ("[" + ROW + ROW + "]", 2, "bad JSON (expected a comma, or ] at the array's end)"),
        ("[\n" + ROW + ",{]", 3, "bad JSON"),
        (ROW + "[1]\n", 2, "a JSON list, expected an object"),
        ('{"text": "a", "split": "train"}\n', 1, "one column 'label'"),
        (ROW + '{"text": "b", "split": "train"}\n', 2, "keys text, split; the first row has text, label, split"),
        (ROW + '{"text": "b", "pair": "c", "label": "y", "split": "train"}\n', 2, "keys text, pair, label, split; the first row"),
        (ROW + '{"text": 1, "label": "y", "split": "train"}\n', 2, "text holds int, expected a string"),
        (ROW + '{"text": null, "label": "y", "split": "train"}\n', 2, "text holds NoneType, expected a string"),
        (ROW + '{"text": "b", "label": null, "split": "train"}\n' + HELD, 2, "label is empty"),
        (ROW + '{"text": "b", "label": NaN, "split": "train"}\n' + HELD, 2, "label is empty"),
        (ROW + '{"text": "b", "label": {"a": 1}, "split": "train"}\n', 2, "label holds dict, expected a string, a number, true"),
        ('{"text": "a", "score": "1", "split": "train"}\n', 1, "score holds str, expected a number"),
        ('{"text": "a", "score": NaN, "split": "train"}\n' + ROW.replace('label": "x', 'score": "x'), 2, "score holds str"),
    ],
)
def test_a_malformed_object_is_named_and_stops(content: str, line: int, reason: str, tmp_path: Path) -> None:
    path = write(tmp_path / "my.jsonl", content)
    message = refusal(f"jsonl:{path}")
    assert message.startswith(f"{path}:{line}: ")
    assert reason in message


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999"])
def test_a_json_score_that_is_no_number(value: str, tmp_path: Path) -> None:
    rows = [
        f'{{"text": "{i}", "score": {v}, "split": "{s}"}}'
        for i, (v, s) in enumerate([("1", "train"), (value, "train"), ("1", "validation")])
    ]
    assert ":2: score " in refusal(f"jsonl:{write(tmp_path / 'my.jsonl', chr(10).join(rows))}")


def test_half_a_surrogate_pair_is_refused(tmp_path: Path) -> None:
    rows = [{"text": "\ud800", "label": "x", "split": "train"}, {"text": "b", "label": "y", "split": "train"}]
    rows += [{"text": c, "label": y, "split": "validation"} for c, y in ("cx", "dy")]
    path = write(tmp_path / "my.jsonl", "\n".join(map(json.dumps, rows)))
    assert refusal(f"jsonl:{path}").startswith(f"{path}:1: text is not valid Unicode")


def test_undecodable_bytes_are_named_by_line(tmp_path: Path) -> None:
    path = write(tmp_path / "my.csv", HEAD.encode() + b"caf\xe9,y,train\n")
    assert refusal(f"csv:{path}").startswith(f"{path}:3: not UTF-8")


def test_folders_that_do_not_fit_together(tmp_path: Path) -> None:
    folder = tmp_path / "my"
    write(folder / "train.csv", "text,label\na,x\nb,y\n")
    assert refusal(f"csv:{folder}").startswith(f"not found: {folder / 'validation.csv'}; validation may also be called valid, val")
    assert f"give that file: csv:{folder / 'train.csv'}" in refusal(f"csv:{folder}")
    write(folder / "validation.csv", "text,pair,label\na,b,x\nc,d,y\n")
    assert "columns text, pair, label" in refusal(f"csv:{folder}")
    write(folder / "validation.csv", "text,label,split\na,x,train\n")
    assert refusal(f"csv:{folder}").startswith(f"{folder / 'validation.csv'}:1: a column 'split'")


def test_nothing_there(tmp_path: Path) -> None:
    assert refusal(f"csv:{tmp_path / 'no.csv'}") == f"{tmp_path / 'no.csv'}: no such file or folder"
    for spec in ("csv:", "tsv:  "):
        with pytest.raises(UsageError, match="write a path after the colon"):
            user_files.read(spec)


@pytest.mark.parametrize("form", ["csv", "bio"])
@pytest.mark.parametrize(
    ("path", "error"), [("x" * 300, MissingInput), ("y/" * 3000, UsageError), ("a\0b", UsageError), ("a\nb", UsageError)]
)
def test_a_path_that_cannot_be_is_refused(form: str, path: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"no such file or folder|the path is too long or has unprintable"):
        user_files.read(f"{form}:{path}")


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    """Reading a pipe would block for ever."""
    os.mkfifo(tmp_path / "my.bio")
    assert "no such file" in refusal(f"bio:{tmp_path / 'my.bio'}")


def test_messages_quote_no_more_than_the_beginning(tmp_path: Path) -> None:
    said = refusal(f"csv:{write(tmp_path / 'my.csv', SPLIT.replace('d,y', 'd,' + 'z' * 50_000))}")
    assert "my.csv:5: label 'zzz" in said
    assert len(said) < len(str(tmp_path)) + 300


# --- files as people have them ---


def rows_of(spec: str, own: OwnData | None = None) -> list[Example]:
    data = user_files.read(spec, own).load()
    return [*data.train, *data.validation, *data.test]


TABLE = as_csv([("text", "label"), *((f"caf\u00e9 {i}", "xy"[i % 2]) for i in range(20))])


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (TABLE.encode("utf-8-sig"), None),
        (TABLE.encode("utf-16"), None),
        (codecs.BOM_UTF16_BE + TABLE.encode("utf-16-be"), None),
        (TABLE.encode("utf-32"), None),
        (TABLE.encode("utf-16-le"), "utf-16-le"),
        (TABLE.encode("cp1252"), "cp1252"),
        (gzip.compress(TABLE.encode(), mtime=0), None),
        (TABLE.replace("\n", "\r\n").encode(), None),
        (TABLE.replace("\n", "\r").encode(), None),
        ((TABLE + "\n\n").encode(), None),
        ((TABLE + ",\n , \n").encode(), None),
        (TABLE.replace("\ncaf\u00e9 7", "\n\ncaf\u00e9 7").encode(), None),
        (TABLE.replace(",", ";").encode(), None),
        (TABLE.replace(",", "\t").encode(), None),
        (TABLE.replace(",", "|").encode(), None),
        (("sep=;\n" + TABLE.replace(",", ";")).encode(), None),
        (b'"text";"label"\n' + TABLE.replace(",", ";").partition("\n")[2].encode(), None),
        (TABLE.replace("text,label", " Text ,LABEL").encode(), None),
    ],
)
def test_a_table_says_the_same_however_it_is_written(content: bytes, encoding: str | None, tmp_path: Path) -> None:
    usual = user_files.read(f"csv:{write(tmp_path / 'usual.csv', TABLE)}").load().fingerprint
    path = write(tmp_path / "my.csv", content)
    assert user_files.read(f"csv:{path}", OwnData(encoding=encoding)).load().fingerprint == usual


def test_json_says_the_same_as_csv(tmp_path: Path) -> None:
    """Labels are text by one rule: what Python and pandas write to CSV."""
    values = [True, False, True, 1.0, 0.5, 7, "7", "x"]
    objects = [{"text": f"t{i}", "label": values[i % 8]} for i in range(40)]
    table = as_csv([("text", "label"), *((row["text"], str(row["label"])) for row in objects)])
    usual = user_files.read(f"csv:{write(tmp_path / 'my.csv', table)}")
    for name, content in {
        "my.jsonl": "\n".join(map(json.dumps, objects)),
        "blank.jsonl": "\n\n".join(map(json.dumps, objects)) + "\n\n",
        "array.json": json.dumps(objects),
        "pretty.json": json.dumps(objects, indent=1),
    }.items():
        task = user_files.read(str(write(tmp_path / name, content)))
        assert (task.labels, task.load().fingerprint) == (usual.labels, usual.load().fingerprint)


def test_cells_may_be_long(tmp_path: Path) -> None:
    others = csv.field_size_limit()
    table = TABLE.replace("caf\u00e9 7", "a" * 200_000)
    assert max(len(e.text) for e in rows_of(f"csv:{write(tmp_path / 'my.csv', table)}")) == 200_000
    assert csv.field_size_limit() == others


def test_columns_are_named_by_options(tmp_path: Path) -> None:
    rows = [("id", "opinion", "reply", "mood"), *((str(i), f"a {i}", f"b {i}", "xy"[i % 2]) for i in range(20))]
    path = write(tmp_path / "my.csv", as_csv(rows))
    assert refusal(f"csv:{path}").endswith("such as --text id --label mood; the first line must name the columns")
    found = rows_of(f"csv:{path}", OwnData(text="opinion", pair="reply", label="mood"))
    assert Example("a 3", "b 3", 1) in found
    with pytest.raises(MissingInput, match=r"my.csv:1: no column 'nope', which --label names; there are: 'id'"):
        rows_of(f"csv:{path}", OwnData(text="opinion", label="nope"))
    nested = "\n".join(json.dumps({"data": {"words": f"t{i}"}, "notes": [{"mood": "xy"[i % 2]}]}) for i in range(20))
    path = write(tmp_path / "my.jsonl", nested)
    assert "--text 'data.words' --label 'notes.0.mood'" in refusal(str(path))
    assert len(rows_of(str(path), OwnData(text="data.words", label="notes.0.mood"))) == 20
    path = write(tmp_path / "both.csv", "text,label,score\n" + "".join(f"t{i},{'xy'[i % 2]},{i}\n" for i in range(20)))
    assert user_files.read(f"csv:{path}", OwnData(score="score")).kind == "regression"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("Review,Sentiment", "Review as text, Sentiment as label; --text, --label would name others"),
        ("id,TITLE,label", "TITLE as text; --text would name"),
        ("question1,question2,label", "question1 as text, question2 as pair"),
        ("text,label", ""),
        ("text ,Label,class", ""),  # the label is there, so a class is a column like any other
    ],
)
def test_usual_names_of_columns_are_guessed_and_said(names: str, said: str, tmp_path: Path) -> None:
    columns = names.split(",")
    cells = {name: "xy" if "abel" in name or "ent" in name.lower() else "" for name in columns}
    rows = [columns, *([f"{cells[name][i % 2 :][:1] or f'{name} {i}'}" for name in columns] for i in range(20))]
    task = user_files.read(f"csv:{write(tmp_path / 'my.csv', as_csv(rows))}")
    assert task.labels == ("x", "y")
    assert task.pairs == ("question2" in names)
    assert [note for note in task.notes if "read by their names" in note] == (
        [note for note in task.notes if said in note] if said else []
    )


@pytest.mark.parametrize("names", ["title,body,label", "review,category,topic", "review,stars"])
def test_ambiguous_columns_are_not_guessed(names: str, tmp_path: Path) -> None:
    rows = [names.split(","), *([f"a {i}", "xy"[i % 2], "xy"[i % 2]][: names.count(",") + 1] for i in range(20))]
    assert "name it by" in refusal(f"csv:{write(tmp_path / 'my.csv', as_csv(rows))}")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"PK\x03\x04....", "this is a spreadsheet or ZIP archive: save the sheet as CSV"),
        (b"PAR1....", "this is a Parquet file"),
        (gzip.compress(TABLE.encode(), mtime=0)[:50], "packed by gzip and damaged"),
        (TABLE.encode("utf-16-le"), "type --encoding utf-16-le"),
        (TABLE.encode("cp1252"), "name the encoding of the file, such as --encoding cp1252"),
        (b'{"text": "a"}\n', "this is JSON, not CSV: write jsonl: before the path"),
        (b"text,label\na,x\rb,y\n", "a carriage return in a cell without quotes"),
        (b"\n <!DOCTYPE HTML>\n<html>404</html>", "this is a web page: get the file itself"),
        (b"", "there are: none; the file is empty; its first line must name the columns, such as text,label"),
        (b" \n\n", "the file is empty"),
    ],
)
def test_what_is_no_table_says_what_to_do(content: bytes, reason: str, tmp_path: Path) -> None:
    assert reason in refusal(f"csv:{write(tmp_path / 'my.csv', content)}")


def test_an_unknown_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--encoding 'klingon': no such encoding; usual ones are utf-8"):
        rows_of(f"csv:{write(tmp_path / 'my.csv', TABLE)}", OwnData(encoding="klingon"))


def test_usual_names_of_splits(tmp_path: Path) -> None:
    for name in ("Dev", "val", "valid", "development"):
        path = write(tmp_path / f"{name}.csv", SPLIT.replace("validation", name))
        assert user_files.read(f"csv:{path}").load() == EXPECTED
        folder = tmp_path / f"folder-{name}"
        write(folder / "train.csv", "text,label\na,x\nb,y\n")
        write(folder / f"{name}.csv", "text,label\nc,x\nd,y\n")
        assert user_files.read(str(folder)).load() == EXPECTED
    write(folder / "val.csv", "text,label\ne,x\nf,y\n")
    assert "val.csv and development.csv could both be validation" in refusal(f"csv:{folder}")


def test_train_and_test_alone_get_a_validation_split(tmp_path: Path) -> None:
    rows = [("text", "label", "split"), *((f"t{i}", "xy"[i % 2], "train" if i < 40 else "test") for i in range(50))]
    task = user_files.read(f"csv:{write(tmp_path / 'my.csv', as_csv(rows))}")
    data = task.load()
    assert [len(data.train), len(data.validation), len(data.test)] == [36, 4, 10]
    assert task.notes == ("no validation split: 4 of 40 rows of train are it, the same in every run",)


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_test_split_without_labels_is_predicted_only(form: str, tmp_path: Path) -> None:
    tests = "text\ne\nf\n" if form == "csv" else '{"text": "e"}\n{"text": "f"}\n'
    write(tmp_path / "my" / f"test.{form}", tests)
    for split, texts in (("train", "ab"), ("validation", "cd")):
        rows = [{"text": text, "label": label} for text, label in zip(texts, "xy", strict=True)]
        table = (
            as_csv([("text", "label"), *(list(row.values()) for row in rows)])
            if form == "csv"
            else "\n".join(map(json.dumps, rows))
        )
        write(tmp_path / "my" / f"{split}.{form}", table)
    task = user_files.read(f"{form}:{tmp_path / 'my'}")
    assert (task.load().test, [e.text for e in task.load().unlabelled]) == ((), ["e", "f"])
    assert task.load().fingerprint != EXPECTED.fingerprint
    single = write(tmp_path / "single.csv", SPLIT + "e,,test\nf,,test\n")
    assert user_files.read(f"csv:{single}").load() == task.load()
    assert ":6: label is empty" in refusal(f"csv:{write(tmp_path / 'half.csv', SPLIT + 'e,,test' + chr(10) + 'f,x,test')}")


def test_the_format_may_be_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "my.csv", SPLIT)
    monkeypatch.chdir(tmp_path)
    for spec in ("my.csv", "./my.csv", "CSV:my.csv", str(tmp_path / "my.csv")):
        assert get_task(spec).load() == EXPECTED
        assert own_tasks([spec])[0].name == "my.csv"
    for spec, advice in (("my.xlsx", "write its format before it: csv:PATH"), ("parquet:my.parquet", "own files are csv:PATH")):
        with pytest.raises(UsageError, match=advice):
            get_task(spec)
        with pytest.raises(UsageError, match=advice):
            own_tasks([spec])
    with pytest.raises(UsageError, match=r"--text is for files of your own"):
        get_task("toy", OwnData(text="a"))


def test_empty_texts_are_named_before_repeats(tmp_path: Path) -> None:
    path = write(tmp_path / "my.csv", TABLE.replace("caf\u00e9 3", "").replace("caf\u00e9 7", ""))
    assert refusal(f"csv:{path}") == f"{path}:5: text is empty"


OF_ROWS = [{"text": f"t{i}", "label": "xy"[i % 2]} for i in range(20)]
OF_COLUMNS = {name: {str(i): row[name] for i, row in enumerate(OF_ROWS)} for name in OF_ROWS[0]}
JQ = "all rows in the key 'data'; write these alone, such as by jq '.[\"data\"]'"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            json.dumps({"version": "1", "data": OF_ROWS}),
            "all rows in the key 'data'; write these alone, such as by jq '.[\"data\"]'",
        ),
        (json.dumps({"data": OF_ROWS}, indent=2), "all rows in the key 'data'"),
        (
            json.dumps({name: {str(i): row[name] for i, row in enumerate(OF_ROWS)} for name in OF_ROWS[0]}),
            "orient='records', lines=True",
        ),
        (json.dumps({name: list(values.values()) for name, values in OF_COLUMNS.items()}), "one object with a column in each key"),
        ("".join(json.dumps(row) for row in OF_ROWS), "one object on each line, and nothing after it"),
        ("".join(json.dumps(row) + ",\n" for row in OF_ROWS), "one object on each line, and nothing after it"),
        ("".join(f"{row}\n" for row in OF_ROWS), "names and texts need double quotes"),
    ],
)
def test_other_layouts_of_json_are_refused_with_the_way_out(content: str, reason: str, tmp_path: Path) -> None:
    for form in ("jsonl", "json"):
        assert reason in refusal(f"{form}:{write(tmp_path / f'my.{form}', content)}")


def test_files_of_a_folder_that_are_no_split_are_named(tmp_path: Path) -> None:
    for name in ("train", "val", "heldout"):
        write(tmp_path / f"{name}.csv", "text,label\n" + "".join(f"{name} {i},{'xy'[i % 2]}\n" for i in range(4)))
    write(tmp_path / "notes.txt", "")
    assert user_files.read(f"csv:{tmp_path}").notes == ("not read, since their names are no split's: heldout.csv",)


def test_a_pattern_that_matched_nothing_is_no_such_file(tmp_path: Path) -> None:
    assert "*.csv: no such file or folder" in refusal(f"csv:{tmp_path}/*.csv")
