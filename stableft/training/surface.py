"""Loss surface: the loss on the plane through a run's start, its end and another run's end.

Mosbach et al. (2021), Figures 7 and 13 (protocol section 5.3): f(a, b) = L(start + a (failed -
start) + b (successful - start)). Their code was never released. The range of a and b, the number of
points and the examples are not printed.
"""

from collections.abc import Iterator, Sequence
from itertools import islice, product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stableft.core.config import SurfaceConfig
from stableft.core.seeds import stream
from stableft.models.model import Model
from stableft.models.weights import weights_like
from stableft.training.evaluation import MetricRow, Scorer


class Surface:
    """Plane of one run, made before its first step and evaluated after its last.

    All parameters move: embeddings of the pieces that occur in the task, blocks, pooler and head. Both
    runs have the same start, the head's included, so it is a point of either run's plane.

    Args:
        model: Model at its start; a copy of its weights is kept.
        settings: Points of the plane and number of examples.
        train_indices: Examples that the run is trained on.
        other: File that `stableft.models.weights.save_weights` wrote at the end of the other run.

    Raises:
        MissingInput: that file is absent, damaged, or of another model.
    """

    def __init__(self, model: Model, settings: SurfaceConfig, train_indices: NDArray[np.int64], other: Path) -> None:
        self._model = model
        self._settings = settings
        self._start = _copies(model)
        self._other = weights_like(model, other)
        # Seed 0: the examples are the same for all seeds with the same training examples.
        shuffled = stream(0, "surface").permutation(len(train_indices))
        self.examples = train_indices[np.sort(shuffled[: settings.num_examples])]

    def rows(self, step: int, scorer: Scorer, *, skip: int = 0) -> Iterator[MetricRow]:
        """Yields ``surface_loss`` and ``surface_score`` at every point, in evaluation mode.

        The scope of a row is the point, such as ``a=0.5 b=-0.25``: a from the start toward the other
        run's end, b toward this run's end. The model has this run's last weights before, after, and
        whenever a row is yielded. The first ``skip`` points are left out. A non-finite loss is data,
        not an error.
        """
        own = _copies(self._model)
        for b, a in islice(product(self._settings.coordinates(), repeat=2), skip, None):
            try:
                # The source's function, in a form that gives each of the three weights exactly.
                self._move([(1 - a - b, self._start), (a, self._other), (b, own)])
                loss, score = scorer.loss_and_score(self._model, "train", self.examples)
            finally:
                self._move([(1.0, own)])
            scope = f"a={a:g} b={b:g}"
            yield MetricRow(step, "train", "surface_loss", scope, loss)
            yield MetricRow(step, "train", "surface_score", scope, score)

    @torch.no_grad()
    def _move(self, parts: Sequence[tuple[float, Sequence[Tensor]]]) -> None:
        parts = [(weight, tensors) for weight, tensors in parts if weight]  # 0 times infinity is not 0
        for parameter, *values in zip(self._model.parameters(), *(tensors for _, tensors in parts), strict=True):
            parameter.zero_()
            for (weight, _), value in zip(parts, values, strict=True):
                parameter.add_(value, alpha=weight)


def _copies(model: Model) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]
