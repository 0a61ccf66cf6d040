"""Coverage: how much of a task's data an encoder can read, measured without torch.

A piece is unknown if it is the tokenizer's token for what its vocabulary lacks. A text is cut if it
has more pieces than the longest input. What is measured is what `stableft.models.tokens` gives to a
model, up to the rare tokenizer that is only known to transformers: such a one isn't measured.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from tokenizers import BertWordPieceTokenizer, Tokenizer

from stableft.core.errors import MissingInput
from stableft.models.encoders import Encoder
from stableft.tasks import Example, TaggedExample, TaskData

WARNED = 0.01
REFUSED = 0.20
MOST = 20_000  # examples of a split that are measured, evenly spaced
CHUNK = 1_000


@dataclass(frozen=True)
class Coverage:
    """Counts over the measured examples of all splits.

    Attributes:
        examples: Measured examples.
        empty: Of them those with a text or sentence of white space alone.
        cut: Of them those longer than the longest input.
        pieces: Pieces of their whole texts, without special ones.
        unknown: Of them those that the vocabulary lacks.
        units: Words of tagged sentences, or else pieces.
        cut_units: Of them those beyond the longest input.
    """

    examples: int = 0
    empty: int = 0
    cut: int = 0
    pieces: int = 0
    unknown: int = 0
    units: int = 0
    cut_units: int = 0

    def __add__(self, other: "Coverage") -> "Coverage":
        return Coverage(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    @property
    def shares(self) -> dict[str, float]:
        """Shares in [0, 1] by name; ``cut`` and ``empty`` are of the examples."""
        return {
            "unknown": self.unknown / max(1, self.pieces),
            "cut": self.cut / max(1, self.examples),
            "cut_units": self.cut_units / max(1, self.units),
            "empty": self.empty / max(1, self.examples),
        }

    @property
    def facts(self) -> dict[str, Any]:
        """Counts and shares as JSON values."""
        return {**asdict(self), "shares": {name: round(share, 6) for name, share in self.shares.items()}}

    @property
    def is_doubtful(self) -> bool:
        """True if a share is above `WARNED`."""
        return max(self.shares.values()) > WARNED

    @property
    def is_refused(self) -> bool:
        """True if the share of unknown pieces is above `REFUSED`."""
        return self.shares["unknown"] > REFUSED


def measure(data: TaskData, encoder: Encoder, max_length: int) -> Coverage | None:
    """Measures the examples of all splits; None if the tokenizer is only known to transformers.

    Args:
        data: The task's data.
        encoder: The encoder.
        max_length: Longest input in pieces, special ones included.

    Raises:
        MissingInput: The files of the tokenizer can't be read.
    """
    opened = open_tokenizer(encoder)
    if opened is None:
        return None
    tokenizer, unknown = opened
    total = Coverage()
    for split in (data.train, data.validation, data.test, data.unlabelled):
        spaced = split[:: -(-len(split) // MOST) or 1]
        for start in range(0, len(spaced), CHUNK):
            total += _measured(spaced[start : start + CHUNK], tokenizer, unknown, max_length, encoder.lower_case)
    return total


def open_tokenizer(encoder: Encoder) -> tuple[Tokenizer, int | None] | None:
    """Returns an encoder's tokenizer and the id of its unknown token; None: transformers must open it.

    Raises:
        MissingInput: The files can't be read.
    """
    whole, vocabulary = encoder.folder / "tokenizer.json", encoder.folder / "vocab.txt"
    try:
        if whole.is_file():
            model = json.loads(whole.read_text(encoding="utf-8"))["model"]
            tokenizer = Tokenizer.from_file(str(whole))
            tokenizer.no_truncation()
            tokenizer.no_padding()
            unknown = model.get("unk_id") if model.get("unk_token") is None else tokenizer.token_to_id(model["unk_token"])
            return tokenizer, unknown
        if vocabulary.is_file():
            return _bert(vocabulary, encoder.folder / "tokenizer_config.json")
    except Exception as error:  # the library raises its own types, without a common base
        raise MissingInput(f"no tokenizer can be read from {encoder.folder}: {str(error).splitlines()[0][:200]}") from error
    return None


def _bert(vocabulary: Path, settings: Path) -> tuple[Tokenizer, int | None]:
    chosen = json.loads(settings.read_text(encoding="utf-8")) if settings.is_file() else {}
    tokenizer = BertWordPieceTokenizer(
        str(vocabulary),
        lowercase=chosen.get("do_lower_case", True),
        strip_accents=chosen.get("strip_accents"),
        handle_chinese_chars=chosen.get("tokenize_chinese_chars", True),
    )
    return tokenizer._tokenizer, tokenizer.token_to_id("[UNK]")  # the implementation is a wrapper


def _measured(examples: Sequence[Any], tokenizer: Tokenizer, unknown: int | None, max_length: int, lower: bool) -> Coverage:
    if isinstance(examples[0], TaggedExample):
        return _of_words(examples, tokenizer, unknown, max_length, lower)
    texts = [tuple(part.lower() if lower else part for part in _parts(example)) for example in examples]
    encoded = tokenizer.encode_batch([each if len(each) == 2 else each[0] for each in texts], add_special_tokens=False)
    room = max_length - tokenizer.num_special_tokens_to_add(len(texts[0]) == 2)
    lengths = [len(each.ids) for each in encoded]
    return Coverage(
        examples=len(examples),
        empty=sum(not all(part.strip() for part in parts) for parts in texts),
        cut=sum(length > room for length in lengths),
        pieces=sum(lengths),
        unknown=sum(each.ids.count(unknown) for each in encoded if unknown is not None),
        units=sum(lengths),
        cut_units=sum(max(0, length - room) for length in lengths),
    )


def _of_words(
    examples: Sequence[TaggedExample], tokenizer: Tokenizer, unknown: int | None, max_length: int, lower: bool
) -> Coverage:
    sentences = [[word.lower() if lower else word for word in example.words] for example in examples]
    encoded = tokenizer.encode_batch(sentences, is_pretokenized=True, add_special_tokens=False)
    room = max_length - tokenizer.num_special_tokens_to_add(False)
    total = Coverage()
    for words, pieces in zip(sentences, encoded, strict=True):
        # A word without pieces is read as one unknown piece.
        firsts = list(_first_pieces(len(words), pieces.word_ids))
        without = len(words) - len({word for word in pieces.word_ids if word is not None})
        beyond = sum(place >= room for place in firsts)
        count = len(pieces.ids) + without
        missed = without + (pieces.ids.count(unknown) if unknown is not None else 0)
        empty = not any(word.strip() for word in words)
        total += Coverage(1, int(empty), int(count > room), count, missed, len(words), beyond)
    return total


def _first_pieces(words: int, word_ids: Sequence[int | None]) -> Iterator[int]:
    """Yields the place of each word's first piece; a word without pieces takes one place."""
    first: dict[int, int] = {}
    for place, word in enumerate(word_ids):
        if word is not None:
            first.setdefault(word, place)
    without = 0
    last = 0
    for word in range(words):
        last = first.get(word, last)
        yield last + without
        without += word not in first


def _parts(example: Example) -> tuple[str, ...]:
    return (example.text,) if example.pair is None else (example.text, example.pair)


def described(coverage: Coverage, encoder: str, max_length: int, *, tagged: bool) -> str:
    """Returns the shares in one line, for people."""
    shares = {name: f"{100 * share:.1f} %" if share else "none" for name, share in coverage.shares.items()}
    units = "words" if tagged else "pieces"
    examples = "sentences" if tagged else "texts"
    cut = f"{shares['cut']} of the {examples} cut at {max_length} pieces"
    cut += f" ({shares['cut_units']} of the {units} lost)" if coverage.cut else ""
    return f"{encoder}: {shares['unknown']} of the pieces unknown; {cut}; {shares['empty']} of the {examples} empty"
