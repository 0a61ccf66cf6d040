"""Evaluation: losses, scores and predictions of a model on held-out examples, without dropout.

Examples are evaluated once each, in batches of similar length.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stableft.core.config import RunConfig
from stableft.core.seeds import stream
from stableft.models.model import Model
from stableft.models.tokens import UNLABELLED, Batch, Data, Tokens, by_length, ranges
from stableft.tasks import Task, scores
from stableft.training.runtime import Runtime, arithmetic
from stableft.training.tag_evaluation import OUTSIDE, evaluate_sentences, tag_losses

EVALUATION_SPLITS = ("validation", "test")
SUBSET = "subset"
AVERAGE = "average"
BEST = "best"


class MetricRow(NamedTuple):
    """One logged value.

    Attributes:
        scope: Subject of the value, "" for the run's weights on a whole split. Otherwise the ``subset``
            of the split; the ``average`` of the weights or the ``best`` checkpoint, both also as in
            ``best.subset``; a part of the model, named by `stableft.training.meters.scope_of`; or a
            point of `stableft.training.surface`.
    """

    step: int
    split: str
    metric: str
    scope: str
    value: float


class Predictions(NamedTuple):
    """Predictions for one split at the end of training.

    Attributes:
        labels: (N,), N examples or, for tagging, words.
        predictions: (N,).
        probabilities: (N, K); K is 0 for regression and tagging.
        offsets: (M + 1,) start of each example's words for tagging; None for other tasks.
    """

    split: str
    labels: NDArray[np.float64]
    predictions: NDArray[np.float64]
    probabilities: NDArray[np.float32]
    offsets: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class SplitOutputs:
    """Outputs for M examples of a split.

    Attributes:
        losses: (M,).
        labels: (N,); N = M or, for tagging, the number of words of the M examples.
        predictions: (N,).
        probabilities: (N, K).
        counts: (M,) number of losses in each sum of ``losses``; None: one each.
        offsets: (M + 1,) start of each example among the N; None: N = M.
    """

    losses: NDArray[np.float32] | NDArray[np.float64]
    labels: NDArray[np.float64]
    predictions: NDArray[np.float64]
    probabilities: NDArray[np.float32]
    counts: NDArray[np.int64] | None = None
    offsets: NDArray[np.int64] | None = None

    @property
    def loss(self) -> float:
        """The mean loss."""
        if self.counts is None:
            return float(self.losses.mean(dtype=np.float64))
        return float(self.losses.sum() / self.counts.sum())

    def score(self, name: str, task: Task) -> float:
        """Returns the score of that name."""
        return scores.evaluate(name, self.labels, self.predictions, offsets=self.offsets, names=task.labels)

    def part(self, examples: NDArray[np.int64]) -> "SplitOutputs":
        """Returns the outputs for some of the M examples."""
        where, offsets = examples, None
        if self.offsets is not None:
            where = ranges(self.offsets, examples)
            offsets = np.concatenate([[0], np.cumsum(np.diff(self.offsets)[examples])])
        counts = None if self.counts is None else self.counts[examples]
        labels, predictions, probabilities = self.labels[where], self.predictions[where], self.probabilities[where]
        return SplitOutputs(self.losses[examples], labels, predictions, probabilities, counts, offsets)


class Scorer:
    """Scorer of models on a task's splits. Leaves the models in evaluation mode.

    Args:
        config: Configuration with precision and evaluation points.
        data: The task's tokens.
        runtime: Device and batch size.

    Attributes:
        subset: Indices of `evaluation_subset`, used at the points before the end; None: all of
            validation is used.
    """

    def __init__(self, config: RunConfig, data: Data, runtime: Runtime) -> None:
        self._config, self._data, self._runtime = config, data, runtime
        self.subset = evaluation_subset(data, config.evaluation.num_examples)

    def point(self, model: Model, *, step: int, last: bool, of: str = "") -> Iterator[MetricRow | Predictions]:
        """Yields losses and scores of the evaluation splits, and predictions after the last step.

        Args:
            model: Model with the weights to evaluate.
            step: Completed steps.
            last: True at the run's end. Every split is then evaluated as a whole.
            of: Name of the model's weights. "" for those of the run. `AVERAGE` and `BEST` name others:
                their rows have that scope, and they give no predictions.
        """
        task = self._data.task
        for split in (name for name in EVALUATION_SPLITS if name in self._data.splits):
            if split == "test" and self._config.evaluation.test_points == "last" and not last:
                continue
            # One pass over the split or its subset. At the end the subset is cut from the whole split.
            part_of = None if split == "test" or last else self.subset
            indices = np.arange(len(self._data.splits[split])) if part_of is None else part_of
            outputs = self.run_split(model, split, indices)
            parts = [("" if part_of is None else SUBSET, outputs)]
            if last and split == "validation" and self.subset is not None:
                parts.append((SUBSET, outputs.part(self.subset)))  # the curve over the subset reaches the end

            # Rows of the loss, the task's score by its own name and as "score", and further metrics.
            for part_scope, part in parts:
                scope = of_weights(of, part_scope)
                yield MetricRow(step, split, "loss", scope, part.loss)
                value = part.score(task.score, task)
                yield MetricRow(step, split, task.score, scope, value)
                yield MetricRow(step, split, "score", scope, value)
                for name in task.metrics:
                    yield MetricRow(step, split, name, scope, part.score(name, task))
            if last and not of:
                yield Predictions(split, outputs.labels, outputs.predictions, outputs.probabilities, outputs.offsets)
        if last and not of and UNLABELLED in self._data.splits:
            outputs = self.run_split(model, UNLABELLED, np.arange(len(self._data.splits[UNLABELLED])))
            nothing = np.full(len(outputs.labels), np.nan)
            yield Predictions(UNLABELLED, nothing, outputs.predictions, outputs.probabilities, outputs.offsets)

    def loss_and_score(self, model: Model, split: str, indices: NDArray[np.int64]) -> tuple[float, float]:
        """Returns mean loss and score of the split's examples at ``indices`` (M,)."""
        outputs = self.run_split(model, split, indices)
        return outputs.loss, outputs.score(self._data.task.score, self._data.task)

    def run_split(self, model: Model, split: str, indices: NDArray[np.int64]) -> SplitOutputs:
        """Returns the model's outputs for the split's examples at ``indices`` (M,), in that order."""
        tokens = self._data.splits[split]
        labels = tokens.labels[tokens.labels_of(indices)]
        if self._data.task.kind == "tagging":
            sums, counts, tags = self.evaluate_words(model, split, indices)
            return SplitOutputs(sums, labels, tags, np.empty((len(tags), 0), np.float32), counts, tokens.word_offsets_of(indices))
        losses_of, outputs = self.evaluate(model, split, indices)
        probabilities, predictions = read_outputs(outputs, self._data.task.kind)
        return SplitOutputs(losses_of, labels, predictions, probabilities)

    @torch.inference_mode()
    def evaluate(self, model: Model, split: str, indices: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Returns losses (M,) and outputs (M, K) of the examples at ``indices`` (M,).

        Equal inputs are computed once.
        """
        tokens, task = self._data.splits[split], self._data.task
        distinct, place = np.unique(tokens.first_alike[indices], return_inverse=True)
        outputs = np.empty((len(distinct), max(1, len(task.labels))), np.float32)
        for where, _, of_batch in self._batches(model, tokens, distinct):
            outputs[where] = of_batch.cpu().numpy()
        outputs = outputs[place]
        return losses(torch.from_numpy(outputs), torch.from_numpy(tokens.labels[indices]), task.kind).numpy(), outputs

    @torch.inference_mode()
    def evaluate_words(
        self, model: Model, split: str, indices: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
        """Evaluates a tagging model on the split's examples at ``indices`` (M,), in that order.

        Returns:
            (M,) sums of each example's `tag_losses`, (M,) number of losses in each sum, and the tags of
            all words of the M examples. A word that was cut off has the tag `OUTSIDE`.
        """
        tokens = self._data.splits[split]
        assert tokens.words is not None
        offsets = tokens.word_offsets_of(indices)
        sums, counts = np.empty(len(indices)), np.empty(len(indices), np.int64)
        tags = np.full(offsets[-1], self._data.task.labels.index(OUTSIDE), np.float64)
        for where, batch, outputs in self._batches(model, tokens, indices):
            sums[where], counts[where], of_batch = evaluate_sentences(model, outputs, batch)
            read = tokens.words[tokens.labels_of(indices[where])] >= 0
            tags[ranges(offsets, where)[read]] = of_batch
        return sums, counts, tags

    def _batches(
        self, model: Model, tokens: Tokens, indices: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.int64], Batch, Tensor]]:
        return outputs_of(model, tokens, indices, self._config.precision, self._runtime)


def outputs_of(
    model: Model, tokens: Tokens, indices: NDArray[np.int64], precision: str, runtime: Runtime
) -> Iterator[tuple[NDArray[np.int64], Batch, Tensor]]:
    """Yields positions in ``indices`` (M,) of a batch's examples, the batch and its outputs.

    Leaves the model in evaluation mode.
    """
    model.eval()
    for where in by_length(tokens.lengths[indices], runtime.tokens_per_evaluation_batch):
        batch = tokens.batch(indices[where], runtime.device)
        with arithmetic(precision, runtime):
            outputs = model(batch)
        yield where, batch, outputs


def of_weights(weights: str, part: str) -> str:
    """Returns the scope of a row, from the name of its weights and the part of the split."""
    return ".".join(filter(None, (weights, part)))


def evaluation_subset(data: Data, num_examples: int | None) -> NDArray[np.int64] | None:
    """Draws the fixed validation examples of the points before the end, by a stream of seed 0.

    For classification they are stratified by class.

    Returns:
        Ascending indices, or None if there are no more than ``num_examples`` validation examples, or
        that is None (then all are used).
    """
    tokens = data.splits["validation"]
    if num_examples is None or num_examples >= len(tokens):
        return None
    shuffled = stream(0, "evaluation").permutation(len(tokens))
    if data.task.kind == "classification":
        labels = tokens.labels
        # Ranks within a label, spread evenly over (0, 1): the smallest ones keep each label's share.
        rank = np.empty(len(labels))
        for label in np.unique(labels):
            members = shuffled[labels[shuffled] == label]
            rank[members] = (np.arange(len(members)) + 0.5) / len(members)
        shuffled = shuffled[np.argsort(rank[shuffled], kind="stable")]
    return np.sort(shuffled[:num_examples])


def losses(logits: Tensor, labels: Tensor, kind: str) -> Tensor:
    """Returns the loss of each example (B,).

    For classification it is the cross entropy of the logits (B, K), otherwise the squared error of the
    one output (B, 1).
    """
    if kind == "classification":
        return nn.functional.cross_entropy(logits, labels.long(), reduction="none")
    return nn.functional.mse_loss(logits[:, 0], labels.to(logits.dtype), reduction="none")


def batch_losses(model: Model, outputs: Tensor, batch: Batch, kind: str) -> Tensor:
    """Returns the losses of a batch: `tag_losses` for a tagging task, else `losses`.

    Training minimises their mean.
    """
    return tag_losses(model, outputs, batch) if kind == "tagging" else losses(outputs, batch.labels, kind)


def read_outputs(outputs: NDArray[np.float32], kind: str) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Returns probabilities (N, K) and predictions (N,) from outputs (N, K); for regression K is 0 and 1."""
    if kind == "regression":
        return np.empty((len(outputs), 0), np.float32), outputs[:, 0].astype(np.float64)
    shifted = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True), outputs.argmax(axis=1).astype(np.float64)
