"""The loss on a plane of weights: through where a run started, where it ended and where another one did.

Mosbach et al. (2021), Figures 7 and 13 (protocol section 5.3): f(a, b) = L(start + a (failed - start) + b (successful - start)).
Their code was never released, and neither the range of a and b, nor the number of points, nor the examples are printed.
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
    """The plane of one run; made before its first step, evaluated after its last.

    All parameters move: embeddings of the pieces that occur in the task, blocks, pooler and head. The start is the same for both
    runs, the head's included, so it is a point of the plane whichever run one looks from.

    Args:
        model: At its start, which is kept.
        settings: The points.
        train_indices: Examples that the run is trained on.
        other: What `stableft.models.weights.save_weights` wrote at the end of the other run.

    Raises:
        MissingInput: that file is absent or damaged, or of another model.
    """

    def __init__(self, model: Model, settings: SurfaceConfig, train_indices: NDArray[np.int64], other: Path) -> None:
        self._model = model
        self._settings = settings
        self._start = _copies(model)
        self._other = weights_like(model, other)
        # Seed 0, so that the examples are the same for every seed that is trained on the same ones.
        shuffled = stream(0, "surface").permutation(len(train_indices))
        self.examples = train_indices[np.sort(shuffled[: settings.num_examples])]

    def rows(self, step: int, scorer: Scorer, *, skip: int = 0) -> Iterator[MetricRow]:
        """Yields ``surface_loss`` and ``surface_score`` of the examples at every point, in evaluation mode.

        The scope of a row is the point, such as ``a=0.5 b=-0.25``: a from the start toward the other run's end, b toward this
        run's end. The model has this run's last weights before, after, and whenever a row is yielded. The first ``skip`` points
        are left out. A non-finite loss is data, not an error.
        """
        own = _copies(self._model)
        for b, a in islice(product(self._settings.coordinates(), repeat=2), skip, None):
            try:
                # The same function as in the source, written so that it is each of the three weights exactly where it should be.
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
