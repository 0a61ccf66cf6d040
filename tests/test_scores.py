"""Scores: hand-made cases, the constant bound, and what isn't a number."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stableft.scores import SCORES

ACCURACY = SCORES["accuracy"]
LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=50)


def test_registry_keys_are_names() -> None:
    assert all(score.name == name for name, score in SCORES.items())


def test_accuracy_by_hand() -> None:
    assert ACCURACY.compute([0, 1, 1, 2], [0, 1, 2, 2]) == 0.75
    assert ACCURACY.compute(np.array([1]), np.array([0])) == 0.0
    assert type(ACCURACY.compute([0], [0])) is type(ACCURACY.constant([0])) is float


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_prediction_that_is_not_finite_is_wrong(bad: float) -> None:
    assert ACCURACY.compute([0, 1], [bad, 1]) == 0.5
    assert ACCURACY.compute([0, 1], [bad, bad]) == 0.0


@given(LABELS)
def test_constant_is_the_majority_share(labels: list[int]) -> None:
    assert ACCURACY.constant(labels) == Counter(labels).most_common(1)[0][1] / len(labels)


@given(LABELS, st.integers(0, 4))
def test_no_constant_prediction_beats_the_constant_score(labels: list[int], value: int) -> None:
    assert ACCURACY.compute(labels, [value] * len(labels)) <= ACCURACY.constant(labels)


@given(LABELS, st.data())
def test_accuracy_counts_matches(labels: list[int], data: st.DataObject) -> None:
    predictions = data.draw(st.lists(st.integers(0, 4), min_size=len(labels), max_size=len(labels)))
    assert ACCURACY.compute(labels, predictions) == sum(a == b for a, b in zip(labels, predictions, strict=True)) / len(labels)
    assert ACCURACY.compute(labels, labels) == 1.0


@pytest.mark.parametrize(
    ("labels", "predictions", "reason"),
    [
        ([], [], "N >= 1"),
        ([0, 1], [0], "predictions have shape"),
        ([[0], [1]], [[0], [1]], "shape"),
        ([0, np.nan], [0, 1], "finite"),
    ],
)
def test_bad_input_is_refused(labels: list[float], predictions: list[float], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        ACCURACY.compute(labels, predictions)


def test_constant_refuses_no_labels() -> None:
    with pytest.raises(ValueError, match="N >= 1"):
        ACCURACY.constant([])


def test_scores_and_tasks_need_neither_torch_nor_datasets() -> None:
    code = (
        "import sys, stableft.scores, stableft.tasks.glue, stableft.tasks.clue, stableft.tasks.toy\n"
        "assert not {'torch', 'datasets', 'transformers', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])
