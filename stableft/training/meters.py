"""Meters: norms of a model's parts during training, and of an optimizer step's update."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from stableft.models.model import ParamPlace
from stableft.training.optimizer import AdamW, Optimizer, RectifiedAdam, with_targets

EVERY = 10  # steps, as Zhang et al.'s --weight_logging_steps (protocol section 2.6)


def scope_of(place: ParamPlace) -> str:
    """Returns ``embeddings``, ``layer.01`` .. ``layer.24``, ``pooler`` or ``head``."""
    return f"layer.{place.depth:02d}" if place.role == "encoder" else place.role


class BlockMeter:
    """Distances to the start and gradient norms, with all parameters of a part as one vector.

    The start is the parameters' present value, after the changes of all techniques, as in Zhang et al.
    (2021), Figure 7.

    Args:
        groups: Parameters, each with their place in the model.
    """

    def __init__(self, groups: Iterable[tuple[ParamPlace, Iterable[nn.Parameter]]]) -> None:
        self._parts: dict[str, list[nn.Parameter]] = {}
        for place, params in groups:
            self._parts.setdefault(scope_of(place), []).extend(params)
        self._parts = dict(sorted(self._parts.items(), key=lambda item: (_RANK[item[0].partition(".")[0]], item[0])))
        self._start = {scope: [p.detach().clone() for p in params] for scope, params in self._parts.items()}

    @torch.no_grad()
    def distances(self) -> dict[str, float]:
        """Returns the L2 distance of each part to the start, by its scope."""
        return _norms(
            (scope, [p - s for p, s in zip(params, self._start[scope], strict=True)]) for scope, params in self._parts.items()
        )

    @torch.no_grad()
    def gradient_norms(self) -> dict[str, float]:
        """Returns the L2 norm of each part's gradient, by its scope; 0 for a part without one."""
        return _norms((scope, [p.grad for p in params if p.grad is not None]) for scope, params in self._parts.items())


_RANK = {"embeddings": 0, "layer": 1, "pooler": 2, "head": 3}


def _norms(parts: Iterator[tuple[str, list[Tensor]]]) -> dict[str, float]:
    norms = {scope: nn.utils.get_total_norm(tensors) for scope, tensors in parts}
    device = max((norm.device for norm in norms.values()), key=str)
    values = torch.stack([norm.to(device) for norm in norms.values()])  # one transfer, not one for each part
    return dict(zip(norms, values.tolist(), strict=True))


class UpdateMeter:
    """Norm of the update in an optimizer step, and its ratio to that of bias-corrected Adam.

    Both norms are over all given parameters and of the Adam part of the update; decoupled decay is
    taken out. The corrected update is computed from the moments after the step, with epsilon where the
    optimizer has it. Parameters without a gradient are left out.

    Args:
        optimizer: Optimizer of the measured parameters. There is a ratio only if it keeps Adam's
            moments, so for `AdamW` and `RectifiedAdam`.

    Attributes:
        has_ratio: Whether there is one.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self._placement = optimizer.eps_placement if isinstance(optimizer, AdamW | RectifiedAdam) else None
        self.has_ratio = self._placement is not None
        self._before: dict[Tensor, Tensor] = {}

    @torch.no_grad()
    def before(self) -> None:
        """Copies the parameters. Call it just before ``optimizer.step()``."""
        for _, p, _ in self._parameters():
            self._before.setdefault(p, torch.empty_like(p)).copy_(p)

    @torch.no_grad()
    def after(self) -> tuple[float, float]:
        """Measures the step. Call it just after ``optimizer.step()``.

        Returns:
            Norm of the applied update, and its ratio to the norm of the corrected one (NaN where that
            is 0, as at learning rate 0, or there is none).
        """
        applied: list[Tensor] = []
        corrected: list[Tensor] = []
        for group, p, target in self._parameters():
            lr = group["lr"]

            # The applied update: weights before the step, decayed, less the weights after it.
            before = self._before[p]
            if target is not None:
                before.lerp_(target, lr * group["weight_decay"])
            elif group["weight_decay"] > 0:
                before.mul_(1 - lr * group["weight_decay"])
            applied.append(torch.linalg.vector_norm(before.sub_(p)))

            # The corrected update, in the memory of the weights before the step.
            if self._placement is None:
                continue
            state, (beta1, beta2) = self.optimizer.state[p], group["betas"]
            root = (1 - beta2 ** (t := int(state["step"]))) ** 0.5
            eps = group["eps"] * root if self._placement == "v_hat" else group["eps"]
            denominator = torch.sqrt(state["exp_avg_sq"], out=before).add_(eps)
            update = torch.div(state["exp_avg"], denominator, out=before)
            corrected.append(torch.linalg.vector_norm(update) * (lr * root / (1 - beta1**t)))
        norm = float(torch.linalg.vector_norm(torch.stack(applied)))
        reference = float(torch.linalg.vector_norm(torch.stack(corrected))) if corrected else 0.0
        return norm, norm / reference if reference > 0 else float("nan")

    def _parameters(self) -> Iterable[tuple[dict[str, Any], Tensor, Any]]:
        return ((group, p, target) for group in self.optimizer.param_groups for p, target in with_targets(group))
