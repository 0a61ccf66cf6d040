"""What the axis of a score says."""

import pytest

from stableft.reporting import axis_labels
from stableft.tasks.scores import SCORES


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (axis_labels.of_score("test", "accuracy"), "test accuracy"),
        (axis_labels.of_score("test", "entity_f1"), "test entity F1"),
        (axis_labels.of_score("validation", "my_score", 90), "validation my score\n(90 examples)"),
    ],
)
def test_a_score_is_named_as_readers_know_it(label: str, said: str) -> None:
    assert label == said


def test_no_score_of_the_repository_is_shown_by_an_abbreviation() -> None:
    for name in SCORES:
        assert "_" not in axis_labels.score_name(name)
        assert not {"mcc", "f1", "spearman", "rmse"} & set(axis_labels.score_name(name).split(" "))
