"""Entities in tag sequences, and their precision, recall and F1.

An entity counts only with its exact span and kind, as in conlleval and seqeval.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Tags = NDArray[np.float64] | NDArray[np.int64]


class Spans(NamedTuple):
    """Entities in the order of the words, as three (S,) arrays.

    Attributes:
        starts: First word.
        ends: Word after the last one.
        kinds: Index of the kind.
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    kinds: NDArray[np.int64]


def spans(tags: Tags, offsets: NDArray[np.int64], names: tuple[str, ...]) -> Spans:
    """Returns the entities in tags, read leniently, as in conlleval.

    An ``I-x`` after neither ``B-x`` nor ``I-x`` begins an entity.

    Args:
        tags: (N,) indices into ``names``, for the concatenated words of all examples; NaN counts as
            ``O``.
        offsets: (M + 1,) start of each of the M examples, then N; no entity crosses them.
        names: ``O``, ``B-x`` and ``I-x``, in any order.

    Raises:
        ValueError: A tag is out of range, a name has another form, or the offsets don't run from 0
            to N.
    """
    kind, begins = _alphabet(names)
    tags = np.where(np.isnan(tags), names.index("O"), tags)
    if not np.isin(tags, np.arange(len(names))).all():
        raise ValueError(f"tags must be whole numbers from 0 to {len(names) - 1}")
    if offsets.ndim != 1 or len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(tags) or np.any(np.diff(offsets) < 0):
        raise ValueError(f"offsets must go from 0 to {len(tags)}, the number of words, and never decrease")
    tags = tags.astype(np.int64)
    # Append an O, so that every entity has a word after it.
    kinds = np.append(kind[tags], -1)
    # A run of one kind breaks at an example's first word, at a B-, and where the kind changes.
    first = np.zeros(len(kinds), dtype=bool)
    first[offsets] = True
    breaks = first | np.append(begins[tags], False)
    breaks[1:] |= kinds[1:] != kinds[:-1]
    edges = np.flatnonzero(breaks)  # first word of each run, also of runs of O; then N
    inside = kinds[edges] >= 0
    return Spans(edges[inside], edges[np.flatnonzero(inside) + 1], kinds[edges[inside]])


def precision(labels: Tags, predictions: Tags, offsets: NDArray[np.int64], names: tuple[str, ...]) -> float:
    """Returns the share of predicted entities that are correct; 0 if none is predicted.

    Arguments as in `spans`.
    """
    correct, predicted, _ = _counts(labels, predictions, offsets, names)
    return correct / predicted if predicted else 0.0


def recall(labels: Tags, predictions: Tags, offsets: NDArray[np.int64], names: tuple[str, ...]) -> float:
    """Returns the share of true entities that are predicted; 0 if there are none.

    Arguments as in `spans`.
    """
    correct, _, true = _counts(labels, predictions, offsets, names)
    return correct / true if true else 0.0


def f1(labels: Tags, predictions: Tags, offsets: NDArray[np.int64], names: tuple[str, ...]) -> float:
    """Returns the harmonic mean of `precision` and `recall` over all kinds (micro).

    0 if no entity is correct. Arguments as in `spans`.
    """
    correct, predicted, true = _counts(labels, predictions, offsets, names)
    return 2 * correct / (predicted + true) if correct else 0.0


def _counts(labels: Tags, predictions: Tags, offsets: NDArray[np.int64], names: tuple[str, ...]) -> tuple[int, int, int]:
    """Counts the correct, the predicted and the true entities."""
    true, predicted = spans(labels, offsets, names), spans(predictions, offsets, names)
    # Entities of one sequence don't overlap, so the first word identifies an entity.
    _, here, there = np.intersect1d(true.starts, predicted.starts, assume_unique=True, return_indices=True)
    correct = (true.ends[here] == predicted.ends[there]) & (true.kinds[here] == predicted.kinds[there])
    return int(np.count_nonzero(correct)), len(predicted.starts), len(true.starts)


def _alphabet(names: tuple[str, ...]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Parses the names of K tags.

    Returns:
        (K,) index of each tag's kind, -1 for ``O``; (K,) True for a ``B-``.
    """
    if "O" not in names or not all(name == "O" or (name[:2] in ("B-", "I-") and name[2:]) for name in names):
        raise ValueError(f"tags must be named O, B-x or I-x, got {', '.join(names) or 'none'}")
    kinds = sorted({name[2:] for name in names if name != "O"})
    numbers = [-1 if name == "O" else kinds.index(name[2:]) for name in names]
    return np.array(numbers, dtype=np.int64), np.array([name.startswith("B-") for name in names])
