"""PretrainedWeightDecay: what decays toward what, at which rate; and plain decay is applied at all (protocol section 8, P2)."""

import dataclasses
import math

import pytest
import torch

from stableft.core.errors import UsageError
from stableft.core.schedule import lr_factor
from stableft.core.technique import Technique
from stableft.models.encoders import Encoder
from stableft.models.tokens import Data
from stableft.techniques.llrd import LLRD
from stableft.techniques.pretrained_weight_decay import PretrainedWeightDecay
from stableft.techniques.reinit import Reinit
from stableft.training.setup import Setup
from tests.conftest import ConfigFactory
from tests.helpers import trials

EXAMPLE = PretrainedWeightDecay(weight_decay=1.0)
# Single texts have no second segment: this row is never read, its gradient is 0, and what moves it is decay.
UNREAD = "encoder.embeddings.token_type_embeddings.weight"


def anchors(setup: Setup) -> dict[str, torch.Tensor]:
    names = {parameter: name for name, parameter in setup.model.named_parameters()}
    return {
        names[p]: target for group in setup.groups if group.decay_to for p, target in zip(group.params, group.decay_to, strict=True)
    }


def decays(setup: Setup) -> dict[str, float]:
    names = {parameter: name for name, parameter in setup.model.named_parameters()}
    return {names[p]: group.weight_decay for group in setup.groups for p in group.params}


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
@pytest.mark.parametrize("others", [(), (Reinit(num_layers=1),), (Reinit(pooler=False, num_layers=2),)], ids=str)
def test_what_decays_toward_what(
    others: tuple[Technique, ...], packed: bool, toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data
) -> None:
    config = toy_config({"adam.weight_decay": 0.01}, techniques=(EXAMPLE, *others))
    setup = trials.prepare(config, lively_encoder, toy_data, packed=packed)
    start, moving = trials.state(setup), "encoder.embeddings.word_embeddings.weight"
    targets = anchors(setup)
    assert set(targets) == {name for name, p in start.items() if p.ndim == 2} - setup.fresh
    assert all(torch.equal(target, start[name]) for name, target in targets.items())
    expected = {name: 0.0 if p.ndim == 1 else 0.01 if name in setup.fresh else 1.0 for name, p in start.items()}
    assert decays(setup) == expected
    assert {"head.weight", "head.bias"} <= setup.fresh
    trials.run(setup, toy_data, packed=packed)
    assert all(torch.equal(target, start[name]) for name, target in anchors(setup).items()), "training moves no anchor"
    assert not torch.equal(trials.state(setup)[moving], start[moving])


def test_groups_are_still_a_partition(toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> None:
    """Also where one group holds fresh and pre-trained parameters."""
    setup = trials.prepare(toy_config(), lively_encoder, toy_data)
    name = "encoder.encoder.layer.0.output.dense.weight"
    setup = dataclasses.replace(setup, fresh=setup.fresh | {name})
    changed = EXAMPLE.apply(setup)
    assert sorted(id(p) for g in changed.groups for p in g.params) == sorted(id(p) for p in setup.model.parameters())
    assert len(changed.groups) == len(setup.groups) + 1
    assert name not in anchors(changed)
    assert name.replace("output.dense", "intermediate.dense") in anchors(changed)


@pytest.mark.parametrize("others", [(), (LLRD(decay=0.5),)], ids=["one rate", "llrd"])
def test_the_decay_is_the_groups_rate_times_lambda(
    others: tuple[Technique, ...], toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data
) -> None:
    """A weight without gradient that starts 1 beside its anchor comes nearer by 1 - lr lambda per step, and by nothing else."""
    config = toy_config({"adam.lr": 1e-2}, techniques=(PretrainedWeightDecay(weight_decay=2.0), *others))
    setup = trials.prepare(config, lively_encoder, toy_data)
    start = trials.state(setup)[UNREAD]
    with torch.no_grad():
        setup.model.get_parameter(UNREAD)[1] += 1
    trials.run(setup, toy_data)
    lrs = [1e-2 * lr_factor(done, 24, 2) * (0.125 if others else 1.0) for done in range(24)]
    distance = (setup.model.get_parameter(UNREAD)[1] - start[1]).detach()
    torch.testing.assert_close(distance, torch.full_like(distance, math.prod(1 - 2 * lr for lr in lrs)), rtol=1e-5, atol=0)


def test_what_is_never_read_stays_and_under_plain_decay_shrinks(
    toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data
) -> None:
    """Plain decay is really applied, by its closed form: the reference code's is not (protocol section 8, P2)."""
    lrs = [3e-3 * lr_factor(done, 24, 2) for done in range(24)]
    for techniques, factor in (((), math.prod(1 - 0.5 * lr for lr in lrs)), ((EXAMPLE,), 1.0)):
        config = toy_config({"adam.weight_decay": 0.5}, techniques=techniques)
        setup = trials.prepare(config, lively_encoder, toy_data)
        start = trials.state(setup)[UNREAD][1]
        trials.run(setup, toy_data)
        torch.testing.assert_close(trials.state(setup)[UNREAD][1], start * factor, rtol=1e-5 if factor < 1 else 0, atol=0)


def test_plain_decay_moves_a_runs_weights(toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> None:
    norms = []
    for weight_decay in (0.0, 1.0):
        config = toy_config({"adam.weight_decay": weight_decay})
        setup = trials.prepare(config, lively_encoder, toy_data)
        trials.run(setup, toy_data)
        norms.append({name: p.norm().item() for name, p in trials.state(setup).items() if p.ndim == 2})
    assert all(norms[1][name] < norms[0][name] for name in norms[0])


def test_a_strong_decay_holds_the_encoder_back(toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> None:
    moved = []
    for weight_decay in (0.0, 1.0, 100.0):
        config = toy_config(techniques=(PretrainedWeightDecay(weight_decay=weight_decay),))
        setup = trials.prepare(config, lively_encoder, toy_data)
        start = trials.state(setup)
        trials.run(setup, toy_data)
        end = trials.state(setup)
        moved.append(sum((end[name] - start[name]).norm().item() for name in start if start[name].ndim == 2 and name[:4] != "head"))
    assert moved[0] > moved[1] > 1.5 * moved[2]


def test_the_measured_bias_is_that_of_adam_alone(toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> None:
    config = toy_config({"adam.eps": 1e-15}, techniques=(PretrainedWeightDecay(weight_decay=10.0),))
    trial = trials.run(trials.prepare(config, lively_encoder, toy_data), toy_data)
    ratios = [row.value for row in trial.rows if row.metric == "update_bias"]
    assert len(ratios) > 5
    assert ratios == pytest.approx([1.0] * len(ratios), rel=1e-3)


def test_nothing_is_replaced_at_zero(toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> None:
    config = toy_config({"adam.weight_decay": 0.01})
    setup = trials.prepare(config, lively_encoder, toy_data)
    assert PretrainedWeightDecay.null().apply(setup) is setup


@pytest.mark.parametrize("fields", [{}, {"weight_decay": -1}], ids=str)
def test_settings_that_can_not_be(toy_config: ConfigFactory, fields: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="pretrained_weight_decay: weight_decay: "):
        toy_config(techniques=[{"name": "pretrained_weight_decay", **fields}])
