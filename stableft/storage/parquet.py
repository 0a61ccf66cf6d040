"""Parquet files: written as a whole or not at all, and checked when read."""

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from stableft.core.errors import Damaged, MissingInput
from stableft.core.files import write_whole

MAGIC = b"PAR1"
MANY_ROWS = 100_000  # below it, threads cost more time than they save


def newer(path: Path, schema: int, here: int) -> MissingInput:
    """Returns the error for a file of a later schema than the one known here."""
    return MissingInput(f"{path} was written by a newer stableft (schema {schema}, here {here}): update stableft.")


def write_parquet(table: pa.Table, target: Path, encodings: Mapping[str, str] | None = None) -> None:
    """Writes a table to a file (see `write_whole`), and creates the folder if it is absent.

    Args:
        table: The table.
        target: The file.
        encodings: Parquet's encoding of some columns, by their path in parquet; the other columns
            get a dictionary.

    Raises:
        OSError: The disk is full or the folder can't be written to; the target is then as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    content, encodings = io.BytesIO(), dict(encodings or {})
    others = [name for name in table.column_names if not any(path.split(".")[0] == name for path in encodings)]
    pq.write_table(
        table, content, compression="zstd", compression_level=9, write_page_checksum=True,
        # A run's labels and examples repeat those of the run before, if both are in one page.
        max_rows_per_page=max(1, len(table)), use_dictionary=cast(Any, others), column_encoding=encodings or None,
    )  # fmt: skip
    write_whole(target, content.getvalue())


def is_there(path: Path) -> bool:
    """Tells whether a file exists; one in a folder that may not be read counts as there."""
    try:
        return path.is_file()
    except PermissionError:
        return True


def looks_whole(path: Path) -> bool:
    """Returns True if a file begins and ends like parquet; a truncated or empty file does not.

    One that may not be read is not known to be damaged.
    """
    if not os.access(path, os.R_OK):
        return True
    with open(path, "rb") as file:
        start = file.read(len(MAGIC))
        file.seek(0, os.SEEK_END)
        if file.tell() < 3 * len(MAGIC):
            return False
        file.seek(-len(MAGIC), os.SEEK_END)
        return start == file.read() == MAGIC


def fetch_again(folder: Path) -> str:
    """Returns what to do about a damaged file of collected tables."""
    return f"Get it again, or move {folder} away and run its experiment again."


def read_parquet(path: Path, remedy: str = "Delete it and run again: only this file is recomputed.") -> pa.Table:
    """Reads a file and verifies its checksums.

    Args:
        path: The file.
        remedy: What to do if it is damaged, a sentence.

    Raises:
        MissingInput: The file is absent, or may not be read.
        Damaged: It can't be read, or part of it differs from what was written.
    """
    try:
        # From bytes, since Arrow takes no name of a file that is not UTF-8.
        file = pq.ParquetFile(pa.BufferReader(path.read_bytes()), page_checksum_verification=True)
        table = file.read(use_threads=file.metadata.num_rows > MANY_ROWS)
        table.validate(full=True)
        return table
    except FileNotFoundError:
        raise MissingInput(f"{path} does not exist") from None
    except PermissionError as error:
        raise MissingInput(f"{path} can't be read ({error.strerror}): ask its owner for the right to") from None
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise Damaged(path, f"{path} is damaged ({reason.rstrip('.')}). {remedy}") from error
