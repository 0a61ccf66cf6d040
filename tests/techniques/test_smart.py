"""SMART: its loss against one written out on transformers' own model, on both engines."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stableft.core.seeds import stream_entropy
from stableft.models.encoders import Encoder
from stableft.models.tokens import Data, encode
from stableft.tasks.catalog import get_task
from stableft.techniques.smart import Smart, moved_forward
from stableft.training.setup import Setup
from stableft.training.step import Step
from tests.conftest import ConfigFactory
from tests.helpers import trials

EXAMPLE = Smart(alpha=1.0, step=0.1)
ENGINES = pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])


def outputs_of(setup: Setup, step: Step, embeddings: Tensor) -> Tensor:
    """Through ``inputs_embeds`` of the unmodified encoder, padded: (tokens, width) -> (B, K)."""
    lengths = step.batch.lengths

    def pad(values: Tensor) -> Tensor:
        return nn.utils.rnn.pad_sequence(list(values.split(lengths)), batch_first=True)

    inputs = {"token_type_ids": pad(step.batch.segments), "attention_mask": pad(torch.ones_like(step.batch.ids))}
    return setup.model.head(setup.model.encoder(inputs_embeds=pad(embeddings), **inputs).pooler_output)


def naive(setup: Setup, step: Step, technique: Smart, regression: bool) -> Tensor:
    x = setup.model.encoder.get_input_embeddings()(step.batch.ids)
    generator = torch.Generator().manual_seed(stream_entropy(0, "smart"))
    clean = outputs_of(setup, step, x)
    noise = (torch.randn(x.shape, generator=generator) * technique.noise).requires_grad_()
    moved = outputs_of(setup, step, x + noise)
    if regression:
        distance = F.mse_loss(moved, clean.detach())
    else:
        distance = F.kl_div(F.log_softmax(moved, -1), F.softmax(clean.detach(), -1), reduction="batchmean")
    (g,) = torch.autograd.grad(distance, noise)
    moved = outputs_of(setup, step, x + technique.step * g / (g.abs().max(-1, keepdim=True)[0] + 1e-6))
    if regression:
        return F.mse_loss(clean[:, 0], step.batch.labels.float()) + technique.alpha * F.mse_loss(clean, moved)
    forth = F.kl_div(F.log_softmax(clean, -1), F.softmax(moved.detach(), -1), reduction="batchmean")
    back = F.kl_div(F.log_softmax(moved, -1), F.softmax(clean.detach(), -1), reduction="batchmean")
    return F.cross_entropy(clean, step.batch.labels.long()) + technique.alpha * (forth + back)


@pytest.mark.parametrize("task", ["toy", "toyscore"])
def test_loss_and_gradients_on_both_engines(task: str, toy_config: ConfigFactory, lively_encoder: Encoder) -> None:
    technique = Smart(alpha=2.0, step=0.1, noise=1e-2)  # moves that float32 can tell from none
    config = toy_config(dropout=0.0, task=task, techniques=(technique,))
    data = encode(get_task(task), get_task(task).load(), lively_encoder, 32)
    padded = trials.prepare(config, lively_encoder, data, packed=False)
    expected = naive(padded, trials.first_step(padded, data, packed=False), technique, task == "toyscore")
    expected.backward()
    for packed in (True, False):
        setup = trials.prepare(config, lively_encoder, data, packed=packed)
        step = trials.first_step(setup, data, packed=packed)
        plain = step.losses(step.forward()).mean().item()
        assert step.compute() == pytest.approx(expected.item(), rel=1e-4)
        assert abs(expected.item() - plain) > 1e-3, "the penalty shows"
        for (name, mine), other in zip(setup.model.named_parameters(), padded.model.parameters(), strict=True):
            torch.testing.assert_close(mine.grad, other.grad, rtol=1e-2, atol=2e-4, msg=name)


@ENGINES
def test_a_move_is_of_single_tokens_and_of_one_pass(
    packed: bool, toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data
) -> None:
    setup = trials.prepare(toy_config(dropout=0.0), lively_encoder, toy_data, packed=packed)
    step = trials.first_step(setup, toy_data, packed=packed)
    table = setup.model.encoder.get_input_embeddings()
    before = step.forward()
    move = torch.zeros(len(step.batch.ids), 32)
    assert torch.equal(moved_forward(step, table, move), before)
    move[step.batch.lengths[0]] = 1.0  # the first token of the second text
    moved = moved_forward(step, table, move)
    assert (moved != before).any(1).nonzero().flatten().tolist() == [1]
    assert torch.equal(step.forward(), before), "nothing is left of it"
