"""Tiny synthetic tasks for tests and first trials.

They need no download, are the same on every machine and are learnt within seconds. Texts are short
strings of invented words. A text of ``toy`` belongs to the class whose marker words are more
frequent in it, without label noise; filler words carry no information. Classes are balanced in each
split, so a constant prediction has an accuracy of one half. ``toyscore`` is the regression: the
number of soft words, 0 to 4, among a text's four marker words, all five equally often (to within
one). In ``toytag`` the marker words are entities of two kinds, in runs of one to three of a kind
between fillers. All texts of a task are different, also across splits.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from stableft.core.seeds import stream
from stableft.tasks import Example, TaggedExample, Task, TaskData, bio_labels, cut

MARKERS: tuple[tuple[str, ...], tuple[str, ...]] = (
    ("bral", "dorn", "grelk", "hask", "kruld", "skarn", "vrok", "zolk"),
    ("alin", "celia", "elomi", "filia", "lumi", "neli", "oliane", "wimea"),
)
FILLERS: tuple[str, ...] = (
    "bap", "cug", "dep", "fot", "gub", "hig", "jep", "kig", "lub", "mip",
    "nug", "pob", "quib", "rup", "sib", "tup", "vep", "wug", "yop", "zib",
    "cham", "dilp", "fesh", "gant",
)  # fmt: skip
VOCABULARY: tuple[str, ...] = (*MARKERS[0], *MARKERS[1], *FILLERS)

SIZES = (64, 32, 32)
KINDS = ("harsh", "soft")  # in the order of `MARKERS`


def _text(rng: np.random.Generator, label: int) -> str:
    """Draws a text of 4 to 11 words.

    It has 2 to 4 markers of its class, at most one of the other, and 2 to 6 fillers.
    """
    own = int(rng.integers(2, 5))
    other = int(rng.integers(0, 2))
    fillers = int(rng.integers(2, 7))
    words = [*rng.choice(MARKERS[label], own), *rng.choice(MARKERS[1 - label], other), *rng.choice(FILLERS, fillers)]
    return " ".join(str(words[i]) for i in rng.permutation(len(words)))


def _scored_text(rng: np.random.Generator, score: int) -> str:
    """Draws a text of 6 to 10 words: 4 markers, ``score`` of them soft, and 2 to 6 fillers."""
    fillers = int(rng.integers(2, 7))
    words = [*rng.choice(MARKERS[0], 4 - score), *rng.choice(MARKERS[1], score), *rng.choice(FILLERS, fillers)]
    return " ".join(str(words[i]) for i in rng.permutation(len(words)))


def load(name: str, write: Callable[[np.random.Generator, int], str], labels: int) -> TaskData:
    """Makes 64 training, 32 validation and 32 test examples, with labels in turn.

    Args:
        name: Name of the task and of its random stream.
        write: Draws a text of a label.
        labels: Number of labels.
    """
    rng = stream(0, name)
    texts: dict[str, int] = {}
    while len(texts) < sum(SIZES):
        label = len(texts) % labels
        texts.setdefault(write(rng, label), label)
    return cut([Example(text, None, label) for text, label in texts.items()], SIZES)


TAGS = bio_labels(KINDS)


def _sentence(rng: np.random.Generator) -> TaggedExample:
    """Draws a sentence with two to four runs of markers.

    A run has 1 to 3 words of one kind. There are 1 or 2 fillers before each run, and one at the
    end.
    """
    words: list[str] = []
    tags: list[int] = []
    for _ in range(int(rng.integers(2, 5))):
        kind, length, fillers = int(rng.integers(2)), int(rng.integers(1, 4)), int(rng.integers(1, 3))
        words += [*map(str, rng.choice(FILLERS, fillers)), *map(str, rng.choice(MARKERS[kind], length))]
        tags += [0] * fillers + [TAGS.index(f"{letter}-{KINDS[kind]}") for letter in "BII"[:length]]
    words.append(str(rng.choice(FILLERS)))
    return TaggedExample(tuple(words), (*tags, 0))


def load_tags() -> TaskData:
    """Makes 64 training, 32 validation and 32 test sentences."""
    rng = stream(0, "toytag")
    sentences: dict[tuple[str, ...], TaggedExample] = {}
    while len(sentences) < sum(SIZES):
        sentence = _sentence(rng)
        sentences.setdefault(sentence.words, sentence)
    return cut(list(sentences.values()), SIZES)


TASKS: tuple[Task, ...] = (
    Task(
        name="toy",
        kind="classification",
        labels=KINDS,
        score="accuracy",
        language="en",
        summary="Synthetic: which of two groups of invented words is more frequent; 64 train, 32 validation, 32 test",
        load=partial(load, "toy", _text, 2),
    ),
    Task(
        name="toyscore",
        kind="regression",
        labels=(),
        score="spearman",
        language="en",
        summary="Synthetic regression: how many of four invented words are of one group; 64 train, 32 validation, 32 test",
        load=partial(load, "toyscore", _scored_text, 5),
        metrics=("pearson", "rmse"),
    ),
    Task(
        name="toytag",
        kind="tagging",
        labels=TAGS,
        score="entity_f1",
        language="en",
        summary="Synthetic tagging: runs of invented words of two kinds among others; 64 train, 32 validation, 32 test",
        load=load_tags,
        metrics=("entity_precision", "entity_recall", "accuracy"),
    ),
)
