"""Interleaved rounds, and what is said about their numbers. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, TypeVar

K = TypeVar("K")
T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """One line of a table: a quantity of one variant, measured once in each round.

    Attributes:
        group: The table that it belongs to.
        name: The variant.
        unit: Of the values.
        values: One per round, from the first round on.
        higher_is_better: Decides which way a ratio is formed.
        extra: Further columns: label -> values per round, or a text.
    """

    group: str
    name: str
    unit: str
    values: Sequence[float]
    higher_is_better: bool = False
    extra: Mapping[str, Sequence[float] | str] = field(default_factory=dict)


def interleave(variants: Mapping[K, Callable[[int], T]], rounds: int, limits: Mapping[K, int] | None = None) -> dict[K, list[T]]:
    """Measures every variant once a round; each round begins with another one, so that a drift of the machine favours none.

    Args:
        variants: Name -> what measures it, given the number of the round.
        rounds: How many.
        limits: Fewer rounds for the expensive ones.
    """
    results: dict[K, list[T]] = {name: [] for name in variants}
    names = list(variants)
    for number in range(rounds):
        start = number % max(1, len(names))
        for name in names[start:] + names[:start]:
            if number < (limits or {}).get(name, rounds):
                results[name].append(variants[name](number))
    return results


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median, smallest and largest of at least one value, and how many there are."""
    return {"median": median(values), "min": min(values), "max": max(values), "rounds": len(values)}


def speedups(base: Sequence[float], values: Sequence[float], *, higher_is_better: bool) -> list[float]:
    """How many times better than ``base``, round by round, over the rounds that both have."""
    pairs = zip(base, values, strict=False)
    return [value / reference if higher_is_better else reference / value for reference, value in pairs]


def as_json(row: Row, rows: Sequence[Row], references: Sequence[str]) -> dict[str, Any]:
    """A row with its summary and its ratios to the references of its own group and unit."""
    same = {other.name: other for other in rows if (other.group, other.unit) == (row.group, row.unit)}
    ratios = {
        name: summary(speedups(same[name].values, row.values, higher_is_better=row.higher_is_better))
        for name in references
        if name in same
    }
    extra = {label: value if isinstance(value, str) else summary(value) for label, value in row.extra.items()}
    return {
        "group": row.group, "name": row.name, "unit": row.unit, **summary(row.values), "values": list(row.values),
        "ratios": ratios, "extra": extra,
    }  # fmt: skip
