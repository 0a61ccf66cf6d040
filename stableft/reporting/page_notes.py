"""Notes: captions in parts, and the texts that figures or tables of a page share, each once."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from stableft.reporting.artifact_metadata import CAPTION

# Notes of tables explain columns in sentences that begin with the name of one, a small letter.
SENTENCE_END = re.compile(r"(?<=\.)(?<!et al\.)(?<!e\.g\.)(?<!i\.e\.) (?=[A-Za-z])")


@dataclass(frozen=True)
class CaptionParts:
    """A caption in parts.

    Attributes:
        first: Its first sentence.
        rest: How to read the figure or table; the same for all of a kind.
        runs: The closing sentences on the runs; the same for all of an experiment.
    """

    first: str = ""
    rest: str = ""
    runs: str = ""


@dataclass(frozen=True)
class SharedNote:
    """A text that several figures or tables share.

    Attributes:
        number: Its number on the page, from 1.
        names: Names of the figures or tables, without repetition.
        text: The text.
    """

    number: int
    names: tuple[str, ...]
    text: str


def split_caption(text: str) -> CaptionParts:
    """Splits a caption of `stableft.reporting.report` into its parts.

    Any text behind the sentences on the runs is left out: it is the provenance of a table.
    """
    runs = CAPTION.search(text)
    head = text[: runs.start()] if runs else text
    first, *rest = SENTENCE_END.split(head.strip(), maxsplit=1)
    return CaptionParts(first, "".join(rest), runs[0] if runs else "")


def shared_notes(named: Iterable[tuple[str, str]]) -> dict[str, SharedNote]:
    """Returns by text the notes that occur more than once.

    Args:
        named: Name and text of each figure or table of a page; empty texts are left out.
    """
    names: dict[str, list[str]] = {}
    for name, text in named:
        names.setdefault(text, []).append(name)
    repeated = [text for text, users in names.items() if text and len(users) > 1]
    return {text: SharedNote(number, tuple(dict.fromkeys(names[text])), text) for number, text in enumerate(repeated, start=1)}
