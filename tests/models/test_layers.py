"""The fast layers are torch's layers: the same function and slopes, the same parameters; dropout by a stream of its own."""

import copy
from dataclasses import asdict, astuple
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from stableft.models import kernels, layers
from stableft.models.encoders import Encoder
from stableft.models.kernels import Products
from stableft.models.layers import Dropout, DropoutStream, Linear, use_fast_layers, use_stream
from stableft.models.tokens import Data
from stableft.training.runtime import Runtime
from stableft.training.setup import build
from tests.conftest import ConfigFactory

# --- linear --------------------------------------------------------------------------------------------------------------------


def same(linear: nn.Linear) -> Linear:
    fast = Linear(linear.in_features, linear.out_features, bias=linear.bias is not None)
    fast.load_state_dict(linear.state_dict())
    return fast


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 57, 48), (57, 48), (1, 1, 48), (2, 3, 5, 48)], ids=str)
def test_linear_against_torch_in_float64(shape: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(0)
    reference = nn.Linear(48, 31, bias=bias)
    fast = same(reference)
    reference.double()
    x = torch.randn(shape)
    weight = torch.randn(*shape[:-1], 31)
    outcomes = []
    for layer in (fast, reference):
        inputs = x.to(layer.weight.dtype, copy=True).requires_grad_()
        y = layer(inputs)
        (y * weight.to(y.dtype)).sum().backward()
        outcomes.append([y, inputs.grad, layer.weight.grad, *([layer.bias.grad] if bias else [])])
    assert outcomes[0][0].dtype == torch.float32
    for ours, theirs in zip(*outcomes, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-5)


def test_linear_of_a_part_that_needs_no_gradient() -> None:
    layer = Linear(4, 3)
    layer.weight.requires_grad_(False)
    x = torch.randn(2, 4, requires_grad=True)
    layer(x).sum().backward()
    torch.testing.assert_close(x.grad, layer.weight.sum(0).expand(2, 4))
    assert layer.weight.grad is None


def test_linear_takes_what_is_not_contiguous() -> None:
    layer = same(nn.Linear(4, 3))
    x = torch.randn(4, 6).t()
    torch.testing.assert_close(layer(x), nn.functional.linear(x, layer.weight, layer.bias))
    layer(x)[:, ::2].sum().backward()
    expected = torch.zeros(3, 4)
    expected[::2] = x.sum(0)
    torch.testing.assert_close(layer.weight.grad, expected)


def test_linear_falls_back_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = Linear(4, 3)
    x = torch.randn(2, 4)
    fast = layer(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    monkeypatch.setattr(layers, "PRODUCTS", kernels.TORCH)
    plain = layer(x)
    torch.testing.assert_close(plain, fast)
    assert type(plain.grad_fn) is type(nn.functional.linear(x, layer.weight, layer.bias).grad_fn)  # no function of our own


LIBRARIES = [Products(*libraries) for libraries in product(("onednn", "torch"), repeat=3)]
needs_onednn = pytest.mark.skipif(layers._ONEDNN is None, reason="this torch has no oneDNN")
each_choice = pytest.mark.parametrize(
    "products",
    [pytest.param(one, marks=[] if one == kernels.TORCH else [needs_onednn], id="-".join(astuple(one))) for one in LIBRARIES],
)


@each_choice
def test_every_choice_of_libraries_multiplies_as_torch_does(products: Products, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "PRODUCTS", products)
    torch.manual_seed(0)
    reference = nn.Sequential(nn.Linear(48, 64), nn.GELU(), nn.Linear(64, 31, bias=False))
    fast = copy.deepcopy(reference)
    use_fast_layers(fast)
    reference.double()
    x, weight = torch.randn(2, 57, 48), torch.randn(2, 57, 31)
    outcomes = []
    for model in (fast, reference):
        inputs = x.to(next(model.parameters()).dtype, copy=True).requires_grad_()
        y = model(inputs)
        (y * weight.to(y.dtype)).sum().backward()
        outcomes.append([y, inputs.grad, *(parameter.grad for parameter in model.parameters())])
    for ours, theirs in zip(*outcomes, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-4)


@each_choice
def test_each_product_is_computed_by_its_library(products: Products, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "PRODUCTS", products)
    calls: list[tuple[int, ...]] = []
    matmul = layers.matmul
    monkeypatch.setattr(layers, "matmul", lambda x, weight, bias: calls.append(tuple(x.shape)) or matmul(x, weight, bias))
    Linear(3, 5)(torch.ones(7, 3, requires_grad=True)).sum().backward()
    shapes = {"forward": (7, 3), "input_gradient": (7, 5), "weight_gradient": (5, 7)}
    assert calls == [shapes[name] for name, library in asdict(products).items() if library == "onednn"]


@each_choice
def test_every_choice_of_libraries_gives_the_packed_model_its_gradients(
    products: Products, monkeypatch: pytest.MonkeyPatch, toy_config: ConfigFactory, toy_data: Data, lively_encoder: Encoder
) -> None:
    outcomes = []
    for choice in (kernels.TORCH, products):
        monkeypatch.setattr(layers, "PRODUCTS", choice)
        model = build(toy_config(), toy_data, lively_encoder, Runtime()).model.eval()
        logits = model(toy_data.splits["train"].batch(range(16), "cpu"))
        logits.square().sum().backward()
        outcomes.append([logits, *(parameter.grad for parameter in model.parameters() if parameter.grad is not None)])
    assert len(outcomes[0]) > 30
    scale = max(float(one.detach().abs().max()) for one in outcomes[0])  # a gradient that is zero in theory is all rounding
    for theirs, ours in zip(*outcomes, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5 * scale)


# --- the stream ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_a_mask_has_the_expectation_and_variance_of_dropout(p: float) -> None:
    n = 2_000_000
    mask = DropoutStream(0).mask((n,), p).double().numpy()
    assert set(np.unique(mask)) == {0.0, float(np.float32(2**16 / (2**16 - round(p * 2**16))))}
    variance = p / (1 - p)
    assert abs(mask.mean() - 1) < 5 * (variance / n) ** 0.5
    fourth = (p + (1 - p) * (p / (1 - p)) ** 4) - variance**2  # of (mask - 1)^2
    assert abs(((mask - 1) ** 2).mean() - variance) < 5 * (fourth / n) ** 0.5 + 1e-3 * variance


def test_elements_are_independent() -> None:
    kept = (DropoutStream(1).mask((1_000_000,), 0.3) > 0).double().numpy()
    for lag in (1, 2, 3, 4, 64):
        assert abs(np.corrcoef(kept[:-lag], kept[lag:])[0, 1]) < 5e-3


def test_streams_are_told_apart_by_their_entropy_alone() -> None:
    first, again, other = DropoutStream(5), DropoutStream(5), DropoutStream(6)
    torch.manual_seed(0)
    a = [first.mask((3, 5), 0.5), first.mask((7,), 0.5)]
    torch.manual_seed(1)
    torch.rand(3)
    b = [again.mask((3, 5), 0.5), again.mask((7,), 0.5)]
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    assert not torch.equal(other.mask((64,), 0.5), DropoutStream(5).mask((64,), 0.5))
    assert not torch.equal(a[0].flatten()[:7], a[1]), "a stream goes on"


def test_the_first_masks_are_the_same_everywhere() -> None:
    """Golden: another platform, version or byte order that drew other masks would give other results at the same seed."""
    kept = "".join("01"[int(x > 0)] for x in DropoutStream(0).mask((40,), 0.5))
    assert kept == "1000010100010101001110100100010001011111"


def test_masks_do_not_depend_on_threads() -> None:
    before, masks = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            assert torch.get_num_threads() == threads
            masks.append(DropoutStream(9).mask((1000, 77), 0.1))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*masks)


# --- dropout -------------------------------------------------------------------------------------------------------------------


def test_dropout_masks_values_and_slopes_alike() -> None:
    module = Dropout(0.4)
    module.stream = DropoutStream(2)
    x = torch.randn(50, 7, requires_grad=True)
    y = module(x)
    y.sum().backward()
    mask = DropoutStream(2).mask((50, 7), 0.4)
    assert torch.equal(y, x * mask)
    assert x.grad is not None
    assert torch.equal(x.grad, mask)


def test_dropout_outside_training_and_at_zero_is_nothing_and_draws_nothing() -> None:
    stream = DropoutStream(2)
    x = torch.randn(5)
    for module in (Dropout(0.4).eval(), Dropout(0.0)):
        module.stream = stream
        assert torch.equal(module(x), x)
    assert torch.equal(stream.mask((9,), 0.5), DropoutStream(2).mask((9,), 0.5))


def test_dropout_in_bf16_does_not_shift_the_mean() -> None:
    """1 / 0.9 rounded to bf16 would be 0.2 % too small."""
    module = Dropout(0.1)
    module.stream = DropoutStream(2)
    x = (1 + torch.rand(2_000_000, generator=torch.Generator().manual_seed(0))).bfloat16()
    ratio = float(module(x).double().mean() / x.double().mean())
    assert abs(ratio - 1) < 6e-4


def test_without_a_stream_it_is_torchs() -> None:
    x = torch.ones(100)
    torch.manual_seed(0)
    ours = Dropout(0.5)(x)
    torch.manual_seed(0)
    assert torch.equal(ours, nn.Dropout(0.5)(x))


# --- putting them in -----------------------------------------------------------------------------------------------------------


def test_layers_are_replaced_at_every_depth_and_parameters_stay() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Dropout(0.3), nn.Linear(4, 2, bias=False), nn.LayerNorm(2)))
    before = dict(model.named_parameters())
    reference = [type(module) for module in model.modules()]
    assert reference.count(nn.Linear) == 2
    use_fast_layers(model)
    assert {name: id(p) for name, p in model.named_parameters()} == {name: id(p) for name, p in before.items()}
    kinds = [type(module) for module in model.modules()]
    assert nn.Linear not in kinds
    assert nn.Dropout not in kinds
    assert kinds.count(Linear) == 2
    stream = DropoutStream(0)
    use_stream(model, stream)
    dropout = next(module for module in model.modules() if isinstance(module, Dropout))
    assert dropout.p == 0.3
    assert dropout.stream is stream
