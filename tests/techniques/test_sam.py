"""SAM: its gradient against one computed by hand, with the same dropout masks, and the weights where they were."""

import copy

import pytest
import torch
from torch import nn

from stableft.models.encoders import Encoder
from stableft.models.tokens import Data
from stableft.techniques.mixout import Mixout
from stableft.techniques.rdrop import RDrop
from stableft.techniques.sam import SAM
from tests.conftest import ConfigFactory
from tests.helpers import trials

EXAMPLE = SAM(rho=0.1)
ENGINES = pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
OTHERS = pytest.mark.parametrize("others", [(), (RDrop(alpha=1.0),), (Mixout(p=0.5),)], ids=["alone", "rdrop", "mixout"])


@OTHERS
@ENGINES
def test_the_gradient_uphill(others, packed: bool, toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> None:
    setup = trials.prepare(toy_config(techniques=(EXAMPLE, *others)), lively_encoder, toy_data, packed=packed)
    step = trials.first_step(setup, toy_data, packed=packed)
    state, start = step.random.tensors(), trials.state(setup)
    assert setup.gradient is not None
    loss = setup.gradient(step)
    after = step.random.tensors()
    assert trials.moved(setup, start) == set(), "the weights are where they were, exactly"
    found = {name: p.grad for name, p in setup.model.named_parameters()}
    setup.model.zero_grad()

    # By hand: one gradient, the weights moved along it as one vector, and another from the same random numbers.
    step.random.load(state)
    assert step.compute() == loss
    gradients = {name: copy.deepcopy(p.grad) for name, p in setup.model.named_parameters() if p.grad is not None}
    norm = torch.cat([g.flatten().double() for g in gradients.values()]).norm()
    with torch.no_grad():
        for name, gradient in gradients.items():
            parameter = setup.model.get_parameter(name)
            parameter.add_((gradient.double() / norm * 0.1).float())
    setup.model.zero_grad()
    step.random.load(state)
    assert step.compute() > loss
    for name, parameter in setup.model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-3, atol=1e-5, msg=name)
    assert all(torch.equal(after[name], value) for name, value in step.random.tensors().items()), "as many draws as one pass"


def test_without_a_gradient_there_is_no_direction(toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> None:
    setup = trials.prepare(toy_config(techniques=(EXAMPLE,)), lively_encoder, toy_data)
    assert setup.gradient is not None
    nn.init.zeros_(setup.model.head.weight)
    setup.model.head.requires_grad_(False)
    assert setup.gradient(trials.first_step(setup, toy_data)) == pytest.approx(0.6931, abs=0.3)
    assert all(p.grad is None or not p.grad.isnan().any() for p in setup.model.parameters())


def test_a_loss_that_is_not_finite_uphill_ends_the_run(toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> None:
    config = toy_config({"schedule.warmup_ratio": 0.0}, techniques=(SAM(rho=1e38),))
    setup = trials.prepare(config, lively_encoder, toy_data)
    start = trials.state(setup)
    assert setup.gradient is not None
    assert not torch.tensor(setup.gradient(trials.first_step(setup, toy_data))).isfinite()
    assert trials.moved(setup, start) == set()
