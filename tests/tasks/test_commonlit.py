"""CommonLit: the article's folds, reading of CSV, and all kinds of malformed rows."""

import csv
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stableft.core.errors import MissingInput
from stableft.tasks import TaskData, commonlit
from stableft.tasks.readers.corpus_files import find_local
from stableft.tasks.scores import METRICS, SCORES

TASKS = commonlit.TASKS
HEADER = ["id", "url_legal", "license", "excerpt", "target", "standard_error"]
REFERENCE = ["ref", "", "", "the one that all were rated against", "0.0", "0.0"]


def real_path() -> Path | None:
    try:
        paths = find_local("commonlit", commonlit.FOLDERS, ("train.csv",))
    except MissingInput:
        return None
    return paths[0] if paths else None


needs_data = pytest.mark.skipif(real_path() is None, reason="needs STABLEFT_DATA with commonlit/train.csv")


def row(i: int, excerpt: str = "vep wug", target: str | float = 0.5) -> list[str]:
    return [f"id{i}", "", "CC", f"{excerpt} {i}", str(target), "0.5"]


def write(root: Path, rows: list[list[str]]) -> Path:
    path = root / "commonlit" / "train.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([HEADER, *rows])
    return path


# --- the real data ---


@pytest.fixture(scope="module")
def folds() -> list[TaskData]:
    return [task.load() for task in TASKS]


@needs_data
def test_the_folds_are_those_that_the_article_prints(folds: list[TaskData]) -> None:
    """Sizes and mean targets stand in the output of the article's notebook (train-roberta-basic)."""
    assert [len(data.validation) for data in folds] == [567, 567, 567, 566, 566]
    means = [float(np.mean([e.label for e in data.validation])) for data in folds]
    assert np.round(means, 6).tolist() == [-0.957277, -0.964158, -0.960363, -0.968208, -0.948276]
    everything = [e for data in folds for e in data.validation]
    assert len(set(everything)) == len(everything) == 2833
    for task, data in zip(TASKS, folds, strict=True):
        assert set(data.train) == set(everything) - set(data.validation)
        assert f"{len(data.train):,} others" in task.summary
        assert data.test == ()
    assert 0.0 not in {e.label for e in everything}


@needs_data
def test_the_folds_equal_those_of_the_articles_code(folds: list[TaskData]) -> None:
    selection = pytest.importorskip("sklearn.model_selection")
    frame = pd.read_csv(str(real_path()))
    frame = frame[(frame["target"] != 0) | (frame["standard_error"] != 0)].reset_index(drop=True)
    frame = frame.sample(frac=1, random_state=np.random.RandomState(3377)).reset_index(drop=True)
    frame["bin"] = pd.cut(frame["target"], bins=int(np.floor(1 + np.log2(len(frame)))), labels=False)
    for data, (train, validation) in zip(folds, selection.StratifiedKFold(5).split(frame, frame["bin"]), strict=True):
        for split, indices in ((data.train, train), (data.validation, validation)):
            texts, targets = frame["excerpt"].to_numpy()[indices], frame["target"].to_numpy()[indices]
            assert [e.text for e in split] == texts.tolist()
            np.testing.assert_allclose([e.label for e in split], targets, rtol=1e-14)


@needs_data
def test_the_folds_never_change_unnoticed(folds: list[TaskData]) -> None:
    assert [data.fingerprint[:12] for data in folds] == [
        "8775b6889694",
        "10ce4f40da5b",
        "2c55d1f6d634",
        "aaeb6eb34ed7",
        "dcfc7d1fd973",
    ]


@needs_data
def test_a_constant_prediction_is_about_one_standard_deviation_off(folds: list[TaskData]) -> None:
    for data in folds:
        labels = np.array([e.label for e in data.validation])
        assert SCORES["negative_rmse"].constant(labels) == pytest.approx(-labels.std())
        assert METRICS["batch_rmse"].compute(labels, np.full(len(labels), labels.mean())) != labels.std()


# --- folds ---


@settings(deadline=None)  # the first example imports sklearn
@given(st.lists(st.integers(0, 6), min_size=5, max_size=80))
@pytest.mark.filterwarnings("ignore:The least populated class")
def test_folds_equal_sklearns(classes: list[int]) -> None:
    selection = pytest.importorskip("sklearn.model_selection")
    if max(Counter(classes).values()) < 5:
        return  # sklearn refuses these
    expected = np.empty(len(classes), int)
    for fold, (_, members) in enumerate(selection.StratifiedKFold(5).split(classes, classes)):
        expected[members] = fold
    assert commonlit.stratified_folds(classes).tolist() == expected.tolist()


@given(st.lists(st.integers(0, 6), max_size=80))
def test_folds_are_even_and_stratified(classes: list[int]) -> None:
    folds = commonlit.stratified_folds(classes)
    sizes = np.bincount(folds, minlength=5)
    assert sizes.max() - sizes.min() <= 1
    for of_class in set(classes):
        counts = np.bincount(folds[np.array(classes) == of_class], minlength=5)
        assert counts.max() - counts.min() <= 1


@given(st.lists(st.floats(-4, 2).map(lambda x: round(x, 3)), min_size=5, max_size=60).filter(lambda x: max(x) - min(x) > 0.01))
def test_bins_equal_those_of_pandas(targets: list[float]) -> None:
    expected = pd.cut(np.array(targets), bins=math.floor(1 + math.log2(len(targets))), labels=False)
    assert commonlit.bins(np.array(targets)).tolist() == np.asarray(expected).tolist()


# --- the file ---


def test_a_real_csv_is_read_as_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["one, two", 'says "vep"', "line\nbreak", "crlf\r\nhere", "odd\u2028separator", " spaces "]
    path = write(tmp_path, [*(row(i, text, i / 4) for i, text in enumerate(texts)), REFERENCE])
    assert [(e.text, e.pair, e.label) for e in commonlit.read(path)] == [(f"{t} {i}", None, i / 4) for i, t in enumerate(texts)]
    monkeypatch.setenv("STABLEFT_DATA", str(tmp_path))
    datas = [task.load() for task in TASKS]
    assert sorted(e.text for data in datas for e in data.validation) == sorted(f"{t} {i}" for i, t in enumerate(texts))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert TASKS[0].load() == datas[0]


def test_only_the_reference_is_dropped(tmp_path: Path) -> None:
    zero = [[*row(10)[:4], "0.0", "0.5"], [*row(11)[:4], "0.4", "0"]]
    path = write(tmp_path, [REFERENCE, *(row(i) for i in range(4)), *zero])
    assert [e.label for e in commonlit.read(path)] == [0.5] * 4 + [0.0, 0.4]


GOOD = [row(i, "two\nlines") for i in range(5)]  # 10 lines


@pytest.mark.parametrize(
    ("bad", "line", "reason"),
    [
        ("id9,,,text,0.5\n", 12, "5 columns, expected 6"),
        ("id9,,,text,0.5,0.5,1\n", 12, "7 columns, expected 6"),
        ("id9,,, ,0.5,0.5\n", 12, "excerpt is empty"),
        ("id9,,,text,easy,0.5\n", 12, "target is 'easy', expected a number"),
        ("id9,,,text,nan,0.5\n", 12, "target is 'nan', expected a number"),
        ("id9,,,text,1e999,0.5\n", 12, "target is '1e999', expected a number"),
        ("id9,,,text,0.5,-1\n", 12, "standard_error is '-1', expected a number from 0"),
        ("id9,,,text,0.5,\n", 12, "standard_error is '', expected a number from 0"),
        ("id3,,,text,0.5,0.5\n", 12, "id 'id3' was already used at"),
        ('id9,,,"text" and more,0.5,0.5\n', 12, "bad CSV"),
        ('id9,,,"text,0.5,0.5\nid10,,,text,0.5,0.5\n', 12, "bad CSV"),
        ("\n", 12, "0 columns, expected 6"),
    ],
)
def test_a_malformed_row_is_named_and_stops(bad: str, line: int, reason: str, tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    with open(path, "a", encoding="utf-8", newline="") as file:
        file.write(bad)
    with pytest.raises(MissingInput) as caught:
        commonlit.read(path)
    assert str(caught.value).startswith(f"{path}:{line}: {reason}")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", ":1: header '', expected the columns excerpt, target, id, standard_error"),
        (b"id,excerpt,target\n", ":1: header 'id,excerpt,target'"),
        (",".join(HEADER).encode() + b"\n", ": 0 rated excerpts, at least 5"),
        (",".join(HEADER).encode() + b"\nid1,,,caf\xe9,0.5,0.5\n", ":2: not UTF-8"),
    ],
)
def test_a_file_that_is_none_is_named(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_bytes(content)
    with pytest.raises(MissingInput) as caught:
        commonlit.read(path)
    assert str(caught.value).startswith(f"{path}{reason}")


def test_without_the_file_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STABLEFT_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # nor has anybody fetched it
    with pytest.raises(MissingInput, match=r"commonlitreadabilityprize.* set STABLEFT_DATA .* commonlit/train\.csv"):
        TASKS[0].load()
    monkeypatch.setenv("STABLEFT_DATA", str(tmp_path))
    with pytest.raises(MissingInput, match=rf"not found: {tmp_path}/commonlit/train\.csv") as caught:
        TASKS[0].load()
    assert "hub" not in str(caught.value)
