"""CLUE's TNEWS (Xu et al., 2020): titles of Toutiao news in 15 classes.

Rows come from CLUE's JSON lines or from the hub's ``clue/clue``. The setting is that of the TNEWS
note (protocol section 7, S0): 1,000 training titles and about 50,000 for evaluation, the same for
every seed. The note doesn't report how they were drawn. Here:

- The training file repeats titles, some with conflicting labels. All rows of a title with more than
  one label are dropped; of other repeats the first row is kept. Titles of the development file are
  dropped. Titles are compared exactly.
- From the rest 1,000 titles are drawn once, at random and not stratified (the source mentions no
  strata).
- ``tnews`` evaluates on the whole official development file, with its repeats and conflicting
  labels, so its accuracies compare with published ones. ``tnews50k`` evaluates on all cleaned
  training titles outside the draw, 47,346 of them.

Both tasks train on the same 1,000 titles; none of them occurs in either validation set. CLUE's test
file has no labels and is not read; ``test`` is empty. Texts are not changed: lower-casing is left
to the tokenizer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from stableft.core.errors import MissingInput
from stableft.core.seeds import stream
from stableft.tasks import Example, Task, TaskData
from stableft.tasks.readers.corpus_files import Fields, Source, read_json_lines, read_train_dev

NUM_TRAIN = 1000

# Codes and descriptions in the order of CLUE's labels.json; it has no 105 and no 111.
CLASSES = {
    "100": "news_story",
    "101": "news_culture",
    "102": "news_entertainment",
    "103": "news_sports",
    "104": "news_finance",
    "106": "news_house",
    "107": "news_car",
    "108": "news_edu",
    "109": "news_tech",
    "110": "news_military",
    "112": "news_travel",
    "113": "news_world",
    "114": "news_stock",
    "115": "news_agriculture",
    "116": "news_game",
}

SOURCE = Source(
    name="tnews",
    folders=("tnews", "tnews_public"),
    files=("train.json", "dev.json"),
    local=Fields(text="sentence", label="label", classes=tuple(CLASSES)),
    repo="clue/clue",
    config="tnews",
    hub=Fields(text="sentence", label="label", classes=tuple(CLASSES), ident="idx"),
)


@dataclass(frozen=True, slots=True)
class TnewsCounts:
    """Counts of the rows and titles dropped by `clean`, in the order of its steps.

    Attributes:
        train_rows: Rows of the training file.
        conflicting_titles: Titles with more than one label there.
        conflicting_rows: Rows of conflicting titles, all dropped.
        repeated_rows: Rows dropped because an earlier row has the same title and label.
        shared_titles: Remaining titles dropped because the development file has them.
        kept: Titles left.
        dev_rows: Rows of the development file, all used.
        dev_titles: Distinct titles in the development file.
    """

    train_rows: int
    conflicting_titles: int
    conflicting_rows: int
    repeated_rows: int
    shared_titles: int
    kept: int
    dev_rows: int
    dev_titles: int


def clean(train: Sequence[Example], dev: Sequence[Example]) -> tuple[tuple[Example, ...], TnewsCounts]:
    """Drops conflicting and repeated rows of ``train``, and titles of ``dev``.

    Returns:
        The remaining training examples in file order, one for each title, and the counts.
    """
    labels: dict[str, set[int | float]] = {}
    for example in train:
        labels.setdefault(example.text, set()).add(example.label)
    conflicting = {title for title, distinct in labels.items() if len(distinct) > 1}
    consistent = [example for example in train if example.text not in conflicting]
    first: dict[str, Example] = {}
    for example in consistent:
        first.setdefault(example.text, example)
    dev_titles = {example.text for example in dev}
    kept = tuple(example for title, example in first.items() if title not in dev_titles)
    counts = TnewsCounts(
        train_rows=len(train),
        conflicting_titles=len(conflicting),
        conflicting_rows=len(train) - len(consistent),
        repeated_rows=len(consistent) - len(first),
        shared_titles=len(first) - len(kept),
        kept=len(kept),
        dev_rows=len(dev),
        dev_titles=len(dev_titles),
    )
    return kept, counts


def draw(examples: Sequence[Example]) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Draws 1,000 fixed examples at random.

    Returns:
        The drawn examples and the others, both in the given order.

    Raises:
        MissingInput: There are no others.
    """
    if len(examples) <= NUM_TRAIN:
        raise MissingInput(f"tnews: cleaning left {len(examples)} training titles; more than {NUM_TRAIN} are needed")
    # Sorts uniform numbers: numpy doesn't guarantee that choice() and permutation() never change.
    numbers = stream(0, "tnews50k").random(len(examples))
    drawn = set(np.argsort(numbers, kind="stable")[:NUM_TRAIN].tolist())
    return (
        tuple(example for i, example in enumerate(examples) if i in drawn),
        tuple(example for i, example in enumerate(examples) if i not in drawn),
    )


def _read() -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    return read_train_dev(SOURCE, partial(read_json_lines, keys=SOURCE.local.names))


def load_tnews() -> TaskData:
    """Loads 1,000 training titles, and the official development file for validation."""
    train, dev = _read()
    return TaskData(draw(clean(train, dev)[0])[0], dev)


def load_tnews50k() -> TaskData:
    """Loads the same 1,000 training titles, and all other cleaned ones for validation."""
    return TaskData(*draw(clean(*_read())[0]))


def _task(name: str, summary: str, load: Callable[[], TaskData]) -> Task:
    return Task(name, "classification", tuple(CLASSES.values()), "accuracy", "zh", summary, load)


TASKS: tuple[Task, ...] = (
    _task("tnews", "CLUE TNEWS, news titles in 15 classes: 1,000 train, official development set of 10,000", load_tnews),
    _task("tnews50k", "CLUE TNEWS as in the TNEWS note: the same 1,000 train, some 47,000 other titles", load_tnews50k),
)
