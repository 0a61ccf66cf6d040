"""A tiny synthetic task for tests and first trials: no download, the same on every machine, learnt within seconds.

Texts are short strings of invented words. A text belongs to the class whose marker words are more frequent in it, without label
noise; filler words carry nothing. Texts differ from one another across all splits, and classes are balanced in each, so that a
constant prediction scores exactly one half.
"""

import numpy as np

from stableft.seeds import stream
from stableft.tasks import Example, Task, TaskData

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


def _text(rng: np.random.Generator, label: int) -> str:
    """A text of 4 to 11 words: 2 to 4 markers of its class, at most one of the other, and 2 to 6 fillers."""
    own = int(rng.integers(2, 5))
    other = int(rng.integers(0, 2))
    fillers = int(rng.integers(2, 7))
    words = [*rng.choice(MARKERS[label], own), *rng.choice(MARKERS[1 - label], other), *rng.choice(FILLERS, fillers)]
    return " ".join(str(words[i]) for i in rng.permutation(len(words)))


def load() -> TaskData:
    """64 training, 32 validation and 32 test examples; labels alternate."""
    rng = stream(0, "toy")
    texts: dict[str, int] = {}
    while len(texts) < sum(SIZES):
        label = len(texts) % 2
        texts.setdefault(_text(rng, label), label)
    examples = tuple(Example(text, None, label) for text, label in texts.items())
    train, validation = SIZES[0], SIZES[0] + SIZES[1]
    return TaskData(examples[:train], examples[train:validation], examples[validation:])


TASKS: tuple[Task, ...] = (
    Task(
        name="toy",
        kind="classification",
        labels=("harsh", "soft"),
        score="accuracy",
        language="en",
        summary="Synthetic: which of two groups of invented words is more frequent; 64 train, 32 validation, 32 test",
        load=load,
    ),
)
