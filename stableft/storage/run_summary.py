"""What came of runs that are done, without reading their rows."""

import json
from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from stableft.storage.store import FOOTER, TRAJECTORY, Store


class Brief(NamedTuple):
    """Of a run that is done.

    Attributes:
        task: Its name.
        outcome: ``ok`` or ``diverged``.
        seconds: That it took; None if nobody measured.
        trajectory: SHA-256 of its rows; None in tables from before it was kept.
    """

    task: str
    outcome: str
    seconds: float | None
    trajectory: str | None


def of_record(store: Store, run_id: str) -> Brief | None:
    """From the footer of a record; None if there is none that can be read."""
    try:
        footer = json.loads((pq.read_schema(store.path(run_id)).metadata or {})[FOOTER])
    except (OSError, pa.ArrowInvalid, KeyError, ValueError):
        return None
    return Brief(footer["config"]["task"], footer["outcome"], footer["provenance"].get("seconds"), footer.get(TRAJECTORY))


def ended(store: Store, run_id: str) -> tuple[str, float] | None:
    """How a run ended that has a record, and the seconds it took; None without one.

    Whoever is about to do a run asks this once the run is theirs: another command may have done it since, or a process that died
    before it could say so.
    """
    if not store.has(run_id):
        return None
    brief = of_record(store, run_id)
    return (brief.outcome, brief.seconds or 0.0) if brief else ("its record can't be read", 0.0)


def of_tables(store: Store, protocol: str, experiment: str) -> Mapping[str, Brief]:
    """By identity, from the collected tables; empty if there are none.

    Raises:
        MissingInput: they are damaged, or of a newer version.
    """
    if not (store.folder(protocol, experiment) / "runs.parquet").is_file():
        return {}
    runs = store.load_runs(protocol, experiment)
    runs = runs.reindex(columns=["run_id", "task", "outcome", "seconds", TRAJECTORY]).astype(object)
    return {run_id: Brief(*row) for run_id, *row in runs.where(runs.notna(), None).itertuples(index=False, name=None)}
