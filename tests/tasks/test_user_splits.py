"""Splits of a user's files: inputs that occur twice, small classes, and remarks."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stableft.core.errors import MissingInput
from stableft.core.own_data import OwnData
from stableft.tasks import TaskData, user_files
from stableft.tasks.user_splits import SPLITS, Rules, divide, divided, joined

Row = tuple[str, str, int]  # input, label, line


def rules(on_duplicates: str) -> Rules[Row]:
    return Rules("input", on_duplicates, lambda row: row[0], lambda row: f"my.csv:{row[2]}", lambda row: row[1])


def rows(*pairs: str) -> list[Row]:
    return [(text, label, line) for line, (text, label) in enumerate((pair.split("/") for pair in pairs), start=2)]


TWENTY = rows(*(f"t{i}/{'xy'[i % 2]}" for i in range(20)))
AGAIN = [*TWENTY, *rows(*(f"t{i}/x" for i in range(6)))]


def test_repeats_stop_with_their_number_and_places() -> None:
    with pytest.raises(MissingInput) as caught:
        divided(Path("my.csv"), AGAIN, rules("stop"), "add a column 'split'")
    said = str(caught.value)
    assert said.startswith("my.csv:2: repeats the input of my.csv:2; 6 such rows in all (my.csv:2, my.csv:3, my.csv:4, ...)")
    assert "3 inputs with more than one label" in said
    assert said.endswith("--on-duplicates drop leaves each input once; or add a column 'split'")


@given(st.lists(st.tuples(st.sampled_from("abcdefghijklmnopqrstuvwxyz"), st.sampled_from("xy")), min_size=20, max_size=60))
def test_equal_inputs_stay_together(drawn: list[tuple[str, str]]) -> None:
    given_rows = [(text, label, line) for line, (text, label) in enumerate(drawn)]
    kept, _ = divided(Path("my.csv"), given_rows, rules("keep"), "")
    assert sorted(row for split in kept.values() for row in split) == sorted(given_rows)
    where: dict[str, set[str]] = {}
    for split, members in kept.items():
        for row in members:
            where.setdefault(row[0], set()).add(split)
    assert all(len(splits) == 1 for splits in where.values())
    dropped, _ = divided(Path("my.csv"), given_rows, rules("drop"), "")
    assert Counter(row[0] for split in dropped.values() for row in split) == Counter(dict.fromkeys(where, 1))


def test_a_class_with_one_row_is_trained_on(tmp_path: Path) -> None:
    """The draw, not the user, would put it into validation."""
    labels = ["x"] * 6 + ["y"] * 6 + [f"rare{i}" for i in range(28)]
    assert set(labels) > {label for label, split in zip(labels, divide(labels, 40), strict=True) if split == "train"}
    path = tmp_path / "my.csv"
    path.write_text("text,label\n" + "".join(f"t{i},{label}\n" for i, label in enumerate(labels)))
    task = user_files.read(f"csv:{path}")
    assert set(task.labels) == set(labels)
    assert {int(e.label) for e in task.load().train} == set(range(30))


def test_a_rare_class_is_in_every_split(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    path.write_text("text,label\n" + "".join(f"t{i},{'rare' if i < 4 else 'common'}\n" for i in range(200)))
    data = user_files.read(f"csv:{path}").load()
    counts = [Counter(int(e.label) for e in split) for split in (data.train, data.validation, data.test)]
    assert [count[1] for count in counts] == [2, 1, 1]
    assert sum(map(len, (data.train, data.validation, data.test))) == 200


def overlapping(tmp_path: Path) -> str:
    for split, texts in (("train", "abcca"), ("validation", "dea"), ("test", "fgd")):
        (tmp_path / f"{split}.csv").write_text("text,label\n" + "".join(f"{t},{'xy'[i % 2]}\n" for i, t in enumerate(texts)))
    return f"csv:{tmp_path}"


def texts(data: TaskData) -> list[str]:
    return ["".join(example.text for example in getattr(data, split)) for split in SPLITS]


def test_overlap_stops_stays_or_goes(tmp_path: Path) -> None:
    spec = overlapping(tmp_path)
    with pytest.raises(MissingInput) as caught:
        user_files.read(spec)
    assert str(caught.value).startswith(f"{tmp_path}/validation.csv:4: this input of validation is also in train, at ")
    assert "2 such rows in all" in str(caught.value)
    kept = user_files.read(spec, OwnData(on_duplicates="keep"))
    assert texts(kept.load()) == ["abcca", "dea", "fgd"]
    assert kept.notes[0] == "2 rows have the input of an earlier split, first at validation.csv:4"
    assert kept.notes[1] == (
        "train: 2 rows repeat an earlier input, first at train.csv:6, train.csv:5; 1 inputs have more than one label"
    )
    dropped = user_files.read(spec, OwnData(on_duplicates="drop"))
    assert texts(dropped.load()) == ["bc", "ea", "fgd"]


def test_a_split_that_would_be_empty_is_an_error() -> None:
    with pytest.raises(MissingInput, match="no row of train is left"):
        joined({"train": rows("a/x"), "validation": rows("a/x", "b/y")}, rules("drop"))
