"""Run summary: outcome and timing of finished runs, from the parquet footer alone."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stableft.core.errors import MissingInput, UsageError
from stableft.storage.parquet import is_there
from stableft.storage.records import FOOTER, TRAJECTORY
from stableft.storage.store import Store


class RunSummary(NamedTuple):
    """Outcome and timing of a finished run.

    Attributes:
        task: Name of the task.
        outcome: ``ok`` or ``diverged``.
        seconds: Duration of the run; None if it was not measured.
        trajectory: SHA-256 of its rows; None in older tables without it.
    """

    task: str
    outcome: str
    seconds: float | None
    trajectory: str | None


def summarise_record(store: Store, run_id: str) -> RunSummary | None:
    """Returns the summary of a run from its record; None without a readable record."""
    if (footer := _footer(store.path(run_id))) is None:
        return None
    return RunSummary(footer["config"]["task"], footer["outcome"], footer["provenance"].get("seconds"), footer.get(TRAJECTORY))


def recorded_provenance(store: Store, run_id: str) -> Mapping[str, Any]:
    """Returns the provenance in a run's record; empty without a readable record."""
    return (_footer(store.path(run_id)) or {}).get("provenance") or {}


def recorded_trajectory(path: Path) -> str | None:
    """Returns the fingerprint of the rows of a record's file, wherever it lies; None if it can't be read."""
    return (_footer(path) or {}).get(TRAJECTORY)


def newest_footers(store: Store, number: int) -> Iterator[Mapping[str, Any]]:
    """Yields the footers of the newest records, newest first, without unreadable ones.

    Args:
        store: The results folder.
        number: Records read at most.
    """
    paths = sorted(store.path("").parent.glob("*.parquet"), key=lambda path: path.stat().st_mtime, reverse=True)
    yield from filter(None, map(_footer, paths[:number]))


def _footer(path: Path) -> dict[str, Any] | None:
    try:
        with open(path, "rb") as file:  # Arrow takes no name that is not UTF-8
            return json.loads((pq.read_schema(file).metadata or {})[FOOTER])
    except (OSError, pa.ArrowInvalid, KeyError, ValueError):
        return None


def recorded_outcome(store: Store, run_id: str) -> tuple[str, float] | None:
    """Returns outcome and seconds of a run with a record; None without one.

    A process calls this once it holds the run's lock. Meanwhile another command may have done the
    run, or a process may have written the record and died before its report.
    """
    if not store.has(run_id):
        return None
    summary = summarise_record(store, run_id)
    return (summary.outcome, summary.seconds or 0.0) if summary else ("its record can't be read", 0.0)


def find_run_id(store: Store, start: str) -> str:
    """Returns the one run whose id begins so, among records, kept weights and collected tables.

    Raises:
        MissingInput: There is none.
        UsageError: There are several.
    """
    files = [path.stem for folder in (store.path(""), store.weights_path("")) for path in folder.parent.glob("*.*")]
    collected = collected_runs(store)
    tables = [runs["run_id"] for runs in collected.tables.values()]
    known = sorted({run_id for run_ids in (files, *tables) for run_id in run_ids if run_id.startswith(start) and run_id[0] != "."})
    if not known:
        raise no_run(store, start, collected)
    if len(known) > 1:
        raise UsageError(f"{len(known)} runs begin with {start}: {', '.join(known[:4])}{' ...' if len(known) > 4 else ''}")
    return known[0]


class CollectedRuns(NamedTuple):
    """The runs of all collected results, as far as they can be read.

    Attributes:
        tables: `Results.runs` by protocol and experiment.
        unread: Why other tables can't be read.
    """

    tables: dict[tuple[str, str], pd.DataFrame]
    unread: dict[tuple[str, str], MissingInput]


def collected_runs(store: Store, protocol: str | None = None) -> CollectedRuns:
    """Reads the tables of runs of all collected results; one that can't be read costs no other.

    Args:
        store: The results folder.
        protocol: Only this protocol; None: all.
    """
    found = CollectedRuns({}, {})
    for place in store.collected():
        if protocol in (None, place[0]):
            try:
                found.tables[place] = store.load_runs(*place)
            except MissingInput as error:
                found.unread[place] = error
    return found


def summaries(collected: CollectedRuns) -> list[Mapping[str, RunSummary]]:
    """Returns the summaries of collected runs by identity, of each table that was read."""
    return [_summaries(runs) for runs in collected.tables.values()]


def no_run(store: Store, start: str, collected: CollectedRuns) -> MissingInput:
    """Returns the error for a run that is neither among records nor in the tables that were read."""
    unread = "".join(f"; not looked at: {error}" for error in collected.unread.values())
    way = "`stableft trace FIGURE --json` lists those of a figure"
    return MissingInput(f"no run {start} in {store.root.resolve()}; {way}{unread}")


def summarise_tables(store: Store, protocol: str, experiment: str) -> Mapping[str, RunSummary]:
    """Returns the summaries of collected runs by identity; empty without tables.

    Raises:
        MissingInput: The tables are damaged, or of a newer version.
    """
    if not is_there(store.folder(protocol, experiment) / "runs.parquet"):
        return {}
    return _summaries(store.load_runs(protocol, experiment))


def _summaries(runs: pd.DataFrame) -> dict[str, RunSummary]:
    runs = runs.reindex(columns=["run_id", "task", "outcome", "seconds", TRAJECTORY]).astype(object)
    return {run_id: RunSummary(*row) for run_id, *row in runs.where(runs.notna(), None).itertuples(index=False, name=None)}
