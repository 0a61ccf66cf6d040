"""Texts as flat token arrays, and batches without padding: one row of tokens."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stableft.tasks import Example, Task


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

    @cached_property
    def first_alike(self) -> NDArray[np.int64]:
        """(N,) for each example the first one of the same input: itself if there is none before it."""
        first: dict[tuple[bytes, bytes], int] = {}
        spans = zip(self.offsets[:-1], self.offsets[1:], strict=True)
        inputs = ((self.ids[start:end].tobytes(), self.segments[start:end].tobytes()) for start, end in spans)
        return np.array([first.setdefault(key, i) for i, key in enumerate(inputs)], np.int64)

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
class Data:
    """A task's splits, tokenised for one encoder, with piece ids replaced by positions in ``pieces``."""

    task: Task
    splits: dict[str, Tokens]
    pieces: NDArray[np.int64]


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
