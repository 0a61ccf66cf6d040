"""R-Drop: its loss against the formula of the released code, for classes, scores and tags."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from stableft.models.encoders import Encoder
from stableft.models.tokens import Data, encode
from stableft.tasks.catalog import get_task
from stableft.techniques.rdrop import RDrop
from tests.conftest import ConfigFactory
from tests.helpers import trials

EXAMPLE = RDrop(alpha=1.0)
ENGINES = pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])


@ENGINES
def test_the_loss_of_classes(packed: bool, toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> None:
    """Half of CE1 + CE2 + alpha (KL + reverse KL) / 2, by torch's own ``kl_div`` on the same two passes."""
    setup = trials.prepare(toy_config(techniques=(RDrop(alpha=0.7),)), lively_encoder, toy_data, packed=packed)
    step = trials.first_step(setup, toy_data, packed=packed)
    state = step.random.tensors()
    loss = step.objective(step)  # pyright: ignore[reportOptionalCall]
    step.random.load(state)
    one, other = step.forward(), step.forward()
    assert not torch.equal(one, other), "each pass has dropout masks of its own"
    labels = step.batch.labels.long()
    forth = F.kl_div(F.log_softmax(one, -1), F.softmax(other, -1), reduction="batchmean")
    back = F.kl_div(F.log_softmax(other, -1), F.softmax(one, -1), reduction="batchmean")
    expected = (F.cross_entropy(one, labels) + F.cross_entropy(other, labels) + 0.7 * (forth + back) / 2) / 2
    torch.testing.assert_close(loss, expected)
    assert forth > 1e-4


def test_the_loss_of_scores(toy_config: ConfigFactory, lively_encoder: Encoder) -> None:
    task = get_task("toyscore")
    data = encode(task, task.load(), lively_encoder, 32)
    setup = trials.prepare(toy_config(task="toyscore", techniques=(RDrop(alpha=0.7),)), lively_encoder, data)
    step = trials.first_step(setup, data)
    state = step.random.tensors()
    loss = step.objective(step)  # pyright: ignore[reportOptionalCall]
    step.random.load(state)
    one, other = step.forward()[:, 0], step.forward()[:, 0]
    labels = step.batch.labels.float()
    expected = (F.mse_loss(one, labels) + F.mse_loss(other, labels) + 0.7 * F.mse_loss(one, other)) / 2
    torch.testing.assert_close(loss, expected)


def test_without_dropout_it_is_the_baseline(toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> None:
    """Both passes are equal, and half of the paper's loss is the baseline's."""
    runs = []
    for techniques in ((), (EXAMPLE,)):
        config = toy_config({"schedule.num_epochs": None, "schedule.num_steps": 6}, dropout=0.0, techniques=techniques)
        runs.append(trials.run(trials.prepare(config, lively_encoder, toy_data), toy_data).losses)
    np.testing.assert_allclose(runs[1], runs[0], rtol=0, atol=1e-4)
