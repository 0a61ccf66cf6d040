"""Norms of the parts of a model while it trains: embeddings, each block, pooler and head."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from stableft.models.model import Place

EVERY = 10  # steps, as Zhang et al.'s --weight_logging_steps (protocol section 2.6)


def scope_of(place: Place) -> str:
    """``embeddings``, ``layer.01`` .. ``layer.24``, ``pooler`` or ``head``."""
    return f"layer.{place.depth:02d}" if place.role == "encoder" else place.role


class BlockMeter:
    """Distances to the start and gradient norms, all parameters of a part taken as one vector.

    The start is what the parameters are now: after whatever was drawn anew, as in Zhang et al. (2021), Figure 7.

    Args:
        groups: Parameters, and where they stand.
    """

    def __init__(self, groups: Iterable[tuple[Place, Iterable[nn.Parameter]]]) -> None:
        self._parts: dict[str, list[nn.Parameter]] = {}
        for place, params in groups:
            self._parts.setdefault(scope_of(place), []).extend(params)
        self._parts = dict(sorted(self._parts.items(), key=lambda item: (_RANK[item[0].partition(".")[0]], item[0])))
        self._start = {scope: [p.detach().clone() for p in params] for scope, params in self._parts.items()}

    @torch.no_grad()
    def distances(self) -> dict[str, float]:
        """L2 distance of each part to the start, by its scope."""
        return _norms(
            (scope, [p - s for p, s in zip(params, self._start[scope], strict=True)]) for scope, params in self._parts.items()
        )

    @torch.no_grad()
    def gradient_norms(self) -> dict[str, float]:
        """L2 norm of each part's gradient, by its scope; 0 for a part that has none."""
        return _norms((scope, [p.grad for p in params if p.grad is not None]) for scope, params in self._parts.items())


_RANK = {"embeddings": 0, "layer": 1, "pooler": 2, "head": 3}


def _norms(parts: Iterator[tuple[str, list[Tensor]]]) -> dict[str, float]:
    norms = {scope: nn.utils.get_total_norm(tensors) for scope, tensors in parts}
    device = max((norm.device for norm in norms.values()), key=str)
    values = torch.stack([norm.to(device) for norm in norms.values()])  # one transfer, not one for each part
    return dict(zip(norms, values.tolist(), strict=True))
