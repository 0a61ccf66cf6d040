"""TNEWS: the rows dropped by cleaning, and the two evaluation sets."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stableft.core.errors import MissingInput
from stableft.tasks import Example, TaskData, clue
from stableft.tasks.readers.corpus_files import local_files

TASKS = {task.name: task for task in clue.TASKS}


def real_data() -> bool:
    try:
        return local_files(clue.SOURCE) is not None
    except MissingInput:
        return False


needs_data = pytest.mark.skipif(not real_data(), reason="needs STABLEFT_DATA with tnews/{train,dev}.json")


def rows(text: str) -> list[Example]:
    """``"a0 b1"``: title a with label 0, title b with label 1."""
    return [Example(item[0], None, int(item[1:])) for item in text.split()]


# --- the real data ---


@pytest.fixture(scope="module")
def tnews() -> TaskData:
    return TASKS["tnews"].load()


@pytest.fixture(scope="module")
def tnews50k() -> TaskData:
    return TASKS["tnews50k"].load()


@needs_data
def test_counts_of_the_real_file() -> None:
    assert clue.clean(*clue._read())[1] == clue.TnewsCounts(
        train_rows=53360,
        conflicting_titles=547,
        conflicting_rows=1715,
        repeated_rows=2466,
        shared_titles=833,
        kept=48346,
        dev_rows=10000,
        dev_titles=9765,
    )


@needs_data
def test_both_tasks_share_their_training_data(tnews: TaskData, tnews50k: TaskData) -> None:
    assert tnews.train == tnews50k.train
    assert (len(tnews.train), len(tnews.validation), len(tnews50k.validation)) == (1000, 10000, 47346)
    assert set(Counter(e.label for e in tnews.train)) == set(range(15))
    titles = {e.text for e in tnews.train}
    assert len(titles) == 1000
    assert titles.isdisjoint(e.text for e in (*tnews.validation, *tnews50k.validation))
    assert tnews.test == tnews50k.test == ()


@needs_data
def test_dev_labels_are_the_official_ones(tnews: TaskData) -> None:
    counts = Counter(TASKS["tnews"].labels[int(e.label)] for e in tnews.validation)
    assert (counts["news_story"], counts["news_tech"], counts["news_stock"], counts["news_game"]) == (215, 1089, 45, 659)


@needs_data
def test_texts_keep_their_case(tnews: TaskData) -> None:
    assert any(e.text != e.text.lower() for e in tnews.train)


@needs_data
def test_the_draw_never_changes_unnoticed(tnews: TaskData, tnews50k: TaskData) -> None:
    assert tnews.fingerprint == "26f3290c170ed31663e8fd0388d88b0aebaf5e6acad9a91fefd6cc05ab1beef5"
    assert tnews50k.fingerprint == "7a6e4e4b05395221d66d16d406df9813fe6da516dafebcfb8889913aacf466b0"


@needs_data
def test_classes_are_those_of_labels_json() -> None:
    paths = local_files(clue.SOURCE)
    assert paths is not None
    labels = paths[0].with_name("labels.json")
    if not labels.is_file():
        pytest.skip("labels.json isn't part of this folder")
    written = [json.loads(line) for line in labels.read_text(encoding="utf-8").splitlines()]
    assert {row["label"]: row["label_desc"] for row in written} == clue.CLASSES
    assert [row["label_desc"] for row in written] == list(TASKS["tnews"].labels)


# --- cleaning ---


def test_clean_by_hand() -> None:
    kept, counts = clue.clean(rows("a0 b1 a0 c2 b3 d4 c2 e5 c2"), rows("d9 b1 d9"))
    assert kept == tuple(rows("a0 c2 e5"))
    assert counts == clue.TnewsCounts(
        train_rows=9, conflicting_titles=1, conflicting_rows=2, repeated_rows=3, shared_titles=1, kept=3, dev_rows=3, dev_titles=2
    )


EXAMPLES = st.lists(st.builds(Example, st.sampled_from("abcdefgh"), st.none(), st.integers(0, 2)), max_size=20)


@given(EXAMPLES, EXAMPLES)
def test_clean_accounts_for_every_row(train: list[Example], dev: list[Example]) -> None:
    kept, counts = clue.clean(train, dev)
    assert counts.kept == len(kept)
    assert counts.train_rows == counts.conflicting_rows + counts.repeated_rows + counts.shared_titles + counts.kept
    expected = {t for t in {e.text for e in train} - {e.text for e in dev} if len({e.label for e in train if e.text == t}) == 1}
    assert {e.text for e in kept} == expected
    assert len(kept) == len(expected)
    first_rows = [train.index(e) for e in kept]
    assert first_rows == sorted(first_rows)


def test_draw_splits_in_order_and_always_alike() -> None:
    examples = [Example(f"t{i}", None, 0) for i in range(1500)]
    train, others = clue.draw(examples)
    assert (len(train), len(others)) == (1000, 500)
    assert sorted([*train, *others], key=examples.index) == examples
    assert [examples.index(e) for e in train] == sorted(examples.index(e) for e in train)
    assert clue.draw(examples) == (train, others)


def test_too_few_titles_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tnews_public").mkdir()
    for name in clue.SOURCE.files:
        (tmp_path / "tnews_public" / name).write_text(f'{{"label": "100", "sentence": "{name}"}}\n', encoding="utf-8")
    monkeypatch.setenv("STABLEFT_DATA", str(tmp_path))
    with pytest.raises(MissingInput, match="cleaning left 1 training titles; more than 1000 are needed"):
        TASKS["tnews"].load()


def test_a_row_nested_too_deeply_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STABLEFT_DATA", str(tmp_path))
    (tmp_path / "tnews").mkdir()
    for file in ("train.json", "dev.json"):
        (tmp_path / "tnews" / file).write_text('{"a":' * 100_000)
    with pytest.raises(MissingInput, match=r"train\.json:1: bad JSON"):
        TASKS["tnews"].load()
