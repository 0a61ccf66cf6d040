"""doccode: a tagging task that marks the code words in sentences of docstrings.

Like docs15 it is made from installed packages. It takes the place of named-entity recognition where
no corpus is available. The entities are the authors' marks: double backticks, or a role such as
``:class:``. The marks are removed, and ``~package.name`` is cut to the name, as Sphinx does. A word
is a run of letters, digits and underscores, with dots, hyphens and apostrophes inside it; any other
character is a word too.

A sentence has 8 to 40 words and at least one mark; each mark covers at most three whole words.
Sentences with other marks (single backticks, links, mathematics, emphasis) or other characters are
left out. Of sentences that share any 8 words in a row only the first in alphabetical order is kept,
as in docread. The task has 1,000 / 277 / 1,000 sentences with 1.5 entities each.

So that spelling alone doesn't solve the task, at least half of a sentence's entities have no
`telling` word. F1 on test of simple rules: "has an underscore or is followed by brackets ()" 0.10;
"is telling or is followed by brackets" 0.21; "is mostly an entity in train" 0.47; ``B-code`` for
all words 0.15. Logistic regression (C=10) on the word, its shape and the two words on either side,
fitted on train, has 0.63. Authors are not consistent: one marks True, another does not, so an F1 of
1 is out of reach.
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
    """Text without its marks, and the [start, end) ranges of the marked parts, in order."""

    text: str
    ranges: list[tuple[int, int]]


def telling(word: str) -> bool:
    """Returns True if a word's spelling alone suggests code.

    It does with an underscore, a digit, an inner dot or capital, or as a single letter that is no
    word.
    """
    return TELLING.search(word) is not None


def blocks(docstring: str) -> Iterator[str]:
    """Yields runs of lines of the same indentation.

    Descriptions of parameters are among them.
    """
    lines = docstring.expandtabs().splitlines()
    for indent, run in groupby(lines, key=lambda line: len(line) - len(line.lstrip()) if line.strip() else -1):
        if indent >= 0:
            yield "\n".join(line.strip() for line in run)


def unmark(text: str) -> Marked:
    """Removes the marks of code."""
    pieces: list[str] = []
    ranges: list[tuple[int, int]] = []
    length = position = 0
    for mark in CODE.finditer(text):
        before = text[position : mark.start()]
        code = (mark["code"] or (mark["role"].rpartition(".")[2] if "~" in mark["dots"] else mark["role"])).strip()
        pieces += (before, code)
        ranges.append((length + len(before), length + len(before) + len(code)))
        length, position = ranges[-1][1], mark.end()
    return Marked("".join([*pieces, text[position:]]), ranges)


def sentences(block: str) -> Iterator[Marked]:
    """Yields the sentences of a block with marked code and only plain characters."""
    if not CODE.search(block) or NOT_PROSE.search(block):
        return
    text, ranges = unmark(CITATION.sub("", " ".join(block.split())))
    start = 0
    for end in (match.end() for match in SENTENCE_END.finditer(text)):
        start += len(text[start:end]) - len(text[start:end].lstrip())
        inside = [(first - start, last - start) for first, last in ranges if start <= first and last <= end]
        begins = inside and (text[start].isupper() or inside[0][0] == 0)
        if begins and SENTENCE.fullmatch(text[start:end]):
            yield Marked(text[start:end], inside)
        start = end


def tag(sentence: Marked) -> TaggedExample | None:
    """Splits a sentence into words and tags them.

    Returns:
        The example; None if the length does not fit, a mark covers parts of words, or too many
        entities have a `telling` word.
    """
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
    """Reads the usable sentences of packages that are `apart`; imports no package."""
    examples: dict[str, TaggedExample] = {}
    with without_collection():
        for doc in chain.from_iterable(map(read_docstrings, sources)):
            for sentence in chain.from_iterable(map(sentences, blocks(doc.text))):
                if example := tag(sentence):
                    examples.setdefault(sentence.text, example)
    return [examples[text] for text in apart(list(examples))]


def load_doccode() -> TaskData:
    """Draws 1,000 / 277 / 1,000 sentences without replacement.

    Raises:
        MissingInput: A package is not installed, or the docstrings give too few sentences.
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
