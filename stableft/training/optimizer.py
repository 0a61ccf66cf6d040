"""AdamW with a switch for bias correction, and a meter for what a step really did."""

from collections.abc import Iterable
from itertools import repeat
from typing import Any

import torch
from torch import Tensor

INFINITE_STEP = float("inf")


class AdamW(torch.optim.AdamW):
    """One class for both arms of the bias-correction ablation, on torch's fused kernel.

    With ``bias_correction=True`` and ``eps_placement="v_hat"`` it is ``torch.optim.AdamW`` bit for bit. With
    ``bias_correction=False`` it applies ``p <- p (1 - lr wd) - lr m / (sqrt(v) + eps)`` from the first step on: the optimizer
    of BERT's original code (Devlin et al., 2019) and ``AdamW(correct_bias=False)`` of early transformers, up to the order of decay
    and update (a difference of lr^2 wd u).

    How: the kernels compute 1 - beta^t from a step count that is handed to them. Without correction they are handed an infinite
    one, for which both corrections are exactly 1; the count kept in the state (and so in ``state_dict``) stays the true one.

    A group with ``decay_to``, one tensor for each of its parameters, decays toward these instead of zero:
    ``p <- p - lr wd (p - p0)`` before the Adam step.

    Args:
        params: Parameters or groups, as for ``torch.optim.AdamW``.
        lr: Learning rate, >= 0.
        betas: Decay rates of the moments.
        eps: Added to the denominator, > 0.
        weight_decay: Decoupled; multiplied by lr.
        bias_correction: See above.
        eps_placement: ``v_hat``: sqrt(v / (1 - beta2^t)) + eps, where Kingma & Ba's Algorithm 1, torch and so the corrected arm
            of Zhang et al. have it. ``v``: lr c(t) m / (sqrt(v) + eps) with c(t) = sqrt(1 - beta2^t) / (1 - beta1^t), where
            transformers 2.x and Mosbach et al. have it; the same as an eps divided by sqrt(1 - beta2^t). Without correction the
            two are one.
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
        # torch's hook: fills the lists (parameters, gradients, moments, ..., steps) that one kernel call works on.
        has_complex = super()._init_group(group, *lists)
        steps: list[Tensor] = lists[-1]
        if steps and not self.bias_correction:
            steps[:] = [torch.full_like(step.add_(1), INFINITE_STEP) for step in steps]  # the kernel counts only the copies
        return has_complex

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        given = [(group["eps"], group["weight_decay"]) for group in self.param_groups]
        try:
            for group in self.param_groups:
                if self.bias_correction and self.eps_placement == "v":
                    group["eps"] /= (1 - group["betas"][1] ** (self._steps_done(group) + 1)) ** 0.5
                if group.get("decay_to") is not None:
                    for p, target in _with_targets(group):
                        p.lerp_(target, group["lr"] * group["weight_decay"])
                    group["weight_decay"] = 0.0
            return super().step(closure)
        finally:
            for group, (eps, weight_decay) in zip(self.param_groups, given, strict=True):
                group["eps"], group["weight_decay"] = eps, weight_decay

    def _steps_done(self, group: dict[str, Any]) -> int:
        # All parameters of a group are stepped together here (parameters without a gradient never are), so one count serves.
        counts = [self.state[p]["step"] for p in group["params"] if p in self.state and "step" in self.state[p]]
        return int(counts[0]) if counts else 0


def _with_targets(group: dict[str, Any]) -> Iterable[tuple[Tensor, Any]]:
    """The parameters of a group that have a gradient, each with what it decays to (None: zero)."""
    targets = group.get("decay_to")
    pairs = zip(group["params"], repeat(None) if targets is None else targets, strict=targets is not None)
    return ((p, target) for p, target in pairs if p.grad is not None)


class UpdateMeter:
    """Measures what an optimizer step applied, beside what bias-corrected Adam would have applied.

    Both are norms over all given parameters of the Adam part of the update; decoupled decay is taken out. The corrected update
    is computed from the moments that the step left in the state, with epsilon where the optimizer has it.

    Args:
        optimizer: Its groups' parameters are measured.
    """

    def __init__(self, optimizer: AdamW) -> None:
        self.optimizer = optimizer
        self._before: dict[Tensor, Tensor] = {}

    @torch.no_grad()
    def before(self) -> None:
        """To be called just before ``optimizer.step()``: keeps the parameters."""
        for _, p, _ in self._parameters():
            self._before.setdefault(p, torch.empty_like(p)).copy_(p)

    @torch.no_grad()
    def after(self) -> tuple[float, float]:
        """To be called just after ``optimizer.step()``.

        Returns:
            Norm of the applied update, and its ratio to the norm of the corrected one (NaN where that is 0, as at lr 0).
        """
        applied: list[Tensor] = []
        corrected: list[Tensor] = []
        for group, p, target in self._parameters():
            state = self.optimizer.state[p]
            lr, (beta1, beta2), t = group["lr"], group["betas"], int(state["step"])
            root = (1 - beta2**t) ** 0.5
            eps = group["eps"] * root if self.optimizer.eps_placement == "v_hat" else group["eps"]
            before = self._before[p]
            if target is not None:
                before.lerp_(target, lr * group["weight_decay"])
            elif group["weight_decay"] > 0:
                before.mul_(1 - lr * group["weight_decay"])
            applied.append(torch.linalg.vector_norm(before.sub_(p)))
            denominator = torch.sqrt(state["exp_avg_sq"], out=before).add_(eps)
            update = torch.div(state["exp_avg"], denominator, out=before)
            corrected.append(torch.linalg.vector_norm(update) * (lr * root / (1 - beta1**t)))
        norm = float(torch.linalg.vector_norm(torch.stack(applied)))
        reference = float(torch.linalg.vector_norm(torch.stack(corrected)))
        return norm, norm / reference if reference > 0 else float("nan")

    def _parameters(self) -> Iterable[tuple[dict[str, Any], Tensor, Any]]:
        return ((group, p, target) for group in self.optimizer.param_groups for p, target in _with_targets(group))
