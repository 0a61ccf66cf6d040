"""Figures and tables of everything collected, several experiments at a time."""

import contextlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from joblib import Parallel, cpu_count, delayed

from stableft.core.errors import MissingInput
from stableft.core.experiments import all_experiments, get_experiment
from stableft.reporting.report import BOTH, makes_one_of, render_all
from stableft.storage.store import Store

Place = tuple[str, str]  # protocol, experiment
Written = dict[str, tuple[list[Path], list[str]]]  # by entry: paths, and why it was left out
LARGE = 10_000_000  # bytes of metrics, from where the entries of one experiment are worth several processes


def collected(store: Store, protocol: str | None = None, experiments: Sequence[str] = ()) -> list[Place]:
    """What there is to show: (protocol, experiment) of collected results, by name.

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
    found = [
        (scale, name)
        for scale, name in store.collected()
        if protocol in (None, scale) and (not experiments or name in experiments) and name in all_experiments()
    ]
    if not found:
        raise MissingInput(f"no collected results in {store.root.resolve()} that match; `python -m stableft run adam` makes some")
    return found


def render(
    store: Store, places: Sequence[Place], figures: Path, makes: Collection[type] = BOTH, workers: int | None = None
) -> tuple[list[Path], list[str]]:
    """Writes the reports of these results under ``<figures>/<protocol>/<experiment>/``; the same bytes however many work at it.

    Args:
        store: The results.
        places: What to show, see `collected`.
        figures: Where to write.
        makes: See `stableft.reporting.report.render`.
        workers: Processes; by default one per core. One place that is not large is done in this process.

    Returns:
        The paths written, in the order of the places, and what was left out and why.

    Raises:
        MissingInput: results lack what an entry shows.
    """
    # The largest first, so that no process is left alone with one at the end.
    order = sorted(places, key=lambda place: -_size(store, place))
    processes = workers or cpu_count()
    jobs = [(place, part) for place in order for part in _parts(store, place, makes, processes)]
    calls = (delayed(_render)(store, place, part, figures, tuple(makes)) for place, part in jobs)
    parallel: Any = Parallel(n_jobs=min(processes, len(jobs)), batch_size=1)  # pyright: ignore[reportArgumentType]
    done: dict[Place, Written] = {place: {} for place in places}
    for (place, _), written in zip(jobs, parallel(calls), strict=True):
        done[place] |= written
    ordered = [done[place][name] for place in places for name in get_experiment(place[1]).REPORT if name in done[place]]
    return [path for paths, _ in ordered for path in paths], [why for _, reasons in ordered for why in reasons]


def _parts(store: Store, place: Place, makes: Collection[type], processes: int) -> list[list[str]]:
    """Which entries a process makes from tables that it has read once; those of a large place are shared among all processes."""
    names = [name for name, item in get_experiment(place[1]).REPORT.items() if makes_one_of(item, makes)]
    shares = processes if _size(store, place) > LARGE else 1
    return [part for part in (names[first::shares] for first in range(shares)) if part]


def _render(store: Store, place: Place, entries: Sequence[str], figures: Path, makes: Collection[type]) -> Written:
    results, folder = store.load(*place), figures / place[0] / place[1]
    report = get_experiment(place[1]).REPORT
    written: Written = {}
    for name in entries:
        left_out: list[str] = []
        written[name] = (render_all({name: report[name]}, results, folder, left_out.append, makes), left_out)
    return written


def _size(store: Store, place: Place) -> int:
    with contextlib.suppress(OSError):
        return (store.folder(*place) / "metrics.parquet").stat().st_size
    return 0
