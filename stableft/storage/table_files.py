"""Table files: the collected tables of an experiment, which are replaced together."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from stableft.core.errors import Damaged, MissingInput
from stableft.core.files import drop_drafts, replaced_folder
from stableft.storage.parquet import fetch_again, is_there, newer, read_parquet, write_parquet

COLLECTION = b"stableft"  # key of the metadata: identity of the collection
SCHEMA = b"stableft_schema"
# Tables of schema 1 hold the probabilities of all examples, in 32 bits; see `kept_probabilities`.
TABLES_SCHEMA = 2
ENCODINGS = {
    "metrics": {"value": "BYTE_STREAM_SPLIT"},
    "predictions": {"example": "DELTA_BINARY_PACKED", "probabilities.list.element": "BYTE_STREAM_SPLIT"},
}
# All tables are first written next to the old ones; then this folder appears; then its files move.
NEXT = ".next"


def write(folder: Path, tables: Mapping[str, pa.Table], collection: str) -> None:
    """Replaces the tables of a folder by new ones, all together.

    Args:
        folder: The folder of the tables; only one process at a time may write to it.
        tables: The new tables by name.
        collection: Identity of the collection, the same for tables that belong together.

    Raises:
        OSError: The disk is full or the folder can't be written to; the old tables are then as
            they were.
    """
    drop_drafts(folder, of=NEXT)  # of a killed process
    with replaced_folder(folder / NEXT) as draft:
        for name, table in tables.items():
            metadata = {**table.schema.metadata, COLLECTION: collection, SCHEMA: str(TABLES_SCHEMA)}
            write_parquet(table.replace_schema_metadata(metadata), draft / f"{name}.parquet", ENCODINGS.get(name))
        _move(folder)
    _move(folder)


def _move(folder: Path) -> None:
    """Moves new tables to the place of the old ones; also completes the move of a killed process."""
    if (folder / NEXT).is_dir():
        for path in (folder / NEXT).iterdir():
            path.replace(folder / path.name)
        (folder / NEXT).rmdir()


def read(folder: Path, names: Sequence[str]) -> dict[str, pa.Table]:
    """Returns tables of one collection, also while they are being replaced.

    Raises:
        MissingInput: The tables are absent, damaged, or written by a newer version.
    """
    absent: MissingInput | None = None
    for attempt in range(10):
        paths = {name: folder / f"{name}.parquet" for name in names}
        paths = {name: new if (new := folder / NEXT / path.name).exists() else path for name, path in paths.items()}
        try:
            tables = {name: read_parquet(path, fetch_again(folder)) for name, path in paths.items()}
        except Damaged:
            raise
        except MissingInput as error:  # moved in the meantime, or absent
            if all(map(is_there, paths.values())):  # it may not be read
                raise
            if attempt == 2:  # a move takes no longer
                break
            absent = MissingInput(f"{error}. {fetch_again(folder)}")
        else:
            metadata = {name: table.schema.metadata or {} for name, table in tables.items()}
            for name, path in paths.items():
                schema = metadata[name].get(SCHEMA, b"1")
                if schema.isdigit() and int(schema) > TABLES_SCHEMA:
                    raise newer(path, int(schema), TABLES_SCHEMA)
            if len({each.get(COLLECTION) for each in metadata.values()}) == 1:
                return tables
        time.sleep(0.1)
    raise absent or Damaged(
        folder, f"the tables in {folder} are not of one collection: fetch them again, or run the experiment again."
    )
