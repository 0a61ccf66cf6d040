"""Statistics of a task's data: sizes, labels, lengths, repeats."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stableft.tasks import Example, TaggedExample, Task, TaskData, scores
from stableft.tasks.entity_spans import spans

QUANTILES = {"min": 0.0, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95, "max": 1.0}

Input = tuple[str | None, ...]
Label = int | float | tuple[int, ...]


def summarise(task: Task, data: TaskData) -> dict[str, Any]:
    """Returns statistics of a task's data, as JSON values.

    Args:
        task: Gives the names of the classes and of the score.
        data: The data of this task.

    Returns:
        ``pairs`` (True if there are second texts), ``fingerprint``, ``unlabelled`` (number of examples
        without a label), and ``splits``. For each split
        that is not empty it has:

        - ``examples``: their number.
        - ``labels``: class name -> count; for tagging, tag -> count of words.
        - ``entities``, for tagging: kind -> count.
        - ``scores``, for regression instead of ``labels``: min, mean, max, and std (dividing by n).
        - ``constant_score``: the best score of a constant prediction; None if undefined.
        - ``words``, ``characters``: quantiles of the length of an example, both texts of a pair
          together. Words are separated by white space; for tagging they are the tagged words, and
          white space between them is not counted.
        - ``repeats``: rows with the same input as an earlier row of the split.
        - ``conflicts``: rows whose input also occurs with another label, in any split.
        - ``shared``: for each other split, rows whose input also occurs there.
    """
    splits = {name: rows for name in ("train", "validation", "test") if (rows := getattr(data, name))}
    inputs = {name: [_input(example) for example in rows] for name, rows in splits.items()}
    # All labels of each input, over all splits: more than one is a conflict.
    labels: dict[Input, set[Label]] = {}
    for example in (example for rows in splits.values() for example in rows):
        labels.setdefault(_input(example), set()).add(_label(example))
    return {
        "pairs": any(isinstance(example, Example) and example.pair is not None for example in data.train),
        "fingerprint": data.fingerprint,
        "unlabelled": len(data.unlabelled),
        "splits": {
            name: {
                "examples": len(rows),
                **_labels(task, rows),
                **_lengths(rows),
                "repeats": len(rows) - len(set(inputs[name])),
                "conflicts": sum(len(labels[key]) > 1 for key in inputs[name]),
                "shared": _shared(name, inputs),
            }
            for name, rows in splits.items()
        },
    }


def _labels(task: Task, rows: Sequence[Any]) -> dict[str, Any]:
    if task.kind == "tagging":
        tags = [tag for example in rows for tag in example.tags]
        offsets = np.cumsum([0, *(len(example.tags) for example in rows)])
        kinds = np.bincount(spans(np.array(tags), offsets, task.labels).kinds, minlength=len(task.labels) // 2)
        entities = dict(zip([name[2:] for name in task.labels[1::2]], kinds.tolist(), strict=True))
        return {**_counts(task, tags), "entities": entities, **_constant(task, tags, offsets)}
    labels = [example.label for example in rows]
    if task.kind == "classification":
        return {**_counts(task, labels), **_constant(task, labels)}
    values = np.array(labels, dtype=np.float64)
    spread = {name: float(getattr(values, name)()) for name in ("min", "mean", "max", "std")}
    return {"scores": spread, **_constant(task, labels)}


def _counts(task: Task, labels: Sequence[int]) -> dict[str, Any]:
    counts = Counter(labels)
    return {"labels": {name: counts[index] for index, name in enumerate(task.labels)}}


def _constant(task: Task, labels: Sequence[float], offsets: NDArray[np.int64] | None = None) -> dict[str, Any]:
    constant = scores.constant(task.score, labels, offsets=offsets, names=task.labels)
    return {"constant_score": constant if math.isfinite(constant) else None}


def _lengths(rows: Sequence[Example | TaggedExample]) -> dict[str, Any]:
    words = [len(example.words) if isinstance(example, TaggedExample) else _words(example) for example in rows]
    characters = [sum(len(part or "") for part in _input(example)) for example in rows]
    return {"words": _quantiles(words), "characters": _quantiles(characters)}


def _words(example: Example) -> int:
    return len(" ".join(filter(None, (example.text, example.pair))).split())


def _quantiles(lengths: Sequence[int]) -> dict[str, int]:
    # Quantiles that are lengths of examples, not means of two lengths.
    values = np.quantile(lengths, list(QUANTILES.values()), method="inverted_cdf")
    return dict(zip(QUANTILES, map(int, values), strict=True))


def _shared(name: str, inputs: Mapping[str, Sequence[Input]]) -> dict[str, int]:
    return {other: sum(key in there for key in inputs[name]) for other in inputs if other != name for there in [set(inputs[other])]}


def _input(example: Example | TaggedExample) -> Input:
    return example.words if isinstance(example, TaggedExample) else (example.text, example.pair)


def _label(example: Example | TaggedExample) -> Label:
    return example.tags if isinstance(example, TaggedExample) else example.label
