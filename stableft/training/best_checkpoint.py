"""Best checkpoint: the weights with the best validation score so far, kept next to the last ones."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class BestCheckpoint:
    """Copies of the parameters at the evaluation point with the greatest score.

    Of several equal scores the first counts, as in Zhang et al.'s code.

    Args:
        params: Parameters to keep. They are cloned: on a CPU a detached tensor is still the live one
            (protocol section 8, P4).

    Attributes:
        step: Step of the best point so far; None before the first point.
    """

    def __init__(self, params: Iterable[nn.Parameter]) -> None:
        self._params = list(params)
        self._kept: list[Tensor] = []
        self._score = float("-inf")
        self.step: int | None = None

    @torch.no_grad()
    def offer(self, step: int, score: float) -> None:
        """Keeps the current parameters if the score is greater than any before."""
        if self.step is None or score > self._score:
            self.step, self._score = step, score
            self._kept = [p.detach().clone() for p in self._params]

    def tensors(self) -> dict[str, Tensor]:
        """Returns step, score and parameters of the best point, by name; empty before the first."""
        if self.step is None:
            return {}
        kept = {str(number): tensor for number, tensor in enumerate(self._kept)}
        return {"step": torch.tensor(self.step), "score": torch.tensor(self._score, dtype=torch.float64), **kept}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Restores the `tensors` of another instance."""
        if tensors:
            self.step, self._score = int(tensors["step"]), float(tensors["score"])
            self._kept = [tensors[str(number)].to(p.device).clone() for number, p in enumerate(self._params)]

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Sets the parameters to the best point's values, and restores their own on exit."""
        now = [p.detach().clone() for p in self._params]
        self._fill(self._kept)
        try:
            yield
        finally:
            self._fill(now)

    @torch.no_grad()
    def _fill(self, values: Iterable[Tensor]) -> None:
        for p, value in zip(self._params, values, strict=True):
            p.copy_(value)
