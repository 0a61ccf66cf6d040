"""Tokens: texts as flat token arrays, and batches as one row of tokens without padding."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stableft.core.errors import UsageError
from stableft.models.encoders import Encoder
from stableft.models.loading import load_tokenizer
from stableft.tasks import Example, TaggedExample, Task, TaskData

UNLABELLED = "unlabelled"  # the split that is predicted and never scored


@dataclass(frozen=True)
class Tokens:
    """A tokenised split: all examples, concatenated.

    Attributes:
        ids: (sum of lengths,) piece ids.
        segments: (sum of lengths,) 0 for the first text, 1 for the second.
        offsets: (N + 1,) start of each example.
        labels: (N,) class indices or numbers; for tagging (sum of words,) tag indices.
        words: For tagging (sum of words,) place of each word's first piece within its example; the
            model reads the word by this piece. -1 for words that ``max_length`` cut off. None for other
            tasks.
        word_offsets: Likewise (N + 1,) start of each example's words.
    """

    ids: NDArray[np.int64]
    segments: NDArray[np.int64]
    offsets: NDArray[np.int64]
    labels: NDArray[np.float64]
    words: NDArray[np.int64] | None = None
    word_offsets: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.offsets)

    @cached_property
    def first_alike(self) -> NDArray[np.int64]:
        """(N,) index of the first example with the same input, for each example."""
        parts = [(self.ids, self.offsets), (self.segments, self.offsets)]
        if self.words is not None and self.word_offsets is not None:
            parts.append((self.words, self.word_offsets))
        first: dict[tuple[bytes, ...], int] = {}
        inputs = (tuple(values[of[i] : of[i + 1]].tobytes() for values, of in parts) for i in range(len(self)))
        return np.array([first.setdefault(key, i) for i, key in enumerate(inputs)], np.int64)

    def labels_of(self, indices: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns the positions of the examples' labels in ``labels``.

        For tagging these are the positions of all their words.
        """
        chosen = np.asarray(indices)
        return chosen if self.word_offsets is None else ranges(self.word_offsets, chosen)

    def word_offsets_of(self, indices: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns the start of each chosen example within `labels_of`, and the total number of words.

        For tagging only.
        """
        assert self.word_offsets is not None
        return _offsets(np.diff(self.word_offsets)[np.asarray(indices)])

    def batch(self, indices: Sequence[int] | NDArray[np.int64], device: str = "cpu") -> "Batch":
        """Returns the examples at ``indices``, in that order, for tagging without the words cut off."""
        chosen, of = np.asarray(indices), self.labels_of(indices)
        where = ranges(self.offsets, chosen)
        lengths = self.lengths[chosen]
        words, word_lengths = None, None
        if self.words is not None and self.word_offsets is not None:
            example = np.repeat(np.arange(len(chosen)), np.diff(self.word_offsets)[chosen])
            read = self.words[of] >= 0
            example, of = example[read], of[read]
            words = torch.from_numpy(self.words[of] + (np.cumsum(lengths) - lengths)[example]).to(device)
            word_lengths = np.bincount(example, minlength=len(chosen)).tolist()
        return Batch(
            ids=torch.from_numpy(self.ids[where]).to(device),
            segments=torch.from_numpy(self.segments[where]).to(device),
            lengths=lengths.tolist(),
            labels=torch.from_numpy(self.labels[of]).to(device),
            words=words,
            word_lengths=word_lengths,
        )


def ranges(offsets: NDArray[np.int64], chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns all positions of the chosen examples, one example after the other."""
    return np.concatenate(
        [np.arange(start, end) for start, end in zip(offsets[chosen].tolist(), offsets[chosen + 1].tolist(), strict=True)]
    )


@dataclass(frozen=True)
class Data:
    """A task's splits, tokenised for one encoder, with positions in ``pieces`` as ids."""

    task: Task
    splits: dict[str, Tokens]
    pieces: NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """B sequences as one row of T tokens (T is the sum of the B lengths).

    For tagging: ``words`` (W,) first token of each word, ``word_lengths`` number of words per sequence
    (W in all), and W labels. For other tasks: None, and B labels.
    """

    ids: Tensor
    segments: Tensor
    lengths: list[int]
    labels: Tensor
    words: Tensor | None = None
    word_lengths: list[int] | None = None


def encode(task: Task, data: TaskData, encoder: Encoder, max_length: int) -> Data:
    """Tokenises the splits of a task and renumbers the pieces that occur in them."""
    tokenizer = load_tokenizer(encoder, tagging=task.kind == "tagging")
    raw = {"train": data.train, "validation": data.validation, "test": data.test, UNLABELLED: data.unlabelled}
    splits = {
        name: tokenise(examples, tokenizer, max_length=max_length, lower_case=encoder.lower_case)
        for name, examples in raw.items()
        if examples
    }
    pieces = np.unique(np.concatenate([tokens.ids for tokens in splits.values()]))
    renumbered = {name: replace(tokens, ids=np.searchsorted(pieces, tokens.ids)) for name, tokens in splits.items()}
    return Data(task, renumbered, pieces)


def tokenise(examples: Sequence[Example] | Sequence[TaggedExample], tokenizer: Any, *, max_length: int, lower_case: bool) -> Tokens:
    """Tokenises examples; the longer text of a pair is cut first.

    Each word of a tagged example is cut into pieces by itself. A word without pieces, such as a single
    space, is read as the tokenizer's unknown token, so that every word has a place.

    Args:
        examples: At least one, all of one type.
        tokenizer: A transformers tokenizer.
        max_length: Longest input in pieces, special ones included.
        lower_case: Lower-case the texts first.

    Raises:
        UsageError: tagged examples, and a tokenizer that can't map pieces to words.
    """
    if isinstance(examples[0], TaggedExample):
        return _tokenise_words(cast(Sequence[TaggedExample], examples), tokenizer, max_length, lower_case)
    return _tokenise_texts(cast(Sequence[Example], examples), tokenizer, max_length, lower_case)


def _tokenise_texts(examples: Sequence[Example], tokenizer: Any, max_length: int, lower_case: bool) -> Tokens:
    texts = [e.text.lower() if lower_case else e.text for e in examples]
    pairs = [(e.pair.lower() if lower_case else e.pair) for e in examples if e.pair is not None]
    encoded = tokenizer(
        texts, pairs or None, truncation="longest_first", max_length=max_length, return_token_type_ids=True,
        return_attention_mask=False,
    )  # fmt: skip
    return _tokens(encoded, np.asarray([e.label for e in examples], np.float64))


def _tokenise_words(examples: Sequence[TaggedExample], tokenizer: Any, max_length: int, lower_case: bool) -> Tokens:
    if not tokenizer.is_fast:
        raise UsageError(f"tagging needs a tokenizer that maps pieces to words; a {type(tokenizer).__name__} does not")

    # Words without pieces are replaced by the unknown token before the sentences are tokenised.
    sentences = [[word.lower() if lower_case else word for word in e.words] for e in examples]
    distinct = sorted({word for words in sentences for word in words})
    alone = tokenizer([[word] for word in distinct], is_split_into_words=True, add_special_tokens=False)["input_ids"]
    read_as = {word: word if pieces else tokenizer.unk_token for word, pieces in zip(distinct, alone, strict=True)}
    encoded = tokenizer(
        [[read_as[word] for word in words] for words in sentences], is_split_into_words=True, truncation=True,
        max_length=max_length, return_token_type_ids=True, return_attention_mask=False,
    )  # fmt: skip

    # The place of each word's first piece; -1 for words that were cut off.
    places = [np.full(len(words), -1, np.int64) for words in sentences]
    for i, first in enumerate(places):
        for place, word in reversed(list(enumerate(encoded.word_ids(i)))):  # reversed: the first piece wins
            if word is not None:
                first[word] = place
    return _tokens(
        encoded,
        labels=np.concatenate([np.asarray(e.tags, np.float64) for e in examples]),
        words=np.concatenate(places),
        word_offsets=_offsets([len(words) for words in sentences]),
    )


def _tokens(encoded: Any, labels: NDArray[np.float64], **words: NDArray[np.int64]) -> Tokens:
    return Tokens(
        ids=np.concatenate([np.asarray(ids, np.int64) for ids in encoded["input_ids"]]),
        segments=np.concatenate([np.asarray(ids, np.int64) for ids in encoded["token_type_ids"]]),
        offsets=_offsets([len(ids) for ids in encoded["input_ids"]]),
        labels=labels,
        **words,
    )


def _offsets(lengths: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def epochs(n: int, batch_size: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Yields batches of indices without end, each epoch a fresh permutation.

    The last batch of an epoch has the size of the remainder.
    """
    while True:
        order = rng.permutation(n)
        for start in range(0, n, batch_size):
            yield order[start : start + batch_size]


def by_length(lengths: NDArray[np.int64], max_tokens: int) -> list[NDArray[np.int64]]:
    """Splits indices into batches of similar length, with at most ``max_tokens`` tokens or one sequence.

    Every index occurs exactly once; the batches are a function of the lengths alone.
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
