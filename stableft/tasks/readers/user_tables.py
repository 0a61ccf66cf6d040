"""TableRows of a user's file: CSV, TSV or JSON objects.

CSV may quote, as Python's csv module reads it. Its separator is the first of comma, semicolon, tab
and bar by which the header has the needed columns; a first line ``sep=;`` names it. TSV has no
quoting, like GLUE's. JSON is one object a line, or one array of objects. Blank lines are skipped.

Columns are found by their names: exactly, or if ``text`` or the label is not found so, without
regard to case and surrounding space, or by the usual names of `USUAL`, if a file has a single one
of them. A remark names guessed columns. The first malformed row stops the reading; the error names
its place and the reason.
"""

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from stableft.core.errors import MissingInput, quoted
from stableft.core.own_data import OwnData
from stableft.tasks.readers.corpus_files import Record
from stableft.tasks.readers.json_rows import json_objects
from stableft.tasks.readers.user_text import read_lines, short

COLUMNS = ("text", "pair", "label", "score", "split")
# Usual names of columns. Those that may hold classes or numbers, such as "rating", are never guessed.
USUAL: Mapping[str, tuple[str, ...]] = {
    "text": (
        "review", "sentence", "sentence1", "comment", "content", "title", "body", "message", "question1", "text1", "text_a",
        "premise", "utterance", "query", "tweet", "document", "excerpt", "description", "文本", "内容", "标题", "评论", "句子",
    ),
    "pair": ("sentence2", "question2", "text2", "text_b", "hypothesis"),
    "label": (
        "sentiment", "category", "class", "target", "intent", "topic", "labels", "tag", "标签", "类别", "情感", "分类",
    ),
}  # fmt: skip
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
LONGEST_CELL = 2**31 - 1
JSON = re.compile(r'\s*(\[\s*)?\{\s*"|\s*\[\s*$')

RoleColumns = Mapping[str, str]  # role, such as text -> the column's own name


class TableRows(NamedTuple):
    """The rows of a file.

    Attributes:
        records: At least one, with the roles `COLUMNS` as names.
        notes: Remarks for the user, one sentence each.
    """

    records: list[Record]
    notes: list[str]


class OpenTable(NamedTuple):
    """A file of rows whose header has been read.

    Attributes:
        names: All columns.
        columns: Those of the roles.
        rows: Line and cells of each further row.
        separator: Between two cells.
    """

    names: list[str]
    columns: RoleColumns
    rows: Iterator[tuple[int, list[str]]]
    separator: str


def find_columns(place: str, names: Sequence[str], own: OwnData, *, labelled: bool = True) -> RoleColumns:
    """Returns the column of each role that a file has.

    Args:
        place: Place of the names, for messages.
        names: All columns.
        own: Names of columns chosen by the user.
        labelled: False if the label may be absent: of a test split.

    Raises:
        MissingInput: A needed column is absent or not unique; says how to name it.
    """
    asked = {role: name for role in COLUMNS if (name := getattr(own, role)) is not None}
    for role, name in asked.items():
        if name not in names and not (role in ("label", "score", "split") and not labelled):
            raise MissingInput(f"{place}: no column {quoted(name)}, which --{role} names; there are: {_there(names)}")
    exact = {role: asked.get(role, role) for role in COLUMNS if asked.get(role, role) in names}
    loose = {role: name for name in reversed(names) for role in COLUMNS if name.strip().casefold() == role} | exact
    columns = exact if "text" in exact and ("label" in exact or "score" in exact) else _with_usual(names, loose, asked)
    for role, name in columns.items():
        alike = [other for other in names if other == name or (role not in exact and other.strip().casefold() == role)]
        if len(alike) > 1:
            raise MissingInput(f"{place}: column {quoted(name)[1:-1]} more than once; rename one, or name another by --{role}")
    if "label" in asked or "score" in asked:  # the other one, if it was not asked for, is a column like any other
        columns = {role: name for role, name in columns.items() if role not in ("label", "score") or role in asked}
    return _complete(place, names, columns, labelled)


def _with_usual(names: Sequence[str], found: RoleColumns, asked: Mapping[str, str]) -> RoleColumns:
    """Adds a column of a usual name to each role without a column, if there is just one."""
    columns = dict(found)
    for role, usual in USUAL.items():
        there = [name for name in names if name.strip().casefold() in usual and name not in columns.values()]
        other = role == "label" and "score" in columns  # the label's place is taken
        second = role == "pair" and columns.get("text", "").strip().casefold() not in USUAL["text"]
        if role not in columns and role not in asked and len(there) == 1 and not other and not second:
            columns[role] = there[0]
    return columns


def guessed(columns: RoleColumns, own: OwnData) -> list[str]:
    """Returns a remark on columns that were found by a usual name."""
    found = {role: name for role, name in columns.items() if name.strip().casefold() != role and getattr(own, role) is None}
    if not found:
        return []
    named = ", ".join(f"{quoted(name)[1:-1]} as {role}" for role, name in found.items())
    return [f"columns are read by their names: {named}; {', '.join(f'--{role}' for role in found)} would name others"]


def _complete(place: str, names: Sequence[str], columns: RoleColumns, labelled: bool) -> RoleColumns:
    free = [name for name in names if name not in columns.values()]
    if not any(name.strip() for name in names):
        ways = "the file is empty; its first line must name the columns, such as text,label"
        raise MissingInput(f"{place}: no column 'text'; there are: none; {ways}")
    if "text" not in columns:
        example = f", such as --text {_word(free[0])}" if free else ""
        last = f" --label {_word(free[-1])}" if len(free) > 1 and not {"label", "score"} & columns.keys() else ""
        ways = f"name it by --text{example}{last}; the first line must name the columns" if free else "write it into the first line"
        raise MissingInput(f"{place}: no column 'text'; there are: {_there(names)}; {ways}")
    labels = {"label", "score"} & columns.keys()
    if len(labels) == 2 or (labelled and not labels):
        which = "leave one out, or choose it by --label label or --score score" if labels else "name it by --label or --score"
        example = f", such as --label {_word(free[-1])}" if free and not labels else ""
        needed = "one column 'label' (classes) or 'score' (numbers) is needed"
        raise MissingInput(f"{place}: {needed}; there are: {_there(names)}; {which}{example}")
    return columns


def _there(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))[:200] or "none"


def _word(name: str) -> str:
    return name if name.isidentifier() and len(name) <= 40 else quoted(name, 40)


def _read_csv(path: Path, own: OwnData, labelled: bool) -> TableRows:
    table = open_csv(path, own, labelled)
    separator = SEPARATORS.get(table.separator, table.separator)
    notes = [] if separator == "comma" else [f"{short(path)}: cells are separated by a {separator}"]
    return TableRows(list(_records(path, table)), [*guessed(table.columns, own), *notes])


def open_csv(path: Path, own: OwnData, labelled: bool) -> OpenTable:
    """Opens a CSV file by the separator that gives the needed columns; for errors see `find_columns`."""
    lines = read_lines(path, own.encoding)
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    separators, named = list(SEPARATORS), lines[first : first + 1]
    if named and JSON.match(named[0]):
        raise MissingInput(f"{path}:{first + 1}: this is JSON, not CSV: write jsonl: before the path")
    if named and named[0].lower().startswith("sep=") and len(named[0]) == 5:  # Excel reads and writes it
        separators, first = [named[0][4]], first + 1
    tried: list[tuple[int, MissingInput]] = []
    for separator in separators:
        rows = _csv_rows(path, lines, first, separator)
        names: list[str] = []
        try:
            line, names = next(rows, (1, []))
            columns = find_columns(f"{path}:{line}", names, own, labelled=labelled)
        except MissingInput as error:
            tried.append((-len(names), error))
            continue
        return OpenTable(names, columns, rows, separator)
    raise min(tried, key=lambda each: each[0])[1]  # by the separator that gives most columns


def _csv_rows(path: Path, lines: Sequence[str], first: int, separator: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader((line + "\n" for line in lines[first:]), strict=True, delimiter=separator)
    line = first + 1
    while True:
        others = csv.field_size_limit(LONGEST_CELL)  # one limit for the whole process: other readers keep theirs
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise MissingInput(f"{path}:{line}: bad CSV ({_plain(error)})") from error
        finally:
            csv.field_size_limit(others)
        yield line, cells
        line = first + reader.line_num + 1  # a quoted cell may span several lines


def _plain(error: csv.Error) -> str:
    """Returns the reason of an error of Python's csv module in words for a user."""
    said = str(error)
    if "new-line" in said:
        return "a carriage return in a cell without quotes: quote the cell, or save the file with one kind of line ends"
    if "unexpected end" in said:
        return "a quote is opened here and never closed"
    if "expected after" in said:
        return f"{said}: within a quoted cell write a quote as two"
    return said


def _read_tsv(path: Path, own: OwnData, labelled: bool) -> TableRows:
    table = open_tsv(path, own, labelled)
    return TableRows(list(_records(path, table)), guessed(table.columns, own))


def open_tsv(path: Path, own: OwnData, labelled: bool) -> OpenTable:
    """Opens a TSV file; for errors see `find_columns`."""
    rows = ((number, line.split("\t") if line else []) for number, line in enumerate(read_lines(path, own.encoding), start=1))
    line, names = next((row for row in rows if row[1]), (1, []))
    columns = find_columns(f"{path}:{line}", names, own, labelled=labelled)
    return OpenTable(names, columns, rows, "\t")


def _records(path: Path, table: OpenTable) -> Iterator[Record]:
    index = {role: table.names.index(name) for role, name in table.columns.items()}
    for number, cells in filled_rows(path, table):
        yield Record(f"{path}:{number}", {role: cells[place] for role, place in index.items()})


def filled_rows(path: Path, table: OpenTable) -> Iterator[tuple[int, list[str]]]:
    """Yields line and cells of each row, without blank lines and without blank rows at the end.

    Raises:
        MissingInput: A row is blank before another one, or has too many or too few cells.
    """
    names, separator = table.names, table.separator
    blank: int | None = None  # a row without any text, allowed at the end only
    found = False
    for number, cells in table.rows:
        if not cells and len(names) > 1:
            continue
        if not any(cell.strip() for cell in cells):
            blank = blank or number
            continue
        if blank is not None:
            raise MissingInput(f"{path}:{blank}: text is empty, and so is all of the row; remove it")
        if len(cells) != len(names):
            more = f"; quote a cell that contains {quoted(separator)}" if len(cells) > len(names) and separator != "\t" else ""
            raise MissingInput(f"{path}:{number}: {len(cells)} columns, expected {len(names)}{more}")
        found = True
        yield number, cells
    if not found:
        raise MissingInput(f"{path}:1: the file has no rows")


def _read_json(path: Path, own: OwnData, labelled: bool) -> TableRows:
    columns: RoleColumns = {}
    roles: set[str] = set()
    records: list[Record] = []
    for place, row in json_objects(path, own.encoding):
        if not columns:
            columns = find_columns(place, json_names(row, own), own, labelled=labelled)
            roles = set(columns)
        found = {role for role, name in columns.items() if _has(row, name)}
        found |= {role for role in COLUMNS if role in row and getattr(own, role) is None} - {"label", "score"}
        written = {role: _written(place, role, json_value(row, columns[role])) for role in columns if role in found}
        if roles - found == {"label"} and written.get("split", "").strip().casefold() == "test":
            found.add("label")
            written["label"] = ""
        if found != roles:
            first, here = (", ".join(role for role in COLUMNS if role in each) for each in (roles, found))
            raise MissingInput(f"{place}: keys {here}; the first row has {first}")
        records.append(Record(place, written))
    if not records:
        raise MissingInput(f"{path}:1: the file has no rows")
    return TableRows(records, guessed(columns, own))


def json_names(row: Mapping[str, object], own: OwnData) -> list[str]:
    """Returns the names by which an object's values can be chosen: its keys, nested ones with dots."""
    asked = [name for role in COLUMNS if (name := getattr(own, role)) is not None and _has(row, name)]
    return list(dict.fromkeys([*_leaves(row), *asked]))


def _leaves(value: object, name: str = "") -> Iterator[str]:
    """Yields the keys of an object, those of nested ones with dots; of a list only the first item's."""
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from _leaves(each, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and value and name.count(".") < 5:
        yield from _leaves(value[0], f"{name}.0")
    else:
        yield name


def _has(row: Mapping[str, object], name: str) -> bool:
    return name in row or _walk(row, name) is not None


def json_value(row: Mapping[str, object], name: str) -> object:
    """Returns the value of a key, or below a dotted name; None if there is none."""
    return row[name] if name in row else _walk(row, name)


def _walk(row: object, name: str) -> object:
    """Returns the value below a dotted name, such as ``data.text`` or ``labels.0``; None if there is none."""
    for part in name.split("."):
        if isinstance(row, list) and part.isdecimal() and int(part) < len(row):
            row = row[int(part)]
        elif isinstance(row, dict) and part in row:
            row = row[part]
        else:
            return None
    return row


def _written(place: str, role: str, value: object) -> str:
    """Converts a JSON value to text, as Python and pandas would write it to CSV.

    Texts must be strings and scores numbers. A class may also be a number or a boolean; null is empty.

    Raises:
        MissingInput: The value has another type.
    """
    if role == "label":
        if value is None or value != value:  # null, or NaN
            return ""
        if isinstance(value, str | bool | int | float):
            return str(value)
    accepted = (int, float) if role == "score" else (str,)
    if isinstance(value, bool) or not isinstance(value, accepted):
        wanted = {"label": "a string, a number, true or false", "score": "a number"}.get(role, "a string")
        nested = f"; name a key within it, such as --{role} NAME.KEY" if isinstance(value, dict | list) else ""
        raise MissingInput(f"{place}: {role} holds {type(value).__name__}, expected {wanted}{nested}")
    return str(value)


READERS: Mapping[str, Callable[[Path, OwnData, bool], TableRows]] = {
    "csv": _read_csv,
    "tsv": _read_tsv,
    "jsonl": _read_json,
    "json": _read_json,
}
"""Format -> function of the file, the user's choices, and whether the label is needed."""
