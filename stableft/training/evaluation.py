"""What a model says about held-out examples: each once, in batches of similar length, without dropout."""

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
from stableft.models.tokens import Data, by_length, ranges
from stableft.tasks import Task, scores
from stableft.training.runtime import Execution, arithmetic
from stableft.training.tag_evaluation import evaluate_tags

EVALUATION_SPLITS = ("validation", "test")
SUBSET = "subset"
AVERAGE = "average"
BEST = "best"


class Row(NamedTuple):
    """One logged value.

    Attributes:
        scope: "", or what it is about: the ``subset`` of the split, the ``average`` of the weights or the ``best`` checkpoint, both
            as in ``best.subset``, a part of the model as `stableft.training.meters.scope_of` names them, or a point of
            `stableft.training.surface`.
    """

    step: int
    split: str
    metric: str
    scope: str
    value: float


class Predictions(NamedTuple):
    """What the model says about one split at the end of training: (N,) labels and predictions, (N, K) probabilities.

    For tagging N counts words, K is 0, and ``offsets`` (M + 1,) is where each example's words start; None for other tasks.
    """

    split: str
    labels: NDArray[np.float64]
    predictions: NDArray[np.float64]
    probabilities: NDArray[np.float32]
    offsets: NDArray[np.int64] | None = None


def evaluation_point(
    model: Model,
    config: RunConfig,
    data: Data,
    execution: Execution,
    *,
    step: int,
    subset: NDArray[np.int64] | None,
    last: bool,
    of: str = "",
) -> Iterator[Row | Predictions]:
    """Losses and scores of the evaluation splits; at the last step of everything, with predictions.

    ``of`` says which weights the model has: "" those of the run, `AVERAGE` or `BEST` others, whose rows have that scope and which
    give no predictions.
    """
    task = data.task
    for split in (name for name in EVALUATION_SPLITS if name in data.splits):
        if split == "test" and config.evaluation.test_points == "last" and not last:
            continue
        part_of = None if split == "test" or last else subset
        indices = np.arange(len(data.splits[split])) if part_of is None else part_of
        said = _said(model, config, data, execution, split, indices)
        parts = [("" if part_of is None else SUBSET, said)]
        if last and split == "validation" and subset is not None:
            parts.append((SUBSET, said.part(subset)))  # so that the curve over the subset reaches the end
        for part_scope, part in parts:
            scope = of_weights(of, part_scope)
            yield Row(step, split, "loss", scope, part.loss)
            value = part.score(task.score, task)
            yield Row(step, split, task.score, scope, value)
            yield Row(step, split, "score", scope, value)
            for name in task.metrics:
                yield Row(step, split, name, scope, part.score(name, task))
        if last and not of:
            yield Predictions(split, said.labels, said.predictions, said.probabilities, said.offsets)


@dataclass(frozen=True)
class _Said:
    """What a model says about M examples: losses (M,), and N labels and predictions, N = M or, for tagging, their words.

    Attributes:
        counts: (M,) of how many losses each of ``losses`` is the sum; None: of one each.
        offsets: (M + 1,) where each example starts among the N; None: N = M.
    """

    losses: NDArray[np.float32] | NDArray[np.float64]
    labels: NDArray[np.float64]
    predictions: NDArray[np.float64]
    probabilities: NDArray[np.float32]
    counts: NDArray[np.int64] | None = None
    offsets: NDArray[np.int64] | None = None

    @property
    def loss(self) -> float:
        if self.counts is None:
            return float(self.losses.mean(dtype=np.float64))
        return float(self.losses.sum() / self.counts.sum())

    def score(self, name: str, task: Task) -> float:
        return scores.evaluate(name, self.labels, self.predictions, offsets=self.offsets, names=task.labels)

    def part(self, examples: NDArray[np.int64]) -> "_Said":
        where, offsets = examples, None
        if self.offsets is not None:
            where = ranges(self.offsets, examples)
            offsets = np.concatenate([[0], np.cumsum(np.diff(self.offsets)[examples])])
        counts = None if self.counts is None else self.counts[examples]
        labels, predictions, probabilities = self.labels[where], self.predictions[where], self.probabilities[where]
        return _Said(self.losses[examples], labels, predictions, probabilities, counts, offsets)


def _said(model: Model, config: RunConfig, data: Data, execution: Execution, split: str, indices: NDArray[np.int64]) -> _Said:
    tokens = data.splits[split]
    labels = tokens.labels[tokens.labels_of(indices)]
    if data.task.kind == "tagging":
        losses, counts, tags = evaluate_tags(model, config, data, execution, split, indices)
        return _Said(losses, labels, tags, np.empty((len(tags), 0), np.float32), counts, tokens.word_offsets_of(indices))
    losses, outputs = evaluate(model, config, data, execution, split, indices)
    probabilities, predictions = _predict(outputs, data.task)
    return _Said(losses, labels, predictions, probabilities)


def loss_and_score(
    model: Model, config: RunConfig, data: Data, execution: Execution, split: str, indices: NDArray[np.int64]
) -> tuple[float, float]:
    """Mean loss and score of a split's examples, without dropout.

    Args:
        model: Left in evaluation mode.
        config: Its precision counts.
        data: The task's tokens.
        execution: Device, and tokens per batch.
        split: Which split.
        indices: (N,) which of its examples.
    """
    said = _said(model, config, data, execution, split, indices)
    return said.loss, said.score(data.task.score, data.task)


def of_weights(weights: str, part: str) -> str:
    """The scope of a row about part of a split, evaluated with other weights than the run's."""
    return ".".join(filter(None, (weights, part)))


@torch.inference_mode()
def evaluate(
    model: Model,
    config: RunConfig,
    data: Data,
    execution: Execution,
    split: str,
    indices: NDArray[np.int64],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Losses (N,) and outputs (N, K) of a split's examples, without dropout, in the order of ``indices``.

    Examples of the same input are computed once.

    Args:
        model: Left in evaluation mode.
        config: Its precision counts.
        data: The task's tokens.
        execution: Device, and tokens per batch.
        split: Which split.
        indices: (N,) which of its examples.
    """
    model.eval()
    tokens = data.splits[split]
    distinct, place = np.unique(tokens.first_alike[indices], return_inverse=True)
    outputs = np.empty((len(distinct), max(1, len(data.task.labels))), np.float32)
    for where in by_length(tokens.lengths[distinct], execution.tokens_per_evaluation_batch):
        with arithmetic(config.precision, execution):
            outputs[where] = model(tokens.batch(distinct[where], execution.device)).cpu().numpy()
    outputs = outputs[place]
    labels = torch.from_numpy(tokens.labels[indices])
    return losses(torch.from_numpy(outputs), labels, data.task.kind).numpy(), outputs


def evaluation_subset(data: Data, num_examples: int | None) -> NDArray[np.int64] | None:
    """Fixed validation examples for the frequent points, drawn by a stream of seed 0; of classes, as many as their shares.

    Returns:
        Ascending indices, or None if there are no more than ``num_examples`` validation examples (then all are used).
    """
    tokens = data.splits["validation"]
    if num_examples is None or num_examples >= len(tokens):
        return None
    shuffled = stream(0, "evaluation").permutation(len(tokens))
    if data.task.kind == "classification":
        labels = tokens.labels
        # Ranks within a label, spread evenly over (0, 1): the smallest num_examples keep each label's share.
        rank = np.empty(len(labels))
        for label in np.unique(labels):
            members = shuffled[labels[shuffled] == label]
            rank[members] = (np.arange(len(members)) + 0.5) / len(members)
        shuffled = shuffled[np.argsort(rank[shuffled], kind="stable")]
    return np.sort(shuffled[:num_examples])


def losses(logits: Tensor, labels: Tensor, kind: str) -> Tensor:
    """(B,) the loss of each example: cross entropy of its logits (B, K), or the squared error of its one output."""
    if kind == "classification":
        return nn.functional.cross_entropy(logits, labels.long(), reduction="none")
    return nn.functional.mse_loss(logits[:, 0], labels.to(logits.dtype), reduction="none")


def _predict(outputs: NDArray[np.float32], task: Task) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    if task.kind == "regression":
        return np.empty((len(outputs), 0), np.float32), outputs[:, 0].astype(np.float64)
    shifted = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True), outputs.argmax(axis=1).astype(np.float64)
