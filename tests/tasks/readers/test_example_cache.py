"""Cached examples: equal to those made; a damaged file is made again."""

import json
from pathlib import Path

import pytest

from stableft.tasks import Example, TaggedExample, TaskData
from stableft.tasks.readers.example_cache import load_or_make

DATA = TaskData(
    train=(Example("eins", None, 0), Example("ünï", "two", 1)),
    validation=(Example("three", None, 1),),
    test=(Example("x", None, 0.5),),
)

TAGGED = TaskData(
    train=(TaggedExample(("Ünï", "came"), (1, 0)), TaggedExample(("x",), (0,))),
    validation=(TaggedExample(("x", "y"), (0, 2)),),
)


def never() -> TaskData:
    raise AssertionError("made again")


@pytest.mark.parametrize("data", [DATA, TAGGED])
def test_the_second_time_they_are_read(tmp_path: Path, data: TaskData) -> None:
    path = tmp_path / "folder" / "data.json"
    assert load_or_make(path, lambda: data) == data
    kept = load_or_make(path, never)
    assert kept == data
    assert kept.fingerprint == data.fingerprint


def test_words_and_tags_enter_the_fingerprint() -> None:
    other = TaskData((TaggedExample(("Ünï", "came"), (1, 1)), TAGGED.train[1]), TAGGED.validation)
    joined = TaskData((TaggedExample(("Ünïcame",), (1,)), TAGGED.train[1]), TAGGED.validation)
    assert len({data.fingerprint for data in (TAGGED, other, joined)}) == 3


@pytest.mark.parametrize(("words", "tags"), [((), ()), (("a",), ()), (("a", ""), (0, 0))])
def test_a_sentence_has_as_many_tags_as_words(words: tuple[str, ...], tags: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="words with"):
        TaggedExample(words, tags)


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


@pytest.mark.parametrize("content", ["[]", '{"train": [[]], "validation": [], "test": []}', "[" * 100_000, "3"])
def test_other_json_is_made_again(content: str, tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text(content)
    assert load_or_make(path, lambda: DATA) == DATA
    assert load_or_make(path, never) == DATA
