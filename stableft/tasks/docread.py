"""docread: how easy to read is a paragraph? A regression task made from the docstrings of installed packages, like docs15.

It stands in for CommonLit's readability prize where that is out of reach, and mirrors it: higher is easier, labels spread by about
one. CommonLit's labels are judgements of teachers; these are a formula of the text, without noise: the Automated Readability Index
(Senter & Smith, 1967, AMRL-TR-66-220), which counts characters, words and sentences and needs neither syllables nor word lists:

    ARI = 4.71 characters / words + 0.5 words / sentences - 21.43        ease = (12 - ARI) / 4.5

Characters are letters and digits, words are what white space separates, sentences end as `SENTENCE_END` says. 12 and 4.5 are the
mean and standard deviation of the index here, rounded, so that a squared error starts near one.

A paragraph is 25 to 90 words of plain prose (`prose`): no code, doctest, list, table, heading or indented text, so no descriptions
of parameters. Packages repeat themselves with a word changed; of paragraphs that share any 8 words in a row only the first in
alphabetical order stays, which also keeps the splits apart. 1,000 / 277 / 1,000 examples.
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

# Of a line: bullets, numbers of a list, directives, quotes, fields, headings. Of a paragraph: what prose does not have.
NOT_PROSE = re.compile(r"^(\s|[-*+\u2022|>#:]|\.\.|\(?[0-9a-zA-Z]{1,2}[.)]\s|[=~^_]{3})|::|>>>", re.MULTILINE)
CITATION = re.compile(r"\s*\[[^\]\s]+\]_")
PLAIN = re.compile(r"[A-Z][A-Za-z0-9 ,.;:'\"()?!/%-]*[.!?]")
# Identifiers, numbers with a point, colons and slashes between spaces, dashes; a sentence that ended in a citation.
NOT_PLAIN = re.compile(
    r"[a-z][A-Z]|\b(?!e\.g|i\.e)\w+\.\w| [:/] |--|https?:|\.\.|\b(see|in|by|from|of|and|to|with|at|as)[.,;]|\b(todo|deprecated)\b"
)
WORD = re.compile(r"[A-Za-z'-]{2,}|[aAI]")
MAX_ODD = 0.1  # share of words that are none: symbols and numbers
SENTENCE_END = re.compile(r"(?<!\be\.g)(?<!\bi\.e)(?<!\bcf)(?<!\bvs)(?<!\bal)[.!?]+[)'\"]*(?=\s+[\"'(]*[A-Z0-9]|$)")


def paragraphs(docstring: str) -> Iterator[str]:
    """The paragraphs of plain prose in a docstring."""
    return filter(None, map(prose, re.split(r"\n\s*\n", docstring.strip())))


def prose(paragraph: str) -> str | None:
    """A paragraph in one line, without roles, backticks, asterisks and citations; None if it is no prose of fitting length."""
    if NOT_PROSE.search(paragraph):
        return None
    text = re.sub(r"[`*]", "", CITATION.sub("", ROLE.sub(r"\1", " ".join(paragraph.split()))))
    words = text.split()
    if len(words) not in WORDS or not PLAIN.fullmatch(text) or NOT_PLAIN.search(text) or not SENTENCE_END.search(text):
        return None
    odd = sum(WORD.fullmatch(word.strip("().,;:'\"!?%/")) is None for word in words)
    return text if odd <= MAX_ODD * len(words) else None


def readability_index(text: str) -> float:
    """The Automated Readability Index, about the school grade that a text asks for.

    Args:
        text: One sentence or more, each ended.
    """
    words, sentences = len(text.split()), len(SENTENCE_END.findall(text))
    characters = sum(character.isalnum() for character in text)
    return 4.71 * characters / words + 0.5 * words / sentences - 21.43


def ease(text: str) -> float:
    """The label: the index, turned round and scaled so that it spreads by about one around zero."""
    return (MEAN - readability_index(text)) / SPREAD


def apart(texts: list[str]) -> list[str]:
    """Texts in alphabetical order without those that share `RUN` words in a row with an earlier one."""
    seen: set[tuple[str, ...]] = set()
    different: list[str] = []
    for text in sorted(set(texts), key=lambda text: (text.casefold(), text)):
        words = re.findall(r"[a-z0-9]+", text.casefold())
        runs = {tuple(words[i : i + RUN]) for i in range(len(words) - RUN + 1)}
        if seen.isdisjoint(runs):
            different.append(text)
        seen |= runs
    return different


def read_paragraphs(sources: Iterable[str]) -> list[str]:
    """The paragraphs of these packages that are `apart`; no package is imported."""
    with without_collection():
        return apart([text for doc in chain.from_iterable(map(read_docstrings, sources)) for text in paragraphs(doc.text)])


def drawn(task: str, things: str, found: Sequence[T]) -> list[T]:
    """What was found, in an order drawn by the stream of the task's name.

    Raises:
        MissingInput: there are fewer than the sizes of the splits ask for.
    """
    if len(found) < sum(SIZES):
        raise short_of(task, things, len(found), sum(SIZES), {source.partition("/")[0] for source in SOURCES})
    return [found[i] for i in stream(0, task).permutation(len(found))]


def load_docread() -> TaskData:
    """1,000 / 277 / 1,000 paragraphs drawn without replacement, labelled by `ease`.

    Raises:
        MissingInput: a package is not installed, or their docstrings do not give that many paragraphs.
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
