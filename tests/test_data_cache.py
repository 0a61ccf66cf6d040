"""Kept examples are those that were made; whatever is wrong with the file, they are made again."""

import json
from pathlib import Path

import pytest

from stableft.data_cache import load_or_make
from stableft.tasks import Example, TaskData

DATA = TaskData(
    train=(Example("eins", None, 0), Example("ünï", "two", 1)),
    validation=(Example("three", None, 1),),
    test=(Example("x", None, 0.5),),
)


def never() -> TaskData:
    raise AssertionError("made again")


def test_the_second_time_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "data.json"
    assert load_or_make(path, lambda: DATA) == DATA
    kept = load_or_make(path, never)
    assert kept == DATA
    assert kept.fingerprint == DATA.fingerprint


def changed(content: bytes) -> bytes:
    rows = json.loads(content)
    rows["train"][0][0] = "another"
    return json.dumps(rows).encode()


@pytest.mark.parametrize(
    "damage", [lambda b: b"", lambda b: b[:40], lambda b: b"{}", lambda b: b"[1]", lambda b: b'"text"', lambda b: b"\xff", changed]
)
def test_a_damaged_file_is_made_again(tmp_path: Path, damage) -> None:
    path = tmp_path / "data.json"
    load_or_make(path, lambda: DATA)
    path.write_bytes(damage(path.read_bytes()))
    assert load_or_make(path, lambda: DATA) == DATA
    assert load_or_make(path, never) == DATA


def test_a_folder_that_cant_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="ascii")
    assert load_or_make(tmp_path / "file" / "data.json", lambda: DATA) == DATA
