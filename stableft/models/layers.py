"""Layers: replacements for torch's leaf modules, with the same parameters and names.

Two of them compute the same function faster, in the fast path. `Linear` multiplies with the library
that `stableft.models.kernels` chooses for the processor. `Dropout` draws its masks from a stream of
the run's own. `MixedLinear` mixes weights with others, and `LoRALinear` adds a product of two small
matrices to them, on either path.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from stableft.models.kernels import TORCH, Library, Products, chosen

_ONEDNN = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None
PRODUCTS: Products = chosen(_ONEDNN is not None).products


class DropoutStream:
    """Keep-masks for dropout from an SFC64 generator, independent of threads, workers and other runs.

    A mask takes 16 random bits per element, in the order of the calls. So p is rounded to a multiple of
    2^-16, and kept elements are scaled by the inverse of exactly that keep probability: the expectation
    is the input.

    Args:
        entropy: Any integer >= 0; equal ones give equal masks.
    """

    def __init__(self, entropy: int) -> None:
        self._bits = np.random.SFC64(entropy)

    def mask(self, shape: torch.Size | tuple[int, ...], p: float) -> Tensor:
        """Returns a float32 tensor of that shape: 0 with probability p, else 1 / (1 - p)."""
        count = int(np.prod(shape))
        dropped = round(p * 2**16)
        words = self._bits.random_raw((count + 3) // 4).view(np.int16)[:count]
        kept = words >= np.int16(dropped - 2**15)
        return torch.from_numpy(np.multiply(kept, np.float32(2**16 / (2**16 - dropped)), dtype=np.float32)).view(shape)

    def get_state(self) -> Tensor:
        """Returns the state of the generator: (4,) int64."""
        state: Any = self._bits.state
        return torch.from_numpy(state["state"]["state"].view(np.int64).copy())

    def set_state(self, state: Tensor) -> None:
        """Restores a state from `get_state`."""
        self._bits.state = {**self._bits.state, "state": {"state": state.numpy().view(np.uint64)}}


class Dropout(nn.Dropout):
    """Dropout that draws from ``stream`` if it has one, else from torch's generator of the device."""

    stream: DropoutStream | None = None

    def forward(self, input: Tensor) -> Tensor:
        if self.stream is None or not self.training or self.p == 0:
            return super().forward(input)
        return apply_mask(input, self.stream.mask(input.shape, self.p))


def apply_mask(values: Tensor, mask: Tensor) -> Tensor:
    """Returns values times mask.

    In bf16 the scale is not rounded to bf16 first, because that would shift the expectation.
    """
    return values * mask if values.dtype == mask.dtype else (values.float() * mask).to(values.dtype)


class Linear(nn.Linear):
    """``torch.nn.Linear`` on the libraries of `PRODUCTS` in fp32 on a CPU, else on torch's own.

    All are equal up to the order of summation.
    """

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)


class MixedLinear(nn.Linear):
    """A linear layer with a second weight that replaces its own for random inputs in training (mixout).

    With W the layer's weight, U the second one, and m a mask over the inputs, 0 with probability p and
    else 1 / (1 - p), it multiplies with U + (W - U) m. The expectation is W (Lee, Cho, Kang, 2020). In
    evaluation mode it multiplies with W.

    Args:
        layer: The layer to replace; its parameters stay the same objects. U is a copy of its present
            weight.
        p: In [0, 1).
        stream: One mask is drawn at each call.
        gradient_scale: Factor on the gradient of W; 1 is the derivative.
    """

    target: Tensor

    def __init__(self, layer: nn.Linear, p: float, stream: DropoutStream, gradient_scale: float = 1.0) -> None:
        super().__init__(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
        self.weight, self.bias = layer.weight, layer.bias
        self.register_buffer("target", layer.weight.detach().clone(), persistent=False)
        self.p, self.stream, self.gradient_scale = p, stream, gradient_scale
        self._multiply = linear if isinstance(layer, Linear) else nn.functional.linear

    def forward(self, input: Tensor) -> Tensor:
        return self._multiply(input, self.mixed() if self.training else self.weight, self.bias)

    def mixed(self) -> Tensor:
        """Returns (outputs, inputs) the weight mixed by the next mask."""
        mask = self.stream.mask((self.in_features,), self.p).to(self.target.device)
        difference = (self.weight - self.target) * mask
        if self.gradient_scale != 1 and difference.requires_grad:
            difference.register_hook(lambda gradient: gradient * self.gradient_scale)
        return self.target + difference


class LoRALinear(nn.Linear):
    """A linear layer with weight W + s B A, where A and B have few rows and columns (Hu et al., 2021).

    A (rank, inputs) is drawn from U(-1 / sqrt(inputs), 1 / sqrt(inputs)), as ``peft`` does by default,
    and B (outputs, rank) is 0. In training the two products are computed apart from that with W; in
    evaluation mode the layer multiplies with `merged`, as the saved model will.

    Args:
        layer: The layer to replace; its parameters stay the same objects.
        rank: r >= 1.
        scale: s.
        generator: Gives A, on the CPU.
    """

    def __init__(self, layer: nn.Linear, rank: int, scale: float, generator: torch.Generator) -> None:
        super().__init__(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
        self.weight, self.bias = layer.weight, layer.bias
        first = nn.init.kaiming_uniform_(torch.empty(rank, layer.in_features), a=math.sqrt(5), generator=generator)
        self.lora_a = nn.Parameter(first.to(layer.weight))
        self.lora_b = nn.Parameter(layer.weight.new_zeros(layer.out_features, rank))
        self.scale = scale
        self._multiply = linear if isinstance(layer, Linear) else nn.functional.linear

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return self._multiply(input, self.merged(), self.bias)
        added = nn.functional.linear(nn.functional.linear(input, self.lora_a), self.lora_b)
        return self._multiply(input, self.weight, self.bias) + self.scale * added

    def merged(self) -> Tensor:
        """Returns (outputs, inputs) W + s B A, in the type of W."""
        with torch.autocast(self.weight.device.type, enabled=False):
            return self.weight + self.scale * (self.lora_b @ self.lora_a)


class _ChosenLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _multiply(PRODUCTS.forward, x, weight, bias)

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, weight = ctx.saved_tensors  # pyright: ignore[reportAttributeAccessIssue]
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad  # pyright: ignore[reportAttributeAccessIssue]
        rows = grad.flatten(0, -2)
        return (
            _multiply(PRODUCTS.input_gradient, grad, weight.t()) if needs_x else None,
            _multiply(PRODUCTS.weight_gradient, rows.t(), x.flatten(0, -2).t()) if needs_weight else None,
            rows.sum(0) if needs_bias else None,
        )


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Computes x weight^T + bias with the libraries of `PRODUCTS` in float32 on a CPU, else with torch."""
    if PRODUCTS == TORCH or x.dtype != torch.float32 or x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return nn.functional.linear(x, weight, bias)
    return _ChosenLinear.apply(x, weight, bias)  # pyright: ignore[reportReturnType]


def _multiply(library: Library, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return matmul(x, weight, bias) if library == "onednn" else nn.functional.linear(x, weight, bias)


def matmul(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Computes x weight^T + bias for (..., N) and (M, N) in float32 with oneDNN.

    oneDNN must be available.
    """
    assert _ONEDNN is not None
    return _ONEDNN(x, weight, bias, "none", [], "")


def use_fast_layers(module: nn.Module) -> None:
    """Replaces every ``nn.Linear`` and ``nn.Dropout`` beneath a module by the classes of this file.

    The parameters stay the same objects.
    """
    for name, child in list(module.named_children()):
        if type(child) is nn.Linear:
            fast = Linear(child.in_features, child.out_features, bias=child.bias is not None, device="meta")
            fast.weight, fast.bias = child.weight, child.bias
            setattr(module, name, fast)
        elif type(child) is nn.Dropout:
            setattr(module, name, Dropout(child.p))
        else:
            use_fast_layers(child)


def use_stream(module: nn.Module, stream: DropoutStream | None) -> None:
    """Makes every `Dropout` beneath a module draw from this stream, in the order of the calls."""
    for child in module.modules():
        if isinstance(child, Dropout):
            child.stream = stream
