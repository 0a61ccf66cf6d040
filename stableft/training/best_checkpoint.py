"""The checkpoint with the best validation score, beside the last one."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class BestCheckpoint:
    """Copies of the parameters at the point whose score was greatest; the first of several alike, as Zhang et al.'s code has it.

    Args:
        params: Whose values are kept: cloned, for on a CPU a detached tensor is still the live one (protocol section 8, P4).

    Attributes:
        step: Of the best point so far; None: there was none.
    """

    def __init__(self, params: Iterable[nn.Parameter]) -> None:
        self._params = list(params)
        self._kept: list[Tensor] = []
        self._score = float("-inf")
        self.step: int | None = None

    @torch.no_grad()
    def offer(self, step: int, score: float) -> None:
        """Keeps the parameters as they are now, if the score is greater than any before."""
        if self.step is None or score > self._score:
            self.step, self._score = step, score
            self._kept = [p.detach().clone() for p in self._params]

    def tensors(self) -> dict[str, Tensor]:
        """All that it holds, by name; nothing before the first point."""
        if self.step is None:
            return {}
        kept = {str(number): tensor for number, tensor in enumerate(self._kept)}
        return {"step": torch.tensor(self.step), "score": torch.tensor(self._score, dtype=torch.float64), **kept}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes over what another one held."""
        if tensors:
            self.step, self._score = int(tensors["step"]), float(tensors["score"])
            self._kept = [tensors[str(number)].to(p.device).clone() for number, p in enumerate(self._params)]

    @contextmanager
    def restored(self) -> Iterator[None]:
        """The parameters have the best point's values inside, and their own again after."""
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
