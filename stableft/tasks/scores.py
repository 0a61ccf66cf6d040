"""Headline scores and other metrics of predictions, and the best score of a constant prediction.

A run that finishes at or below `Score.constant` is a failed run (Mosbach et al., 2021, section 3.2,
after Dodge et al., 2020: at or below the majority classifier). The same function computes both
sides, so a run stuck on the best constant class equals the bound exactly, without a rounding
difference. Every score is higher when better; an error enters as its negative.

A prediction that isn't finite (of a diverged model) counts as wrong. In F1 and MCC it counts as the
other class, and a mean squared error with it is infinite. A correlation with it is 0, and it
belongs to no entity.

`evaluate` and `constant` compute any metric by name; tags need the offsets of the examples too.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stableft.tasks import entity_spans

ScoreFunction = Callable[[NDArray[np.float64], NDArray[np.float64]], float]
TaggingMeasure = Callable[[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], tuple[str, ...]], float]

BATCH = 64


@dataclass(frozen=True, slots=True)
class Metric:
    """A named function of labels and predictions; only a `Score` is always higher when better.

    Attributes:
        name: Its name in logs.
        summary: One line for listings.
        measure: The function, for checked labels and predictions of equal length; predictions that
            aren't finite arrive as NaN.
    """

    name: str
    summary: str
    measure: ScoreFunction

    def compute(self, labels: ArrayLike, predictions: ArrayLike) -> float:
        """Computes the metric of ``predictions``.

        Args:
            labels: Shape (N,), N >= 1, finite; class indices for classification.
            predictions: Shape (N,). Values that aren't finite (of a diverged model) count as wrong.

        Raises:
            ValueError: There are no labels, shapes differ or aren't (N,), or a label isn't finite.
                Also if a metric of two classes gets a finite value other than 0 or 1.
        """
        truth, guess = _labels(labels), np.asarray(predictions, dtype=np.float64)
        if guess.shape != truth.shape:
            raise ValueError(f"{self.name}: predictions have shape {guess.shape}, labels {truth.shape}")
        return self.measure(truth, np.where(np.isfinite(guess), guess, np.nan))


@dataclass(frozen=True, slots=True)
class Score(Metric):
    """A metric that judges runs: higher is better.

    Attributes:
        candidates: Returns the constant predictions to compare in `constant`, given the labels.
    """

    candidates: Callable[[NDArray[np.float64]], NDArray[np.float64]]

    def constant(self, labels: ArrayLike) -> float:
        """Returns the best score that a constant prediction gets on these labels.

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
    """Returns the share of predictions equal to their label; NaN equals nothing."""
    return float(np.count_nonzero(predictions == labels)) / labels.size


class _Counts(NamedTuple):
    """Cells of a confusion matrix, as Python integers: their products can't overflow."""

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
    """Computes the F1 of class 1, the harmonic mean of its precision and recall.

    2 TP / (2 TP + FP + FN); 0 where that is 0 / 0.
    """
    counts = _counts(labels, predictions)
    wrong = counts.false_positive + counts.false_negative
    return 2 * counts.true_positive / (2 * counts.true_positive + wrong) if counts.true_positive or wrong else 0.0


def accuracy_and_f1(labels: NDArray[np.float64], predictions: NDArray[np.float64]) -> float:
    """Computes the mean of `accuracy` and `f1`, as Mosbach et al. report MRPC (protocol section 5.2)."""
    return (accuracy(labels, predictions) + f1(labels, predictions)) / 2


def mcc(labels: NDArray[np.float64], predictions: NDArray[np.float64]) -> float:
    """Computes the Matthews correlation coefficient of two classes, in [-1, 1].

    0 if it is undefined: labels or predictions have a single class.
    """
    tp, fp, fn, tn = _counts(labels, predictions)
    product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return (tp * tn - fp * fn) / math.sqrt(product) if product else 0.0


def macro_f1(labels: NDArray[np.float64], predictions: NDArray[np.float64]) -> float:
    """Computes the mean F1 over all classes that occur among labels or predictions.

    NaN is no class; it counts as a miss of its label's class.
    """
    classes = np.unique(np.concatenate([labels, predictions[~np.isnan(predictions)]]))
    found = [f1((labels == c).astype(float), (predictions == c).astype(float)) for c in classes]
    return float(np.mean(found))


def multiclass_mcc(labels: NDArray[np.float64], predictions: NDArray[np.float64]) -> float:
    """Computes the correlation coefficient R_K of any number of classes (Gorodkin, 2004), in [-1, 1].

    For two classes it is `mcc`. 0 if it is undefined: labels or predictions have a single class. NaN
    counts as a class of its own.
    """
    _, codes = np.unique(np.concatenate([labels, predictions]), return_inverse=True)
    true, guess = (np.bincount(part, minlength=int(codes.max()) + 1).tolist() for part in np.split(codes, 2))
    n, correct = labels.size, int(np.count_nonzero(labels == predictions))
    spread = (n * n - sum(t * t for t in true)) * (n * n - sum(g * g for g in guess))
    return (correct * n - sum(t * g for t, g in zip(true, guess, strict=True))) / math.sqrt(spread) if spread else 0.0


def pearson(labels: NDArray[np.float64], predictions: NDArray[np.float64]) -> float:
    """Computes Pearson's correlation, in [-1, 1].

    0 if it is undefined: constant labels or predictions, or a NaN (protocol P10).
    """
    deviations: list[NDArray[np.float64]] = []
    for values in (labels, predictions):
        if np.isnan(values).any() or values.min() == values.max():
            return 0.0
        scaled = values / np.abs(values).max()  # squares then neither overflow nor vanish
        deviation = scaled - scaled.mean()
        deviations.append(deviation / np.linalg.norm(deviation))
    return float(np.clip(deviations[0] @ deviations[1], -1, 1))


def spearman(labels: NDArray[np.float64], predictions: NDArray[np.float64]) -> float:
    """Computes Spearman's correlation: `pearson` of the ranks, with mean ranks for ties.

    0 if it is undefined.
    """
    if np.isnan(predictions).any():
        return 0.0
    return pearson(_ranks(labels), _ranks(predictions))


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def rmse(labels: NDArray[np.float64], predictions: NDArray[np.float64]) -> float:
    """Computes the root mean squared error over all examples, in the unit of the labels.

    Infinite with a NaN.
    """
    return math.inf if np.isnan(predictions).any() else math.sqrt(np.mean((predictions - labels) ** 2))


def batch_rmse(labels: NDArray[np.float64], predictions: NDArray[np.float64]) -> float:
    """Computes the mean of `rmse` over batches of 64 consecutive examples.

    The last batch has the remainder. The mean is at most `rmse` if 64 divides the number of
    examples. The CommonLit article reports this metric (protocol section 7, S2, iv).
    """
    starts = range(0, labels.size, BATCH)
    return float(np.mean([rmse(labels[start : start + BATCH], predictions[start : start + BATCH]) for start in starts]))


def negative_rmse(labels: NDArray[np.float64], predictions: NDArray[np.float64]) -> float:
    """Computes the negated `rmse`, because a score must be higher when better."""
    return -rmse(labels, predictions)


def _mean(labels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns (1,) the constant of least squared error."""
    return labels.mean(keepdims=True)


# A constant prediction correlates with nothing, so any one is enough as the only candidate.
SCORES: Mapping[str, Score] = {
    score.name: score
    for score in (
        Score("accuracy", "share of correct predictions", accuracy, candidates=np.unique),
        Score("f1", "F1 of class 1", f1, candidates=np.unique),
        Score("accuracy_and_f1", "mean of accuracy and F1 of class 1", accuracy_and_f1, candidates=np.unique),
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
            Metric("macro_f1", "mean over the classes of F1", macro_f1),
            Metric("multiclass_mcc", "Matthews correlation coefficient of any number of classes", multiclass_mcc),
            Metric("rmse", "root mean squared error", rmse),
            Metric("batch_rmse", "mean over batches of 64 of the root mean squared error", batch_rmse),
        )
    },
}

# Arguments: tags of the words of all examples, predicted tags, offsets of the examples, names of
# the tags; see `entity_spans.spans`.
TAGGING_SCORES: Mapping[str, TaggingMeasure] = {"entity_f1": entity_spans.f1}
TAGGING_METRICS: Mapping[str, TaggingMeasure] = {
    **TAGGING_SCORES,
    "entity_precision": entity_spans.precision,
    "entity_recall": entity_spans.recall,
}


def evaluate(
    name: str, labels: ArrayLike, predictions: ArrayLike, *, offsets: ArrayLike | None = None, names: tuple[str, ...] = ()
) -> float:
    """Computes a metric by name.

    Args:
        name: A name in `METRICS`, or in `TAGGING_METRICS`.
        labels: (N,) as in `Metric.compute`; for tagging, the tags of the words of all M examples.
        predictions: (N,) likewise; a tag that isn't finite is ``O``.
        offsets: (M + 1,) start of each example's words, then N; required for metrics of entities,
            ignored for others.
        names: Names of the tags, see `entity_spans.spans`; required and ignored likewise.

    Raises:
        ValueError: As in `Metric.compute` and `entity_spans.spans`, or a metric of entities has no
            offsets.
    """
    if name not in TAGGING_METRICS:
        return METRICS[name].compute(labels, predictions)
    if offsets is None:
        raise ValueError(f"{name} needs the examples' offsets")

    def measure(truth: NDArray[np.float64], guess: NDArray[np.float64]) -> float:
        return TAGGING_METRICS[name](truth, guess, np.asarray(offsets, dtype=np.int64), names)

    return Metric(name, "", measure).compute(labels, predictions)


def constant(name: str, labels: ArrayLike, *, offsets: ArrayLike | None = None, names: tuple[str, ...] = ()) -> float:
    """Returns the best score of a constant prediction for every example, or tag for every word.

    Args:
        name: A name in `SCORES`, or in `TAGGING_SCORES`.
        labels: As in `evaluate`.
        offsets: As in `evaluate`.
        names: As in `evaluate`.

    Raises:
        ValueError: As in `evaluate`.
    """
    if name not in TAGGING_SCORES:
        return SCORES[name].constant(labels)
    truth = _labels(labels)
    return max(evaluate(name, truth, np.full_like(truth, tag), offsets=offsets, names=names) for tag in range(len(names)))
