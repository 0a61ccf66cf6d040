"""Entities in tag sequences, and how many a model found: exact spans of exact kinds, as conlleval and seqeval count them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Tags = NDArray[np.float64] | NDArray[np.int64]


class Spans(NamedTuple):
    """(S,) each: first word, word after the last one, and kind of every entity, in the order of the words."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    kinds: NDArray[np.int64]


def spans(tags: Tags, offsets: NDArray[np.int64], names: tuple[str, ...]) -> Spans:
    """The entities that tags spell, leniently: an ``I-x`` that follows neither ``B-x`` nor ``I-x`` begins one, as in conlleval.

    Args:
        tags: (N,) indices into ``names``, of the words of all examples one after the other; NaN counts as ``O``.
        offsets: (M + 1,) where each of the M examples begins, and N; no entity goes over these.
        names: ``O``, ``B-x`` and ``I-x``, in any order.

    Raises:
        ValueError: a tag that is none of these, a name of another form, or offsets that don't go from 0 to N.
    """
    kind, begins = _alphabet(names)
    tags = np.where(np.isnan(tags), names.index("O"), tags)
    if not np.isin(tags, np.arange(len(names))).all():
        raise ValueError(f"tags must be whole numbers from 0 to {len(names) - 1}")
    if offsets.ndim != 1 or len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(tags) or np.any(np.diff(offsets) < 0):
        raise ValueError(f"offsets must go from 0 to {len(tags)}, the number of words, without going down")
    tags = tags.astype(np.int64)
    # A word more at the end, which is O, so that every entity has a word after it.
    kinds = np.append(kind[tags], -1)
    first = np.zeros(len(kinds), dtype=bool)
    first[offsets] = True
    breaks = first | np.append(begins[tags], False)
    breaks[1:] |= kinds[1:] != kinds[:-1]
    edges = np.flatnonzero(breaks)  # the first word of each run of one kind, O among them, and N
    inside = kinds[edges] >= 0
    return Spans(edges[inside], edges[np.flatnonzero(inside) + 1], kinds[edges[inside]])


def precision(labels: Tags, predictions: Tags, offsets: NDArray[np.int64], names: tuple[str, ...]) -> float:
    """Share of the predicted entities that are right; 0 where none is predicted. Arguments as in `spans`."""
    right, found, _ = _counts(labels, predictions, offsets, names)
    return right / found if found else 0.0


def recall(labels: Tags, predictions: Tags, offsets: NDArray[np.int64], names: tuple[str, ...]) -> float:
    """Share of the true entities that are found; 0 where there are none. Arguments as in `spans`."""
    right, _, true = _counts(labels, predictions, offsets, names)
    return right / true if true else 0.0


def f1(labels: Tags, predictions: Tags, offsets: NDArray[np.int64], names: tuple[str, ...]) -> float:
    """Harmonic mean of `precision` and `recall` over all entities of all kinds (micro); 0 where no entity is right."""
    right, found, true = _counts(labels, predictions, offsets, names)
    return 2 * right / (found + true) if right else 0.0


def _counts(labels: Tags, predictions: Tags, offsets: NDArray[np.int64], names: tuple[str, ...]) -> tuple[int, int, int]:
    """How many entities are in both, in the predictions, and in the labels."""
    true, found = spans(labels, offsets, names), spans(predictions, offsets, names)
    # An entity is told by its first word, as those of one sequence don't overlap.
    _, here, there = np.intersect1d(true.starts, found.starts, assume_unique=True, return_indices=True)
    right = (true.ends[here] == found.ends[there]) & (true.kinds[here] == found.kinds[there])
    return int(np.count_nonzero(right)), len(found.starts), len(true.starts)


def _alphabet(names: tuple[str, ...]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(K,) number of each tag's kind, -1 for ``O``, and whether it is a ``B-``."""
    if "O" not in names or not all(name == "O" or (name[:2] in ("B-", "I-") and name[2:]) for name in names):
        raise ValueError(f"tags must be named O, B-x or I-x, got {', '.join(names) or 'none'}")
    kinds = sorted({name[2:] for name in names if name != "O"})
    numbers = [-1 if name == "O" else kinds.index(name[2:]) for name in names]
    return np.array(numbers, dtype=np.int64), np.array([name.startswith("B-") for name in names])
