"""Rates in closed form are those that the optimizer was really given, part by part and step by step."""

from collections.abc import Mapping

import numpy as np
import pytest

from stableft.core import schedule
from stableft.core.technique import Technique
from stableft.models.encoders import Encoder
from stableft.models.tokens import Data
from stableft.techniques.grouped_llrd import GroupedLLRD
from stableft.techniques.head_lr import HeadLR
from stableft.techniques.llrd import LLRD
from stableft.techniques.mixout import Mixout
from stableft.techniques.swa import SWA
from stableft.training import loop
from stableft.training.meters import scope_of
from stableft.training.optimizer import AdamW
from tests.conftest import ConfigFactory
from tests.helpers import trials

WARM = {"schedule.warmup_ratio": None, "schedule.warmup_steps": 5}
CASES: Mapping[str, tuple[dict[str, object], tuple[Technique, ...]]] = {
    "plain": ({}, ()),
    "steps": ({"schedule.num_epochs": None, "schedule.num_steps": 20}, (Mixout(p=0.1),)),
    "uncorrected divided": ({"adam.bias_correction": False, "adam.lr_bias": "divided"}, ()),
    "corrected multiplied": ({"adam.lr_bias": "multiplied"}, ()),
    "llrd, warm-up, head, average": (WARM, (LLRD(decay=0.5), HeadLR(scale=3.0), SWA(start_epoch=1, scale=0.4))),
    "grouped, average alone": ({}, (GroupedLLRD(), SWA(start_step=4))),
}


@pytest.mark.parametrize("case", CASES)
def test_rates_are_those_of_the_optimizer(
    case: str, toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides, techniques = CASES[case]
    config = toy_config({**overrides, "evaluation.every": 100}, techniques=techniques)
    setup = trials.prepare(config, lively_encoder, toy_data)
    given: list[list[float]] = []

    class Watched(AdamW):
        def step(self, closure: object = None) -> None:
            given.append([group["lr"] for group in self.param_groups])
            super().step(closure)

    monkeypatch.setattr(loop, "AdamW", Watched)
    rows = trials.run(setup, toy_data).rows
    rates = schedule.learning_rates(config, setup.num_steps, steps_per_epoch=8)
    np.testing.assert_allclose([row.value for row in rows if row.metric == "lr"], rates, rtol=1e-12)
    for group, lr in zip(setup.groups, np.transpose(given), strict=True):
        scale = schedule.lr_scale(config, group.place.role, group.place.depth, setup.model.num_blocks)
        np.testing.assert_allclose(lr, rates * scale, rtol=1e-12, err_msg=scope_of(group.place))


def test_many_factors_multiply(toy_config: ConfigFactory) -> None:
    config = toy_config(techniques=(LLRD(decay=0.5, top=0.8), HeadLR(scale=3.0)))
    found = {(role, depth): schedule.lr_scale(config, role, depth, 2) for role, depth in
             (("embeddings", 0), ("encoder", 1), ("encoder", 2), ("pooler", 3), ("head", 3))}  # fmt: skip
    assert list(found.values()) == pytest.approx([0.2, 0.4, 0.8, 1.0, 3.0])


# --- frequent points from some epoch on ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("evaluation", "num_steps", "expected"),
    [
        ({"every": 3, "start_epoch": 1}, 24, [8, 11, 14, 17, 20, 23, 24]),
        ({"every": 3, "start_epoch": 2}, 24, [8, 16, 19, 22, 24]),
        ({"every": 8, "start_epoch": 1}, 24, [8, 16, 24]),
        ({"every": 100, "start_epoch": 2}, 20, [8, 16, 20]),
        ({"num_points": 4, "start_epoch": 2}, 24, [8, 16, 22, 24]),
        ({"every": 1, "start_epoch": 2}, 18, [8, 16, 17, 18]),
    ],
    ids=str,
)
def test_frequent_points_begin_after_an_epoch(
    toy_config: ConfigFactory, evaluation: dict[str, int], num_steps: int, expected: list[int]
) -> None:
    """Written out by hand, for epochs of 8 steps; the last is always there, none twice."""
    config = toy_config(evaluation=evaluation)
    assert list(schedule.evaluation_steps(config, num_steps, num_train=64)) == expected
