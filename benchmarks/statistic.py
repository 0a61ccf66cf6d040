"""Interleaved rounds and summaries of their values, as pure functions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, TypeVar

K = TypeVar("K")
T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """One row of a table: a quantity of one variant, measured once in each round.

    Attributes:
        group: Name of its table.
        name: Name of the variant.
        unit: Unit of the values.
        values: One per round, from the first round on; empty only with ``missing``.
        higher_is_better: Decides the direction of ratios.
        extra: Additional columns: label -> values per round, or a text.
        missing: Reason why nothing was measured.
    """

    group: str
    name: str
    unit: str
    values: Sequence[float]
    higher_is_better: bool = False
    extra: Mapping[str, Sequence[float] | str] = field(default_factory=dict)
    missing: str = ""


def interleave(variants: Mapping[K, Callable[[int], T]], rounds: int, limits: Mapping[K, int] | None = None) -> dict[K, list[T]]:
    """Measures every variant once a round.

    Each round begins with another variant, so that a drift of the machine favours none.

    Args:
        variants: Name -> function that measures it, given the number of the round.
        rounds: Number of rounds.
        limits: Name -> smaller number of rounds, for expensive variants.
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
    """Computes median, smallest and largest of at least one value, and their number."""
    return {"median": median(values), "min": min(values), "max": max(values), "rounds": len(values)}


def speedups(base: Sequence[float], values: Sequence[float], *, higher_is_better: bool) -> list[float]:
    """Computes by round how many times better than ``base`` the values are, over the rounds of both."""
    pairs = zip(base, values, strict=False)
    return [value / reference if higher_is_better else reference / value for reference, value in pairs]


def as_json(row: Row, rows: Sequence[Row], references: Sequence[str]) -> dict[str, Any]:
    """Converts a row to JSON, with its summary and its ratios to the references of its group and unit.

    A row of nothing measured has ``missing``, the reason, and no median and extremes.
    """
    if row.missing:
        return {
            "group": row.group, "name": row.name, "unit": row.unit, "missing": row.missing, "rounds": 0, "values": [],
            "ratios": {}, "extra": {},
        }  # fmt: skip
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
