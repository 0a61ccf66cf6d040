"""Mixout: which layers, against the formula of the paper and the gradients of both variants, the same on both engines."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification

from stableft.core.errors import UsageError
from stableft.core.technique import Technique
from stableft.models.encoders import Encoder
from stableft.models.layers import DropoutStream, Linear, MixedLinear
from stableft.models.tokens import Data
from stableft.models.weights import save_pretrained
from stableft.techniques.mixout import Mixout
from stableft.techniques.reinit import Reinit
from stableft.training.setup import Setup
from tests.conftest import ConfigFactory
from tests.helpers import trials

EXAMPLE = Mixout(p=0.5)
ENGINES = pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
# Whole runs: one engine is enough of every change, since others compare the engines.
RUNS = pytest.mark.parametrize("packed", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["packed", "padded"])
LINEAR = (
    *("attention.self.query", "attention.self.key", "attention.self.value"),
    *("attention.output.dense", "intermediate.dense", "output.dense"),
)
BLOCKS = [{f"encoder.encoder.layer.{index}.{part}" for part in LINEAR} for index in (0, 1)]
POOLER = {"encoder.pooler.dense"}


def layer(variant: str = "exact", p: float = 0.3, seed: int = 0) -> tuple[MixedLinear, Tensor]:
    """A layer of 7 inputs and 4 outputs in float64 whose weight has moved away from U, and U."""
    torch.manual_seed(0)
    linear = nn.Linear(7, 4, dtype=torch.float64)
    mixed = MixedLinear(linear, p, DropoutStream(seed), 1.0 if variant == "exact" else 1 - p)
    start = linear.weight.detach().clone()
    with torch.no_grad():
        linear.weight.add_(torch.randn(4, 7))
    return mixed, start


def mask(p: float = 0.3, seed: int = 0) -> Tensor:
    """(7,) the next mask of a layer of that seed: True where U is put in."""
    return DropoutStream(seed).mask((7,), p) == 0


# --- the layer -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["exact", "reference"])
def test_the_weight_by_the_formula_of_the_paper(variant: str) -> None:
    """(M U + (1 - M) W - p U) / (1 - p) with a mask over the inputs, by hand."""
    for seed in range(20):
        mixed, start = layer(variant, seed=seed)
        dropped = mask(seed=seed).double()
        expected = (dropped * start + (1 - dropped) * mixed.weight - 0.3 * start) / 0.7
        x = torch.randn(5, 7, dtype=torch.float64)
        torch.testing.assert_close(mixed(x), x @ expected.T + mixed.bias, rtol=1e-4, atol=1e-4)  # p is rounded to 2^-16
        assert torch.equal(mixed.target, start)


def test_dropped_inputs_meet_the_start_exactly() -> None:
    for seed in range(20):
        mixed, start = layer(seed=seed)
        weight = mixed.mixed()
        assert torch.equal(weight[:, mask(seed=seed)], start[:, mask(seed=seed)])


@pytest.mark.parametrize("variant", ["exact", "reference"])
def test_the_expectation_is_the_learnt_weight(variant: str) -> None:
    mixed, start = layer(variant)
    with torch.no_grad():
        draws = torch.stack([mixed.mixed() for _ in range(20_000)])
    error = (mixed.weight - start).abs() * (0.3 / 0.7) ** 0.5 / 20_000**0.5
    assert ((draws.mean(0) - mixed.weight).abs() < 5 * error + 1e-5).all()
    assert draws.std(0).min() > 0


def test_the_exact_gradient_is_the_derivative() -> None:
    """Against central differences in float64 with the mask held: the loss is quadratic in W, so they are exact."""
    x, c = torch.randn(5, 7, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)

    def loss(change: Tensor) -> Tensor:
        mixed, _ = layer(seed=3)
        with torch.no_grad():
            mixed.weight.add_(change)
        return ((mixed(x) - c) ** 2).sum()

    mixed, _ = layer(seed=3)
    ((mixed(x) - c) ** 2).sum().backward()
    for row in range(4):
        for column in range(7):
            change = torch.zeros(4, 7, dtype=torch.float64)
            change[row, column] = 1e-4
            slope = (loss(change) - loss(-change)) / 2e-4
            assert mixed.weight.grad is not None
            assert mixed.weight.grad[row, column] == pytest.approx(slope.item(), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("variant", "factor"), [("exact", 1 / 0.7), ("reference", 1.0)])
def test_the_gradients_of_both_variants_by_hand(variant: str, factor: float) -> None:
    """Gradient of the mixed weight (c^T x), 0 where U stands; the reference code leaves 1 / (1 - p) out (P11)."""
    mixed, _ = layer(variant, seed=3)
    x = torch.randn(5, 7, dtype=torch.float64, requires_grad=True)
    c = torch.randn(5, 4, dtype=torch.float64)
    (mixed(x) * c).sum().backward()
    kept = (~mask(seed=3)).double()
    assert 0 < kept.sum() < 7
    torch.testing.assert_close(mixed.weight.grad, c.T @ x.detach() * kept * factor, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(mixed.bias.grad, c.sum(0))
    again, _ = layer(variant, seed=3)
    torch.testing.assert_close(x.grad, c @ again.mixed(), msg="of what the layer multiplied with, in both")


def test_in_evaluation_the_weight_is_the_learnt_one() -> None:
    mixed, _ = layer()
    x = torch.randn(5, 7, dtype=torch.float64)
    assert torch.equal(mixed.eval()(x), nn.functional.linear(x, mixed.weight, mixed.bias))
    assert not torch.equal(mixed.train()(x), mixed.eval()(x))


@pytest.mark.parametrize("kind", [nn.Linear, Linear])
def test_it_multiplies_as_the_layer_that_it_replaces(kind: type[nn.Linear]) -> None:
    plain = kind(48, 31)
    mixed = MixedLinear(plain, 0.5, DropoutStream(0))
    x = torch.randn(1, 57, 48)
    assert torch.equal(mixed(x), plain(x)), "as long as the weight is where it started"
    assert torch.equal(mixed.eval()(x), plain(x))
    assert mixed.weight is plain.weight
    assert mixed.bias is plain.bias


# --- the model -----------------------------------------------------------------------------------------------------------------


def mixed_layers(setup: Setup) -> set[str]:
    return {name for name, module in setup.model.named_modules() if isinstance(module, MixedLinear)}


@ENGINES
@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ((), BLOCKS[0] | BLOCKS[1] | POOLER),
        ((Reinit(num_layers=1),), BLOCKS[0]),
        ((Reinit(pooler=False, num_layers=1),), BLOCKS[0] | POOLER),
    ],
    ids=["all but the head", "not what reinit drew", "the pooler is kept"],
)
def test_which_layers_are_mixed(
    others: tuple[Technique, ...],
    expected: set[str],
    packed: bool,
    toy_config: ConfigFactory,
    lively_encoder: Encoder,
    toy_data: Data,
) -> None:
    plain = trials.prepare(toy_config(techniques=others), lively_encoder, toy_data, packed=packed)
    setup = trials.prepare(toy_config(techniques=(EXAMPLE, *others)), lively_encoder, toy_data, packed=packed)
    assert mixed_layers(setup) == expected
    assert [(name, p.shape) for name, p in setup.model.named_parameters()] == [
        (name, p.shape) for name, p in plain.model.named_parameters()
    ]
    assert list(setup.model.state_dict()) == list(plain.model.state_dict())
    assert [setup.model.place(name) for name, _ in setup.model.named_parameters()] == [
        plain.model.place(name) for name, _ in plain.model.named_parameters()
    ]
    members = {id(p) for group in setup.groups for p in group.params}
    assert members == {id(p) for p in setup.model.parameters()}, "the same parameters, not new ones"


@ENGINES
def test_the_target_is_the_start_and_stays_so(
    packed: bool, toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data
) -> None:
    config = toy_config(techniques=(EXAMPLE,))
    setup = trials.prepare(config, lively_encoder, toy_data, packed=packed)
    start = trials.state(setup)
    trials.run(setup, toy_data, packed=packed)
    for name in BLOCKS[0] | BLOCKS[1] | POOLER:
        module = setup.model.get_submodule(name)
        assert torch.equal(module.get_buffer("target"), start[f"{name}.weight"])
        assert not torch.equal(module.get_parameter("weight"), start[f"{name}.weight"])


def test_both_engines_draw_the_same_masks(toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> None:
    """Without dropout the two are the same run up to rounding."""
    config = toy_config(dropout=0.0, techniques=(EXAMPLE,))
    losses = [
        trials.run(trials.prepare(config, lively_encoder, toy_data, packed=packed), toy_data, packed=packed).losses
        for packed in (True, False)
    ]
    assert losses[0][:8] == pytest.approx(losses[1][:8], abs=2e-4)
    plain = toy_config(dropout=0.0)
    other = trials.run(trials.prepare(plain, lively_encoder, toy_data), toy_data).losses
    assert np.abs(np.array(other[2:8]) - losses[0][2:8]).min() > 2e-3


@RUNS
def test_dropout_masks_and_order_are_the_baselines(
    packed: bool, toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data
) -> None:
    """As long as nothing learns, W is U and mixing changes nothing: the same run bit for bit, dropout and all."""
    runs = []
    for techniques in ((), (EXAMPLE,)):
        config = toy_config(techniques=techniques)
        setup = trials.prepare(config, lively_encoder, toy_data, packed=packed)
        frozen = tuple(dataclasses.replace(group, lr_scale=0.0) for group in setup.groups)
        runs.append(trials.run(dataclasses.replace(setup, groups=frozen), toy_data, packed=packed))
    assert runs[0].losses == runs[1].losses
    assert config.dropout > 0
    assert len(set(runs[0].losses)) == 24


def test_the_variants_differ_by_clipping_alone(toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> None:
    """Adam hides a constant factor on the gradient (P11): without clipping and epsilon both variants are one run for a while."""

    def losses(variant: str, clip: float | None) -> list[float]:
        config = toy_config({"adam.eps": 1e-20}, max_grad_norm=clip, techniques=[{"name": "mixout", "p": 0.5, "variant": variant}])
        return trials.run(trials.prepare(config, lively_encoder, toy_data), toy_data).losses[:6]

    assert losses("reference", None) == pytest.approx(losses("exact", None), abs=1e-3)
    assert losses("reference", 0.1)[1:] != losses("exact", 0.1)[1:]


@RUNS
def test_in_bf16(packed: bool, toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> None:
    config = toy_config(precision="bf16", techniques=(EXAMPLE,))
    trial = trials.run(trials.prepare(config, lively_encoder, toy_data, packed=packed), toy_data, packed=packed)
    assert np.isfinite(trial.losses).all()
    assert len(trial.predictions) == 2


@RUNS
def test_the_learnt_weights_are_saved_under_their_names(
    packed: bool, toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data, tmp_path: Path
) -> None:
    config = toy_config(techniques=(EXAMPLE,))
    setup = trials.prepare(config, lively_encoder, toy_data, packed=packed)
    trials.run(setup, toy_data, packed=packed)
    save_pretrained(setup.model, lively_encoder, tmp_path / "saved", labels=("a", "b"))
    saved = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").state_dict()
    learnt = trials.state(setup)
    for name in BLOCKS[0] | BLOCKS[1] | POOLER:
        assert torch.equal(saved[name.replace("encoder.", "bert.", 1) + ".weight"], learnt[f"{name}.weight"])


@pytest.mark.parametrize("fields", [{}, {"p": 1}, {"p": -0.1}, {"p": 0.5, "variant": "fast"}], ids=str)
def test_settings_that_can_not_be(toy_config: ConfigFactory, fields: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=r"impossible configuration: techniques\.0: Value error, mixout: "):
        toy_config(techniques=[{"name": "mixout", **fields}])
