"""Data statistics of `data check`, against hand-counted examples and naive quantiles."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stableft.tasks import Example, TaggedExample, Task, TaskData, bio_labels, data_summary
from stableft.tasks.scores import SCORES
from tests.conftest import TOY

DATA = TaskData(
    train=(
        Example("a b", "c", 0),
        Example("a b", "c", 1),
        Example("a  b", "c", 0),
        Example("d", "e f g", 0),
        Example("d", "e f g", 0),
    ),
    validation=(Example("a b", "c", 1), Example("a b c", None, 1), Example("h", "i", 0)),
)


def test_counts_by_hand() -> None:
    facts = data_summary.summarise(TOY, DATA)
    train, validation = facts["splits"].values()
    assert facts["pairs"]
    assert facts["fingerprint"] == DATA.fingerprint
    assert train["labels"] == {"harsh": 4, "soft": 1}
    assert (train["examples"], train["constant_score"], train["repeats"], train["conflicts"]) == (5, 0.8, 2, 2)
    assert (validation["examples"], validation["repeats"], validation["conflicts"]) == (3, 0, 1)
    assert train["shared"] == {"validation": 2}
    assert validation["shared"] == {"train": 1}
    assert train["words"] == {"min": 3, "q25": 3, "median": 3, "q75": 4, "q95": 4, "max": 4}
    assert train["characters"] == {"min": 4, "q25": 4, "median": 5, "q75": 6, "q95": 6, "max": 6}


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60))
def test_a_quantile_is_the_least_length_that_so_many_do_not_exceed(lengths: list[int]) -> None:
    data = TaskData(train=tuple(Example("x " * n, None, 0) for n in lengths), validation=())
    found = data_summary.summarise(TOY, data)["splits"]["train"]["words"]
    for name, share in data_summary.QUANTILES.items():
        assert found[name] == min(n for n in lengths if sum(other <= n for other in lengths) >= share * len(lengths))


def test_scores_of_a_regression_task(monkeypatch: pytest.MonkeyPatch) -> None:
    undefined = type(SCORES["accuracy"])("none", "", lambda labels, predictions: float("nan"), lambda labels: labels[:1])
    monkeypatch.setitem(SCORES, "none", undefined)
    data = TaskData(train=tuple(Example(f"t{i}", None, float(i)) for i in range(4)), validation=())
    task = Task("t", "regression", (), "none", "und", "", lambda: data)
    train = data_summary.summarise(task, data)["splits"]["train"]
    assert train["scores"] == {"min": 0.0, "mean": 1.5, "max": 3.0, "std": pytest.approx(1.25**0.5)}
    assert train["constant_score"] is None
    json.dumps(train, allow_nan=False)


def test_tagged_words_by_hand() -> None:
    ada = TaggedExample(("Ada", "Byron", "sang"), (3, 4, 0))
    data = TaskData(
        train=(ada, ada, TaggedExample(("in", "Wex"), (0, 1))),
        validation=(TaggedExample(("Ada", "Byron", "sang"), (3, 3, 0)), TaggedExample(("Wex",), (1,))),
    )
    task = Task("t", "tagging", bio_labels(["per", "loc"]), "entity_f1", "und", "", lambda: data)
    facts = data_summary.summarise(task, data)
    train, validation = facts["splits"].values()
    assert (facts["pairs"], facts["fingerprint"]) == (False, data.fingerprint)
    assert train["labels"] == {"O": 3, "B-loc": 1, "I-loc": 0, "B-per": 2, "I-per": 2}
    assert (train["entities"], validation["entities"]) == ({"loc": 1, "per": 2}, {"loc": 1, "per": 2})
    assert (train["examples"], train["repeats"], train["conflicts"], train["shared"]) == (3, 1, 2, {"validation": 2})
    assert train["constant_score"] == 2 * 1 / (8 + 3)  # all B-loc: eight entities, one of them among the three
    assert validation["constant_score"] == 2 * 2 / (4 + 3)  # all B-per: four, two of them among the three
    assert train["words"] == {"min": 2, "q25": 2, "median": 3, "q75": 3, "q95": 3, "max": 3}
    assert train["characters"]["max"] == len("AdaByronsang")
    json.dumps(facts, allow_nan=False)
