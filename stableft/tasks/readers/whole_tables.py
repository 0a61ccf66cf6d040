"""Whole tables: a user's file with all its columns, for predictions to be added to.

The formats and errors are those of `stableft.tasks.readers.user_tables`. A label is not needed. An
empty text is kept, as every row is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stableft.core.errors import MissingInput
from stableft.core.own_data import OwnData
from stableft.tasks.readers.corpus_files import Record, text
from stableft.tasks.readers.json_rows import json_objects
from stableft.tasks.readers.user_tables import (
    SEPARATORS,
    RoleColumns,
    filled_rows,
    find_columns,
    json_names,
    json_value,
    open_csv,
    open_tsv,
)
from stableft.tasks.readers.user_text import short

ABSENT = object()  # a key that an object lacks


@dataclass(frozen=True)
class WholeTable:
    """All rows and columns of a file.

    Attributes:
        names: Columns, or all keys of JSON objects.
        rows: Cells in the order of ``names``: texts, or JSON values and `ABSENT`.
        places: ``path:line`` of each row.
        values: Role, such as ``text`` -> its values; other roles if they are there.
        separator: Between the cells of a CSV file; else a comma.
        notes: Remarks for the user.
    """

    names: Sequence[str]
    rows: Sequence[Sequence[object]]
    places: Sequence[str]
    values: Mapping[str, Sequence[str]]
    separator: str = ","
    notes: Sequence[str] = ()


def read_whole(form: str, path: Path, own: OwnData) -> WholeTable:
    """Reads a file.

    Args:
        form: ``csv``, ``tsv``, ``jsonl`` or ``json``.
        path: The file.
        own: Columns and encoding chosen by the user.

    Raises:
        MissingInput: The file is missing or malformed; gives path, line and reason.
    """
    if form in ("jsonl", "json"):
        return _read_objects(path, own)
    table = (open_csv if form == "csv" else open_tsv)(path, own, False)
    numbers, rows = zip(*filled_rows(path, table), strict=True)
    values = {role: [row[table.names.index(name)] for row in rows] for role, name in table.columns.items()}
    kept = table.separator if form == "csv" else ","
    notes = [] if kept == "," else [f"{short(path)}: cells are separated by a {SEPARATORS.get(kept, kept)}"]
    return WholeTable(table.names, rows, [f"{path}:{number}" for number in numbers], values, kept, notes)


def _read_objects(path: Path, own: OwnData) -> WholeTable:
    found = list(json_objects(path, own.encoding))
    if not found:
        raise MissingInput(f"{path}:1: the file has no rows")
    columns: RoleColumns = find_columns(found[0][0], json_names(found[0][1], own), own, labelled=False)
    values: dict[str, list[str]] = {role: [] for role in columns}
    for place, row in found:
        for role, name in columns.items():
            values[role].append(_text(place, role, json_value(row, name)))
    names = list(dict.fromkeys(name for _, row in found for name in row))
    rows = [[row.get(name, ABSENT) for name in names] for _, row in found]
    return WholeTable(names, rows, [place for place, _ in found], values)


def _text(place: str, role: str, value: object) -> str:
    if role in ("text", "pair") and not isinstance(value, str | None):
        raise MissingInput(f"{place}: {role} holds {type(value).__name__}, expected a string")
    written = "" if value is None else str(value)
    return text(Record(place, {role: written}), role, empty=True) if role in ("text", "pair") else written
