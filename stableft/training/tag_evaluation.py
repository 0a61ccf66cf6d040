"""The losses and tags of a tagging model: everything about words that `stableft.training.evaluation` and the loop need not know."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stableft.core.config import RunConfig
from stableft.models.heads import BiLSTMCRF
from stableft.models.model import Model
from stableft.models.tokens import Batch, Data, by_length, ranges
from stableft.training.runtime import Execution, arithmetic

OUTSIDE = "O"  # what is said of words that max_length cut off


def tag_losses(model: Model, outputs: Tensor, batch: Batch) -> Tensor:
    """What a loss on tags is the mean of: (W,) cross entropies of words, or (B,) negative log-likelihoods of sentences under a CRF.

    Words that ``max_length`` cut off are in no batch and so in no loss.

    Args:
        model: Its head says which.
        outputs: (W, K), what the model gives for the batch.
        batch: Of a tagging task.
    """
    assert batch.word_lengths is not None
    labels = batch.labels.long()
    if isinstance(model.head, BiLSTMCRF):
        return model.head.losses(outputs, labels, batch.word_lengths)
    return nn.functional.cross_entropy(outputs, labels, reduction="none")


@torch.inference_mode()
def evaluate_tags(
    model: Model, config: RunConfig, data: Data, execution: Execution, split: str, indices: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """What `stableft.training.evaluation.evaluate` is for other tasks: without dropout, in the order of ``indices``.

    Returns:
        (M,) sums of what `tag_losses` gives for each example, (M,) how many these are, and the tags of all words of the M examples,
        those that were cut off being `OUTSIDE`.
    """
    model.eval()
    tokens = data.splits[split]
    assert tokens.words is not None
    offsets = tokens.word_offsets_of(indices)
    tags = np.full(offsets[-1], data.task.labels.index(OUTSIDE), np.float64)
    losses, counts = np.empty(len(indices)), np.ones(len(indices), np.int64)
    for where in by_length(tokens.lengths[indices], execution.tokens_per_evaluation_batch):
        batch = tokens.batch(indices[where], execution.device)
        assert batch.word_lengths is not None
        with arithmetic(config.precision, execution):
            outputs = model(batch)
        if isinstance(model.head, BiLSTMCRF):
            found = model.head.decode(outputs, batch.word_lengths)
        else:
            found, counts[where] = outputs.argmax(1), batch.word_lengths
        parts = np.split(tag_losses(model, outputs, batch).cpu().numpy(), np.cumsum(counts[where])[:-1])
        losses[where] = [part.sum(dtype=np.float64) for part in parts]
        read = tokens.words[tokens.labels_of(indices[where])] >= 0
        tags[ranges(offsets, where)[read]] = found.cpu().numpy()
    return losses, counts, tags
