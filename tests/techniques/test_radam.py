"""RAdam: against the paper's formula in float64, with decay, and what its meters say."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from stableft.core.errors import UsageError
from stableft.models.encoders import Encoder
from stableft.models.tokens import Data
from stableft.techniques.radam import RAdam
from stableft.training import optimizer
from tests.conftest import ConfigFactory
from tests.helpers import trials

EXAMPLE = RAdam()
Floats = NDArray[np.float64]


def rectification(t: int, b2: float = 0.999) -> float | None:
    """r_t of the paper; None for the steps without the second moment."""
    longest = 2 / (1 - b2) - 1
    length = longest - 2 * t * b2**t / (1 - b2**t)
    if length <= 5:
        return None
    return float(np.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)))


def naive(start: Floats, gradients: list[Floats], lr: float, decay: float, target: float) -> Iterator[Floats]:
    w, m, v = start.copy(), np.zeros_like(start), np.zeros_like(start)
    for t, g in enumerate(gradients, start=1):
        w = w - lr * decay * (w - target)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        m_hat, r = m / (1 - 0.9**t), rectification(t)
        w = w - lr * m_hat * (1.0 if r is None else r * np.sqrt(1 - 0.999**t) / (np.sqrt(v) + 1e-8))
        yield w


@pytest.mark.parametrize("target", [0.0, 0.5])
def test_the_formula_with_decay_to_zero_and_to_a_target(target: float) -> None:
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=40), [rng.normal(size=40) for _ in range(60)]
    p = nn.Parameter(torch.tensor(start, dtype=torch.float64))
    group: dict[str, Any] = {"params": [p], "weight_decay": 0.1}
    if target:
        group["decay_to"] = [torch.full_like(p, target)]
    ours = optimizer.RectifiedAdam([group], lr=1e-2)
    for g, expected in zip(gradients, naive(start, gradients, 1e-2, 0.1, target), strict=True):
        p.grad = torch.tensor(g)
        ours.step()
        np.testing.assert_allclose(p.detach().numpy(), expected, rtol=1e-9, atol=1e-12)
    assert ours.param_groups[0]["weight_decay"] == 0.1


def test_what_the_meters_say(toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> None:
    """The update over that of corrected Adam is r_t, and no closed form of something else stands beside it."""
    config = toy_config({"adam.eps": 1e-15, "adam.weight_decay": 0.5, "schedule.warmup_ratio": 0.0}, techniques=(EXAMPLE,))
    rows = trials.run(trials.prepare(config, lively_encoder, toy_data), toy_data).rows
    measured = {row.step: row.value for row in rows if row.metric == "update_bias"}
    assert not [row for row in rows if row.metric == "update_bias_closed_form"]
    assert max(measured) == 24
    for step, value in measured.items():
        if (r := rectification(step)) is not None:
            assert value == pytest.approx(r, rel=1e-3), step
    assert [step for step in measured if rectification(step) is None] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("adam", [{"adam.bias_correction": False}, {"adam.lr_bias": "divided"}], ids=str)
def test_adam_without_its_correction_is_refused(
    adam: dict[str, Any], toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data
) -> None:
    with pytest.raises(UsageError, match="radam: its rule contains the bias correction"):
        trials.prepare(toy_config({**adam, "techniques": (EXAMPLE,)}), lively_encoder, toy_data)
    trials.prepare(toy_config({**adam, "techniques": (RAdam.null(),)}), lively_encoder, toy_data)
