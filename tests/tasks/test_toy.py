"""The toy tasks: fixed, balanced, without leaks, and learnable."""

import numpy as np
import pytest

from stableft.tasks import Example, TaggedExample, TaskData, toy
from stableft.tasks.scores import SCORES

TASK, SCORED, TAGGED = toy.TASKS


@pytest.fixture(scope="module")
def data() -> TaskData:
    return TASK.load()


def test_sizes_and_balance(data: TaskData) -> None:
    assert (len(data.train), len(data.validation), len(data.test)) == (64, 32, 32)
    for split in (data.train, data.validation, data.test):
        assert SCORES[TASK.score].constant([e.label for e in split]) == 0.5


def test_it_never_changes_unnoticed(data: TaskData) -> None:
    assert data.fingerprint == "f5c8c1b4b5c8188f03ba4039ffbc10cba24fa15ea34789f8b626b4187e93923b"
    assert TASK.load() == data


def test_vocabulary_covers_every_text(data: TaskData) -> None:
    assert len(set(toy.VOCABULARY)) == len(toy.VOCABULARY) == 40
    assert all(word.isascii() and word.isalpha() and word.islower() for word in toy.VOCABULARY)
    assert {word for e in everything(data) for word in e.text.split(" ")} <= set(toy.VOCABULARY)
    assert all(e.pair is None for e in everything(data))


def test_labels_are_free_of_noise_and_texts_of_repeats(data: TaskData) -> None:
    for example in everything(data):
        votes = [sum(word in markers for word in example.text.split()) for markers in toy.MARKERS]
        assert votes[int(example.label)] > votes[1 - int(example.label)]
    assert len({e.text for e in everything(data)}) == 128


def test_counting_words_learns_it(data: TaskData) -> None:
    """A nearest-centroid classifier on word counts, fitted on the 64 training texts, is right on nearly all others."""
    train, held_out = counts(data.train), counts((*data.validation, *data.test))
    labels = np.array([e.label for e in data.train])
    direction = train[labels == 1].mean(axis=0) - train[labels == 0].mean(axis=0)
    predictions = (held_out @ direction > (train @ direction).mean()).astype(int)
    assert SCORES[TASK.score].compute([e.label for e in (*data.validation, *data.test)], predictions) >= 0.9


def test_the_regression_is_fixed_and_its_scores_are_counts_of_soft_words() -> None:
    data = SCORED.load()
    assert data.fingerprint == "e42c249acd5f793edf7318fcd99b7cf1873b65d9050cf6a80ff795db98f6a271"
    assert SCORED.load() == data
    assert (len(data.train), len(data.validation), len(data.test)) == (64, 32, 32)
    for example in everything(data):
        assert [sum(word in markers for word in example.text.split()) for markers in toy.MARKERS] == [
            4 - example.label,
            example.label,
        ]
        assert set(example.text.split()) <= set(toy.VOCABULARY)
    assert len({e.text for e in everything(data)}) == 128
    for split in (data.train, data.validation, data.test):
        assert set(np.bincount([int(e.label) for e in split])) <= {len(split) // 5, len(split) // 5 + 1}


def test_the_tags_are_those_of_the_words() -> None:
    data = TAGGED.load()
    assert data.fingerprint == "0304cc869d2597f57f751d26ac4062ed92b539e81563f7bb1bcba7a25ffdf3ca"
    assert TAGGED.load() == data
    assert (len(data.train), len(data.validation), len(data.test)) == (64, 32, 32)
    seen = {example.words for split in (data.train, data.validation, data.test) for example in split}  # type: ignore[union-attr]
    assert len(seen) == 128
    kinds = {word: kind for kind, markers in zip(("harsh", "soft"), toy.MARKERS, strict=True) for word in markers}
    for example in (*data.train, *data.validation, *data.test):
        assert isinstance(example, TaggedExample)
        before = None
        for word, tag in zip(example.words, example.tags, strict=True):
            kind = kinds.get(word)
            assert toy.TAGS[tag] == ("O" if kind is None else f"{'I' if before == kind else 'B'}-{kind}")
            before = kind


def everything(data: TaskData) -> tuple[Example, ...]:
    return (*data.train, *data.validation, *data.test)


def counts(examples: tuple[Example, ...]) -> np.ndarray:
    return np.array([[e.text.split().count(word) for word in toy.VOCABULARY] for e in examples], dtype=float)
