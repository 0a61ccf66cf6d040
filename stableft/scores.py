"""Headline metrics: by which number a run on a task is judged, and which one a model that learnt nothing would get.

A run that finishes at or below `Score.constant` is a failed run (Mosbach et al., 2021, section 3.2, after Dodge et al., 2020: at
or below the majority classifier). Both sides come from the same function, so a run stuck on the best constant hits the bound
exactly, without a rounding difference. Every score is higher when better.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Measure = Callable[[NDArray[np.float64], NDArray[np.float64]], float]


@dataclass(frozen=True, slots=True)
class Score:
    """A named metric.

    Attributes:
        name: Key in `SCORES`.
        summary: One line for listings.
        measure: The metric itself, on checked labels and predictions of equal length; a prediction that isn't finite is NaN.
        candidates: The constant predictions among which `constant` takes the best, given the labels.
    """

    name: str
    summary: str
    measure: Measure
    candidates: Callable[[NDArray[np.float64]], NDArray[np.float64]]

    def compute(self, labels: ArrayLike, predictions: ArrayLike) -> float:
        """The score of ``predictions``.

        Args:
            labels: Shape (N,), N >= 1, finite; class indices for classification.
            predictions: Shape (N,). One that isn't finite (a diverged model's) is an error of that model and counts as wrong.

        Raises:
            ValueError: No labels, shapes that differ or aren't (N,), or a label that isn't finite.
        """
        truth, guess = _labels(labels), np.asarray(predictions, dtype=np.float64)
        if guess.shape != truth.shape:
            raise ValueError(f"{self.name}: predictions have shape {guess.shape}, labels {truth.shape}")
        return self.measure(truth, np.where(np.isfinite(guess), guess, np.nan))

    def constant(self, labels: ArrayLike) -> float:
        """The best score that one and the same prediction for every example gets on these labels.

        Raises:
            ValueError: As in `compute`.
        """
        truth = _labels(labels)
        return max(self.measure(truth, np.full_like(truth, value)) for value in self.candidates(truth))


def _labels(labels: ArrayLike) -> NDArray[np.float64]:
    truth = np.asarray(labels, dtype=np.float64)
    if truth.ndim != 1 or truth.size == 0:
        raise ValueError(f"labels must have shape (N,) with N >= 1, got {truth.shape}")
    if not np.all(np.isfinite(truth)):
        raise ValueError("labels must be finite")
    return truth


def accuracy(labels: NDArray[np.float64], predictions: NDArray[np.float64]) -> float:
    """Share of predictions that equal their label; NaN equals nothing."""
    return float(np.count_nonzero(predictions == labels)) / labels.size


SCORES: Mapping[str, Score] = {
    score.name: score for score in (Score("accuracy", "share of correct predictions", accuracy, candidates=np.unique),)
}
