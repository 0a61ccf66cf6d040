"""doccode: which words of a sentence are code? A tagging task made from the docstrings of installed packages, like docs15.

It stands in for named-entity recognition where corpora are out of reach. The entities are what the authors marked: by double
backticks, or by a role such as ``:class:``. The marks are removed, and of ``~package.name`` all but the name, as Sphinx does. A
word is a run of letters, digits, underscores and of dots, hyphens and apostrophes inside it; any other character is one too.

A sentence has 8 to 40 words and at least one mark; each mark is of at most three whole words. Sentences with other marks (single
backticks, links, mathematics, emphasis) or other characters are left out. Of sentences that share any 8 words in a row only the
first in alphabetical order stays, as in docread. 1,000 / 277 / 1,000 sentences with 1.5 entities each.

To be no matter of spelling, at least half of a sentence's entities have no `telling` word. "A word is an entity if it has an
underscore or if brackets () follow" has an F1 of 0.10 on test, "if it is telling or brackets follow" 0.21, "if it mostly is one in
train" 0.47; logistic regression (C=10) on the word, its shape and the two words on either side, fitted on train, 0.63. All words
``B-code`` would have 0.15. Authors are not consistent: one marks True, another does not, so that 1 is out of reach.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import chain, groupby
from typing import NamedTuple

from stableft.tasks import TAGGING_METRICS, TaggedExample, Task, TaskData, bio_labels, cut, docread
from stableft.tasks.docread import CITATION, NOT_PROSE, SENTENCE_END, SIZES, SOURCES, apart, drawn
from stableft.tasks.docs import kept
from stableft.tasks.readers.docstrings import read_docstrings, without_collection

WORDS = range(8, 41)
LONGEST = 3
LABELS = bio_labels(["code"])

CODE = re.compile(
    r":(?:py:)?(?:class|func|meth|attr|mod|obj|data|exc|const):`(?P<dots>[~!.]*)(?P<role>[^`<]+?)(?:\s*<[^`]*>)?`|``(?P<code>[^`]+)``"
)
WORD = re.compile(r"[A-Za-z0-9_]+(?:['.-][A-Za-z0-9_]+)*|[^\sA-Za-z0-9_]")
SENTENCE = re.compile(r"[A-Za-z0-9_ ,.;:'\"()?!/%-]+[.!?][)'\"]?")
TELLING = re.compile(r"_|\d|[a-z][A-Z]|\w\.\w|^[b-zB-HJ-Z]$")


class Marked(NamedTuple):
    """Text without marks, and [start, end) of what was marked, in order."""

    text: str
    ranges: list[tuple[int, int]]


def telling(word: str) -> bool:
    """Whether a word's spelling alone suggests code: an underscore, digit, inner dot or capital, or a letter that is no word."""
    return TELLING.search(word) is not None


def blocks(docstring: str) -> Iterator[str]:
    """Runs of lines of the same indentation, so that descriptions of parameters are among them."""
    lines = docstring.expandtabs().splitlines()
    for indent, run in groupby(lines, key=lambda line: len(line) - len(line.lstrip()) if line.strip() else -1):
        if indent >= 0:
            yield "\n".join(line.strip() for line in run)


def unmark(text: str) -> Marked:
    """Removes the marks of code."""
    pieces: list[str] = []
    ranges: list[tuple[int, int]] = []
    length = position = 0
    for found in CODE.finditer(text):
        before = text[position : found.start()]
        code = (found["code"] or (found["role"].rpartition(".")[2] if "~" in found["dots"] else found["role"])).strip()
        pieces += (before, code)
        ranges.append((length + len(before), length + len(before) + len(code)))
        length, position = ranges[-1][1], found.end()
    return Marked("".join([*pieces, text[position:]]), ranges)


def sentences(block: str) -> Iterator[Marked]:
    """The sentences of a block that have marked code and only plain characters."""
    if not CODE.search(block) or NOT_PROSE.search(block):
        return
    text, ranges = unmark(CITATION.sub("", " ".join(block.split())))
    start = 0
    for end in (found.end() for found in SENTENCE_END.finditer(text)):
        start += len(text[start:end]) - len(text[start:end].lstrip())
        inside = [(first - start, last - start) for first, last in ranges if start <= first and last <= end]
        begins = inside and (text[start].isupper() or inside[0][0] == 0)
        if begins and SENTENCE.fullmatch(text[start:end]):
            yield Marked(text[start:end], inside)
        start = end


def tag(sentence: Marked) -> TaggedExample | None:
    """Its words and tags; None if it doesn't fit: in length, marks of parts of words, or too much that is telling."""
    words = list(WORD.finditer(sentence.text))
    spans = [
        [i for i, word in enumerate(words) if word.start() < last and word.end() > first] for first, last in sentence.ranges
    ]  # fmt: skip
    whole = all(
        1 <= len(span) <= LONGEST and (words[span[0]].start(), words[span[-1]].end()) == marked
        for span, marked in zip(spans, sentence.ranges, strict=True)
    )
    if len(words) not in WORDS or not whole:
        return None
    if 2 * sum(any(telling(words[i][0]) for i in span) for span in spans) > len(spans):
        return None
    tags = [0] * len(words)
    for span in spans:
        tags[span[0] : span[-1] + 1] = [1] + [2] * (len(span) - 1)
    return TaggedExample(tuple(word[0] for word in words), tuple(tags))


def read_sentences(sources: Iterable[str]) -> list[TaggedExample]:
    """The sentences of these packages that fit and are `apart`; no package is imported."""
    found: dict[str, TaggedExample] = {}
    with without_collection():
        for doc in chain.from_iterable(map(read_docstrings, sources)):
            for sentence in chain.from_iterable(map(sentences, blocks(doc.text))):
                if example := tag(sentence):
                    found.setdefault(sentence.text, example)
    return [found[text] for text in apart(list(found))]


def load_doccode() -> TaskData:
    """1,000 / 277 / 1,000 sentences drawn without replacement.

    Raises:
        MissingInput: a package is not installed, or their docstrings do not give that many sentences.
    """
    return cut(drawn("doccode", "sentences", read_sentences(SOURCES)), SIZES)


TASKS = (
    Task(
        name="doccode",
        kind="tagging",
        labels=LABELS,
        score="entity_f1",
        language="en",
        summary="Which words are code? Sentences of docstrings with their marks removed; 1,000 training examples, no download",
        load=kept("doccode", load_doccode, __file__, docread.__file__),
        metrics=TAGGING_METRICS,
    ),
)
