"""Whole tables: odd encodings and texts are refused by name, and other columns come back."""

import json
from pathlib import Path

import pytest

from stableft.core.errors import MissingInput, UsageError
from stableft.core.own_data import OwnData
from stableft.execution.predicted_files import table_content
from stableft.tasks.readers.whole_tables import read_whole


def test_half_a_character_is_refused_in_a_text_and_kept_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(r'{"text": "a", "note": "\ud83d"}' + "\n")
    table = read_whole("jsonl", path, OwnData())
    written = table_content("jsonl", table, {"label": ["x"]})
    assert json.loads(written) == {"text": "a", "note": "\ud83d", "label": "x"}
    assert table_content("csv", table, {"label": ["x"]}) == b"text,note,label\na,\\ud83d,x\n"
    path.write_text('{"text": "a"}\n' + r'{"text": "\ud83d"}' + "\n")
    with pytest.raises(MissingInput, match=r"a\.jsonl:2: text is not valid Unicode"):
        read_whole("jsonl", path, OwnData())


@pytest.mark.parametrize("encoding", ["rot13", "x\0", "utf-9"])
def test_an_unknown_encoding_is_refused(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.csv").write_text("text\na\n")
    with pytest.raises(UsageError, match="no such encoding"):
        read_whole("csv", tmp_path / "a.csv", OwnData(encoding=encoding))


def test_columns_of_one_name_are_never_lost(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,text,id\n1,a,2\n")
    table = read_whole("csv", tmp_path / "a.csv", OwnData())
    assert table_content("csv", table, {"label": ["x"]}) == b"id,text,id,label\n1,a,2,x\n"
    with pytest.raises(UsageError, match=r"several columns are named 'id', which JSON can't write; choose --out NAME\.csv"):
        table_content("jsonl", table, {"label": ["x"]})


def test_a_long_name_of_a_column_is_cut_in_messages(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("b" * 200_000 + ",c\n1,2\n")
    with pytest.raises(MissingInput) as caught:
        read_whole("csv", tmp_path / "a.csv", OwnData())
    assert len(str(caught.value)) < 1000
