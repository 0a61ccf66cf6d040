"""Entity scores: hand-made cases, an independent count, edges of examples, constant tags."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stableft.tasks import bio_labels, entity_spans
from stableft.tasks.scores import TAGGING_METRICS, TAGGING_SCORES, constant, evaluate

NAMES = bio_labels(["per", "loc"])
SENTENCES = st.lists(
    st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=8), min_size=1, max_size=6
).filter(any)
SCORE = "entity_f1"


def numbers(tags: str) -> tuple[np.ndarray, np.ndarray]:
    """Tag indices and offsets of sentences such as ``B-per I-per | O``."""
    sentences = [sentence.split() for sentence in tags.split("|")]
    flat = [NAMES.index(tag) for sentence in sentences for tag in sentence]
    return np.array(flat, dtype=float), np.cumsum([0, *map(len, sentences)])


def found(tags: str) -> list[tuple[int, int, int]]:
    return list(zip(*(part.tolist() for part in entity_spans.spans(*numbers(tags), NAMES)), strict=True))


def naive(sentences: list[list[str]]) -> set[tuple[int, int, int, str]]:
    """Entities one word at a time, by the rules of conlleval."""
    spans = set()
    for number, tags in enumerate(sentences):
        start, kind = 0, ""
        for place, tag in enumerate([*tags, "O"]):
            goes_on = bool(kind) and tag == f"I-{kind}"
            if kind and not goes_on:
                spans.add((number, start, place, kind))
            if not goes_on:
                start, kind = place, tag[2:]
    return spans


def test_labels_have_one_order() -> None:
    assert NAMES == ("O", "B-loc", "I-loc", "B-per", "I-per")
    assert bio_labels([]) == ("O",)


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("O O", []),
        ("B-loc", [(0, 1, 0)]),
        ("O B-per I-per O", [(1, 3, 1)]),
        ("B-loc B-loc I-loc", [(0, 1, 0), (1, 3, 0)]),  # neighbours
        ("O I-per I-per O", [(1, 3, 1)]),  # leniently
        ("B-loc I-per I-per", [(0, 1, 0), (1, 3, 1)]),
        ("I-loc I-per B-per", [(0, 1, 0), (1, 2, 1), (2, 3, 1)]),
        ("B-loc | I-loc I-loc | I-loc", [(0, 1, 0), (1, 3, 0), (3, 4, 0)]),  # none goes over an example's end
        ("B-loc | | I-loc", [(0, 1, 0), (1, 2, 0)]),  # an example without words
    ],
)
def test_spans_by_hand(tags: str, spans: list[tuple[int, int, int]]) -> None:
    assert found(tags) == spans


def test_scores_by_hand() -> None:
    # True: per 0-2, loc 3-4, loc 4-6. Predicted: per 0-2, loc 3-4, and in the second example loc 4-5, per 5-6, loc 6-7.
    labels, offsets = numbers("B-per I-per O B-loc | B-loc I-loc O")
    predictions, _ = numbers("B-per I-per O I-loc | I-loc B-per B-loc")
    scores = {name: evaluate(name, labels, predictions, offsets=offsets, names=NAMES) for name in TAGGING_METRICS}
    assert scores == {"entity_f1": 4 / 8, "entity_precision": 2 / 5, "entity_recall": 2 / 3}
    joined = np.array([0, 7])
    assert evaluate(SCORE, labels, predictions, offsets=joined, names=NAMES) == 2 / 7  # in one example loc 3-5 is one span
    assert evaluate("accuracy", labels, predictions, offsets=offsets, names=NAMES) == 3 / 7


@given(SENTENCES)
def test_scores_equal_an_independent_count(sentences: list[list[tuple[str, str]]]) -> None:
    true, guess = ([[pair[side] for pair in sentence] for sentence in sentences] for side in (0, 1))
    labels, predictions = (np.array([NAMES.index(tag) for tags in side for tag in tags]) for side in (true, guess))
    offsets = np.cumsum([0, *map(len, sentences)])
    here, there = naive(true), naive(guess)
    right = len(here & there)
    values = {name: evaluate(name, labels, predictions, offsets=offsets, names=NAMES) for name in TAGGING_METRICS}
    assert values["entity_precision"] == pytest.approx(right / len(there) if there else 0)
    assert values["entity_recall"] == pytest.approx(right / len(here) if here else 0)
    assert values["entity_f1"] == pytest.approx(2 * right / (len(here) + len(there)) if right else 0)
    assert evaluate(SCORE, labels, labels, offsets=offsets, names=NAMES) == (1.0 if here else 0.0)


@given(SENTENCES)
def test_no_constant_tag_beats_the_constant_score(sentences: list[list[tuple[str, str]]]) -> None:
    labels = np.array([NAMES.index(tag) for tags in sentences for tag, _ in tags])
    offsets = np.cumsum([0, *map(len, sentences)])
    each = [evaluate(SCORE, labels, np.full(len(labels), tag), offsets=offsets, names=NAMES) for tag in range(len(NAMES))]
    assert constant(SCORE, labels, offsets=offsets, names=NAMES) == max(each)


def test_constant_tags_by_hand() -> None:
    labels, offsets = numbers("O B-per | B-loc")
    # All B-per: three entities, one right; all B-loc or I-loc likewise or better: spans 0-2 and 2-3, one of two is right.
    assert constant(SCORE, labels, offsets=offsets, names=NAMES) == 2 / 4
    assert constant(SCORE, *numbers("O")[:1], offsets=[0, 1], names=NAMES) == 0.0
    assert constant("accuracy", labels, offsets=offsets, names=NAMES) == 1 / 3


def test_a_tag_that_is_not_finite_is_outside() -> None:
    labels, offsets = numbers("B-per I-per O B-loc")
    for bad in (np.nan, np.inf, -np.inf):
        assert evaluate(SCORE, labels, [3, bad, bad, 1], offsets=offsets, names=NAMES) == 2 / 4  # per 0-1 is too short
        assert evaluate(SCORE, labels, [bad] * 4, offsets=offsets, names=NAMES) == 0.0


def test_a_million_words_are_counted_at_once() -> None:
    labels = np.tile([0, 1, 2, 3], 250_000)
    offsets = np.arange(0, len(labels) + 1, 20)
    assert evaluate(SCORE, labels, labels, offsets=offsets, names=NAMES) == 1.0


@pytest.mark.parametrize("name", TAGGING_METRICS)
@pytest.mark.parametrize(
    ("labels", "predictions", "offsets", "names", "reason"),
    [
        ([], [], [0], NAMES, "N >= 1"),
        ([0, 1], [0], [0, 2], NAMES, "predictions have shape"),
        ([0, np.nan], [0, 1], [0, 2], NAMES, "finite"),
        ([0, 1], [0, 5], [0, 2], NAMES, "from 0 to 4"),
        ([0, -1], [0, 1], [0, 2], NAMES, "from 0 to 4"),
        ([0, 1], [0, 0.5], [0, 2], NAMES, "whole numbers"),
        ([0, 1], [0, 1], None, NAMES, "offsets"),
        ([0, 1], [0, 1], [0, 1], NAMES, "offsets"),
        ([0, 1], [0, 1], [1, 2], NAMES, "offsets"),
        ([0, 1], [0, 1], [0, 2, 1, 2], NAMES, "offsets"),
        ([0, 1], [0, 1], [0, 2], (), "named O"),
        ([0, 1], [0, 1], [0, 2], ("O", "S-per"), "named O"),
    ],
)
def test_bad_input_is_refused(name: str, labels: list, predictions: list, offsets: list | None, names: tuple, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        evaluate(name, labels, predictions, offsets=offsets, names=names)


def test_other_scores_are_what_they_were() -> None:
    assert evaluate("accuracy", [0, 1, 1, 2], [0, 1, 2, 2]) == 0.75
    assert evaluate("rmse", [0, 0, 0, 0], [1, -1, 5, 3]) == 3.0
    assert constant("accuracy", [0, 1, 1]) == 2 / 3
    assert set(TAGGING_SCORES) <= set(TAGGING_METRICS)
