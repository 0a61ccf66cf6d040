"""Column files of tagged words, as users have them: with more columns, comments, document marks.

A line has a word, which is its first column, and a tag, its last one; other columns are ignored.
Tabs separate columns, or else spaces, any number of them. A blank line ends a sentence, and so does
a line whose word is ``-DOCSTART-``, which is dropped. A line that begins with ``#`` is a comment,
unless it has the columns of a tagged word.

The schemes are those of `stableft.tasks.readers.tag_columns`, and with other letters BILOU. Tags
without a kind (``B``, ``I``) are of the kind ``entity``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from stableft.core.errors import MissingInput, UsageError, quoted
from stableft.core.own_data import OwnData
from stableft.core.visible_text import is_visible
from stableft.tasks.readers.tag_columns import TAG, Sentence
from stableft.tasks.readers.user_text import read_lines, short

DOCUMENT = "-DOCSTART-"
BILOU = {"L": "E", "U": "S"}
PLAIN_KIND = "entity"


@dataclass
class ColumnLayout:
    """The columns of a file.

    Attributes:
        word: Number of the word's column from 0; -1: the last.
        tag: That of the tag's; None in a file without tags.
        count: Number of columns; None before the first line.
    """

    word: int
    tag: int | None
    count: int | None = None


class TaggedFile(NamedTuple):
    """The sentences of a file, with their tags as in BIO2, BIOES or BMES.

    Attributes:
        sentences: At least one.
        notes: Remarks for the user.
    """

    sentences: list[Sentence]
    notes: list[str]


def read_tagged_file(path: Path, own: OwnData, *, tagged: bool = True) -> TaggedFile:
    """Reads the sentences of a user's column file.

    Args:
        path: The file.
        own: Numbers of the columns, from 1, and the encoding.
        tagged: False for a file that may have words only: its sentences then have no tags.

    Raises:
        MissingInput: The file is missing or malformed; gives path, line and reason.
        UsageError: A column is no number.
    """
    lines = read_lines(path, own.encoding)
    layout = ColumnLayout(_number("--text", own.text, 0), _number("--label", own.label, -1))
    if not tagged and not any(_is_tagged(line, layout) for line in lines):
        layout.tag = None
    sentences: list[Sentence] = []
    rows: list[tuple[int, str, str]] = []
    comments = documents = 0
    for number, line in enumerate([*lines, ""], start=1):
        cells = _cells(line)
        if cells and cells[0] == DOCUMENT:
            documents += 1
        elif line.startswith("#") and not _is_word(cells, layout):
            comments += 1
            continue
        elif cells:
            rows.append((number, *_row(f"{path}:{number}", line, cells, layout)))
            continue
        if rows:
            sentences.append(_sentence(path, rows, layout))
            rows = []
    if not sentences:
        raise MissingInput(f"{path}:1: the file has no sentences")
    if own.text is None and layout.word == 0:
        _refuse_numbers(sentences)
    counts = ((comments, "comment lines"), (documents, f"{DOCUMENT} lines"))
    notes = [f"{short(path)}: {count} {what} are left out" for count, what in counts if count]
    if (layout.count or 2) > 2:
        notes.append(f"{short(path)}: of {layout.count} columns the word is {_place(layout.word)} and the tag {_place(layout.tag)}")
    return TaggedFile(_with_kinds(sentences), notes)


def _number(option: str, column: str | None, otherwise: int) -> int:
    if column is None:
        return otherwise
    if not (column.isascii() and column.isdecimal()) or not 0 < int(column[:9]) < 1000:
        raise UsageError(f"{option} {quoted(column)}: columns of tagged words have numbers, from 1")
    return int(column) - 1


def _place(column: int | None) -> str:
    return "the last" if column == -1 else "absent" if column is None else f"number {column + 1}"


def _cells(line: str) -> list[str]:
    cells = line.split("\t") if "\t" in line else line.split(" ")
    if "\t" not in line:
        return [cell for cell in cells if cell.strip()]
    while cells and not cells[-1].strip():
        cells.pop()
    return cells


def _is_word(cells: Sequence[str], layout: ColumnLayout) -> bool:
    """Tells whether a line that begins with # has the columns of a tagged word."""
    if layout.tag is None:
        return len(cells) == 1
    return len(cells) == (layout.count or len(cells)) and len(cells) > 1 and _is_tag(cells, layout)


def _is_tagged(line: str, layout: ColumnLayout) -> bool:
    cells = _cells(line)
    return len(cells) > 1 and _is_tag(cells, layout)


def _is_tag(cells: Sequence[str], layout: ColumnLayout) -> bool:
    return layout.tag is not None and layout.tag < len(cells) and bool(_known(cells[layout.tag].strip()))


def _known(tag: str) -> str:
    """Returns a tag in the letters of BIOES, for a plain prefix without a kind; "" for no tag."""
    prefix = BILOU.get(tag[:1], tag[:1]) + tag[1:]
    return prefix if is_visible(tag) and (TAG.fullmatch(prefix) or prefix in set("BIMES")) else ""


def _row(place: str, line: str, cells: Sequence[str], layout: ColumnLayout) -> tuple[str, str]:
    expected = layout.count or max(2, len(cells)) if layout.tag is not None else layout.count or len(cells)
    if len(cells) != expected or not cells[0].strip():
        filled = sum(bool(cell.strip()) for cell in cells)
        rest = "expected a word, a tab or a space, and its tag" if expected == 2 else f"the lines before have {expected}"
        raise MissingInput(f"{place}: {filled} columns in {quoted(line)}, {rest}")
    layout.count = len(cells)
    if max(layout.word, layout.tag or 0) >= len(cells):
        raise MissingInput(f"{place}: {len(cells)} columns in {quoted(line)}; --text and --label name columns that exist, from 1")
    word = cells[layout.word]
    if layout.tag is None:
        return word, ""
    written = cells[layout.tag].strip()
    tag = _known(written)
    if not tag:
        raise MissingInput(f"{place}: tag {quoted(written)}, {_expected(written)}")
    return word, tag


def _expected(tag: str) -> str:
    said = "expected O, or B-, I-, M-, E- or S- and the kind of the entity"
    if _known(tag.upper()):
        return f"{said}; write the letter before the hyphen, and O, in capitals"
    if _known(tag.replace("_", "-", 1)):
        return f"{said}; write a hyphen for the underscore after the letter"
    if tag.isalpha() and tag.isupper():
        return said + '; if a tag is the kind alone, put I- before it: awk \'$NF ~ /./ && $NF != "O" {$NF = "I-" $NF} 1\' FILE'
    return said + "; if the tag is in another column, name its number by --label, such as --label 2"


def _sentence(path: Path, rows: Sequence[tuple[int, str, str]], layout: ColumnLayout) -> Sentence:
    numbers, words, tags = zip(*rows, strict=True)
    gaps = numbers[-1] - numbers[0] + 1 != len(numbers)
    return Sentence(path, numbers[0], words, () if layout.tag is None else tags, numbers if gaps else ())


def _refuse_numbers(sentences: Sequence[Sentence]) -> None:
    counted = [s.words == tuple(map(str, range(1, len(s.words) + 1))) for s in sentences]
    if all(counted) and any(len(s.words) > 1 for s in sentences):
        where = sentences[0].place()
        raise MissingInput(f"{where}: the first column counts the words, as in CoNLL-U; name that of the word, such as --text 2")


def _with_kinds(sentences: Sequence[Sentence]) -> list[Sentence]:
    plain = [(s, i) for s in sentences for i, tag in enumerate(s.tags) if len(tag) == 1 and tag != "O"]
    if not plain:
        return list(sentences)
    kinds = next(((s, i) for s in sentences for i, tag in enumerate(s.tags) if len(tag) > 1), None)
    if kinds:
        (here, word), (there, other) = plain[0], kinds
        raise MissingInput(
            f"{here.place(word)}: tag {here.tags[word]!r} without a kind, but {quoted(there.tags[other])} at {there.place(other)}"
        )
    return [
        Sentence(s.path, s.line, s.words, tuple(t if t == "O" else f"{t}-{PLAIN_KIND}" for t in s.tags), s.lines) for s in sentences
    ]
