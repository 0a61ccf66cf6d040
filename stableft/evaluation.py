"""What a model says about held-out examples: each once, in batches of similar length, without dropout."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stableft.config import RunConfig
from stableft.execution import Execution, arithmetic
from stableft.models import Model
from stableft.packing import Data, by_length
from stableft.scores import METRICS, SCORES
from stableft.seeds import stream
from stableft.tasks import Task

EVALUATION_SPLITS = ("validation", "test")
SUBSET = "subset"
AVERAGE = "average"
BEST = "best"
SAFETY = 3.0


class Row(NamedTuple):
    """One logged value.

    Attributes:
        scope: "", or what it is about: the ``subset`` of the split, the ``average`` of the weights or the ``best`` checkpoint, both
            as in ``best.subset``, or a part of the model as `stableft.blocks.scope_of` names them.
    """

    step: int
    split: str
    metric: str
    scope: str
    value: float


class Predictions(NamedTuple):
    """What the model says about one split at the end of training: (N,) labels and predictions, (N, K) probabilities."""

    split: str
    labels: NDArray[np.float64]
    predictions: NDArray[np.float64]
    probabilities: NDArray[np.float32]


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
    score = SCORES[data.task.score]
    for split in (name for name in EVALUATION_SPLITS if name in data.splits):
        if split == "test" and config.evaluation.test_points == "last" and not last:
            continue
        part_of = None if split == "test" or last else subset
        indices = np.arange(len(data.splits[split])) if part_of is None else part_of
        draft = config.evaluation.draft is not None and not last
        losses, outputs = evaluate(model, config, data, execution, split, indices, draft=draft)
        labels = data.splits[split].labels[indices]
        probabilities, predictions = _predict(outputs, data.task)
        parts: list[tuple[str, slice | NDArray[np.int64]]] = [("" if part_of is None else SUBSET, slice(None))]
        if last and split == "validation" and subset is not None:
            parts.append((SUBSET, subset))  # so that the curve over the subset reaches the end
        for part_scope, part in parts:
            scope = of_weights(of, part_scope)
            yield Row(step, split, "loss", scope, float(losses[part].mean(dtype=np.float64)))
            value = float(score.compute(labels[part], predictions[part]))
            yield Row(step, split, data.task.score, scope, value)
            yield Row(step, split, "score", scope, value)
            for name in data.task.metrics:
                yield Row(step, split, name, scope, METRICS[name].compute(labels[part], predictions[part]))
        if last and not of:
            yield Predictions(split, labels, predictions, probabilities)


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
    *,
    draft: bool = False,
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
        draft: See `EvaluationConfig.draft`.
    """
    model.eval()
    tokens = data.splits[split]
    distinct, place = np.unique(tokens.first_alike[indices], return_inverse=True)

    def outputs_of(examples: NDArray[np.int64], precision: str) -> NDArray[np.float32]:
        outputs = np.empty((len(examples), max(1, len(data.task.labels))), np.float32)
        for where in by_length(tokens.lengths[examples], execution.tokens_per_evaluation_batch):
            with arithmetic(precision, execution):
                outputs[where] = model(tokens.batch(examples[where], execution.device)).cpu().numpy()
        return outputs

    if draft and data.task.kind == "classification" and config.precision == "fp32":
        outputs = outputs_of(distinct, "bf16")
        settle(outputs, lambda close: outputs_of(distinct[close], "fp32"))
    else:
        outputs = outputs_of(distinct, config.precision)
    outputs = outputs[place]
    labels = torch.from_numpy(tokens.labels[indices])
    return losses(torch.from_numpy(outputs), labels, data.task.kind).numpy(), outputs


def settle(outputs: NDArray[np.float32], exact: Callable[[NDArray[np.int64]], NDArray[np.float32]]) -> None:
    """Replaces draft outputs by exact ones until no class can change any more: the closest decisions first.

    A decision can't change if the distance of its two best classes is more than twice the error of an output. The error is not
    known, only what it was at most in the examples settled so far (a twentieth at least); `SAFETY` times that is assumed.

    Args:
        outputs: (N, K) drafts, K >= 2, changed in place.
        exact: Gives the exact outputs of the examples at these positions.
    """
    best = np.sort(outputs, axis=1)[:, -2:]
    margins = best[:, 1] - best[:, 0]
    order = np.argsort(margins, kind="stable")
    portion, done, error = max(16, len(order) // 20), 0, 0.0
    while done < len(order) and (done == 0 or margins[order[done]] <= 2 * SAFETY * error):
        close = order[done : done + portion]
        settled = exact(close)
        error = max(error, float(np.abs(settled - outputs[close]).max()))
        outputs[close] = settled
        done += len(close)


def evaluation_subset(data: Data, num_examples: int | None) -> NDArray[np.int64] | None:
    """Fixed validation examples for the frequent points: as many per label as its share, drawn by a stream of seed 0.

    Returns:
        Ascending indices, or None if there are no more than ``num_examples`` validation examples (then all are used).
    """
    labels = data.splits["validation"].labels
    if num_examples is None or num_examples >= len(labels):
        return None
    shuffled = stream(0, "evaluation").permutation(len(labels))
    if data.task.kind == "classification":
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
