"""Texts as flat token arrays, and batches without padding: one row of tokens, attention kept within each sequence.

transformers lets a model use a registered attention function, so a packed batch runs through the library's own modules: every
linear layer sees real tokens only, and just the attention scores are padded to the longest sequence of the batch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stableft.tasks import Example

PACKED_ATTENTION = "stableft_packed"


@dataclass(frozen=True)
class Tokens:
    """A tokenised split: examples concatenated.

    Attributes:
        ids: (sum of lengths,) piece ids.
        segments: (sum of lengths,) 0 for the first text, 1 for the second.
        offsets: (N + 1,) where each example starts.
        labels: (N,) class indices or numbers.
    """

    ids: NDArray[np.int64]
    segments: NDArray[np.int64]
    offsets: NDArray[np.int64]
    labels: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.offsets)

    def batch(self, indices: Sequence[int] | NDArray[np.int64], device: str = "cpu") -> "Batch":
        """The examples at ``indices``, in that order."""
        chosen = np.asarray(indices)
        lengths = self.lengths[chosen].tolist()
        starts = self.offsets[chosen].tolist()
        where = np.concatenate([np.arange(start, start + length) for start, length in zip(starts, lengths, strict=True)])
        return Batch(
            ids=torch.from_numpy(self.ids[where]).to(device),
            segments=torch.from_numpy(self.segments[where]).to(device),
            lengths=lengths,
            labels=torch.from_numpy(self.labels[chosen]).to(device),
        )


@dataclass(frozen=True)
class Batch:
    """B sequences as one row of T tokens (T is the sum of the B lengths)."""

    ids: Tensor
    segments: Tensor
    lengths: list[int]
    labels: Tensor


def tokenise(examples: Sequence[Example], tokenizer: Any, *, max_length: int, lower_case: bool) -> Tokens:
    """Tokenises examples, the longer text of a pair cut first.

    Args:
        examples: At least one.
        tokenizer: A transformers tokenizer.
        max_length: Longest input in pieces, special ones included.
        lower_case: Lower-case the texts first.
    """
    texts = [e.text.lower() if lower_case else e.text for e in examples]
    pairs = [(e.pair.lower() if lower_case else e.pair) for e in examples if e.pair is not None]
    encoded = tokenizer(
        texts, pairs or None, truncation="longest_first", max_length=max_length, return_token_type_ids=True,
        return_attention_mask=False,
    )  # fmt: skip
    lengths = [len(ids) for ids in encoded["input_ids"]]
    return Tokens(
        ids=np.concatenate([np.asarray(ids, np.int64) for ids in encoded["input_ids"]]),
        segments=np.concatenate([np.asarray(ids, np.int64) for ids in encoded["token_type_ids"]]),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        labels=np.asarray([e.label for e in examples], np.float64),
    )


def epochs(n: int, batch_size: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Batches of indices for ever: each epoch a fresh permutation, its last batch as small as the remainder."""
    while True:
        order = rng.permutation(n)
        for start in range(0, n, batch_size):
            yield order[start : start + batch_size]


def by_length(lengths: NDArray[np.int64], max_tokens: int) -> list[NDArray[np.int64]]:
    """Splits indices into batches of similar length, each of at most ``max_tokens`` tokens (or one sequence).

    Every index occurs exactly once; the layout is a function of the lengths alone.
    """
    batches: list[NDArray[np.int64]] = []
    order = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(order):
        total = np.cumsum(lengths[order[start:]])
        size = max(1, int(np.searchsorted(total, max_tokens, side="right")))
        batches.append(order[start : start + size])
        start += size
    return batches


@dataclass(frozen=True)
class Layout:
    """How the packed row of a batch unfolds into (B, L) for attention, L the longest length.

    Attributes:
        positions: (T,) place of each token within its sequence.
        starts: (B,) where each sequence begins.
        gather: (B, L) token of each slot; slots beyond a sequence's end repeat its first token.
        mask: (B, 1, 1, L) added to the scores: 0, or -inf at slots beyond the end; None if there are none.
        scatter: (T,) slot of each token in the flattened (B, L).
    """

    positions: Tensor
    starts: Tensor
    gather: Tensor
    mask: Tensor | None
    scatter: Tensor


def layout(lengths: Sequence[int], device: str | torch.device = "cpu") -> Layout:
    """The layout of a packed row with these lengths, each >= 1."""
    length = torch.tensor(lengths)
    starts = torch.cumsum(length, 0) - length
    slots = torch.arange(int(length.max()))
    valid = slots < length[:, None]
    gather = torch.where(valid, starts[:, None] + slots, starts[:, None])
    mask = None if bool(valid.all()) else torch.zeros(valid.shape).masked_fill(~valid, float("-inf"))[:, None, None, :]
    positions = slots.expand(valid.shape)[valid]
    scatter = valid.flatten().nonzero()[:, 0]
    return Layout(
        positions.to(device), starts.to(device), gather.to(device), None if mask is None else mask.to(device), scatter.to(device)
    )


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    packed: Layout,
    **_: Any,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention within each sequence of a packed row (transformers' attention interface).

    Args:
        module: The attention module; its mode decides on dropout.
        query, key, value: (1, heads, T, head size).
        attention_mask: Unused: the layout knows which tokens belong together.
        dropout: Probability on the attention weights.
        scaling: Factor on the scores.
        packed: The batch's layout.

    Returns:
        (1, T, heads, head size), and None for the weights.
    """
    heads, size = query.shape[1], query.shape[3]
    mixed = _attend(_unfold(query, packed), key, value, dropout, packed, scaling)
    return mixed.transpose(1, 2).reshape(-1, heads, size)[packed.scatter][None], None


def first_token_attention(query: Tensor, key: Tensor, value: Tensor, *, dropout: float, packed: Layout) -> Tensor:
    """The same for the first token of each sequence alone.

    Args:
        query: (1, heads, B, head size), of the first tokens.
        key, value: (1, heads, T, head size).
        dropout: Probability on the attention weights.
        packed: The batch's layout.

    Returns:
        (1, B, heads x head size).
    """
    return _attend(query[0].transpose(0, 1)[:, :, None], key, value, dropout, packed).flatten(1)[None]


def _attend(query: Tensor, key: Tensor, value: Tensor, dropout: float, packed: Layout, scaling: float | None = None) -> Tensor:
    mask = None if packed.mask is None else packed.mask.to(query.dtype)
    return nn.functional.scaled_dot_product_attention(
        query, _unfold(key, packed), _unfold(value, packed), attn_mask=mask, dropout_p=dropout, scale=scaling
    )


def _unfold(states: Tensor, packed: Layout) -> Tensor:
    """(1, heads, T, size) -> (B, heads, L, size)."""
    return states[0].transpose(0, 1)[packed.gather].transpose(1, 2)
