"""Comparison of two results folders cell by cell, such as the author's and the reviewer's."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import scipy
from numpy.typing import ArrayLike

from stableft.core.errors import MissingInput
from stableft.reporting.experiment_summary import RunGroup, run_groups
from stableft.reporting.pooling import Unread
from stableft.reporting.run_scores import final_scores
from stableft.storage.records import Results
from stableft.storage.store import METRIC_COLUMNS, Store

CellVerdict = Literal["equal", "within interval", "different", "undecided", "only in A", "only in B"]


class Pair(NamedTuple):
    """A number of each folder; None for a folder without the cell."""

    a: float | None
    b: float | None


@dataclass(frozen=True)
class ComparedCell:
    """One arm on one task in both folders.

    Attributes:
        protocol: Name of the protocol.
        experiment: Name of the experiment.
        task: Name of the task.
        arm: Name of the arm.
        n: Number of runs.
        mean: Mean of the final scores; of the shared seeds, if there are any.
        low: Lower end of the 95 % confidence interval of mean B - mean A: of the `paired_interval` at
            shared seeds, or without any by `welch`. None if two seeds (or two runs of either folder)
            are not there.
        high: Upper end of the interval.
        verdict: ``equal``: all shared seeds have the same final scores, bit for bit. ``within
            interval``: the interval contains 0. ``different``: it does not. ``undecided``: there is
            no interval.
        identical: True if the runs at shared seeds are the same, with all metrics equal bit for bit.
        shared: Number of shared seeds.
        same: Number of them with the same final score, bit for bit.
    """

    protocol: str
    experiment: str
    task: str
    arm: str
    n: Pair
    mean: Pair
    low: float | None
    high: float | None
    verdict: CellVerdict
    identical: bool
    shared: int = 0
    same: int = 0


@dataclass(frozen=True)
class FolderComparison:
    """All cells, and the groups of runs with the same provenance, of folders A and B."""

    cells: list[ComparedCell]
    a: list[RunGroup]
    b: list[RunGroup]


def compare(a: Store, b: Store, protocol: str | None = None, unread: Unread | None = None) -> FolderComparison:
    """Compares all collected results of two folders: first those of A in order, then those only in B.

    Args:
        a: Folder A.
        b: Folder B.
        protocol: Only this scale; None: all.
        unread: Called with a sentence for each experiment that can't be read in one of them; it is then
            left out. None: the first one is an error.

    Raises:
        MissingInput: a folder has no such results, or none that can be read.
    """
    for store in (a, b):
        if not _collected(store, protocol):
            raise MissingInput(f"no collected results{f' at {protocol}' if protocol else ''} in {store.root.resolve()}")
    first: MissingInput | None = None
    cells: list[ComparedCell] = []
    runs: tuple[list[pd.DataFrame], list[pd.DataFrame]] = ([], [])
    for key in dict.fromkeys([*_collected(a, protocol), *_collected(b, protocol)]):
        try:
            both = [store.load(*key) if key in _collected(store, protocol) else None for store in (a, b)]
        except MissingInput as error:
            if unread is None:
                raise
            first = first or error
            unread(f"{key[1]} at {key[0]}: {error}")
            continue
        cells += _cells(*key, *both)
        for results, kept in zip(both, runs, strict=True):
            if results is not None:
                kept.append(results.runs)
    if not all(runs):
        raise MissingInput(f"no experiment can be read in both folders: {first}")
    return FolderComparison(cells, *(run_groups(pd.concat(kept).drop_duplicates("run_id")) for kept in runs))


def welch(a: ArrayLike, b: ArrayLike) -> tuple[float, float]:
    """Returns the 95 % confidence interval of mean(b) - mean(a) by Welch (1947).

    Variances may differ. It is for runs without shared seeds. If neither sample varies, both ends are
    the difference itself.

    Args:
        a: At least two values.
        b: At least two values.
    """
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    difference = float(y.mean() - x.mean())
    parts = np.array([x.var(ddof=1) / len(x), y.var(ddof=1) / len(y)])
    if not parts.sum():
        return difference, difference
    freedom = parts.sum() ** 2 / (parts[0] ** 2 / (len(x) - 1) + parts[1] ** 2 / (len(y) - 1))
    half = float(scipy.stats.t.ppf(0.975, freedom) * np.sqrt(parts.sum()))
    return difference - half, difference + half


def paired_interval(a: ArrayLike, b: ArrayLike) -> tuple[float, float]:
    """Returns Student's 95 % confidence interval of mean(b - a) over shared seeds.

    On another machine, runs of the same seed drift apart as rounding errors grow, but they still
    share the luck of the seed. If the differences do not vary, both ends are the difference itself.

    Args:
        a: (S,) values, S >= 2.
        b: (S,) values at the same seeds in the same order.
    """
    difference = np.asarray(b, dtype=float) - np.asarray(a, dtype=float)
    mean, size = float(difference.mean()), len(difference)
    if not np.ptp(difference):
        return mean, mean
    half = float(scipy.stats.t.ppf(0.975, size - 1) * difference.std(ddof=1) / np.sqrt(size))
    return mean - half, mean + half


def _collected(store: Store, protocol: str | None) -> list[tuple[str, str]]:
    """Returns (protocol, experiment) of all collected results, or of those of one protocol."""
    return [key for key in store.collected() if protocol in (None, key[0])]


def _cells(protocol: str, experiment: str, a: Results | None, b: Results | None) -> list[ComparedCell]:
    groups = [_groups(results) for results in (a, b)]
    cells = []
    for task, arm in dict.fromkeys([*groups[0], *groups[1]]):
        of_a, of_b = (group.get((task, arm)) for group in groups)
        seeds = of_a.index.intersection(of_b.index) if of_a is not None and of_b is not None else pd.Index([])
        n = Pair(_count(of_a), _count(of_b))
        if len(seeds) and of_a is not None and of_b is not None:
            of_a, of_b = of_a[seeds], of_b[seeds]
        same = int((of_a.to_numpy() == of_b.to_numpy()).sum()) if len(seeds) and of_a is not None and of_b is not None else 0
        low, high, verdict = _judge(of_a, of_b, paired=len(seeds) > 0)
        identical = verdict == "equal" and _same_metrics(a, b, task, arm, seeds)
        mean = Pair(_mean(of_a), _mean(of_b))
        cells.append(ComparedCell(protocol, experiment, task, arm, n, mean, low, high, verdict, identical, len(seeds), same))
    return cells


def _groups(results: Results | None) -> dict[tuple[str, str], pd.Series]:
    """Returns the final scores of each task and arm, indexed by seed."""
    if results is None:
        return {}
    scores = final_scores(results)
    groups = scores.groupby(["task", "arm"], sort=False, observed=True)
    return {(str(task), str(arm)): rows.set_index("seed")["score"].sort_index() for (task, arm), rows in groups}


def _judge(a: pd.Series | None, b: pd.Series | None, *, paired: bool) -> tuple[float | None, float | None, CellVerdict]:
    if b is None:
        return None, None, "only in A"
    if a is None:
        return None, None, "only in B"
    interval = paired_interval if paired else welch
    low, high = interval(a, b) if min(len(a), len(b)) > 1 else (None, None)
    if a.equals(b):
        return low, high, "equal"
    if low is None or high is None:
        return low, high, "undecided"
    return low, high, "within interval" if low <= 0 <= high else "different"


def _same_metrics(a: Results | None, b: Results | None, task: str, arm: str, seeds: pd.Index) -> bool:
    if a is None or b is None:
        return False
    columns = ["run_id", *METRIC_COLUMNS]
    frames = [
        frame[(frame["task"] == task) & (frame["arm"] == arm) & frame["seed"].isin(seeds)][columns]
        for frame in (a.metrics, b.metrics)
    ]
    first, second = (frame.sort_values(columns[:-1], kind="stable").reset_index(drop=True) for frame in frames)
    return first.equals(second)


def _count(scores: pd.Series | None) -> float | None:
    return None if scores is None else len(scores)


def _mean(scores: pd.Series | None) -> float | None:
    return None if scores is None else float(scores.mean())


def counts(cells: Sequence[ComparedCell]) -> dict[str, int]:
    """Counts cells by verdict, in the order of first occurrence."""
    return dict(Counter(cell.verdict for cell in cells))
