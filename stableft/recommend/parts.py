"""Parts: the three parts of a user's data, and scores of predictions on them.

A rate or a technique is chosen on validation. The test part is looked at once, for the answer.
"""

from collections.abc import Hashable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stableft.core.errors import MissingInput
from stableft.tasks import TaggedExample, Task, TaskData, entity_spans, scores
from stableft.tasks.user_splits import divide

FEWEST = 10  # examples of train for each that validation gets


def with_test_part(task: Task) -> tuple[Task, str]:
    """Returns a task whose data have a test part, and a remark.

    Without one, the given validation becomes the test part, and a tenth of train becomes validation.
    Equal inputs stay together, and all runs have the same parts.

    Raises:
        MissingInput: Train is too small to be divided.
    """
    data = task.load()
    if data.test:
        return task, ""
    groups: dict[Hashable, list[int]] = {}
    for number, example in enumerate(data.train):
        groups.setdefault(example.words if isinstance(example, TaggedExample) else (example.text, example.pair), []).append(number)
    if len(groups) < 2 * FEWEST:
        raise MissingInput(f"{task.name}: {len(groups)} different examples to train on; at least {2 * FEWEST} are needed")
    labels = [str(data.train[rows[0]].row[-1]) for rows in groups.values()] if task.kind == "classification" else None
    drawn = ["validation" if name == "validation" else "train" for name in divide(labels, len(groups))]
    if labels:  # a class that is only in validation would be unknown to the model
        trained = {label for label, name in zip(labels, drawn, strict=True) if name == "train"}
        drawn = [name if label in trained else "train" for label, name in zip(labels, drawn, strict=True)]
    chosen = {number for rows, name in zip(groups.values(), drawn, strict=True) if name == "validation" for number in rows}
    train = tuple(example for number, example in enumerate(data.train) if number not in chosen)
    validation = tuple(example for number, example in enumerate(data.train) if number in chosen)
    parts = TaskData(train, validation, data.validation, data.unlabelled)
    remark = (
        f"there is no labelled test part: the given validation ({len(data.validation)}) is reported on, "
        f"and {len(validation)} examples of train are chosen by"
    )
    return replace(task, load=lambda: parts), remark


@dataclass(frozen=True)
class Labelled:
    """The labels of one part, as predictions are scored against them.

    Attributes:
        task: Gives the score.
        labels: (N,) class indices, numbers, or for tagging the tags of all words.
        offsets: (M + 1,) start of each sentence's words, then N; None unless it is tagging.
    """

    task: Task
    labels: NDArray[np.float64]
    offsets: NDArray[np.int64] | None = None

    @property
    def items(self) -> int:
        """Number of examples: texts, or sentences."""
        return len(self.labels) if self.offsets is None else len(self.offsets) - 1

    def score(self, predictions: ArrayLike, name: str = "") -> float:
        """Returns the task's score, or another metric by name, of (N,) predictions."""
        return scores.evaluate(name or self.task.score, self.labels, predictions, offsets=self.offsets, names=self.task.labels)

    def constant(self) -> float:
        """Returns the best score of a constant prediction; a run at or below it is a failed run."""
        return scores.constant(self.task.score, self.labels, offsets=self.offsets, names=self.task.labels)

    def constant_predictions(self) -> NDArray[np.float64]:
        """Returns (N,) the constant prediction with the best score; for tags no entity."""
        if self.task.kind == "tagging":
            return np.full_like(self.labels, self.task.labels.index("O"))
        values = scores.SCORES[self.task.score].candidates(self.labels)
        return np.full_like(self.labels, max(values, key=lambda value: self.score(np.full_like(self.labels, value))))

    def scorer(self, predictions: NDArray[np.float64]) -> "ItemScorer":
        """Returns the score of (N,) predictions as a function of items, for `score_draws`."""
        return ItemScorer(self, predictions)


class ItemScorer:
    """The score of one run's predictions on chosen items of a part.

    F1 of entities is computed from counts.
    """

    def __init__(self, part: Labelled, predictions: NDArray[np.float64]) -> None:
        self._part, self._predictions = part, np.asarray(predictions, dtype=np.float64)
        self._counts = None if part.offsets is None else _entity_counts(part, self._predictions)

    def __call__(self, items: NDArray[np.int64]) -> float:
        """Returns the score on the items at (K,) indices."""
        if self._counts is not None:
            correct, predicted, true = self._counts[items].sum(axis=0)
            return 2.0 * float(correct) / float(predicted + true) if correct else 0.0
        return scores.evaluate(self._part.task.score, self._part.labels[items], self._predictions[items])


def _entity_counts(part: Labelled, predictions: NDArray[np.float64]) -> NDArray[np.int64]:
    """Returns (M, 3) the correct, the predicted and the true entities of each sentence."""
    assert part.offsets is not None
    here, there = (entity_spans.spans(tags, part.offsets, part.task.labels) for tags in (predictions, part.labels))
    keys = [set(zip(s.starts.tolist(), s.ends.tolist(), s.kinds.tolist(), strict=True)) for s in (here, there)]
    groups = (keys[0] & keys[1], keys[0], keys[1])
    counts = np.zeros((part.items, 3), dtype=np.int64)
    for column, spans in enumerate(groups):
        starts = np.array([start for start, _, _ in spans], dtype=np.int64)
        np.add.at(counts[:, column], np.searchsorted(part.offsets, starts, side="right") - 1, 1)
    return counts


def labelled(task: Task, data: TaskData, split: str) -> Labelled:
    """Returns the labels of a split."""
    examples = getattr(data, split)
    if task.kind != "tagging":
        return Labelled(task, np.array([example.label for example in examples], dtype=np.float64))
    lengths = [len(example.words) for example in examples]
    tags = np.array([tag for example in examples for tag in example.tags], dtype=np.float64)
    return Labelled(task, tags, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
