"""LoRA: its layer against the formula and against peft, what is trained, and that what is saved is merged."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoModelForSequenceClassification

from stableft.core.errors import UsageError
from stableft.models.encoders import Encoder
from stableft.models.layers import Linear, LoRALinear
from stableft.models.tokens import Data
from stableft.models.weights import read_weights, save_pretrained, save_weights
from stableft.techniques.lora import LoRA
from stableft.techniques.reinit import Reinit
from tests.conftest import ConfigFactory
from tests.helpers import trials
from tests.techniques.test_shared_blocks import albert as albert

EXAMPLE = LoRA(rank=2)
ENGINES = pytest.mark.parametrize("packed", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["packed", "padded"])
FAST = {"adam.weight_decay": 1.0, "schedule.num_epochs": None, "schedule.num_steps": 8}


def layer(kind: type[nn.Linear] = nn.Linear, rank: int = 3, scale: float = 2.0) -> LoRALinear:
    torch.manual_seed(0)
    made = LoRALinear(kind(48, 31), rank, scale, torch.Generator().manual_seed(1))
    with torch.no_grad():
        made.lora_b.normal_()
    return made


@pytest.mark.parametrize("kind", [nn.Linear, Linear])
def test_the_formula_and_its_gradients(kind: type[nn.Linear]) -> None:
    """y = W x + b + s B (A x), against W + s B A as one matrix."""
    lora = layer(kind)
    x = torch.randn(1, 17, 48)
    whole = (lora.weight + 2.0 * lora.lora_b @ lora.lora_a).detach()
    expected = x @ whole.T + lora.bias
    torch.testing.assert_close(lora(x), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(lora.eval()(x), kind.forward(_with_weight(kind, whole, lora.bias), x)), "bit for bit what is saved"
    lora.train()(x).sum().backward()
    left, right = torch.ones(31, 17) @ x[0], lora.lora_a.detach()
    torch.testing.assert_close(lora.lora_b.grad, 2.0 * left @ right.T, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(lora.lora_a.grad, 2.0 * lora.lora_b.detach().T @ left, rtol=1e-4, atol=1e-4)


def _with_weight(kind: type[nn.Linear], weight: torch.Tensor, bias: torch.Tensor) -> nn.Linear:
    made = kind(weight.shape[1], weight.shape[0])
    made.weight, made.bias = nn.Parameter(weight), nn.Parameter(bias.detach())
    return made


def test_at_the_start_it_is_the_layer_that_it_replaces() -> None:
    plain = Linear(48, 31)
    lora = LoRALinear(plain, 4, 0.5, torch.Generator().manual_seed(0))
    x = torch.randn(1, 57, 48)
    assert torch.equal(lora(x), plain(x))
    assert torch.equal(lora.eval()(x), plain(x))
    assert lora.weight is plain.weight
    assert lora.bias is plain.bias
    wide = LoRALinear(nn.Linear(300, 2), 300, 1.0, torch.Generator().manual_seed(0)).lora_a.detach()
    assert wide.abs().max().item() <= 300**-0.5
    assert wide.std().item() == pytest.approx((300 * 3) ** -0.5, rel=0.01)  # of a uniform distribution


def test_against_peft() -> None:
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    theirs = peft.get_peft_model(
        nn.Sequential(nn.Linear(300, 200)), peft.LoraConfig(r=8, lora_alpha=24, target_modules=["0"])
    ).base_model.model[0]
    mine = LoRALinear(theirs.base_layer, 8, 24 / 8, torch.Generator().manual_seed(0))
    a, b = theirs.lora_A["default"].weight, theirs.lora_B["default"].weight
    assert torch.equal(mine.lora_b, b)
    assert mine.lora_a.shape == a.shape
    assert mine.lora_a.std().item() == pytest.approx(a.std().item(), rel=0.05)
    assert mine.lora_a.abs().max().item() == pytest.approx(a.abs().max().item(), rel=0.01)
    with torch.no_grad():
        mine.lora_a.copy_(a)
        mine.lora_b.copy_(nn.init.normal_(b))
    x = torch.randn(5, 300)
    torch.testing.assert_close(mine(x), theirs(x))
    torch.testing.assert_close(mine.merged(), theirs.get_delta_weight("default") + theirs.base_layer.weight)
    assert (EXAMPLE.alpha, LoRA().rank) == (peft.LoraConfig().lora_alpha, peft.LoraConfig().r)


@ENGINES
@pytest.mark.parametrize("targets", ["query_value", "query_key_value"])
def test_what_is_trained(targets: Any, packed: bool, toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> None:
    """A, B and the head move, with decay; nothing else has a gradient or a state, or moves by decay."""
    setup = trials.prepare(toy_config(FAST, techniques=(LoRA(rank=2, targets=targets),)), lively_encoder, toy_data, packed=packed)
    start = trials.state(setup)
    rows = trials.run(setup, toy_data, packed=packed).rows
    added = {
        f"encoder.encoder.layer.{block}.attention.self.{part}.lora_{matrix}"
        for block in (0, 1)
        for part in ("query", "value", *(["key"] if "key" in targets else []))
        for matrix in "ab"
    }
    assert trials.moved(setup, start) == added | {"head.weight", "head.bias"}
    assert {name for name, p in setup.model.named_parameters() if p.requires_grad} == added | {"head.weight", "head.bias"}
    norms = {row.scope: row.value for row in rows if row.metric == "distance"}
    assert norms["embeddings"] == norms["pooler"] == 0
    assert norms["layer.01"] > 0


def test_what_reinit_drew_is_trained(toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> None:
    config = toy_config(FAST, techniques=(EXAMPLE, Reinit(pooler=True, num_layers=0)))
    setup = trials.prepare(config, lively_encoder, toy_data)
    start = trials.state(setup)
    trials.run(setup, toy_data)
    assert {"encoder.pooler.dense.weight", "encoder.pooler.dense.bias"} <= trials.moved(setup, start)


@ENGINES
def test_saved_weights_are_merged(
    packed: bool, toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data, tmp_path: Path
) -> None:
    """In both files the names are those of a plain model, and transformers predicts what the run did."""
    setup = trials.prepare(toy_config(FAST, techniques=(EXAMPLE,)), lively_encoder, toy_data, packed=packed)
    start = trials.state(setup)
    trial = trials.run(setup, toy_data, packed=packed)
    plain = trials.prepare(toy_config(), lively_encoder, toy_data, packed=packed)
    save_weights(setup.model, lively_encoder, tmp_path / "weights")
    weights = read_weights(tmp_path / "weights")
    assert set(weights) == {name for name, _ in plain.model.named_parameters()}
    name = "encoder.encoder.layer.1.attention.self.value"
    learnt = {key: setup.model.get_parameter(f"{name}.{key}").detach() for key in ("lora_a", "lora_b")}
    by_hand = start[f"{name}.weight"] + EXAMPLE.alpha / 2 * learnt["lora_b"] @ learnt["lora_a"]
    torch.testing.assert_close(weights[f"{name}.weight"], by_hand)
    assert not torch.equal(by_hand, start[f"{name}.weight"])

    save_pretrained(setup.model, lively_encoder, tmp_path / "model", labels=("a", "b"))
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model").eval()
    tokens = toy_data.splits["validation"]
    with torch.inference_mode():
        logits = [
            theirs(input_ids=torch.from_numpy(toy_data.pieces[tokens.ids[start:end]])[None]).logits[0]
            for start, end in zip(tokens.offsets[:-1], tokens.offsets[1:], strict=True)
        ]
    np.testing.assert_allclose(torch.stack(logits).softmax(-1).numpy(), trial.predictions[0].probabilities, rtol=0, atol=1e-5)


def test_the_start_is_the_baselines(toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> None:
    losses = [
        trials.run(trials.prepare(toy_config(FAST, techniques=techniques), lively_encoder, toy_data), toy_data).losses
        for techniques in ((), (EXAMPLE,))
    ]
    assert losses[0][0] == losses[1][0]
    assert losses[0][-1] != losses[1][-1]


def test_what_is_refused(toy_config: ConfigFactory, albert: Encoder, lively_encoder: Encoder, toy_data: Data) -> None:
    with pytest.raises(UsageError, match="does not name the attention layers of a 'albert'"):
        trials.prepare(toy_config(techniques=(EXAMPLE,)), albert, toy_data)
    surface = {"bias_correction": False, "resolution": 1, "margin": 0}
    config = toy_config(techniques=(EXAMPLE,), surface=surface)
    with pytest.raises(UsageError, match="lora: a surface needs runs with the same parameters"):
        trials.prepare(config, lively_encoder, toy_data)
