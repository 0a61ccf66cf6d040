"""Rendering: figures and tables of all collected results, in several processes."""

import contextlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from joblib import Parallel, cpu_count, delayed

from stableft.core.errors import MissingInput, Stale
from stableft.core.experiments import all_experiments, get_experiment
from stableft.reporting.pooling import load_pooled, run_tables, stale_runs
from stableft.reporting.report import BOTH, makes_one_of, render_all, report_of
from stableft.storage.store import Store

ExperimentKey = tuple[str, str]  # protocol, experiment
Written = dict[str, "Rendered"]  # by item; "" stands for all of an experiment
LARGE = 10_000_000  # bytes of metrics; the items of a larger experiment are split over processes


class Rendered(NamedTuple):
    """Rendered items: the files written, and why others were not.

    Attributes:
        paths: The files written.
        left_out: Items that others' results never held, and stale runs: a line each.
        not_drawn: Items that our own results can't give, with the reason: a line each.
    """

    paths: list[Path]
    left_out: list[str]
    not_drawn: list[str]


def collected(store: Store, protocol: str | None = None, experiments: Sequence[str] = ()) -> list[ExperimentKey]:
    """Returns (protocol, experiment) of the selected collected results.

    Args:
        store: The results.
        protocol: Only this protocol; None: all.
        experiments: Only these experiments; empty: all.

    Raises:
        UsageError: an experiment that does not exist.
        MissingInput: nothing matches.
    """
    for name in experiments:
        get_experiment(name)
    matching = [
        (scale, name)
        for scale, name in store.collected()
        if protocol in (None, scale) and (not experiments or name in experiments) and name in all_experiments()
    ]
    if not matching:
        raise MissingInput(f"no collected results in {store.root.resolve()} that match; `python -m stableft run adam` makes some")
    return matching


def render(
    store: Store, keys: Sequence[ExperimentKey], figures: Path, makes: Collection[type] = BOTH, workers: int | None = None
) -> Rendered:
    """Writes the reports of results under ``<figures>/<protocol>/<experiment>/``.

    The number of processes changes no byte of the files.

    Args:
        store: The results.
        keys: Results to show, see `collected`.
        figures: Folder to write to.
        makes: See `stableft.reporting.report.render`.
        workers: Number of processes; by default one per core. One experiment that is not large is
            rendered in this process.

    Returns:
        The paths written, in the order of the keys, and what was not. An experiment whose results are
        damaged or can't be drawn costs its own files, and no other's.
    """
    # Start the largest first, so that no process is alone with one at the end.
    order = sorted(keys, key=lambda key: -_size(store, key))
    processes = workers or cpu_count()
    jobs = [(key, part) for key in order for part in _parts(store, key, makes, processes)]
    unread: list[str] = []
    tables = {scale: run_tables(store, scale, unread.append) for scale in dict.fromkeys(scale for scale, _ in keys)}
    calls = (delayed(_render)(store, key, part, figures, tuple(makes), tables[key[0]]) for key, part in jobs)
    parallel: Any = Parallel(n_jobs=max(1, min(processes, len(jobs))), batch_size=1)  # pyright: ignore[reportArgumentType]
    done: dict[ExperimentKey, Written] = {key: {} for key in keys}
    for (key, _), written in zip(jobs, parallel(calls), strict=True):
        done[key] |= written
    ordered = [done[key][name] for key in keys for name in ("", *report_of(key[1])) if name in done[key]]
    stale = [each.sentence() for each in stale_runs(store) if (each.protocol, each.experiment) in keys]
    left_out = [line for each in ordered for line in each.left_out]
    not_drawn = dict.fromkeys([*(line for each in ordered for line in each.not_drawn), *unread])
    return Rendered([path for each in ordered for path in each.paths], [*left_out, *stale], list(not_drawn))


def _parts(store: Store, key: ExperimentKey, makes: Collection[type], processes: int) -> list[list[str]]:
    """Splits the items of an experiment: one share, or one per process if its results are large."""
    names = [name for name, item in report_of(key[1]).items() if makes_one_of(item, makes)]
    shares = processes if _size(store, key) > LARGE else 1
    return [part for part in (names[first::shares] for first in range(shares)) if part]


def _render(
    store: Store,
    key: ExperimentKey,
    items: Sequence[str],
    figures: Path,
    makes: Collection[type],
    tables: Mapping[str, pd.DataFrame],
) -> Written:
    folder, report = figures / key[0] / key[1], report_of(key[1])
    unread: list[str] = []
    try:
        results = load_pooled(store, *key, tables=tables, unread=unread.append)
    except Stale:
        return {}
    except MissingInput as error:
        return {"": Rendered([], [], [f"{folder}: {error}"])}
    written: Written = {"": Rendered([], [], unread)}
    for name in items:
        made = written[name] = Rendered([], [], [])
        made.paths.extend(render_all({name: report[name]}, results, folder, made.left_out.append, makes, made.not_drawn.append))
    return written


def _size(store: Store, key: ExperimentKey) -> int:
    with contextlib.suppress(OSError):
        return (store.folder(*key) / "metrics.parquet").stat().st_size
    return 0
