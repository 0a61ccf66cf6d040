"""Rendering: figures and tables of all collected results, several experiments at a time."""

import contextlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from joblib import Parallel, cpu_count, delayed

from stableft.core.errors import MissingInput
from stableft.core.experiments import all_experiments, get_experiment
from stableft.reporting.report import BOTH, makes_one_of, render_all
from stableft.storage.store import Store

ExperimentKey = tuple[str, str]  # protocol, experiment
Written = dict[str, tuple[list[Path], list[str]]]  # by item: paths, and why it was left out
LARGE = 10_000_000  # bytes of metrics, from where the items of one experiment are worth several processes


def collected(store: Store, protocol: str | None = None, experiments: Sequence[str] = ()) -> list[ExperimentKey]:
    """Returns (protocol, experiment) of the collected results to show, by name.

    Args:
        store: The results.
        protocol: Only this one; None: all.
        experiments: Only these; none: all.

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
) -> tuple[list[Path], list[str]]:
    """Writes the reports of these results under ``<figures>/<protocol>/<experiment>/``; the number of processes changes no byte.

    Args:
        store: The results.
        keys: What to show, see `collected`.
        figures: Where to write.
        makes: See `stableft.reporting.report.render`.
        workers: Processes; by default one per core. A single experiment that is not large is rendered in this process.

    Returns:
        The paths written, in the order of the keys, and what was left out and why.

    Raises:
        MissingInput: results lack what an item shows.
    """
    # The largest first, so that no process is left alone with one at the end.
    order = sorted(keys, key=lambda key: -_size(store, key))
    processes = workers or cpu_count()
    jobs = [(key, part) for key in order for part in _parts(store, key, makes, processes)]
    calls = (delayed(_render)(store, key, part, figures, tuple(makes)) for key, part in jobs)
    parallel: Any = Parallel(n_jobs=min(processes, len(jobs)), batch_size=1)  # pyright: ignore[reportArgumentType]
    done: dict[ExperimentKey, Written] = {key: {} for key in keys}
    for (key, _), written in zip(jobs, parallel(calls), strict=True):
        done[key] |= written
    ordered = [done[key][name] for key in keys for name in get_experiment(key[1]).REPORT if name in done[key]]
    return [path for paths, _ in ordered for path in paths], [why for _, reasons in ordered for why in reasons]


def _parts(store: Store, key: ExperimentKey, makes: Collection[type], processes: int) -> list[list[str]]:
    """Splits the items of an experiment into one share, or into one per process where its results are large."""
    names = [name for name, item in get_experiment(key[1]).REPORT.items() if makes_one_of(item, makes)]
    shares = processes if _size(store, key) > LARGE else 1
    return [part for part in (names[first::shares] for first in range(shares)) if part]


def _render(store: Store, key: ExperimentKey, items: Sequence[str], figures: Path, makes: Collection[type]) -> Written:
    results, folder = store.load(*key), figures / key[0] / key[1]
    report = get_experiment(key[1]).REPORT
    written: Written = {}
    for name in items:
        left_out: list[str] = []
        written[name] = (render_all({name: report[name]}, results, folder, left_out.append, makes), left_out)
    return written


def _size(store: Store, key: ExperimentKey) -> int:
    with contextlib.suppress(OSError):
        return (store.folder(*key) / "metrics.parquet").stat().st_size
    return 0
