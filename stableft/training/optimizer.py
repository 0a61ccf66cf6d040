"""Optimizers: AdamW with a switch for bias correction, and RAdam; both decay toward given weights."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import repeat
from typing import Any

import torch
from torch import Tensor

INFINITE_STEP = float("inf")
Optimizer = torch.optim.Optimizer


class AdamW(torch.optim.AdamW):
    """AdamW for both arms of the bias-correction ablation, on torch's fused kernel.

    With ``bias_correction=True`` and ``eps_placement="v_hat"`` it is ``torch.optim.AdamW`` bit for bit.
    With ``bias_correction=False`` it applies ``p <- p (1 - lr wd) - lr m / (sqrt(v) + eps)`` from the
    first step on. That is the optimizer of BERT's original code (Devlin et al., 2019) and
    ``AdamW(correct_bias=False)`` of early transformers, up to the order of decay and update (a
    difference of lr^2 wd u).

    Implementation: the kernels compute 1 - beta^t from a step count. Without correction they receive an
    infinite count, for which both corrections are exactly 1. The count in the state (and so in
    ``state_dict``) stays the true one.

    A group with ``decay_to``, one tensor for each of its parameters, decays toward these tensors
    instead of zero: ``p <- p - lr wd (p - p0)`` before the Adam step.

    Args:
        params: Parameters or groups, as for ``torch.optim.AdamW``.
        lr: Learning rate, >= 0.
        betas: Decay rates of the moments.
        eps: Added to the denominator, > 0.
        weight_decay: Decoupled; multiplied by lr.
        bias_correction: See above.
        eps_placement: ``v_hat``: sqrt(v / (1 - beta2^t)) + eps, as in Kingma & Ba's Algorithm 1, torch
            and so the corrected arm of Zhang et al. ``v``: lr c(t) m / (sqrt(v) + eps) with c(t) =
            sqrt(1 - beta2^t) / (1 - beta1^t), as in transformers 2.x and Mosbach et al.; the same as an
            eps divided by sqrt(1 - beta2^t). Without correction the two are equal.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        bias_correction: bool = True,
        eps_placement: str = "v_hat",
    ) -> None:
        if eps_placement not in ("v_hat", "v"):
            raise ValueError(f"eps_placement must be 'v_hat' or 'v', got {eps_placement!r}")
        self.bias_correction = bias_correction
        self.eps_placement = eps_placement
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, fused=True)

    def _init_group(self, group: dict[str, Any], *lists: Any) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
        # torch's hook: fills the lists (parameters, gradients, ..., steps) for one kernel call.
        has_complex = super()._init_group(group, *lists)
        steps: list[Tensor] = lists[-1]
        if steps and not self.bias_correction:
            steps[:] = [torch.full_like(step.add_(1), INFINITE_STEP) for step in steps]  # the kernel counts only the copies
        return has_complex

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        given = [group["eps"] for group in self.param_groups]
        try:
            for group in self.param_groups:
                if self.bias_correction and self.eps_placement == "v":
                    group["eps"] /= (1 - group["betas"][1] ** (self._steps_done(group) + 1)) ** 0.5
            with _decayed_to_targets(self):
                return super().step(closure)
        finally:
            for group, eps in zip(self.param_groups, given, strict=True):
                group["eps"] = eps

    def _steps_done(self, group: dict[str, Any]) -> int:
        # A group's parameters are stepped together (those without a gradient never): one count serves.
        counts = [self.state[p]["step"] for p in group["params"] if p in self.state and "step" in self.state[p]]
        return int(counts[0]) if counts else 0


class RectifiedAdam(torch.optim.RAdam):
    """Rectified Adam (Liu et al., 2020) with decoupled weight decay, ``torch.optim.RAdam``.

    With ``decay_to`` a group decays toward given weights, as in `AdamW`.

    Args:
        params: Parameters or groups, as for ``torch.optim.RAdam``.
        lr: Learning rate, >= 0.
        betas: Decay rates of the moments.
        eps: Added to the root of the raw second moment.

    Attributes:
        eps_placement: See `AdamW`; here always ``v``.
    """

    eps_placement = "v"

    def __init__(self, params: Any, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, decoupled_weight_decay=True)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        with _decayed_to_targets(self):
            return super().step(closure)


@contextmanager
def _decayed_to_targets(optimizer: Optimizer) -> Iterator[None]:
    """Decays groups with a target toward it, and keeps the step inside from decaying them to zero."""
    given = [group["weight_decay"] for group in optimizer.param_groups]
    try:
        for group in optimizer.param_groups:
            if group.get("decay_to") is not None:
                for p, target in with_targets(group):
                    p.lerp_(target, group["lr"] * group["weight_decay"])
                group["weight_decay"] = 0.0
        yield
    finally:
        for group, weight_decay in zip(optimizer.param_groups, given, strict=True):
            group["weight_decay"] = weight_decay


def with_targets(group: dict[str, Any]) -> Iterable[tuple[Tensor, Any]]:
    """Returns a group's parameters with a gradient, each with its target of decay (None: zero)."""
    targets = group.get("decay_to")
    pairs = zip(group["params"], repeat(None) if targets is None else targets, strict=targets is not None)
    return ((p, target) for p, target in pairs if p.grad is not None)
