"""CLUENER and ResumeNER: counts of the real files, spans and halves by hand, malformed rows."""

import json
from collections import Counter
from pathlib import Path

import pytest

from stableft.core.errors import MissingInput
from stableft.tasks import TaggedExample, Task, TaskData, ner
from stableft.tasks.readers.corpus_files import find_local
from stableft.tasks.readers.tag_columns import read_tagged

CLUENER, RESUME = ner.TASKS


def real_paths(name: str, folders: tuple[str, ...], files: tuple[str, ...]) -> tuple[Path, ...] | None:
    try:
        return find_local(name, folders, files)
    except MissingInput:
        return None


CLUENER_PATHS = real_paths("cluener", ner.CLUENER_FOLDERS, ner.CLUENER_FILES)
RESUME_PATHS = real_paths("resume_ner", ner.RESUME_FOLDERS, ner.RESUME_FILES)
needs_cluener = pytest.mark.skipif(CLUENER_PATHS is None, reason="needs STABLEFT_DATA with cluener/{train,dev}.json")
needs_resume = pytest.mark.skipif(RESUME_PATHS is None, reason="needs STABLEFT_DATA with resume_ner/{train,dev,test}.char.bmes")


def entities(task: Task, split: tuple[TaggedExample, ...]) -> Counter[str]:
    return Counter(task.labels[tag][2:] for example in split for tag in example.tags if task.labels[tag].startswith("B-"))


# --- the real data ---


@pytest.fixture(scope="module")
def cluener() -> TaskData:
    return CLUENER.load()


@pytest.fixture(scope="module")
def resume() -> TaskData:
    return RESUME.load()


@needs_cluener
def test_cluener_has_the_official_counts(cluener: TaskData) -> None:
    assert [len(split) for split in (cluener.train, cluener.validation, cluener.test)] == [10748, 671, 672]
    train, dev = (entities(CLUENER, split) for split in (cluener.train, cluener.validation + cluener.test))
    published = "name 3755/465 organization 3210/367 position 3141/433 company 2980/378 address 2891/373"
    published += " game 2376/295 government 1835/247 scene 1521/209 book 1139/154 movie 1123/151"
    counts = dict(zip(published.split()[::2], published.split()[1::2], strict=True))
    train["company"] += 2  # inside a book's title
    assert {kind: f"{train[kind]}/{dev[kind]}" for kind in counts} == counts


@needs_cluener
def test_clueners_halves_are_the_development_file(cluener: TaskData) -> None:
    assert CLUENER_PATHS is not None
    dev = ner.read_cluener(CLUENER_PATHS[1])
    assert sorted(cluener.validation + cluener.test, key=dev.index) == list(dev)
    shares = [entities(CLUENER, split).total() / len(split) for split in (cluener.validation, cluener.test)]
    assert shares == pytest.approx([2.279, 2.296], abs=5e-4)


@needs_cluener
def test_no_sentence_of_cluener_is_in_two_splits(cluener: TaskData) -> None:
    sentences = [example.words for split in (cluener.train, cluener.validation, cluener.test) for example in split]
    assert len(set(sentences)) == len(sentences)


@needs_resume
def test_resume_ner_has_the_published_counts(resume: TaskData) -> None:
    splits = (resume.train, resume.validation, resume.test)
    assert [(len(split), sum(len(example.words) for example in split)) for split in splits] == [
        (3821, 124099),
        (463, 13890),
        (477, 15100),
    ]
    assert [entities(RESUME, split).total() for split in splits] == [13438 + 2, 1497, 1630]
    assert all(len(word) == 1 for split in splits for example in split for word in example.words)


@needs_resume
def test_resume_ners_repeats_are_those_that_are_stated(resume: TaskData) -> None:
    train, dev, test = ([example.words for example in split] for split in (resume.train, resume.validation, resume.test))
    assert [len(split) - len(set(split)) for split in (train, dev, test)] == [18, 0, 1]
    kept = [set(split) for split in (train, dev)]
    assert [sum(words in kept[0] for words in split) for split in (test, dev)] == [5, 1]
    assert sum(words in kept[1] for words in test) == 1


@needs_resume
def test_resume_ner_cuts_two_entities() -> None:
    assert RESUME_PATHS is not None
    with pytest.raises(MissingInput, match=r"train\.char\.bmes:62390: M-ORG ends a sentence, which BMES forbids"):
        read_tagged(*RESUME_PATHS)


@needs_cluener
@needs_resume
def test_they_never_change_unnoticed(cluener: TaskData, resume: TaskData) -> None:
    assert cluener.fingerprint == "e8f09325590f0e8026983c08749a52b9cb201a6262da9fe3783ea68e2cb63d6e"
    assert resume.fingerprint == "0b7646239972e36ac46af72a7a6405d181be6eec1564490cf115f65500112ea4"


# --- spans and halves ---


def row(text: str, **label: dict[str, list[list[int]]]) -> str:
    return json.dumps({"text": text, "label": label}, ensure_ascii=False)


def read(tmp_path: Path, *rows: str) -> list[str]:
    path = tmp_path / "a.json"
    path.write_text("\n".join(rows), encoding="utf-8")
    return [" ".join(CLUENER.labels[tag] for tag in example.tags) for example in ner.read_cluener(path)]


def test_spans_end_with_their_last_character(tmp_path: Path) -> None:
    rows = row("甲乙丙x", name={"甲乙": [[0, 1]], "x": [[3, 3]]}), row("甲甲", book={"甲": [[1, 1], [0, 0]]}), row("乙")
    assert read(tmp_path, *rows) == ["B-name I-name O B-name", "B-book B-book", "O"]


def test_of_nested_entities_the_outer_one_counts(tmp_path: Path) -> None:
    assert read(tmp_path, row("甲乙丙丁", name={"乙": [[1, 1]], "甲乙": [[0, 1]]}, book={"甲乙丙": [[0, 2]]})) == [
        "B-book I-book I-book O"
    ]
    assert ner.outermost("", [(3, 5, "b"), (0, 3, "a"), (4, 5, "c")]) == [(0, 3, "a"), (3, 5, "b")]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("{", "bad JSON"),
        ("[" * 100_000, "bad JSON"),
        ("[]", "expected an object with 'text'"),
        ('{"text": 1, "label": {}}', "expected an object with 'text'"),
        ('{"text": "", "label": {}}', "text is empty"),
        ('{"text": "\\ud800", "label": {}}', "text is not valid Unicode"),
        ('{"id": 0, "text": "甲"}', "'label' must be an object"),
        (row("甲", person={"甲": [[0, 0]]}), "unknown kind 'person', expected one of address, book"),
        (row("甲乙", name={"甲": [[0, 1]]}), "name '甲' is not at [0, 1] of the text"),
        (row("甲乙", name={"乙": [[-1, 1]]}), "name '乙' is not at [-1, 1]"),
        (row("甲乙", name={"乙": [[1, 2]]}), "name '乙' is not at [1, 2]"),
        (row("甲乙", name={"": [[1, 0]]}), "name '' is not at [1, 0]"),
        ('{"text": "甲", "label": {"name": [[0, 0]]}}', "is not at"),
        ('{"text": "甲", "label": {"name": {"甲": 0}}}', "name '甲' is not at 0"),
        (row("甲乙丙", name={"甲乙": [[0, 1]]}, book={"乙丙": [[1, 2]]}), "book [1, 2] overlaps name [0, 1]"),
        (row("甲", name={"甲": [[0, 0]]}, book={"甲": [[0, 0]]}), "name [0, 0] overlaps book [0, 0]"),
    ],
)
def test_a_malformed_row_is_named(bad: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(MissingInput) as caught:
        read(tmp_path, row("甲"), bad)
    assert str(caught.value).startswith(f"{tmp_path / 'a.json'}:2: ")
    assert reason in str(caught.value)


def test_no_rows(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"a\.json:1: the file has no sentences"):
        read(tmp_path)


def test_halves_keep_the_order_and_are_always_alike() -> None:
    examples = [TaggedExample((str(i),), (0,)) for i in range(31)]
    first, second = ner.halves(examples, "x")
    assert (len(first), len(second)) == (15, 16)
    assert sorted(first + second, key=examples.index) == examples
    assert [examples.index(e) for e in first] == sorted(examples.index(e) for e in first)
    assert ner.halves(examples, "x") == (first, second)
    assert ner.halves(examples, "y") != (first, second)


def test_both_load_from_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STABLEFT_DATA", str(tmp_path))
    with pytest.raises(MissingInput, match="lacks the task's files"):
        CLUENER.load()
    (tmp_path / "cluener_public").mkdir()
    for name in ner.CLUENER_FILES:
        (tmp_path / "cluener_public" / name).write_text(row(name) + "\n" + row(name[::-1]), encoding="utf-8")
    data = CLUENER.load()
    assert [len(split) for split in (data.train, data.validation, data.test)] == [2, 1, 1]
    (tmp_path / "ResumeNER").mkdir()
    for name in ner.RESUME_FILES:
        (tmp_path / "ResumeNER" / name).write_text("甲 B-NAME\n乙 E-NAME\n", encoding="utf-8")
    name = RESUME.labels.index("B-NAME")
    assert RESUME.load().test == (TaggedExample(("甲", "乙"), (name, name + 1)),)


@pytest.mark.parametrize("task", ner.TASKS, ids=lambda task: task.name)
def test_without_data_the_message_says_what_to_do(task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STABLEFT_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # nor has anybody fetched it
    with pytest.raises(
        MissingInput,
        match=rf"{task.name}: no data; type .* data fetch {task.name}`.* or set STABLEFT_DATA to a folder that holds {task.name}/",
    ):
        task.load()


def test_one_sentence_for_development_cannot_be_halved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STABLEFT_DATA", str(tmp_path))
    (tmp_path / "cluener").mkdir()
    for file in ("train.json", "dev.json"):
        (tmp_path / "cluener" / file).write_text(row("x at y", name={"x": [[0, 0]]}), encoding="utf-8")
    with pytest.raises(MissingInput, match=r"dev\.json: one sentence can't be halved"):
        ner.load_cluener()
