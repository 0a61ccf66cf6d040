"""Prediction: what an exported model says of new texts or sentences. It imports torch when called."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stableft.core.errors import MissingInput, UsageError
from stableft.core.model_facts import ModelFacts
from stableft.models.coverage import Coverage, measure
from stableft.models.encoders import Encoder
from stableft.tasks import Example, TaggedExample, TaskData


@dataclass(frozen=True)
class Predicted:
    """Predictions for N texts, in their order.

    Attributes:
        facts: Labels of the model, and how it reads texts.
        predictions: (N,) class indices, or numbers for regression.
        probabilities: (N, K) of the classes; K is 0 for regression.
        coverage: How much of the texts the model reads; None: not measured.
    """

    facts: ModelFacts
    predictions: NDArray[np.float64]
    probabilities: NDArray[np.float32]
    coverage: Coverage | None = None

    @property
    def labels(self) -> list[str]:
        """Names of the predicted classes; empty for regression."""
        return [self.facts.labels[int(each)] for each in self.predictions] if self.facts.labels else []


@dataclass(frozen=True)
class PredictedTags:
    """Predictions for sentences, in their order.

    Attributes:
        facts: Labels of the model, and how it reads words.
        tags: Tag indices of each sentence's words; those of words beyond the longest input are ``O``.
        coverage: How much of the sentences the model reads; None: not measured.
    """

    facts: ModelFacts
    tags: Sequence[NDArray[np.int64]]
    coverage: Coverage | None = None

    @property
    def labels(self) -> list[list[str]]:
        """Names of the predicted tags, by sentence."""
        return [[self.facts.labels[tag] for tag in tags.tolist()] for tags in self.tags]


def predict(folder: Path, texts: Sequence[str], pairs: Sequence[str] | None = None, *, device: str = "cpu") -> Predicted:
    """Predicts classes or numbers for texts. An empty text is predicted like any other.

    Args:
        folder: A folder of `stableft.execution.export.export_run`, or of a transformers class
            ``...ForSequenceClassification``.
        texts: At least one.
        pairs: The second text of each, for a model of text pairs.
        device: A torch device.

    Raises:
        MissingInput: The folder can't be read.
        UsageError: The model tags words, or reads pairs and gets none, or the reverse.
        NoDevice: There is no such device.
    """
    from stableft.training.predictor import Predictor

    predictor = Predictor(folder, device)
    facts = predictor.facts
    if facts.kind == "tagging":
        raise UsageError(f"{folder} tags the words of sentences: give it a file of words, such as bio:PATH")
    if facts.pairs and pairs is None:
        raise UsageError(f"{folder} reads pairs of texts: name the column of the second text by --pair")
    if pairs is not None and not facts.pairs and facts.run_id:
        raise UsageError(f"{folder} reads single texts: leave --pair out")
    seconds = [None] * len(texts) if pairs is None else pairs
    examples = [Example(text, pair, 0) for text, pair in zip(texts, seconds, strict=True)]
    predictions, probabilities = predictor.texts(examples)
    return Predicted(facts, predictions, probabilities, _coverage(examples, predictor.encoder, facts))


def predict_tags(folder: Path, sentences: Sequence[Sequence[str]], *, device: str = "cpu") -> PredictedTags:
    """Predicts the tags of words.

    Args:
        folder: A folder of `stableft.execution.export.export_run`, of a tagging run.
        sentences: Words, none empty; at least one sentence of at least one word.
        device: A torch device.

    Raises:
        MissingInput: The folder can't be read.
        UsageError: The model does not tag words.
        NoDevice: There is no such device.
    """
    from stableft.training.predictor import Predictor

    predictor = Predictor(folder, device)
    if predictor.facts.kind != "tagging":
        raise UsageError(f"{folder} labels whole texts, no words: give it a table of texts, such as csv:PATH")
    examples = [TaggedExample(tuple(words), (0,) * len(words)) for words in sentences]
    return PredictedTags(predictor.facts, predictor.tags(examples), _coverage(examples, predictor.encoder, predictor.facts))


def _coverage(examples: Sequence[Example] | Sequence[TaggedExample], encoder: Encoder, facts: ModelFacts) -> Coverage | None:
    try:
        return measure(TaskData(tuple(examples), ()), encoder, facts.max_length)  # pyright: ignore[reportArgumentType]
    except MissingInput:  # the tokenizer is of a kind that only transformers reads
        return None
