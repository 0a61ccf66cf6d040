"""Tasks: where the texts and labels come from, and by which score a run on them is judged.

One file per family; each exports ``TASKS``, a tuple of `Task`, and the folder is the registry. Loading needs no torch, so that
planning and reporting stay light.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Literal

SplitName = Literal["train", "validation", "test"]


@dataclass(frozen=True, slots=True)
class Example:
    """One text or text pair with its label: a class index for classification, a number for regression."""

    text: str
    pair: str | None
    label: int | float


@dataclass(frozen=True)
class TaskData:
    """The splits of a task, in a fixed order. ``test`` may be empty."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...] = ()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over every split, text and label: two loads with equal fingerprints hold the same examples in the same order."""
        digest = hashlib.sha256()
        for split in fields(self):
            rows = [(e.text, e.pair, e.label) for e in getattr(self, split.name)]
            digest.update(json.dumps([split.name, rows], ensure_ascii=False).encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class Task:
    """A named task.

    Attributes:
        name: What users type, such as ``rte``.
        kind: ``classification`` (labels are indices into ``labels``) or ``regression``.
        labels: Class names in index order; empty for regression.
        score: Name of the headline metric in `stableft.scores.SCORES`.
        language: ISO 639-1 code of the texts; protocols choose an encoder by it.
        summary: One line for listings.
        load: Reads the data; raises `stableft.errors.MissingInput` with path, line and reason if it can't.
        metrics: Names in `stableft.scores.METRICS` of what is logged beside the score at every evaluation.
    """

    name: str
    kind: Literal["classification", "regression"]
    labels: tuple[str, ...]
    score: str
    language: str
    summary: str
    load: Callable[[], TaskData]
    metrics: tuple[str, ...] = ()


def stratified_halves(labels: Sequence[int | float]) -> tuple[list[int], list[int]]:
    """Splits indices into validation and test halves by the rule of Zhang et al.'s released code.

    For each label (in order of first appearance) the indices are shuffled with a fresh ``RandomState(1)``; the first
    floor(n / 2) go to validation, the others to test (protocol section 2.5: RTE 138/139). The same halves for every run seed.

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
