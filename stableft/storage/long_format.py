"""Long format: a table of results with a row per number, as ``stableft import`` reads it.

The columns are described in ``docs/import.md``.
"""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from stableft.core.errors import MissingInput, UsageError, listed, quoted
from stableft.storage.parquet import read_parquet

TEXTS = ("experiment", "task", "arm", "split", "metric")
WHOLE = ("seed", "draw", "step")
COLUMNS = ("task", "arm", "seed", "step", "split", "metric", "value")
OPTIONAL = ("experiment", "draw")
KEY = ["experiment", "task", "arm", "seed", "step", "split", "metric"]
SPLITS = ("train", "validation", "test")
MOST_LETTERS = 80  # of a name
WHOLE_NUMBER, NUMBER = r"\d{1,18}", r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,5})?"
NOT_FINITE = r"nan|[-+]?inf"
HELP = "the format is described in docs/import.md"


def read_long(path: Path) -> pd.DataFrame:
    """Reads a table of results, and checks each row.

    Args:
        path: A CSV file in UTF-8, or a parquet file.

    Returns:
        `COLUMNS` and `OPTIONAL`: texts; seed and step as int64; draw as Int64, missing where there is
        none; value as float64, not finite where the table says ``nan`` or ``inf``. ``experiment`` is
        "" in a table without that column. The index is the row's line in the file (CSV), or its number
        from 1 (parquet); messages name it after the path.

    Raises:
        UsageError: The file is neither CSV nor parquet.
        MissingInput: The file is absent, can't be read, or a row is malformed; the message has its
            place and the reason.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise UsageError(f"{path}: a table of results ends in .csv or .parquet; {HELP}")
    table = _read_csv(path) if path.suffix == ".csv" else _read_parquet(path)
    if table.empty:
        raise MissingInput(f"{path} has no rows; {HELP}")
    place = f"{path}:"
    columns = {name: _text(table, name, place) for name in TEXTS if name in table}
    columns |= {name: _whole(table, name, place) for name in WHOLE if name in table}
    frame = pd.DataFrame({"experiment": "", "draw": pd.NA, **columns, "value": _values(table, place)}, index=table.index)
    _refuse(
        frame, ~frame["split"].isin(SPLITS), place, lambda row: f"unknown split {quoted(row.split)}; known: {', '.join(SPLITS)}"
    )
    twice = frame.duplicated(KEY)
    if twice.any():
        row = frame[twice].iloc[0]
        first = frame.index[(frame[KEY] == row[KEY]).all(axis=1)][0]
        raise MissingInput(f"{place}{row.name}: a second value of the same {', '.join(KEY)} as row {first}; keep one of them")
    return frame[[*OPTIONAL, *COLUMNS]].astype({"draw": "Int64"})


def _read_csv(path: Path) -> pd.DataFrame:
    """Returns the cells as text, indexed by line."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file, strict=True))
    except OSError as error:
        raise MissingInput(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise MissingInput(f"{path}: not UTF-8 ({error.reason}, byte {error.start}); save it as UTF-8") from None
    except csv.Error as error:
        raise MissingInput(f"{path}: bad CSV ({error})") from None
    header = rows[0] if rows else []
    _check_columns(header, f"{path}:1")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise MissingInput(f"{path}:{number}: {len(row)} cells, but the header has {len(header)}")
    return pd.DataFrame(rows[1:], columns=header, index=range(2, len(rows) + 1), dtype="str")


def _read_parquet(path: Path) -> pd.DataFrame:
    """Returns the cells as text, indexed by row from 1; absent cells are empty, absent values nan."""
    try:
        table = read_parquet(path)
    except MissingInput as error:
        raise MissingInput(str(error).split(". Delete it")[0]) from None
    _check_columns(table.column_names, str(path))
    columns: dict[str, list[str]] = {}
    for name in table.column_names:
        kind = table.column(name).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        whole = pa.types.is_integer(kind) or pa.types.is_null(kind)
        fits = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        if name not in TEXTS:
            fits = whole or (name == "value" and pa.types.is_floating(kind))
        if not fits:
            raise MissingInput(f"{path}: column {name} holds {kind}; {HELP}")
        absent = "nan" if name == "value" else ""  # pandas stores NaN as absent
        columns[name] = [absent if cell is None else str(cell) for cell in table.column(name).to_pylist()]
    return pd.DataFrame(columns, index=range(1, len(table) + 1), dtype="str")


def _check_columns(names: list[str], place: str) -> None:
    if not names:
        raise MissingInput(f"{place}: the file is empty; {HELP}")
    known = (*COLUMNS, *OPTIONAL)
    unknown = [name for name in names if name not in known]
    problems = {
        "unknown columns": unknown,
        "columns missing": [name for name in COLUMNS if name not in names],
        "columns more than once": sorted({name for name in names if names.count(name) > 1}),
    }
    for problem, which in problems.items():
        if which:
            raise MissingInput(f"{place}: {problem}: {listed(map(quoted, which))}; known: {', '.join(known)}; {HELP}")


def _text(table: pd.DataFrame, name: str, place: str) -> pd.Series:
    texts = table[name]
    fits = {text: text.isprintable() and 0 < len(text) <= MOST_LETTERS and text == text.strip() for text in texts.unique()}
    problem = f"expected a name of 1 to {MOST_LETTERS} printable characters, without spaces around it"
    _refuse(table, ~texts.map(fits).astype(bool), place, lambda row: f"{name} is {quoted(row[name])}; {problem}")
    return texts


def _whole(table: pd.DataFrame, name: str, place: str) -> pd.Series:
    texts = table[name]
    absent = (texts == "") & (name == "draw")
    fits = texts.str.fullmatch(WHOLE_NUMBER) | absent
    _refuse(table, ~fits, place, lambda row: f"{name} is {quoted(row[name])}; expected a whole number, 0 or more")
    numbers = pd.to_numeric(texts.mask(absent), errors="raise").astype("Int64")
    if name == "draw":
        return numbers
    _refuse(table, numbers >= 2**31, place, lambda row: f"{name} is {row[name]}; expected less than 2^31")
    return numbers.astype("int64")


def _values(table: pd.DataFrame, place: str) -> pd.Series:
    texts = table["value"]
    fits = texts.str.fullmatch(NUMBER) | texts.str.lower().str.fullmatch(NOT_FINITE)
    hint = "expected a number; leave the row out where a number is missing, and write nan for an undefined score"
    _refuse(table, ~fits, place, lambda row: f"value is {quoted(row['value'])}; {hint}")
    return texts.map(float).astype("float64")


def _refuse(frame: pd.DataFrame, wrong: pd.Series, place: str, why: Callable[[Any], str]) -> None:
    """Raises the error of the first wrong row."""
    if wrong.any():
        row = frame[wrong].iloc[0]
        raise MissingInput(f"{place}{row.name}: {why(row)}")
