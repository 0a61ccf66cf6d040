"""Labels that differ by little: found, reported together, merged or kept on request."""

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
