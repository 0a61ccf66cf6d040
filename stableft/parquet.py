"""Parquet files that are whole or not there."""

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from stableft.errors import MissingInput
from stableft.files import write_whole


def write_parquet(table: pa.Table, target: Path) -> None:
    """Writes a table to a file (see `write_whole`), whose folder is created if it is not there.

    Raises:
        OSError: the disk is full or the folder can't be written to; the target is then as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    pq.write_table(table, content, compression="zstd", compression_level=9)
    write_whole(target, content.getvalue())


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
