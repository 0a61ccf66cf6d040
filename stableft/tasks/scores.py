"""Headline metrics: by which number a run on a task is judged, and which one a model that learnt nothing would get.

A run that finishes at or below `Score.constant` is a failed run (Mosbach et al., 2021, section 3.2, after Dodge et al., 2020: at
or below the majority classifier). Both sides come from the same function, so a run stuck on the best constant class hits the bound
exactly, without a rounding difference. Every score is higher when better; an error enters as its negative.

A prediction that isn't finite (a diverged model's) counts as wrong: in F1 and MCC as the other class, in a mean squared error as
infinitely far off, a correlation with it is 0, and no entity has such a tag.

`evaluate` and `constant` compute any of them by name; tags come with what delimits the examples.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stableft.tasks import entity_spans as entities

Measure = Callable[[NDArray[np.float64], NDArray[np.float64]], float]
TaggingMeasure = Callable[[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], tuple[str, ...]], float]

BATCH = 64


@dataclass(frozen=True, slots=True)
class Metric:
    """A named number about predictions; only a `Score` is sure to be higher when better.

    Attributes:
        name: What it is logged as.
        summary: One line for listings.
        measure: The metric itself, on checked labels and predictions of equal length; a prediction that isn't finite is NaN.
    """

    name: str
    summary: str
    measure: Measure

    def compute(self, labels: ArrayLike, predictions: ArrayLike) -> float:
        """The metric of ``predictions``.

        Args:
            labels: Shape (N,), N >= 1, finite; class indices for classification.
            predictions: Shape (N,). One that isn't finite (a diverged model's) is an error of that model and counts as wrong.

        Raises:
            ValueError: No labels, shapes that differ or aren't (N,), a label that isn't finite, or, where a metric is of two
                classes, a label or prediction that is finite but neither 0 nor 1.
        """
        truth, guess = _labels(labels), np.asarray(predictions, dtype=np.float64)
        if guess.shape != truth.shape:
            raise ValueError(f"{self.name}: predictions have shape {guess.shape}, labels {truth.shape}")
        return self.measure(truth, np.where(np.isfinite(guess), guess, np.nan))


@dataclass(frozen=True, slots=True)
class Score(Metric):
    """A metric that runs are judged by: higher when better.

    Attributes:
        candidates: The constant predictions among which `constant` takes the best, given the labels.
    """

    candidates: Callable[[NDArray[np.float64]], NDArray[np.float64]]

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


class _Counts(NamedTuple):
    """Python integers, which don't overflow when multiplied."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int


def _counts(labels: NDArray[np.float64], predictions: NDArray[np.float64]) -> _Counts:
    guess = np.where(np.isnan(predictions), 1 - labels, predictions)
    if not np.isin([labels, guess], [0, 1]).all():
        raise ValueError("a metric of two classes needs labels and predictions that are 0 or 1")
    true, positive = labels == guess, guess == 1
    return _Counts(
        *(int(np.count_nonzero(cell)) for cell in (true & positive, ~true & positive, ~true & ~positive, true & ~positive))
    )


def f1(labels: NDArray[np.float64], predictions: NDArray[np.float64]) -> float:
    """F1 of class 1: the harmonic mean of its precision and recall, 2 TP / (2 TP + FP + FN); 0 where that is 0 / 0."""
    counts = _counts(labels, predictions)
    wrong = counts.false_positive + counts.false_negative
    return 2 * counts.true_positive / (2 * counts.true_positive + wrong) if counts.true_positive or wrong else 0.0


def mcc(labels: NDArray[np.float64], predictions: NDArray[np.float64]) -> float:
    """Matthews correlation coefficient of two classes, in [-1, 1]; 0 where it is undefined (one class alone in either)."""
    tp, fp, fn, tn = _counts(labels, predictions)
    product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return (tp * tn - fp * fn) / math.sqrt(product) if product else 0.0


def pearson(labels: NDArray[np.float64], predictions: NDArray[np.float64]) -> float:
    """Pearson's correlation, in [-1, 1]; 0 where it is undefined: constant labels or predictions, or a NaN (protocol P10)."""
    deviations: list[NDArray[np.float64]] = []
    for values in (labels, predictions):
        if np.isnan(values).any() or values.min() == values.max():
            return 0.0
        scaled = values / np.abs(values).max()  # so that no square overflows or vanishes
        deviation = scaled - scaled.mean()
        deviations.append(deviation / np.linalg.norm(deviation))
    return float(np.clip(deviations[0] @ deviations[1], -1, 1))


def spearman(labels: NDArray[np.float64], predictions: NDArray[np.float64]) -> float:
    """Spearman's correlation: Pearson's of the ranks, ties at their mean rank; 0 where that is."""
    if np.isnan(predictions).any():
        return 0.0
    return pearson(_ranks(labels), _ranks(predictions))


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def rmse(labels: NDArray[np.float64], predictions: NDArray[np.float64]) -> float:
    """Root of the mean squared error over all examples, in the unit of the labels; infinite with a NaN."""
    return math.inf if np.isnan(predictions).any() else math.sqrt(np.mean((predictions - labels) ** 2))


def batch_rmse(labels: NDArray[np.float64], predictions: NDArray[np.float64]) -> float:
    """Mean of `rmse` over batches of 64 consecutive examples, the last one as small as the remainder.

    At most `rmse` where the batches divide the examples. What the article on CommonLit reports (protocol section 7, S2, iv).
    """
    starts = range(0, labels.size, BATCH)
    return float(np.mean([rmse(labels[start : start + BATCH], predictions[start : start + BATCH]) for start in starts]))


def negative_rmse(labels: NDArray[np.float64], predictions: NDArray[np.float64]) -> float:
    """`rmse` with its sign turned, as a score must be higher when better."""
    return -rmse(labels, predictions)


def _mean(labels: NDArray[np.float64]) -> NDArray[np.float64]:
    """(1,) the constant of least squared error."""
    return labels.mean(keepdims=True)


# Constant predictions correlate with nothing, so any of them will do as the only candidate.
SCORES: Mapping[str, Score] = {
    score.name: score
    for score in (
        Score("accuracy", "share of correct predictions", accuracy, candidates=np.unique),
        Score("f1", "F1 of class 1", f1, candidates=np.unique),
        Score("mcc", "Matthews correlation coefficient of two classes", mcc, candidates=np.unique),
        Score("spearman", "Spearman's rank correlation", spearman, candidates=_mean),
        Score("pearson", "Pearson's correlation", pearson, candidates=_mean),
        Score("negative_rmse", "root mean squared error, its sign turned", negative_rmse, candidates=_mean),
    )
}

METRICS: Mapping[str, Metric] = {
    **SCORES,
    **{
        metric.name: metric
        for metric in (
            Metric("rmse", "root mean squared error", rmse),
            Metric("batch_rmse", "mean over batches of 64 of the root mean squared error", batch_rmse),
        )
    },
}

# Of tags: labels and predictions of the words of all examples, where the examples begin, and the tags' names; see `entities.spans`.
TAGGING_SCORES: Mapping[str, TaggingMeasure] = {"entity_f1": entities.f1}
TAGGING_METRICS: Mapping[str, TaggingMeasure] = {
    **TAGGING_SCORES,
    "entity_precision": entities.precision,
    "entity_recall": entities.recall,
}


def evaluate(
    name: str, labels: ArrayLike, predictions: ArrayLike, *, offsets: ArrayLike | None = None, names: tuple[str, ...] = ()
) -> float:
    """The metric of that name.

    Args:
        name: A name in `METRICS`, or in `TAGGING_METRICS`.
        labels: (N,) as `Metric.compute` takes them; for tagging, the tags of the words of all M examples.
        predictions: (N,) likewise; a tag that isn't finite is ``O``.
        offsets: (M + 1,) where each example's words begin, and N; needed by the metrics of entities, ignored by the others.
        names: What the tags are called, see `entities.spans`; needed and ignored likewise.

    Raises:
        ValueError: As in `Metric.compute` and `entities.spans`, or no offsets for a metric of entities.
    """
    if name not in TAGGING_METRICS:
        return METRICS[name].compute(labels, predictions)
    if offsets is None:
        raise ValueError(f"{name} needs the examples' offsets")

    def measure(truth: NDArray[np.float64], guess: NDArray[np.float64]) -> float:
        return TAGGING_METRICS[name](truth, guess, np.asarray(offsets, dtype=np.int64), names)

    return Metric(name, "", measure).compute(labels, predictions)


def constant(name: str, labels: ArrayLike, *, offsets: ArrayLike | None = None, names: tuple[str, ...] = ()) -> float:
    """The best score that one and the same prediction for every example, or tag for every word, gets on these labels.

    Args:
        name: A name in `SCORES`, or in `TAGGING_SCORES`.
        labels: As in `evaluate`, as are the others.

    Raises:
        ValueError: As in `evaluate`.
    """
    if name not in TAGGING_SCORES:
        return SCORES[name].constant(labels)
    truth = _labels(labels)
    return max(evaluate(name, truth, np.full_like(truth, tag), offsets=offsets, names=names) for tag in range(len(names)))
