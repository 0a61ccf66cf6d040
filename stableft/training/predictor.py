"""Predictor: the predictions of an exported model for new texts or sentences, with the packed engine."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from stableft.core.errors import MissingInput
from stableft.models.exported import open_model
from stableft.models.loading import load_tokenizer, quiet_transformers
from stableft.models.tokens import Tokens, tokenise
from stableft.tasks import Example, TaggedExample
from stableft.training.evaluation import outputs_of, read_outputs
from stableft.training.runtime import Runtime, check_device, prepare
from stableft.training.tag_evaluation import OUTSIDE, read_tags

CHUNK = 10_000  # examples that are tokenised at a time


class Predictor:
    """A model, read once for any number of predictions.

    Args:
        folder: As for `stableft.models.exported.open_model`.
        device: A torch device.

    Attributes:
        facts: Labels of the model, and how it reads texts.
        encoder: The folder, with its tokenizer.

    Raises:
        MissingInput: The folder can't be read.
        NoDevice: There is no such device.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        quiet_transformers()
        check_device(device)
        self.facts, self.encoder, self._model = open_model(folder)
        self._runtime = Runtime(device=device)
        # A CPU has no tf32; fp32 is what tf32 rounds.
        self._precision = "fp32" if self.facts.precision == "tf32" and not self._runtime.on_gpu else self.facts.precision
        prepare(self._precision, self._runtime)
        self._model.to(device)
        self._tokenizer = load_tokenizer(self.encoder, tagging=self.facts.kind == "tagging")

    @torch.inference_mode()
    def texts(self, examples: Sequence[Example]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Returns predictions (N,), class indices or numbers, and probabilities (N, K); K is 0 for numbers."""
        outputs = np.empty((len(examples), self.facts.num_outputs), np.float32)
        for start in range(0, len(examples), CHUNK):
            tokens = self._tokens(examples[start : start + CHUNK])
            for where, _, found in outputs_of(self._model, tokens, np.arange(len(tokens)), self._precision, self._runtime):
                outputs[start + where] = found.cpu().numpy()
        probabilities, predictions = read_outputs(outputs, self.facts.kind)
        return predictions, probabilities

    @torch.inference_mode()
    def tags(self, examples: Sequence[TaggedExample]) -> list[NDArray[np.int64]]:
        """Returns the tags of each sentence's words; a word that was cut off has the tag `OUTSIDE`."""
        found = [np.full(len(example.words), self.facts.labels.index(OUTSIDE), np.int64) for example in examples]
        for start in range(0, len(examples), CHUNK):
            tokens = self._tokens(examples[start : start + CHUNK])
            assert tokens.words is not None
            assert tokens.word_offsets is not None
            for where, batch, outputs in outputs_of(self._model, tokens, np.arange(len(tokens)), self._precision, self._runtime):
                assert batch.word_lengths is not None
                parts = np.split(read_tags(self._model, outputs, batch), np.cumsum(batch.word_lengths)[:-1])
                for i, part in zip(where.tolist(), parts, strict=True):
                    read = tokens.words[tokens.word_offsets[i] : tokens.word_offsets[i + 1]] >= 0
                    found[start + i][read] = part
        return found

    def _tokens(self, examples: Sequence[Example] | Sequence[TaggedExample]) -> Tokens:
        tokens = tokenise(examples, self._tokenizer, max_length=self.facts.max_length, lower_case=self.encoder.lower_case)
        known = len(self._model.encoder.get_input_embeddings().weight)
        if (most := int(tokens.ids.max())) >= known:
            raise MissingInput(f"the tokenizer in {self.encoder.folder} knows piece {most}, its weights only {known} pieces")
        return tokens
