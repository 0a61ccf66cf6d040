"""Column files of tagged words: a word, a tab or a space, and its tag on each line; a blank line between sentences.

Four schemes are told from one another by their tags, and become BIO2, which `stableft.tasks.Task.labels` is written in:

- BIO2: an entity is B-x I-x I-x. Its elder, BIO (IOB1), begins with I-x too, and with B-x only right after an entity of kind x.
- BMES: B-x M-x E-x, or S-x for one word. BIOES: the same with I-x in place of M-x.

What a scheme forbids stops the reading with its place and the reason, as does any other malformed line.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stableft.core.errors import MissingInput, listed, quoted
from stableft.tasks import TaggedExample
from stableft.tasks.readers.corpus_files import read_lines

TAG = re.compile(r"O|[BIMES]-(\S{1,100})")


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words with their tags as they are written, and where: the first word's line; each word has a line of its own."""

    path: Path
    line: int
    words: tuple[str, ...]
    tags: tuple[str, ...]

    def place(self, word: int = 0) -> str:
        """``path:line`` of a word."""
        return f"{self.path}:{self.line + word}"


@dataclass(frozen=True, slots=True)
class Scheme:
    """Which tag may follow which.

    Attributes:
        name: What messages call it.
        inside: Prefixes that go on with an entity; all others but ``O`` begin one.
        unfinished: Prefixes that an inside prefix of the same kind may follow.
        closed: Whether one must, even where the sentence ends.
    """

    name: str
    inside: str
    unfinished: str
    closed: bool


BIO2 = Scheme("BIO2", inside="I", unfinished="BI", closed=False)
BMES = Scheme("BMES", inside="ME", unfinished="BM", closed=True)
BIOES = Scheme("BIOES", inside="IE", unfinished="BI", closed=True)


def read_tagged(*paths: Path, cut: bool = False) -> tuple[list[Sentence], ...]:
    """The sentences of files that are in one scheme, with tags in BIO2.

    Args:
        paths: The files.
        cut: Whether the end of a sentence may cut an entity in two; then each part is one. Else that is an error.

    Raises:
        MissingInput: a file that is not there, has no sentence, or is malformed, with path, line and reason.
    """
    files = [_read(path) for path in paths]
    everything = [sentence for sentences in files for sentence in sentences]
    scheme = _scheme(everything)
    if scheme is BIO2 and _is_bio1(everything):
        return tuple([replace(s, tags=tuple(_from_bio1(s.tags))) for s in sentences] for sentences in files)
    for sentence in everything:
        _check(sentence, scheme, cut=cut)
    return tuple([replace(s, tags=tuple(_to_bio2(s.tags, scheme))) for s in sentences] for sentences in files)


def kind_of(tag: str) -> str:
    """The kind of entity that a tag is of: "" for ``O``."""
    return tag[2:]


def to_examples(sentences: Sequence[Sentence], labels: Sequence[str]) -> tuple[TaggedExample, ...]:
    """Sentences with tags in BIO2 as examples.

    Raises:
        MissingInput: A tag that is not among the labels.
    """
    index = {label: position for position, label in enumerate(labels)}
    for sentence in sentences:
        for word, tag in enumerate(sentence.tags):
            if tag not in index:
                known = sorted({kind_of(label) for label in labels} - {""})
                raise MissingInput(
                    f"{sentence.place(word)}: entity of kind {quoted(kind_of(tag))}, expected one of {listed(known)}"
                )
    return tuple(TaggedExample(sentence.words, tuple(index[tag] for tag in sentence.tags)) for sentence in sentences)


def _read(path: Path) -> list[Sentence]:
    sentences: list[Sentence] = []
    rows: list[tuple[str, str]] = []
    for number, line in enumerate([*read_lines(path), ""], start=1):
        if line.strip():
            rows.append(_row(f"{path}:{number}", line))
        elif rows:
            words, tags = zip(*rows, strict=True)
            sentences.append(Sentence(path, number - len(rows), words, tags))
            rows = []
    if not sentences:
        raise MissingInput(f"{path}:1: the file has no sentences")
    return sentences


def _row(place: str, line: str) -> tuple[str, str]:
    cells = line.split("\t" if "\t" in line else " ")
    if len(cells) != 2 or not all(cell.strip() for cell in cells):
        filled = sum(bool(cell.strip()) for cell in cells)
        raise MissingInput(f"{place}: {filled} columns in {quoted(line)}, expected a word, a tab or a space, and its tag")
    word, tag = cells
    if not TAG.fullmatch(tag) or not tag.isprintable():
        raise MissingInput(f"{place}: tag {quoted(tag)}, expected O, or B-, I-, M-, E- or S- and the kind of the entity")
    return word, tag


def _scheme(sentences: Iterable[Sentence]) -> Scheme:
    first: dict[str, str] = {}
    for sentence in sentences:
        for word, tag in enumerate(sentence.tags):
            first.setdefault(tag[0], sentence.place(word))
    if "I" in first and "M" in first:
        raise MissingInput(f"{first['M']}: an M- tag, but an I- tag at {first['I']}; no scheme (BIO, BMES, BIOES) has both")
    if "M" in first:
        return BMES
    return BIOES if {"E", "S"} & first.keys() else BIO2


def _pairs(tags: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each tag with the one before it, which is ``O`` for the first."""
    return zip(("O", *tags[:-1]), tags, strict=True)


def _is_bio1(sentences: Iterable[Sentence]) -> bool:
    """Whether B-x stands only right after an entity of its kind. The first entity of a BIO2 file says no."""
    pairs = [pair for sentence in sentences for pair in _pairs(sentence.tags)]
    return any(tag[0] == "I" for _, tag in pairs) and all(tag[0] != "B" or kind_of(tag) == kind_of(last) for last, tag in pairs)


def _from_bio1(tags: Sequence[str]) -> Iterator[str]:
    for last, tag in _pairs(tags):
        yield f"B-{kind_of(tag)}" if tag[0] == "I" and kind_of(tag) != kind_of(last) else tag


def _to_bio2(tags: Sequence[str], scheme: Scheme) -> Iterator[str]:
    for last, tag in _pairs(tags):
        goes_on = tag[0] in scheme.inside and last != "O"  # not so where a sentence's end has cut an entity
        yield tag if tag == "O" else f"{'I' if goes_on else 'B'}-{kind_of(tag)}"


def _check(sentence: Sentence, scheme: Scheme, *, cut: bool) -> None:
    for word, (last, tag) in enumerate(_pairs(sentence.tags)):
        goes_on = tag[0] in scheme.inside
        open_before = last[0] in scheme.unfinished
        fits = open_before and kind_of(last) == kind_of(tag)
        if goes_on and not fits and not (cut and word == 0):
            before = f"follows {last}" if word else "begins a sentence"
            raise MissingInput(f"{sentence.place(word)}: {tag} {before}, which {scheme.name} forbids")
        if scheme.closed and open_before and not goes_on:
            raise MissingInput(f"{sentence.place(word)}: {tag} follows {last}, which {scheme.name} forbids: the entity has no end")
    end = sentence.tags[-1]
    if scheme.closed and end[0] in scheme.unfinished and not cut:
        raise MissingInput(f"{sentence.place(len(sentence.tags) - 1)}: {end} ends a sentence, which {scheme.name} forbids")
