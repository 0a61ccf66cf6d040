"""Figures and tables of everything collected, several experiments at a time."""

import contextlib
from collections.abc import Collection, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from joblib import Parallel, cpu_count, delayed

from stableft import discover
from stableft.errors import MissingInput
from stableft.records import Store
from stableft.report import BOTH, render_all

Place = tuple[str, str]  # protocol, experiment


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
        discover.experiment(name)
    found = [
        (scale, name)
        for scale, name in store.collected()
        if protocol in (None, scale) and (not experiments or name in experiments) and name in discover.experiments()
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
        makes: See `stableft.report.render`.
        workers: Processes; by default one per core. One place is done in this process.

    Returns:
        The paths written, in the order of the places, and what was left out and why.

    Raises:
        MissingInput: results lack what an entry shows.
    """
    # The largest first, so that no process is left alone with one at the end.
    order = sorted(places, key=lambda place: -_size(store, place))
    jobs = (delayed(_render)(store, place, figures, tuple(makes)) for place in order)
    parallel: Any = Parallel(n_jobs=min(workers or cpu_count(), len(order)), batch_size=1)  # pyright: ignore[reportArgumentType]
    done = dict(zip(order, parallel(jobs), strict=True))
    paths, left_out = zip(*(done[place] for place in places), strict=True)
    return list(chain.from_iterable(paths)), list(chain.from_iterable(left_out))


def _render(store: Store, place: Place, figures: Path, makes: Collection[type]) -> tuple[list[Path], list[str]]:
    left_out: list[str] = []
    report = discover.experiment(place[1]).REPORT
    return render_all(report, store.load(*place), figures / place[0] / place[1], left_out.append, makes), left_out


def _size(store: Store, place: Place) -> int:
    with contextlib.suppress(OSError):
        return (store.folder(*place) / "metrics.parquet").stat().st_size
    return 0
