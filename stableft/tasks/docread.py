"""docread: a regression task, the ease of reading a paragraph of a docstring.

Like docs15 it is made from installed packages. It takes the place of CommonLit's readability prize
where that is not available, and mirrors it: higher is easier, and labels have a standard deviation
of about one. CommonLit's labels are judgements of teachers. The labels here are a formula of the
text, without noise: the Automated Readability Index (Senter & Smith, 1967, AMRL-TR-66-220). It
counts characters, words and sentences, and needs neither syllables nor word lists:

    ARI = 4.71 characters / words + 0.5 words / sentences - 21.43        ease = (12 - ARI) / 4.5

Characters are letters and digits, words are separated by white space, and sentences end as in
`SENTENCE_END`. 12 and 4.5 are the rounded mean and standard deviation of the index here, so that a
squared error starts near one.

A paragraph is 25 to 90 words of plain prose (`prose`): no code, doctest, list, table, heading or
indented text, so no descriptions of parameters. Packages repeat paragraphs with a word changed. Of
paragraphs that share any 8 words in a row only the first in alphabetical order is kept; this also
keeps the splits apart. The task has 1,000 / 277 / 1,000 examples.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TypeVar

from stableft.core.seeds import stream
from stableft.tasks import Example, Task, TaskData, cut
from stableft.tasks.docs import kept, short_of
from stableft.tasks.readers.docstrings import ROLE, read_docstrings, without_collection

SOURCES = (
    *("numpy", "scipy", "sympy", "pandas", "networkx", "sklearn", "matplotlib", "seaborn", "mpmath", "PIL"),
    *("torch/autograd", "torch/distributed", "torch/distributions", "torch/nn", "torch/optim", "torch/utils"),
    "transformers/generation",
)
SIZES = (1000, 277, 1000)
T = TypeVar("T")
WORDS = range(25, 91)
RUN = 8
MEAN, SPREAD = 12.0, 4.5

# In a line: bullets, list numbers, directives, quotes, fields, headings. In a paragraph: :: and >>>.
NOT_PROSE = re.compile(r"^(\s|[-*+\u2022|>#:]|\.\.|\(?[0-9a-zA-Z]{1,2}[.)]\s|[=~^_]{3})|::|>>>", re.MULTILINE)
CITATION = re.compile(r"\s*\[[^\]\s]+\]_")
PLAIN = re.compile(r"[A-Z][A-Za-z0-9 ,.;:'\"()?!/%-]*[.!?]")
# Identifiers, numbers with a point, colons and slashes between spaces, dashes, addresses;
# sentences that ended in a citation; notes such as "deprecated".
NOT_PLAIN = re.compile(
    r"[a-z][A-Z]|\b(?!e\.g|i\.e)\w+\.\w| [:/] |--|https?:|\.\.|\b(see|in|by|from|of|and|to|with|at|as)[.,;]|\b(todo|deprecated)\b"
)
WORD = re.compile(r"[A-Za-z'-]{2,}|[aAI]")
MAX_ODD = 0.1  # largest share of symbols and numbers among the words
SENTENCE_END = re.compile(r"(?<!\be\.g)(?<!\bi\.e)(?<!\bcf)(?<!\bvs)(?<!\bal)[.!?]+[)'\"]*(?=\s+[\"'(]*[A-Z0-9]|$)")


def paragraphs(docstring: str) -> Iterator[str]:
    """Yields the paragraphs of plain prose in a docstring."""
    return filter(None, map(prose, re.split(r"\n\s*\n", docstring.strip())))


def prose(paragraph: str) -> str | None:
    """Returns a paragraph in one line, without roles, backticks, asterisks and citations.

    None if it is not plain prose, or its length is not in `WORDS`.
    """
    if NOT_PROSE.search(paragraph):
        return None
    text = re.sub(r"[`*]", "", CITATION.sub("", ROLE.sub(r"\1", " ".join(paragraph.split()))))
    words = text.split()
    if len(words) not in WORDS or not PLAIN.fullmatch(text) or NOT_PLAIN.search(text) or not SENTENCE_END.search(text):
        return None
    odd = sum(WORD.fullmatch(word.strip("().,;:'\"!?%/")) is None for word in words)
    return text if odd <= MAX_ODD * len(words) else None


def readability_index(text: str) -> float:
    """Computes the Automated Readability Index, roughly a US school grade.

    Args:
        text: One or more complete sentences.
    """
    words, sentences = len(text.split()), len(SENTENCE_END.findall(text))
    characters = sum(character.isalnum() for character in text)
    return 4.71 * characters / words + 0.5 * words / sentences - 21.43


def ease(text: str) -> float:
    """Computes the label: the negated index, scaled to a spread of about one around zero."""
    return (MEAN - readability_index(text)) / SPREAD


def apart(texts: list[str]) -> list[str]:
    """Sorts texts, and drops each that shares `RUN` words in a row with an earlier one."""
    earlier: set[tuple[str, ...]] = set()
    different: list[str] = []
    for text in sorted(set(texts), key=lambda text: (text.casefold(), text)):
        words = re.findall(r"[a-z0-9]+", text.casefold())
        runs = {tuple(words[i : i + RUN]) for i in range(len(words) - RUN + 1)}
        if earlier.isdisjoint(runs):
            different.append(text)
        earlier |= runs
    return different


def read_paragraphs(sources: Iterable[str]) -> list[str]:
    """Reads the paragraphs of packages that are `apart`; imports no package."""
    with without_collection():
        return apart([text for doc in chain.from_iterable(map(read_docstrings, sources)) for text in paragraphs(doc.text)])


def drawn(task: str, things: str, examples: Sequence[T]) -> list[T]:
    """Shuffles examples by the stream of the task's name.

    Raises:
        MissingInput: There are fewer than the splits need.
    """
    if len(examples) < sum(SIZES):
        raise short_of(task, things, len(examples), sum(SIZES), {source.partition("/")[0] for source in SOURCES})
    return [examples[i] for i in stream(0, task).permutation(len(examples))]


def load_docread() -> TaskData:
    """Draws 1,000 / 277 / 1,000 paragraphs without replacement, labelled by `ease`.

    Raises:
        MissingInput: A package is not installed, or the docstrings give too few paragraphs.
    """
    return cut([Example(text, None, ease(text)) for text in drawn("docread", "paragraphs", read_paragraphs(SOURCES))], SIZES)


TASKS = (
    Task(
        name="docread",
        kind="regression",
        labels=(),
        score="spearman",
        language="en",
        summary="How easy to read is this paragraph? Docstrings and a readability index; 1,000 training examples, no download",
        load=kept("docread", load_docread, __file__),
    ),
)
