"""Evaluation of tagging: losses and tags of a model's batches, by word or by sentence."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from stableft.models.heads import BiLSTMCRF
from stableft.models.model import Model
from stableft.models.tokens import Batch

OUTSIDE = "O"  # the tag of words that max_length cut off


def tag_losses(model: Model, outputs: Tensor, batch: Batch) -> Tensor:
    """Returns (W,) cross entropies of words or, under a CRF, (B,) negative log-likelihoods of sentences.

    Words that ``max_length`` cut off are in no batch and so in no loss.

    Args:
        model: The model. Its head decides between the two.
        outputs: (W, K), the model's outputs for the batch.
        batch: A batch of a tagging task.
    """
    assert batch.word_lengths is not None
    labels = batch.labels.long()
    if isinstance(model.head, BiLSTMCRF):
        return model.head.losses(outputs, labels, batch.word_lengths)
    return nn.functional.cross_entropy(outputs, labels, reduction="none")


def evaluate_sentences(
    model: Model, outputs: Tensor, batch: Batch
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Returns losses and tags of a batch of a tagging task.

    Args:
        model: The model. Its head gives losses and tags.
        outputs: (W, K), the model's outputs for the batch.
        batch: B sentences.

    Returns:
        (B,) sums of each sentence's `tag_losses`, (B,) number of losses in each sum, and (W,) tags.
    """
    assert batch.word_lengths is not None
    by_sentence = isinstance(model.head, BiLSTMCRF)
    counts = np.ones(len(batch.lengths), np.int64) if by_sentence else np.array(batch.word_lengths)
    parts = np.split(tag_losses(model, outputs, batch).cpu().numpy(), np.cumsum(counts)[:-1])
    return np.array([part.sum(dtype=np.float64) for part in parts]), counts, read_tags(model, outputs, batch)


def read_tags(model: Model, outputs: Tensor, batch: Batch) -> NDArray[np.int64]:
    """Returns (W,) the tags that the model's head reads from its outputs (W, K) for a batch."""
    assert batch.word_lengths is not None
    tags = model.head.decode(outputs, batch.word_lengths) if isinstance(model.head, BiLSTMCRF) else outputs.argmax(1)
    return tags.cpu().numpy()
