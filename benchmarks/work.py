"""Workloads: synthetic texts with the lengths of RTE and TNEWS, and encoders of several sizes."""

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

PAIR_SPECIALS = 3  # [CLS] a [SEP] b [SEP]
SINGLE_SPECIALS = 2


@dataclass(frozen=True)
class Shape:
    """Size of a task and its inputs; labels and texts are random.

    Attributes:
        name: Name in tables.
        task: Name of the task of stableft that it replaces.
        pairs: Whether an example has two texts.
        batch_size: Sequences per optimizer step.
        num_labels: K.
        num_train: Minimum number of training examples; enough for a vocabulary as large as the real
            task's.
        num_validation: Examples of an evaluation.
        distinct: Number of distinct pieces in texts, drawn by Zipf's law.
        max_length: Longest input in pieces.
    """

    name: str
    task: Literal["rte", "tnews"]
    pairs: bool
    batch_size: int
    num_labels: int
    num_train: int
    num_validation: int
    distinct: int
    max_length: int = 128


RTE = Shape("RTE-shaped", "rte", True, 32, 2, 2490, 277, 12_000)
TNEWS = Shape("TNEWS-shaped", "tnews", False, 16, 15, 1000, 2000, 3_500)
SHAPES = (TNEWS, RTE)


def small(shape: Shape) -> Shape:
    """Returns the same shape with few and short inputs, so that a smoke test takes seconds."""
    return replace(shape, batch_size=4, num_train=64, num_validation=24, distinct=40, max_length=64)


@dataclass(frozen=True)
class Size:
    """Layers, width and attention heads of an encoder; ``name`` is its name in tables."""

    name: str
    layers: int
    hidden: int
    heads: int

    @property
    def intermediate(self) -> int:
        return 4 * self.hidden

    @property
    def body(self) -> int:
        """Weights of the linear layers of all blocks."""
        return self.layers * (4 * self.hidden**2 + 2 * self.hidden * self.intermediate)

    @property
    def skipped(self) -> int:
        """Weights of the last block that may be skipped for all tokens but the first.

        They are those of query, attention output and both feed-forward layers.
        """
        return 2 * self.hidden**2 + 2 * self.hidden * self.intermediate

    def flops(self, tokens: int, sequences: int, *, training: bool, first_token_only: bool) -> float:
        """Counts floating-point operations in the linear layers of all blocks, over real tokens.

        6 (training) or 2 (evaluation) x (body parameters x tokens - skipped parameters x (tokens -
        sequences)). Attention scores, embeddings, pooler and head, a few per cent together, are
        left out, so that the rate is never overstated.
        """
        weights = self.body * tokens - (self.skipped * (tokens - sequences) if first_token_only else 0)
        return float((6 if training else 2) * weights)


MINILM = Size("MiniLM 6x384", 6, 384, 12)
NARROW = Size("BERT 12x128", 12, 128, 2)
BASE = Size("BERT 12x768", 12, 768, 12)
LARGE = Size("BERT 24x1024", 24, 1024, 16)
TINY = Size("BERT 2x32", 2, 32, 4)


class Example(NamedTuple):
    """A text or a pair, a label, and the number of pieces including special ones."""

    text: str
    pair: str | None
    label: int
    length: int


def lengths(shape: Shape, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draws the number of pieces per example, including special ones, as in the real task.

    The lengths were measured on the real tasks and are cut at the longest input. RTE: log-normal,
    median 60, 6.5 % at the cut of 128. TNEWS: normal, mean 24.5, standard deviation 6, from 8 to
    52.
    """
    drawn = 60 * np.exp(0.5 * rng.standard_normal(count)) if shape.pairs else rng.normal(24.5, 6, count).clip(8, 52)
    return np.rint(drawn).astype(np.int64).clip(PAIR_SPECIALS + 2, shape.max_length)


def words(folder: Path) -> list[str]:
    """Returns the words that an encoder's tokenizer keeps in one piece, in the order of its vocabulary."""
    lines = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if re.fullmatch("[a-z]+", line)]


def examples(shape: Shape, vocabulary: Sequence[str], count: int, seed: int) -> list[Example]:
    """Draws random texts; they are the same for the same arguments, in every process."""
    rng = np.random.default_rng([seed, shape.pairs])
    size = min(shape.distinct, len(vocabulary))
    frequency = 1 / np.arange(1, size + 1)
    long = lengths(shape, count, rng)
    drawn: list[int] = rng.choice(size, int(long.sum()), p=frequency / frequency.sum()).tolist()
    labels = rng.integers(0, shape.num_labels, count)
    made: list[Example] = []
    for length, end, label in zip(long.tolist(), np.cumsum(long).tolist(), labels.tolist(), strict=True):
        specials = PAIR_SPECIALS if shape.pairs else SINGLE_SPECIALS
        text = [vocabulary[i] for i in drawn[end - length : end - specials]]
        cut = max(1, 2 * len(text) // 3) if shape.pairs else len(text)  # a premise is about twice as long as its hypothesis
        made.append(Example(" ".join(text[:cut]), " ".join(text[cut:]) if shape.pairs else None, label, length))
    return made


def splits(shape: Shape, folder: Path) -> tuple[list[Example], list[Example]]:
    """Draws training and validation examples for the tokenizer of an encoder's folder."""
    vocabulary = words(folder)
    return examples(shape, vocabulary, shape.num_train, 1), examples(shape, vocabulary, shape.num_validation, 2)


def write_random_encoder(size: Size, tokenizer_from: Path, folder: Path) -> Path:
    """Writes an untrained BERT as a Hugging Face folder, with the tokenizer of another encoder."""
    import torch
    from transformers import BertConfig, BertModel

    vocabulary = (tokenizer_from / "vocab.txt").read_text(encoding="utf-8").splitlines()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary), num_hidden_layers=size.layers, hidden_size=size.hidden, num_attention_heads=size.heads,
        intermediate_size=size.intermediate,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        if (tokenizer_from / name).is_file():
            shutil.copy(tokenizer_from / name, folder / name)
    return folder


def write_json_lines(rows: Sequence[Example], path: Path) -> None:
    """Writes examples to a file for ``datasets``."""
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row._asdict()) + "\n" for row in rows)
