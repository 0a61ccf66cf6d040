"""Column files of tagged words: a word, a tab or space, and its tag on each line.

A blank line separates sentences. The four schemes are recognised by their tags, and converted to
BIO2, the scheme of `stableft.tasks.Task.labels`:

- BIO2: an entity is B-x I-x I-x. In the older BIO (IOB1) an entity begins with I-x too; B-x is used
  only right after another entity of kind x.
- BMES: B-x M-x E-x, or S-x for one word. BIOES: the same with I-x in place of M-x.

The first malformed line or forbidden tag stops the reading; the error names its place and the
reason.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stableft.core.errors import MissingInput, listed, quoted
from stableft.core.visible_text import is_visible
from stableft.tasks import TaggedExample
from stableft.tasks.readers.corpus_files import read_lines

TAG = re.compile(r"O|[BIMES]-(\S{1,100})")


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words with their tags as written in a file, each word on a line of its own.

    Attributes:
        path: The file.
        line: Line of the first word.
        words: At least one.
        tags: One for each word; none if the file has no tags.
        lines: Line of each word, if other lines lie between; empty: one line after the other.
    """

    path: Path
    line: int
    words: tuple[str, ...]
    tags: tuple[str, ...]
    lines: tuple[int, ...] = ()

    def place(self, word: int = 0) -> str:
        """Returns ``path:line`` of a word."""
        return f"{self.path}:{self.lines[word] if self.lines else self.line + word}"


@dataclass(frozen=True, slots=True)
class Scheme:
    """Rules for the order of tags.

    Attributes:
        name: Its name in messages.
        inside: Prefixes that continue an entity; all others but ``O`` begin one.
        unfinished: Prefixes that an inside prefix of the same kind may follow.
        closed: True if one must follow, even at the end of a sentence.
    """

    name: str
    inside: str
    unfinished: str
    closed: bool


BIO2 = Scheme("BIO2", inside="I", unfinished="BI", closed=False)
BMES = Scheme("BMES", inside="ME", unfinished="BM", closed=True)
BIOES = Scheme("BIOES", inside="IE", unfinished="BI", closed=True)


def read_tagged(*paths: Path, cut: bool = False) -> tuple[list[Sentence], ...]:
    """Reads the sentences of files of one scheme, and converts their tags to BIO2.

    Args:
        paths: The files.
        cut: Accept an entity cut in two by the end of a sentence; each part is then an entity.
            Otherwise it is an error.

    Raises:
        MissingInput: A file is missing, empty or malformed; gives path, line and reason.
    """
    files = [_read(path) for path in paths]
    everything = [sentence for sentences in files for sentence in sentences]
    scheme = _scheme(everything)
    if scheme is BIO2 and _is_bio1(everything):
        return tuple([replace(s, tags=tuple(_from_bio1(s.tags))) for s in sentences] for sentences in files)
    for sentence in everything:
        _check(sentence, scheme, cut=cut)
    return tuple([replace(s, tags=tuple(_to_bio2(s.tags, scheme))) for s in sentences] for sentences in files)


def to_bio2(files: Sequence[Sequence[Sentence]]) -> tuple[tuple[list[Sentence], ...], list[str]]:
    """Converts the tags of files of one scheme to BIO2, leniently as conlleval and seqeval read them.

    A tag that continues no entity of its kind begins one, and an entity without an end ends there.

    Returns:
        The sentences of each file, and the places of the tags that the scheme forbids.

    Raises:
        MissingInput: No scheme has all the prefixes.
    """
    everything = [sentence for sentences in files for sentence in sentences]
    scheme = _scheme(everything)
    if scheme is BIO2 and _is_bio1(everything):
        return tuple([replace(s, tags=tuple(_from_bio1(s.tags))) for s in sentences] for sentences in files), []
    broken = [sentence.place(word) for sentence in everything for word in _forbidden(sentence.tags, scheme)]
    return tuple([replace(s, tags=tuple(_leniently(s.tags, scheme))) for s in sentences] for sentences in files), broken


def kind_of(tag: str) -> str:
    """Returns the kind of entity of a tag: "" for ``O``."""
    return tag[2:]


def to_examples(sentences: Sequence[Sentence], labels: Sequence[str]) -> tuple[TaggedExample, ...]:
    """Converts sentences with tags in BIO2 to examples.

    Raises:
        MissingInput: A tag is not among the labels.
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
    if not TAG.fullmatch(tag) or not is_visible(tag):
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
    """Yields the tag before and the tag itself; ``O`` is before the first."""
    return zip(("O", *tags[:-1]), tags, strict=True)


def _is_bio1(sentences: Iterable[Sentence]) -> bool:
    """Tells whether B-x occurs only right after an entity of its kind.

    In a BIO2 file the first entity already breaks this rule.
    """
    pairs = [pair for sentence in sentences for pair in _pairs(sentence.tags)]
    return any(tag[0] == "I" for _, tag in pairs) and all(tag[0] != "B" or kind_of(tag) == kind_of(last) for last, tag in pairs)


def _from_bio1(tags: Sequence[str]) -> Iterator[str]:
    for last, tag in _pairs(tags):
        yield f"B-{kind_of(tag)}" if tag[0] == "I" and kind_of(tag) != kind_of(last) else tag


def _to_bio2(tags: Sequence[str], scheme: Scheme) -> Iterator[str]:
    for last, tag in _pairs(tags):
        # After O an inside tag begins an entity: the second part of one cut by a sentence's end.
        continues = tag[0] in scheme.inside and last != "O"
        yield tag if tag == "O" else f"{'I' if continues else 'B'}-{kind_of(tag)}"


def _fits(last: str, tag: str, scheme: Scheme) -> bool:
    return last[0] in scheme.unfinished and kind_of(last) == kind_of(tag)


def _leniently(tags: Sequence[str], scheme: Scheme) -> Iterator[str]:
    for last, tag in _pairs(tags):
        continues = tag[0] in scheme.inside and _fits(last, tag, scheme)
        yield tag if tag == "O" else f"{'I' if continues else 'B'}-{kind_of(tag)}"


def _forbidden(tags: Sequence[str], scheme: Scheme) -> Iterator[int]:
    for word, (last, tag) in enumerate(_pairs(tags)):
        inside = tag[0] in scheme.inside
        if inside != _fits(last, tag, scheme) and (inside or (scheme.closed and last[0] in scheme.unfinished)):
            yield word
    if scheme.closed and tags and tags[-1][0] in scheme.unfinished:
        yield len(tags) - 1


def _check(sentence: Sentence, scheme: Scheme, *, cut: bool) -> None:
    for word, (last, tag) in enumerate(_pairs(sentence.tags)):
        continues = tag[0] in scheme.inside
        open_before = last[0] in scheme.unfinished
        fits = open_before and kind_of(last) == kind_of(tag)
        if continues and not fits and not (cut and word == 0):
            before = f"follows {last}" if word else "begins a sentence"
            raise MissingInput(f"{sentence.place(word)}: {tag} {before}, which {scheme.name} forbids")
        if scheme.closed and open_before and not continues:
            raise MissingInput(f"{sentence.place(word)}: {tag} follows {last}, which {scheme.name} forbids: the entity has no end")
    end = sentence.tags[-1]
    if scheme.closed and end[0] in scheme.unfinished and not cut:
        raise MissingInput(f"{sentence.place(len(sentence.tags) - 1)}: {end} ends a sentence, which {scheme.name} forbids")
