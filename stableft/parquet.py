"""Parquet files that are whole or not there."""

import os
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from stableft.errors import MissingInput


def write_parquet(table: pa.Table, target: Path) -> None:
    """Writes beside the target, flushes to disk, and renames: no reader ever sees a part.

    Raises:
        OSError: the disk is full or the folder can't be written to; the target is then as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            pq.write_table(table, file, compression="zstd", compression_level=9)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(draft, 0o644)
        os.replace(draft, target)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def read_parquet(path: Path) -> pa.Table:
    """Reads a file.

    Raises:
        MissingInput: it is absent or damaged.
    """
    try:
        return pq.ParquetFile(path).read()
    except FileNotFoundError:
        raise MissingInput(f"{path} does not exist") from None
    except (pa.ArrowInvalid, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise MissingInput(f"{path} is damaged ({reason}). Delete it and run again: only this file is recomputed.") from error
