"""Evaluation: inputs that occur twice are computed once, and metrics are of the examples in their order."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from stableft.models.encoders import Encoder
from stableft.models.tokens import Data, Tokens
from stableft.tasks import scores
from stableft.training.evaluation import MetricRow, Predictions, Scorer
from stableft.training.runtime import Runtime
from stableft.training.setup import build
from tests.conftest import ConfigFactory


@pytest.fixture
def model(toy_config: ConfigFactory, toy_data: Data, lively_encoder: Encoder) -> Any:
    built = build(toy_config(), toy_data, lively_encoder, Runtime()).model
    with torch.no_grad():
        built.head.weight.mul_(10)
    return built


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
    losses, outputs = Scorer(toy_config(), data, Runtime()).evaluate(model, "validation", np.arange(2 * n))
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
    config, runtime = toy_config(), Runtime()
    regressor = build(config, data, lively_encoder, runtime).model
    point = list(Scorer(config, data, runtime).point(regressor, step=24, last=True))
    rows = {item.metric: item.value for item in point if isinstance(item, MetricRow) and item.split == "validation"}
    (predicted,) = (item for item in point if isinstance(item, Predictions) and item.split == "validation")
    assert predicted.labels.tolist() == toy_data.splits["validation"].labels.tolist()
    errors = [float(np.sqrt(np.mean((predicted.predictions - predicted.labels)[i : i + 5] ** 2))) for i in range(0, 32, 5)]
    assert list(rows) == ["loss", "negative_rmse", "score", "rmse", "batch_rmse"]
    assert rows["batch_rmse"] == pytest.approx(float(np.mean(errors)))
    assert rows["score"] == rows["negative_rmse"] == -rows["rmse"] == pytest.approx(-np.sqrt(rows["loss"]))


def test_inputs_that_differ_in_segments_alone_are_not_equal() -> None:
    ids = np.array([2, 5, 3, 2, 5, 3])
    tokens = Tokens(ids, np.array([0, 0, 0, 0, 1, 1]), np.array([0, 3, 6]), np.zeros(2))
    assert tokens.first_alike.tolist() == [0, 1]
