"""Task: its labels, its score, and its examples in splits."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Generic, Literal, TypeVar

from stableft.core.errors import UsageError
from stableft.core.own_data import OwnData

TAGGING_METRICS = ("entity_precision", "entity_recall", "accuracy")
"""Metrics logged next to the score of every tagging task; accuracy is that of words."""


@dataclass(frozen=True, slots=True)
class Example:
    """One text or text pair with its label: a class index for classification, a number for regression."""

    text: str
    pair: str | None
    label: int | float

    @property
    def row(self) -> tuple[str, str | None, int | float]:
        """Its fields, for JSON."""
        return self.text, self.pair, self.label


@dataclass(frozen=True, slots=True)
class TaggedExample:
    """One sentence with a tag for each word. In Chinese each character is a word.

    Attributes:
        words: At least one; none is empty.
        tags: Indices into `Task.labels`, one for each word.
    """

    words: tuple[str, ...]
    tags: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.words or not all(self.words) or len(self.words) != len(self.tags):
            raise ValueError(f"{len(self.words)} words with {len(self.tags)} tags; give each word one tag, and leave no word empty")

    @property
    def row(self) -> tuple[tuple[str, ...], tuple[int, ...]]:
        """Its fields, for JSON."""
        return self.words, self.tags


E = TypeVar("E", Example, TaggedExample)


@dataclass(frozen=True)
class TaskData(Generic[E]):
    """The splits of a task, each in a fixed order; ``test`` and ``unlabelled`` may be empty.

    All examples are of one type: `TaggedExample` for tagging, else `Example`. The labels of
    ``unlabelled`` mean nothing: it is predicted, never scored.
    """

    train: tuple[E, ...]
    validation: tuple[E, ...]
    test: tuple[E, ...] = ()
    unlabelled: tuple[E, ...] = ()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over every split, text and label.

        Two loads with equal fingerprints hold the same examples in the same order.
        """
        digest = hashlib.sha256()
        for split in fields(self):
            if split.name == "unlabelled" and not self.unlabelled:  # younger than most fingerprints
                continue
            rows = [example.row for example in getattr(self, split.name)]
            digest.update(json.dumps([split.name, rows], ensure_ascii=False).encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class Task:
    """A named task.

    Attributes:
        name: Its name on the command line, such as ``rte``.
        kind: ``classification`` (labels are indices into ``labels``), ``regression``, or ``tagging`` (a
            class for each word).
        labels: Class names in index order; empty for regression. For tagging ``O``, then ``B-x`` and
            ``I-x`` of each kind x of entity, in alphabetical order: `bio_labels`.
        score: Name of the headline metric in `stableft.tasks.scores.SCORES`, or for tagging in
            `stableft.tasks.scores.TAGGING_SCORES`.
        language: ISO 639-1 code of the texts; protocols choose an encoder by it.
        summary: One line for listings.
        load: Reads the data; raises `stableft.core.errors.MissingInput` with path, line and reason if
            it can't.
        metrics: Names of the metrics logged next to the score at every evaluation, in
            `stableft.tasks.scores.METRICS`, or for tagging also in
            `stableft.tasks.scores.TAGGING_METRICS`.
        pairs: True if an example is a pair of texts.
        own: How the user's file was read; None for a registered task.
        notes: Remarks on the user's file: what was left out, merged or taken leniently.
    """

    name: str
    kind: Literal["classification", "regression", "tagging"]
    labels: tuple[str, ...]
    score: str
    language: str
    summary: str
    load: Callable[[], TaskData]
    metrics: tuple[str, ...] = ()
    pairs: bool = False
    own: OwnData | None = None
    notes: tuple[str, ...] = ()

    def refuse_head(self, head: str) -> None:
        """Refuses heads that this kind of task can't have.

        Raises:
            UsageError: a CRF, and no words to be tagged.
        """
        if head == "bilstm_crf" and self.kind != "tagging":
            raise UsageError(f"head bilstm_crf tags words, and {self.name} is a {self.kind} task: use head linear")


def cut(examples: Sequence[E], sizes: tuple[int, int, int]) -> TaskData[E]:
    """Returns the first examples as splits of the given sizes: training, validation and test, in order."""
    train, validation = sizes[0], sizes[0] + sizes[1]
    return TaskData(tuple(examples[:train]), tuple(examples[train:validation]), tuple(examples[validation : sum(sizes)]))


def bio_labels(kinds: Iterable[str]) -> tuple[str, ...]:
    """Returns the tags of the given kinds of entities, in the order required by `Task.labels`."""
    return ("O", *(f"{prefix}-{kind}" for kind in sorted(set(kinds)) for prefix in "BI"))


def stratified_halves(labels: Sequence[int | float]) -> tuple[list[int], list[int]]:
    """Splits indices into validation and test halves by the rule of Zhang et al.'s released code.

    For each label (in order of first appearance) the indices are shuffled with a fresh
    ``RandomState(1)``. The first floor(n / 2) go to validation, the others to test (protocol section
    2.5: RTE 138/139). The halves are the same for every run seed.

    Returns:
        Validation and test indices, each in ascending order.
    """
    import numpy as np

    groups: dict[int | float, list[int]] = {}
    for index, label in enumerate(labels):
        groups.setdefault(label, []).append(index)
    validation: list[int] = []
    test: list[int] = []
    for group in groups.values():
        shuffled = np.array(group)
        np.random.RandomState(1).shuffle(shuffled)
        half = len(group) // 2
        validation += shuffled[:half].tolist()
        test += shuffled[half:].tolist()
    return sorted(validation), sorted(test)
