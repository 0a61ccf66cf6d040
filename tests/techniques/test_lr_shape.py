"""Shapes of the learning rate: those of transformers, in a run and in closed form."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from stableft.core.schedule import learning_rates
from stableft.models.encoders import Encoder
from stableft.models.tokens import Data
from stableft.techniques.lr_shape import LRShape
from stableft.techniques.swa import SWA
from tests.conftest import ConfigFactory
from tests.helpers import trials

EXAMPLE = LRShape(shape="cosine")


def theirs(make: Callable[..., Any], *lengths: int, steps: int) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    schedule = make(optimizer, *lengths)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


@pytest.mark.parametrize(("steps", "warmup"), [(24, 2), (234, 23), (10, 0), (5, 5), (7, 10), (1, 0), (2, 1)])
def test_the_factors_are_those_of_transformers(steps: int, warmup: int, toy_config: ConfigFactory) -> None:
    from transformers import get_constant_schedule_with_warmup, get_cosine_schedule_with_warmup

    expected = {
        "cosine": theirs(get_cosine_schedule_with_warmup, warmup, steps, steps=steps),
        "constant": theirs(get_constant_schedule_with_warmup, warmup, steps=steps),
    }
    lengths = {"schedule.num_epochs": None, "schedule.num_steps": steps}
    warm = {"schedule.warmup_ratio": None, "schedule.warmup_steps": warmup}
    for shape, factors in expected.items():
        config = toy_config({**lengths, **warm, "adam.lr": 1.0, "techniques": [{"name": "lr_shape", "shape": shape}]})
        assert learning_rates(config, steps, None).tolist() == pytest.approx(factors, abs=1e-12)


@pytest.mark.parametrize("others", [(), (SWA(start_step=10, scale=0.3),)], ids=["alone", "swa"])
def test_a_run_has_these_rates(others: Any, toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> None:
    config = toy_config(techniques=(EXAMPLE, *others))
    rows = trials.run(trials.prepare(config, lively_encoder, toy_data), toy_data).rows
    logged = [row.value for row in rows if row.metric == "lr"]
    assert logged == learning_rates(config, 24, 8).tolist()
    assert logged[-1] == pytest.approx(0.3 * 3e-3 if others else logged[-1])
