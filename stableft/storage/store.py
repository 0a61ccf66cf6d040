"""Store: the results folder, with a parquet file per run and the collected tables per experiment."""

import contextlib
import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, BinaryIO

import joblib
import pandas as pd
import pyarrow as pa

from stableft.core.errors import Damaged, MissingInput
from stableft.core.files import drop_drafts, folder_locked, try_lock
from stableft.core.grid import run_command
from stableft.storage import schema, table_files
from stableft.storage.frames import (
    METRIC_COLUMNS,
    PREDICTION_COLUMNS,
    RUN_SCHEMA,
    as_written,
    joined,
    plain_strings,
    row_fingerprints,
    rows_of,
    trajectory_sha256,
    typed,
)
from stableft.storage.kept_probabilities import with_kept_probabilities
from stableft.storage.parquet import fetch_again, is_there, looks_whole, read_parquet, write_parquet
from stableft.storage.records import CELL, COLLECTED, FOOTER, FOOTER_SHA256, TRAJECTORY, CellKey, Results, RunRecord

USUAL = Path("results")
POSITION = "position"  # index of a cell in the order of collection


@dataclass(frozen=True)
class Store:
    """The results folder.

    ``runs/<run_id>.parquet`` is the cache, ``<protocol>/<experiment>/*.parquet`` the evidence.
    """

    root: Path

    @property
    def option(self) -> str:
        """The option that names this folder in a command, with a space before it; "" if it is the usual one."""
        return "" if self.root == USUAL else f" --results {shlex.quote(str(self.root))}"

    def path(self, run_id: str) -> Path:
        return self.root / "runs" / f"{run_id}.parquet"

    def log_path(self, run_id: str) -> Path:
        """Returns the log of a run's process; it is kept only if the run fails."""
        return self.root / "logs" / f"{run_id}.log"

    def weights_path(self, run_id: str) -> Path:
        """Returns the file of a run's last weights.

        It is kept if other runs start from it, or on request (`stableft.storage.kept_weights`).
        """
        return self.root / "weights" / f"{run_id}.safetensors"

    def checkpoint_path(self, run_id: str) -> Path:
        """Returns the checkpoint of an unfinished run; writing the record removes it."""
        return self.root / "checkpoints" / f"{run_id}.safetensors"

    def failure_path(self, run_id: str) -> Path:
        """Returns the failure note of a run; it exists until the run is done.

        For its content see `stableft.storage.run_state.Failure`.
        """
        return self.root / "failures" / f"{run_id}.json"

    def lock_path(self, run_id: str) -> Path:
        """Returns the lock file of a run; its process writes its progress there (`RunProgress`)."""
        return self.root / "locks" / run_id

    def has(self, run_id: str) -> bool:
        return self.path(run_id).is_file()

    def try_lock(self, run_id: str) -> contextlib.AbstractContextManager[BinaryIO | None]:
        """Locks a run for this process; None if another process has it. See `stableft.core.files.try_lock`."""
        return try_lock(self.lock_path(run_id))

    def quarantine(self, run_id: str) -> Path:
        """Sets a damaged record aside; see `set_aside`."""
        return self.set_aside(self.path(run_id))

    def set_aside(self, path: Path, folder: str = "damaged") -> Path:
        """Moves a file to a folder that nothing reads, ``damaged/`` or ``replaced/``; returns the new path."""
        target = self.root / folder / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        while target.exists():
            target = target.with_suffix(f"{target.suffix}.again")
        return path.rename(target)

    def cut_short(self) -> list[str]:
        """Returns the runs with a truncated record, judged by the first and last bytes of the file."""
        return sorted(path.stem for path in (self.root / "runs").glob("*.parquet") if path.is_file() and not looks_whole(path))

    def drop_drafts(self, pid: int) -> None:
        """Removes the drafts of a killed process."""
        for path in (self.path(""), self.weights_path(""), self.checkpoint_path("")):
            drop_drafts(path.parent, pid)

    def write(self, record: RunRecord) -> Path:
        """Writes a record, and removes any checkpoint of the run.

        A file of the final name is always whole.
        """
        table = _rows(record)
        footer = {
            "schema": schema.RECORD_SCHEMA, "run_id": record.run_id, "outcome": record.outcome, "config": record.config,
            "facts": record.facts, "provenance": record.provenance, TRAJECTORY: trajectory_sha256(table),
        }  # fmt: skip
        text, target = json.dumps(footer).encode(), self.path(record.run_id)
        write_parquet(table.replace_schema_metadata({FOOTER: text, FOOTER_SHA256: _sha256(text)}), target)
        self.checkpoint_path(record.run_id).unlink(missing_ok=True)
        return target

    def read(self, run_id: str) -> RunRecord:
        """Reads a record.

        Raises:
            MissingInput: The record is absent, damaged, or written by a newer version.
        """
        footer, table = self._read(run_id)
        frame = table.to_pandas()
        return RunRecord(
            run_id=footer["run_id"],
            outcome=footer["outcome"],
            config=footer["config"],
            facts=footer["facts"],
            provenance=footer["provenance"],
            metrics=plain_strings(rows_of(frame, "metric", METRIC_COLUMNS)),
            predictions=plain_strings(rows_of(frame, "prediction", PREDICTION_COLUMNS)),
        )

    def trajectory(self, run_id: str) -> str:
        """Returns the fingerprint of a record's rows; errors as in `read`."""
        return trajectory_sha256(self._read(run_id)[1])

    def _read(self, run_id: str) -> tuple[dict[str, Any], pa.Table]:
        path = self.path(run_id)
        table = read_parquet(path)
        metadata = table.schema.metadata or {}
        text = metadata.get(FOOTER, b"")
        footer = schema.read_footer(text, path, run_id)
        if FOOTER_SHA256 in metadata and metadata[FOOTER_SHA256] != _sha256(text):
            raise Damaged(path, f"{path} is damaged: its footer is not the one that was written. Delete it and run again.")
        try:
            table = as_written(table)
        except ValueError as error:
            raise Damaged(path, f"{path} is damaged ({error}). Delete it and run again.") from None
        if TRAJECTORY in footer and footer[TRAJECTORY] != trajectory_sha256(table):
            raise Damaged(path, f"{path} is damaged: its rows are not those that were written. Delete it and run again.")
        return footer, table

    def folder(self, protocol: str, experiment: str) -> Path:
        return self.root / protocol / experiment

    def collect(self, protocol: str, experiment: str, cells: Sequence[CellKey], keep: Set[CellKey] = frozenset()) -> Results:
        """Gathers runs into the experiment's tables, in the order of ``cells``, and writes them.

        Args:
            protocol: Name of the protocol, for the folder.
            experiment: Name of the experiment, likewise.
            cells: The finished cells, by arm, task and seed; none twice.
            keep: Cells among them whose rows come from the present tables, not from records.
        """
        # Kept cells take their row of the present table; the others are read from their records.
        old = self.load(protocol, experiment) if keep else None
        old_runs = {} if old is None else {_run_and_arm(row): row for row in old.runs.to_dict("records")}
        runs: list[Mapping[Any, Any]] = []
        tables: list[pa.Table] = []
        with ThreadPoolExecutor(joblib.cpu_count()) as pool:  # pyarrow releases the GIL while it reads
            read = pool.map(self._to_collect, [cell.run_id for cell in cells if cell not in keep])
            for number, cell in enumerate(cells):
                if cell in keep:
                    row = old_runs[cell.run_id, cell.arm]
                    runs.append({**row, COLLECTED: row.get(COLLECTED)})
                    continue
                row, table = next(read)
                runs.append({**cell._asdict(), "protocol": protocol, **row})
                tables.append(table.append_column(POSITION, pa.repeat(pa.scalar(number, pa.int32()), len(table))))
        # New and kept rows are merged in the order of the cells.
        rows = pa.concat_tables(tables).to_pandas() if tables else None
        results = Results(
            pd.DataFrame(runs).astype({name: "category" for name in CELL if name != "seed"}),
            _gather(rows, "metric", METRIC_COLUMNS, cells, None if old is None else old.metrics, keep),
            _gather(rows, "prediction", PREDICTION_COLUMNS, cells, None if old is None else old.predictions, keep),
        )
        if (older := results.runs[COLLECTED].isna()).any():  # kept from tables without it
            results.runs.loc[older, COLLECTED] = row_fingerprints(replace(results, runs=results.runs[older]))
        # The three tables carry the fingerprint of their runs, so that a mixture is noticed.
        new = {name: pa.Table.from_pandas(frame, preserve_index=False) for name, frame in vars(results).items()}
        identity = results.runs.reindex(columns=[*CELL, TRAJECTORY]).to_csv()
        table_files.write(self.folder(protocol, experiment), new, hashlib.sha256(identity.encode()).hexdigest())
        return results

    def _to_collect(self, run_id: str) -> tuple[dict[str, Any], pa.Table]:
        """Returns a record's row of the ``runs`` table, and its other rows as they are collected."""
        footer, table = self._read(run_id)
        table = with_kept_probabilities(table).replace_schema_metadata(None)
        provenance = footer["provenance"]
        row = {
            "outcome": footer["outcome"],
            **footer["facts"],
            "seconds": provenance.get("seconds"),
            "peak_memory_mb": provenance.get("peak_memory_mb"),
            TRAJECTORY: footer.get(TRAJECTORY),
            COLLECTED: trajectory_sha256(table.cast(RUN_SCHEMA)),
            "config": json.dumps(footer["config"], sort_keys=True),
            "provenance": json.dumps(provenance, sort_keys=True),
        }
        return row, table

    def collecting(self) -> contextlib.AbstractContextManager[None]:
        """Keeps other commands from collecting into this folder, and from setting tables aside."""
        return folder_locked(self.root)

    def load(self, protocol: str, experiment: str, *, predictions: bool = True) -> Results:
        """Returns the collected tables.

        Args:
            protocol: Name of the protocol.
            experiment: Name of the experiment.
            predictions: False leaves them empty. This halves the time, as they are most of the rows.

        Raises:
            MissingInput: The tables are absent, damaged, or written by a newer version.
        """
        tables = self._tables(protocol, experiment, [each.name for each in fields(Results)])
        if not predictions:
            tables["predictions"] = tables["predictions"].slice(0, 0)
        tables["predictions"] = with_kept_probabilities(tables["predictions"])  # also those of older files
        runs, *others = (table.to_pandas() for table in tables.values())
        # Names stay categories, with one dtype in all three tables, so that merges compare codes.
        shared = {name: dtype for name, dtype in runs.dtypes.items() if name in CELL and isinstance(dtype, pd.CategoricalDtype)}
        for name, dtype in shared.items():
            if any(set(frame[name].unique()) - set(dtype.categories) for frame in others):
                folder = self.folder(protocol, experiment)
                what = f"the tables in {folder} are damaged: rows name another {name} than the runs"
                raise Damaged(folder, f"{what}. {fetch_again(folder)}")
        return Results(runs, *(frame.astype(shared) for frame in others))

    def load_runs(self, protocol: str, experiment: str) -> pd.DataFrame:
        """Returns the smallest collected table, `Results.runs`; errors as `load`."""
        return plain_strings(self._tables(protocol, experiment, ["runs"])["runs"].to_pandas())

    def _tables(self, protocol: str, experiment: str, names: Sequence[str]) -> dict[str, pa.Table]:
        folder = self.folder(protocol, experiment)
        if not is_there(folder / "runs.parquet"):
            raise MissingInput(f"no collected results in {folder}: type `{run_command(experiment, protocol)}`")
        tables = table_files.read(folder, names)
        for name, table in tables.items():
            schema.check(table, folder / f"{name}.parquet")
        # Without pandas' own metadata, which may be damaged.
        return {name: table.replace_schema_metadata(None) for name, table in tables.items()}

    def collected(self) -> list[tuple[str, str]]:
        """Returns (protocol, experiment) of all collected results, without tables set aside (named with an @).

        Tables that can't be read are among them.
        """
        folders = (folder for folder in self.root.glob("*/*/") if is_there(folder / "runs.parquet"))
        return sorted((folder.parent.name, folder.name) for folder in folders if "@" not in folder.name)


def trajectory_of(record: RunRecord) -> str:
    """Returns the fingerprint of a record's rows, as its file will name it."""
    return trajectory_sha256(_rows(record))


def _rows(record: RunRecord) -> pa.Table:
    parts = [record.metrics.assign(kind="metric"), record.predictions.assign(kind="prediction")]
    return pa.concat_tables([typed(part) for part in parts if len(part)])


def _run_and_arm(row: Mapping[Any, Any]) -> tuple[str, str]:
    return row["run_id"], row["arm"]


def _gather(
    rows: pd.DataFrame | None, kind: str, columns: list[str], cells: Sequence[CellKey], old: pd.DataFrame | None, keep: Set[CellKey]
) -> pd.DataFrame:
    """Returns the rows of one kind, new and kept ones, in the order of the cells, each with its cell."""
    parts: list[pd.DataFrame] = []
    if rows is not None:
        part = rows_of(rows, kind, [POSITION, *columns])
        for name in CELL:
            values = pd.Series([getattr(cell, name) for cell in cells], dtype="int64" if name == "seed" else "category")
            part[name] = values.array.take(part[POSITION].to_numpy())
        parts.append(part)
    if old is not None:
        numbers = {(cell.run_id, cell.arm): number for number, cell in enumerate(cells) if cell in keep}
        number = pd.MultiIndex.from_frame(old[["run_id", "arm"]]).map(numbers)
        parts.append(old.assign(**{POSITION: number}).dropna(subset=[POSITION]))
    whole = joined(parts)
    if len(parts) > 1:
        whole = whole.sort_values(POSITION, kind="stable", ignore_index=True)
    return whole[CELL + columns]


def _sha256(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode()
