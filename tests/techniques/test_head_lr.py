"""HeadLR: the rates of the head-rate article; the pooler stays with the encoder."""

import dataclasses

import pytest
import torch

from stableft.core.errors import UsageError
from stableft.models.encoders import Encoder
from stableft.models.tokens import Data
from stableft.techniques.head_lr import HeadLR
from stableft.techniques.llrd import LLRD
from stableft.training.setup import ParamGroup
from tests.conftest import ConfigFactory
from tests.helpers import trials

EXAMPLE = HeadLR(scale=2.0)


def test_the_rates_of_the_article(toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> None:
    """Protocol section 7, S3: encoder 5e-5, head 1e-4."""
    rates = trials.rates(HeadLR(), toy_config({"adam.lr": 5e-5}), lively_encoder, toy_data)
    assert rates == {"embeddings": 5e-5, 1: 5e-5, 2: 5e-5, "pooler": 5e-5, "head": 1e-4}


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
def test_the_optimizer_steps_at_these_rates(
    packed: bool, toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data
) -> None:
    """The first step of Adam is the learning rate for each weight, whatever the gradient, as long as that is large."""
    few = {"schedule.num_epochs": None, "schedule.num_steps": 1, "schedule.warmup_ratio": 0.0, "adam.eps": 1e-12, "adam.lr": 1e-3}
    config = toy_config(few, techniques=(EXAMPLE,))
    setup = trials.prepare(config, lively_encoder, toy_data, packed=packed)
    before = trials.state(setup)
    trials.run(setup, toy_data, packed=packed)
    steps = {name: (p.detach() - before[name]).abs().max().item() for name, p in setup.model.named_parameters()}
    assert steps["head.weight"] == pytest.approx(2e-3, rel=1e-3)
    assert steps["encoder.pooler.dense.weight"] == pytest.approx(1e-3, rel=1e-3)
    assert steps["encoder.encoder.layer.1.output.dense.weight"] == pytest.approx(1e-3, rel=1e-3)


def test_beside_llrd_each_sets_its_own(toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> None:
    config = toy_config(techniques=(EXAMPLE, LLRD(decay=0.5)))
    setup = trials.prepare(config, lively_encoder, toy_data)
    scales = {(group.place.role, group.place.depth): group.lr_scale for group in setup.groups}
    assert scales == {("embeddings", 0): 0.125, ("encoder", 1): 0.25, ("encoder", 2): 0.5, ("pooler", 3): 1.0, ("head", 3): 2.0}


def test_nothing_else_of_the_groups_moves(toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> None:
    config = toy_config({"adam.weight_decay": 0.01})
    setup = trials.prepare(config, lively_encoder, toy_data)
    changed = EXAMPLE.apply(setup)

    def plain(group: ParamGroup) -> ParamGroup:
        return dataclasses.replace(group, lr_scale=1.0)

    assert tuple(map(plain, changed.groups)) == setup.groups
    assert changed.fresh == setup.fresh
    assert all(torch.equal(a, b) for a, b in zip(changed.model.parameters(), setup.model.parameters(), strict=True))


def test_settings_that_can_not_be(toy_config: ConfigFactory) -> None:
    with pytest.raises(UsageError, match="head_lr: scale: "):
        toy_config(techniques=[{"name": "head_lr", "scale": 0}])
