"""Frozen encoder: states of texts and words without training, as features of a linear model."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from stableft.models.encoders import Encoder
from stableft.models.loading import load_tokenizer, read_body, read_settings
from stableft.models.tokens import by_length

BATCH_TOKENS = 4096


class FrozenEncoder:
    """An encoder whose last states are read, in float32 on the CPU.

    Args:
        encoder: The encoder.
        max_length: Longest input in pieces; longer ones are cut.
        tagging: The inputs are words.
    """

    def __init__(self, encoder: Encoder, max_length: int, *, tagging: bool) -> None:
        self._tokenizer = load_tokenizer(encoder, tagging=tagging)
        self._body = read_body(encoder, read_settings(encoder))[0].eval()
        self._max_length, self._lower_case = max_length, encoder.lower_case

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Returns (N, H): the mean over each text's pieces, special ones included."""
        ids = self._tokenizer([self._read(text) for text in texts], truncation=True, max_length=self._max_length)["input_ids"]
        means = [np.zeros(0, np.float32)] * len(ids)
        for where, states in self._states(ids):
            for place, rows in zip(where, states, strict=True):
                means[place] = rows.mean(axis=0)
        return np.stack(means)

    def words(self, sentences: Sequence[Sequence[str]]) -> NDArray[np.float32]:
        """Returns (W, H): the state of each word's first piece; 0 for a word that was cut off."""
        read = [[self._read(word) for word in words] for words in sentences]
        encoded = self._tokenizer(read, is_split_into_words=True, truncation=True, max_length=self._max_length)
        width = int(self._body.config.hidden_size)
        found = [np.zeros((len(words), width), np.float32) for words in read]
        for where, states in self._states(encoded["input_ids"]):
            for place, rows in zip(where, states, strict=True):
                for piece, word in reversed(list(enumerate(encoded.word_ids(place)))):  # reversed: the first piece wins
                    if word is not None:
                        found[place][word] = rows[piece]
        return np.concatenate(found)

    def _read(self, text: str) -> str:
        return text.lower() if self._lower_case else text

    @torch.inference_mode()
    def _states(self, ids: Sequence[Sequence[int]]):
        """Yields the places of a batch's inputs, and the (L, H) states of each."""
        lengths = np.array([len(each) for each in ids])
        for where in by_length(lengths, BATCH_TOKENS):
            longest = int(lengths[where].max())
            pad = self._tokenizer.pad_token_id or 0
            rows = torch.tensor([[*ids[i], *[pad] * (longest - len(ids[i]))] for i in where])
            mask = torch.tensor([[1] * len(ids[i]) + [0] * (longest - len(ids[i])) for i in where])
            states = self._body(input_ids=rows, attention_mask=mask).last_hidden_state.numpy()
            yield where.tolist(), [states[row, : len(ids[i])] for row, i in enumerate(where)]
