"""Savings in evaluation that change no score: inputs that occur twice, and drafts in bf16 whose close decisions are settled."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from stableft.models.encoders import Encoder
from stableft.models.tokens import Data, Tokens
from stableft.tasks import scores
from stableft.training.evaluation import Predictions, Row, evaluate, evaluation_point, settle
from stableft.training.loop import build
from stableft.training.runtime import Execution
from tests.conftest import ConfigFactory

Exact = Callable[[NDArray[np.int64]], NDArray[np.float32]]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("error", [0.0, 0.003, 0.3])
def test_settled_decisions_are_the_exact_ones(seed: int, error: float) -> None:
    rng = np.random.default_rng(seed)
    exact = rng.normal(size=(2000, 5)).astype(np.float32)
    drafts = exact + rng.uniform(-error, error, exact.shape).astype(np.float32)
    flipped = int((drafts.argmax(1) != exact.argmax(1)).sum())
    asked: list[int] = []

    def again(close: NDArray[np.int64]) -> NDArray[np.float32]:
        asked.extend(close.tolist())
        return exact[close]

    settle(drafts, again)
    assert len(asked) == len(set(asked)), "settled twice"
    assert (drafts.argmax(1) == exact.argmax(1)).all()
    if error == 0.003:
        assert len(asked) < 500, "most decisions are clear"
    if error == 0.3:
        assert flipped > 100


def test_settling_few_examples() -> None:
    exact = np.array([[1.0, 2.0], [3.0, 1.0]], np.float32)
    drafts = np.zeros_like(exact)
    settle(drafts, lambda close: exact[close])
    np.testing.assert_array_equal(drafts, exact)


@pytest.fixture
def model(toy_config: ConfigFactory, toy_data: Data, lively_encoder: Encoder) -> Any:
    built = build(toy_config(), toy_data, lively_encoder, Execution()).model
    with torch.no_grad():
        built.head.weight.mul_(10)
    return built


def test_a_draft_gives_the_score_of_fp32(toy_config: ConfigFactory, toy_data: Data, model: Any) -> None:
    indices = np.arange(len(toy_data.splits["train"]))
    exact, drafted = (
        evaluate(model, toy_config(), toy_data, Execution(), "train", indices, draft=draft) for draft in (False, True)
    )
    np.testing.assert_array_equal(exact[1].argmax(1), drafted[1].argmax(1))
    np.testing.assert_allclose(drafted[0], exact[0], rtol=0.05, atol=0.1)
    assert (exact[1] != drafted[1]).any(), "the others stay drafts"
    assert (exact[1] == drafted[1]).any(), "close decisions are settled"


def test_equal_inputs_are_computed_once_and_each_has_its_own_loss(
    toy_config: ConfigFactory, toy_data: Data, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = toy_data.splits["validation"]
    twice = Tokens(
        np.concatenate([tokens.ids, tokens.ids]),
        np.concatenate([tokens.segments, tokens.segments]),
        np.concatenate([tokens.offsets, tokens.offsets[1:] + tokens.offsets[-1]]),
        np.concatenate([tokens.labels, 1 - tokens.labels]),
    )
    n = len(tokens)
    assert twice.first_alike[n:].tolist() == twice.first_alike[:n].tolist()
    data = dataclasses.replace(toy_data, splits={**toy_data.splits, "validation": twice})
    computed: list[int] = []
    batch = Tokens.batch

    def spy(self: Tokens, indices: Any, device: str = "cpu") -> Any:
        computed.extend(np.asarray(indices).tolist())
        return batch(self, indices, device)

    monkeypatch.setattr(Tokens, "batch", spy)
    losses, outputs = evaluate(model, toy_config(), data, Execution(), "validation", np.arange(2 * n))
    assert sorted(computed) == sorted(set(twice.first_alike.tolist()))
    np.testing.assert_array_equal(outputs[:n], outputs[n:])
    logs = torch.log_softmax(torch.from_numpy(outputs), 1).numpy()
    np.testing.assert_allclose(losses, -logs[np.arange(2 * n), twice.labels.astype(int)], rtol=1e-5)


def test_further_metrics_are_of_the_examples_in_their_order(
    toy_config: ConfigFactory, toy_data: Data, lively_encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "BATCH", 5)
    task = dataclasses.replace(toy_data.task, kind="regression", labels=(), score="negative_rmse", metrics=("rmse", "batch_rmse"))
    data = dataclasses.replace(toy_data, task=task)
    config, execution = toy_config(), Execution()
    regressor = build(config, data, lively_encoder, execution).model
    point = list(evaluation_point(regressor, config, data, execution, step=24, subset=None, last=True))
    rows = {item.metric: item.value for item in point if isinstance(item, Row) and item.split == "validation"}
    (said,) = (item for item in point if isinstance(item, Predictions) and item.split == "validation")
    assert said.labels.tolist() == toy_data.splits["validation"].labels.tolist()
    errors = [float(np.sqrt(np.mean((said.predictions - said.labels)[i : i + 5] ** 2))) for i in range(0, 32, 5)]
    assert list(rows) == ["loss", "negative_rmse", "score", "rmse", "batch_rmse"]
    assert rows["batch_rmse"] == pytest.approx(float(np.mean(errors)))
    assert rows["score"] == rows["negative_rmse"] == -rows["rmse"] == pytest.approx(-np.sqrt(rows["loss"]))


def test_inputs_that_differ_in_segments_alone_are_not_equal() -> None:
    ids = np.array([2, 5, 3, 2, 5, 3])
    tokens = Tokens(ids, np.array([0, 0, 0, 0, 1, 1]), np.array([0, 3, 6]), np.zeros(2))
    assert tokens.first_alike.tolist() == [0, 1]


def test_only_points_before_the_end_are_drafted(
    toy_config: ConfigFactory, toy_data: Data, lively_encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    import stableft.training.evaluation
    from stableft.training.loop import train

    drafted: list[bool] = []

    def spy(*args: Any, draft: bool) -> Any:
        drafted.append(draft)
        return evaluate(*args, draft=draft)

    monkeypatch.setattr(stableft.training.evaluation, "evaluate", spy)
    config = toy_config({"evaluation.draft": "bf16", "evaluation.test_points": "last"})
    rows = list(train(build(config, toy_data, lively_encoder, Execution()), config, toy_data, Execution()))
    assert drafted[:2] == [True, True]
    assert not any(drafted[2:])  # the end, and the best checkpoint
    drafted.clear()
    plain = toy_config({"evaluation.test_points": "last"})
    reference = list(train(build(plain, toy_data, lively_encoder, Execution()), plain, toy_data, Execution()))
    assert not any(drafted)

    def scores(items: list[Any]) -> list[tuple[int, str, float]]:
        return [(r.step, r.split, r.value) for r in items if getattr(r, "metric", "") == "score"]

    assert scores(rows) == scores(reference)
