"""What `data check` says, against examples counted by hand and a naive reading of quantiles."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stableft.scores import SCORES
from stableft.tasks import Example, Task, TaskData, summary
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
    facts = summary.summarise(TOY, DATA)
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
    found = summary.summarise(TOY, data)["splits"]["train"]["words"]
    for name, share in summary.QUANTILES.items():
        assert found[name] == min(n for n in lengths if sum(other <= n for other in lengths) >= share * len(lengths))


def test_scores_of_a_regression_task(monkeypatch: pytest.MonkeyPatch) -> None:
    undefined = type(SCORES["accuracy"])("none", "", lambda labels, predictions: float("nan"), lambda labels: labels[:1])
    monkeypatch.setattr(summary, "SCORES", {"none": undefined})
    data = TaskData(train=tuple(Example(f"t{i}", None, float(i)) for i in range(4)), validation=())
    task = Task("t", "regression", (), "none", "und", "", lambda: data)
    train = summary.summarise(task, data)["splits"]["train"]
    assert train["scores"] == {"min": 0.0, "mean": 1.5, "max": 3.0, "std": pytest.approx(1.25**0.5)}
    assert train["constant_score"] is None
    json.dumps(train, allow_nan=False)
