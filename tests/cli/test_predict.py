"""`stableft export` and `stableft predict` as users call them: from their file to a model, and to answers for other files."""

import csv
import io
import json
from pathlib import Path

import pytest

from stableft.core.config import run_id
from stableft.core.own_data import OwnData
from stableft.execution.inputs import Inputs
from stableft.execution.job import Job
from stableft.execution.run_job import run_one
from stableft.storage.store import Store
from stableft.tasks import Task, user_files
from stableft.tasks.catalog import get_task
from tests.conftest import TOY, ConfigFactory, Quick

MARK = b"\xef\xbb\xbf"
REVIEWS = OwnData(text="Review", label="Sentiment")


def write_reviews(path: Path) -> Path:
    """A table as Excel writes it: a byte-order mark, semicolons, and its own line ends."""
    rows = [(example.text, ("böse", "gut")[int(example.label)]) for example in TOY.load().train]
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerows([("Review", "Sentiment", "Nr"), *((f"{review}; ", label, i) for i, (review, label) in enumerate(rows))])
    path.write_bytes(MARK + text.getvalue().encode())
    return path


def keep(folder: Path, task: Task, toy_config: ConfigFactory) -> str:
    """Does a run of a task, and returns its identity."""
    config = toy_config(task=task.name, own_data=task.own)
    encoder, data = Inputs().encoder("tiny-random"), task.load()
    identity = run_id(config, data=data.fingerprint, weights=encoder.fingerprint)
    job = Job(identity, config, encoder, data, folder / "out", task=task, keep_weights=True)
    Store(folder / "out").write(run_one(job))
    return identity


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, quick: Quick, toy_config: ConfigFactory) -> Path:
    """Folders ``reviews``, ``scores`` and ``tags`` with models, and the users' files."""
    folder = tmp_path_factory.mktemp("user")
    reviews = user_files.read(f"csv:{write_reviews(folder / 'reviews.csv')}", REVIEWS)
    (folder / "reviews.csv").rename(folder / "gone.csv")  # an export needs no data
    for name, task in {"reviews": reviews, "scores": get_task("toyscore"), "tags": get_task("toytag")}.items():
        identity = keep(folder, task, toy_config)
        code, out, err = quick(folder, "export", identity[:8], name, "--results", "out")
        assert code == 0, err
        assert f"next: `stableft predict {folder / name}" in out or f"next: `stableft predict {name}" in out
    (folder / "gone.csv").rename(folder / "reviews.csv")
    return folder


def predicted(quick: Quick, folder: Path, model: str, file: str, out: str, *options: str) -> tuple[bytes, str, str]:
    (folder / out).unlink(missing_ok=True)
    code, said, err = quick(folder, "predict", model, file, "--out", out, *options)
    assert code == 0, err
    return (folder / out).read_bytes(), said, err


def test_a_table_of_excel_gets_its_answers(folder: Path, quick: Quick):
    """The columns of the training file are remembered; separator, mark and rows are kept."""
    content, said, err = predicted(quick, folder, "reviews", "reviews.csv", "answers.csv", "--probabilities")
    assert content.startswith(MARK)
    before = list(csv.DictReader(io.StringIO((folder / "reviews.csv").read_text("utf-8-sig"), newline=""), delimiter=";"))
    after = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=";"))
    assert [{name: row[name] for name in before[0]} for row in after] == before
    assert list(after[0])[3:] == ["label", "probability", "probability_böse", "probability_gut"]
    for row in after:
        assert row["label"] in ("böse", "gut")
        assert row["probability"] == row[f"probability_{row['label']}"]
        assert float(row["probability_böse"]) + float(row["probability_gut"]) == pytest.approx(1, abs=1e-6)
    right = sum(row["label"] == row["Sentiment"] for row in after) / len(after)
    assert f"accuracy on the 64 rows with a label: {right:.4f}" in said
    assert "cells are separated by a semicolon" in err


def test_names_that_are_taken_and_other_formats(folder: Path, quick: Quick):
    rows = [{"text": "alin\tcelia", "label": "gut", "more": {"a": 1}}, {"text": None, "label": "neu"}, {"text": "dorn", "x": 2}]
    (folder / "new.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    content, said, err = predicted(quick, folder, "reviews", "new.jsonl", "new.out.jsonl", "--json")
    after = [json.loads(line) for line in content.decode().splitlines()]
    assert [{name: row[name] for name in old} for row, old in zip(after, rows, strict=True)] == rows
    assert {"predicted_label", "probability"} < set(after[0])
    assert set(after[2]) == {"text", "x", "predicted_label", "probability"}
    data = json.loads(said)
    assert (data["rows"], data["scored"], data["columns"]) == (3, 1, ["predicted_label", "probability"])
    assert "1 rows have an empty text and are predicted nevertheless, at new.jsonl:2" in err
    assert "'neu'" in err or "neu, which the model does not know" in err
    content, _, __ = predicted(quick, folder, "reviews", "new.jsonl", "new.csv")
    assert content.decode().splitlines()[0] == "text,label,more,x,predicted_label,probability"
    code, _, err = quick(folder, "predict", "reviews", "new.jsonl", "--out", "new.tsv")
    assert (code, (folder / "new.tsv").exists()) == (2, False)
    assert "new.jsonl:1: a cell with a tab" in err


def test_numbers(folder: Path, quick: Quick):
    (folder / "n.tsv").write_text("id\ttext\tscore\n1\talin celia\t2\n2\tdorn\t\n3\tgrelk lumi\t1\n")
    content, said, _ = predicted(quick, folder, "scores", "n.tsv", "n.csv")
    head, *rows = content.decode().splitlines()
    assert head == "id,text,score,prediction"
    assert [float(row.rpartition(",")[2]) for row in rows]
    assert "spearman on the 2 rows with a label" in said


def test_words(folder: Path, quick: Quick):
    tagged = "-DOCSTART- O\n\nbap O\nalin B-soft\ncelia I-soft\n\ndorn B-harsh\n"
    (folder / "t.conll").write_text(tagged)
    content, said, err = predicted(quick, folder, "tags", "t.conll", "t.bio")
    blocks = [[line.split("\t") for line in block.splitlines()] for block in content.decode().split("\n\n")]
    assert [[word for word, _ in block] for block in blocks] == [["bap", "alin", "celia"], ["dorn"]]
    assert "entity f1 on the 2 sentences with a label" in said
    assert "-DOCSTART-" in err
    (folder / "t.txt").write_text("bap alin celia\n\ndorn\n")
    plain, _, __ = predicted(quick, folder, "tags", "t.txt", "p.bio")
    assert plain == content
    objects, _, __ = predicted(quick, folder, "tags", "txt:t.txt", "p.jsonl")
    assert [json.loads(line)["words"] for line in objects.decode().splitlines()] == [["bap", "alin", "celia"], ["dorn"]]


def test_what_is_cut_and_unknown_is_counted(folder: Path, quick: Quick):
    (folder / "long.csv").write_text("Review\n" + "alin " * 50 + "\nqqq qqq\n")
    _, said, err = predicted(quick, folder, "reviews", "long.csv", "long.out.csv", "--json")
    coverage = json.loads(said)["coverage"]
    assert (coverage["cut"], coverage["unknown"]) == (1, 2)
    assert "warning: reviews:" in err or "warning: " in err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("none", "reviews.csv", "--out", "o.csv"), 4, "no such folder; `stableft export"),
        (("reviews", "absent.csv", "--out", "o.csv"), 4, "absent.csv: no such file"),
        (("reviews", "reviews.csv", "--out", "o.xlsx"), 2, "one of .csv, .tsv, .jsonl"),
        (("reviews", "reviews.csv", "--out", "no/o.csv"), 4, "its folder does not exist"),
        (("reviews", "reviews.csv", "--out", "reviews.csv", "--force"), 2, "is the file to predict"),
        (("reviews", "reviews.csv", "--out", "taken.csv"), 2, "already exists; --force"),
        (("reviews", "t.bio", "--out", "o.csv"), 2, "reads tables of texts: write the format before the path"),
        (("tags", "reviews.csv", "--out", "o.bio"), 2, "tags words: write the format before the path, bio:PATH, txt:PATH"),
        (("tags", "t.txt", "--out", "o.csv"), 2, "one of .bio, .jsonl"),
        (("reviews", "other.csv", "--out", "o.csv"), 4, "other.csv:1: no column"),
        (("reviews", "blank.csv", "--out", "o.csv"), 4, "blank.csv:3: text is empty, and so is all of the row"),
        (("reviews", "reviews.csv", "--pair", "Nr", "--out", "o.csv"), 2, "reads single texts: leave --pair out"),
        (("reviews", "reviews.csv", "--out", "o.csv", "--device", "abacus"), 69, "torch knows no such device"),
        (("reviews", "reviews.csv", "--out", "o.csv", "--encoding", "x"), 2, "no such encoding"),
    ],
)
def test_errors(arguments: tuple[str, ...], code: int, said: str, folder: Path, quick: Quick):
    (folder / "taken.csv").write_text("precious")
    (folder / "t.txt").write_text("bap\n")
    (folder / "other.csv").write_text("a,b\n1,2\n")
    (folder / "blank.csv").write_text("Review,Nr\ndorn,1\n,\nalin,2\n")
    found, _, err = quick(folder, "predict", *arguments)
    assert (found, err.count("error:")) == (code, 1), err
    assert said in err
    assert not [path for path in folder.iterdir() if path.name.startswith("o.") or path.suffix == ".tmp"]
    assert (folder / "taken.csv").read_text() == "precious"


def test_force_overwrites(folder: Path, quick: Quick):
    (folder / "taken.csv").write_text("old")
    assert quick(folder, "predict", "reviews", "reviews.csv", "--out", "taken.csv", "--force")[0] == 0
    assert (folder / "taken.csv").stat().st_size > 100
