"""Labels that differ by little: found, reported together, merged or kept on request."""

import re
from pathlib import Path

import pytest

from stableft.core.errors import MissingInput
from stableft.core.own_data import OwnData
from stableft.tasks import user_files
from stableft.tasks.label_variants import merged, plain

LABELS = [" pos", "Pos", "pos", "pos", '"pos"', "neg", "Neg", "Neg", "other"]


@pytest.mark.parametrize("other", ["a b", " a  b ", "A B", '"a b"', "\u201ca b\u201d", "a\u00a0b", "' a b '"])
def test_variants_are_the_same(other: str) -> None:
    assert plain(other) == plain("a b")


@pytest.mark.parametrize(("one", "other"), [("1", "01"), ("1.5", "1"), ("a", "\u00e4"), ("ab", "a b"), ("don't", "dont")])
def test_others_are_not(one: str, other: str) -> None:
    assert plain(one) != plain(other)
    assert plain("1.0") == plain("1")


def test_they_stop_with_all_groups_and_counts() -> None:
    with pytest.raises(MissingInput) as caught:
        merged("my.csv", LABELS, "stop")
    said = str(caught.value)
    assert said.startswith("my.csv: labels differ only by space, case or quotes: ' pos' (1 rows) = '\"pos\"' (1 rows) = 'Pos' (1")
    assert "'Neg' (2 rows) = 'neg' (1 rows)" in said
    assert "--on-variants merge" in said
    assert "other" not in said


def test_they_get_the_most_frequent_name_or_stay() -> None:
    names, notes = merged("my.csv", LABELS, "merge")
    assert names == {" pos": "pos", "Pos": "pos", "pos": "pos", '"pos"': "pos", "neg": "Neg", "Neg": "Neg", "other": "other"}
    assert notes[0].startswith("labels merged: ")
    names, notes = merged("my.csv", LABELS, "keep")
    assert all(name == label for label, name in names.items())
    assert "are kept apart" in notes[0]
    assert merged("my.csv", ["a", "b"], "stop") == ({"a": "a", "b": "b"}, [])


def test_merged_labels_are_classes(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    path.write_text("text,label\n" + "".join(f"t{i},{LABELS[i % 9]}\n" for i in range(90)))
    assert user_files.read(f"csv:{path}", OwnData(on_variants="merge")).labels == ("Neg", "other", "pos")


PERSIAN, TOGETHER = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u062e\u0648\u0627\u0647\u0645"
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"


def written(path: Path, *labels: str) -> str:
    path.write_text("text,label\n" + "".join(f"t{i},{labels[i % len(labels)]}\n" for i in range(90)), encoding="utf-8")
    return f"csv:{path}"


def test_joiners_within_words_are_read_and_their_absence_is_a_variant(tmp_path: Path) -> None:
    assert user_files.read(written(tmp_path / "a.csv", PERSIAN, FAMILY)).labels == (PERSIAN, FAMILY)
    path = written(tmp_path / "b.csv", PERSIAN, FAMILY, TOGETHER, PERSIAN)
    with pytest.raises(MissingInput, match="differ only by space, case, quotes or joiners: "):
        user_files.read(path)
    assert user_files.read(path, OwnData(on_variants="merge")).labels == (PERSIAN, FAMILY)
    assert user_files.read(path, OwnData(on_variants="keep")).labels == (TOGETHER, PERSIAN, FAMILY)
    bio = tmp_path / "c.bio"
    bio.write_text("\n\n".join(f"a{i} O\nb B-{PERSIAN}" for i in range(30)), encoding="utf-8")
    assert user_files.read(f"bio:{bio}").labels == ("O", f"B-{PERSIAN}", f"I-{PERSIAN}")


def test_spaces_of_other_kinds_are_spaces(tmp_path: Path) -> None:
    task = user_files.read(written(tmp_path / "a.csv", "sehr\u00a0gut", "schlecht"))
    assert task.labels == ("schlecht", "sehr gut")
    assert "no-break and other wide spaces are read as plain ones: 'sehr\\xa0gut'" in task.notes
    path = written(tmp_path / "b.csv", "sehr\u00a0gut", "sehr gut", "schlecht")
    with pytest.raises(MissingInput, match=r"space, case or quotes: 'sehr gut' \(30 rows\) = 'sehr\\xa0gut' \(30 rows\)"):
        user_files.read(path)
    for rule in ("merge", "keep"):
        assert user_files.read(path, OwnData(on_variants=rule)).labels == ("schlecht", "sehr gut")


@pytest.mark.parametrize(
    ("label", "what"),
    [("p\u200dos", "U+200D ZERO WIDTH JOINER"), ("pos\u200f", "U+200F RIGHT-TO-LEFT MARK"), ("\ufeffpos", "U+FEFF")],
)
def test_what_is_not_shown_is_refused_by_name(tmp_path: Path, label: str, what: str) -> None:
    with pytest.raises(MissingInput, match=rf"a\.csv:2: label .* has unprintable characters \({re.escape(what)}.*; replace them"):
        user_files.read(written(tmp_path / "a.csv", label, "neg"))


def test_labels_that_look_the_same_are_told_apart_in_messages(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "caf\u00e9", "cafe\u0301", "tea")
    with pytest.raises(MissingInput) as caught:
        user_files.read(path)
    assert r"or by the codes of one character: 'cafe\u0301' (30 rows) = 'caf\xe9' (30 rows)" in str(caught.value)
    assert plain("\u0130yi") == plain("iyi")
