"""What a task's data are, in numbers: sizes, labels, lengths, repeats."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stableft.scores import SCORES
from stableft.tasks import Example, Task, TaskData

QUANTILES = {"min": 0.0, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95, "max": 1.0}

Input = tuple[str, str | None]


def summarise(task: Task, data: TaskData) -> dict[str, Any]:
    """The numbers, as JSON values.

    Args:
        task: Names the classes and the score.
        data: What it loads.

    Returns:
        ``pairs``: whether there are second texts; ``fingerprint``; and for each split that is not empty: ``examples``; ``labels``
        (class name -> count) or ``scores`` (min, mean, max, std with n); ``constant_score``: the best that one and the same
        prediction for all gets, None if undefined; ``words`` and ``characters``: quantiles of the length of an example, both texts
        of a pair together, words being what white space separates; ``repeats``: rows whose input was there before in the split;
        ``conflicts``: rows whose input has another label too, in any split; ``shared``: for each other split, rows whose input is
        there as well.
    """
    splits = {name: rows for name in ("train", "validation", "test") if (rows := getattr(data, name))}
    inputs = {name: [_input(example) for example in rows] for name, rows in splits.items()}
    labels: dict[Input, set[int | float]] = {}
    for example in (example for rows in splits.values() for example in rows):
        labels.setdefault(_input(example), set()).add(example.label)
    return {
        "pairs": any(example.pair is not None for example in data.train),
        "fingerprint": data.fingerprint,
        "splits": {
            name: {
                "examples": len(rows),
                **_labels(task, [example.label for example in rows]),
                **_lengths(inputs[name]),
                "repeats": len(rows) - len(set(inputs[name])),
                "conflicts": sum(len(labels[key]) > 1 for key in inputs[name]),
                "shared": _shared(name, inputs),
            }
            for name, rows in splits.items()
        },
    }


def _labels(task: Task, labels: Sequence[int | float]) -> dict[str, Any]:
    constant = SCORES[task.score].constant(labels)
    score = {"constant_score": constant if math.isfinite(constant) else None}
    if task.kind == "classification":
        counts = Counter(labels)
        return {"labels": {name: counts[index] for index, name in enumerate(task.labels)}, **score}
    values = np.array(labels, dtype=np.float64)
    spread = {name: float(getattr(values, name)()) for name in ("min", "mean", "max", "std")}
    return {"scores": spread, **score}


def _lengths(inputs: Sequence[Input]) -> dict[str, Any]:
    texts = [" ".join(filter(None, pair)) for pair in inputs]
    words = [len(text.split()) for text in texts]
    characters = [len(text) + len(pair or "") for text, pair in inputs]
    return {"words": _quantiles(words), "characters": _quantiles(characters)}


def _quantiles(lengths: Sequence[int]) -> dict[str, int]:
    # Lengths that occur, not means of two of them.
    values = np.quantile(lengths, list(QUANTILES.values()), method="inverted_cdf")
    return dict(zip(QUANTILES, map(int, values), strict=True))


def _shared(name: str, inputs: Mapping[str, Sequence[Input]]) -> dict[str, int]:
    return {other: sum(key in there for key in inputs[name]) for other in inputs if other != name for there in [set(inputs[other])]}


def _input(example: Example) -> Input:
    return example.text, example.pair
