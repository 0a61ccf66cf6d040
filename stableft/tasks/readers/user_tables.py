"""Rows of a user's file: CSV, TSV or one JSON object a line.

CSV may quote, as Python's csv module reads it; TSV has no quoting, like GLUE's. All files are
UTF-8, with or without a byte-order mark. The first malformed row stops the reading; the error names
its place and the reason. `divide` splits rows without a ``split``.
"""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from stableft.core.errors import MissingInput
from stableft.core.seeds import stream
from stableft.tasks.readers.corpus_files import Record, json_objects, read_lines

SPLITS = ("train", "validation", "test")
MIN_ROWS = 20  # of a file without splits: two rows for validation and two for test
COLUMNS = ("text", "pair", "label", "score", "split")


def divide(labels: Sequence[str] | None, count: int) -> list[str]:
    """Returns the fixed split of rows without a ``split``, see `stableft.tasks.user_files`.

    Args:
        labels: (count,) classes to stratify by; None for a plain draw.
        count: Number of rows.

    Returns:
        (count,) name of each row's split.
    """
    # Sorts uniform numbers: numpy doesn't guarantee that permutation() never changes.
    order = np.argsort(stream(0, "own").random(count), kind="stable")
    if labels is not None:
        # Spread the ranks within a class evenly over (0, 1): the smallest ones keep its share.
        rank, classes = np.empty(count), np.array(labels)
        for label in np.unique(classes):
            members = order[classes[order] == label]
            rank[members] = (np.arange(len(members)) + 0.5) / len(members)
        order = order[np.argsort(rank[order], kind="stable")]
    tenth = count // 10
    splits: list[str] = ["train"] * count
    for position, row in enumerate(order[: 2 * tenth].tolist()):
        splits[row] = "validation" if position < tenth else "test"
    return splits


def _read_csv(path: Path) -> Iterator[Record]:
    return _table(path, _csv_rows(path))


def _csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader((line + "\n" for line in read_lines(path)), strict=True)
    line = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise MissingInput(f"{path}:{line}: bad CSV ({error})") from error
        yield line, cells
        line = reader.line_num + 1  # a quoted cell may span several lines


def _read_tsv(path: Path) -> Iterator[Record]:
    return _table(path, ((number, line.split("\t")) for number, line in enumerate(read_lines(path), start=1)))


def _table(path: Path, rows: Iterator[tuple[int, list[str]]]) -> Iterator[Record]:
    _, names = next(rows, (1, []))
    _check_columns(f"{path}:1", names)
    number = 1
    for number, cells in rows:
        if len(cells) != len(names):
            raise MissingInput(f"{path}:{number}: {len(cells)} columns, expected {len(names)}")
        yield Record(f"{path}:{number}", {name: cell for name, cell in zip(names, cells, strict=True) if name in COLUMNS})
    if number == 1:
        raise MissingInput(f"{path}:1: the file has no rows")


def _read_jsonl(path: Path) -> Iterator[Record]:
    columns: list[str] = []
    for place, row in json_objects(path):
        found = [name for name in COLUMNS if name in row]
        if not columns:
            _check_columns(place, list(row))
            columns = found
        if found != columns:
            raise MissingInput(f"{place}: keys {', '.join(found)}; the first row has {', '.join(columns)}")
        yield Record(place, {name: _written(place, name, row[name]) for name in columns})


def _written(place: str, name: str, value: object) -> str:
    """Converts a JSON value to text: strings, class numbers, and scores as numbers.

    Raises:
        MissingInput: The value has another type.
    """
    accepted = {"label": (str, int), "score": (int, float)}.get(name, (str,))
    if isinstance(value, bool) or not isinstance(value, accepted):
        wanted = {"label": "a string or a whole number", "score": "a number"}.get(name, "a string")
        raise MissingInput(f"{place}: {name} holds {type(value).__name__}, expected {wanted}")
    return str(value)


def _check_columns(place: str, names: Sequence[str]) -> None:
    there = ", ".join(map(repr, names))[:200]
    if twice := sorted({name for name in names if names.count(name) > 1 and name in COLUMNS}):
        raise MissingInput(f"{place}: column {', '.join(twice)} more than once")
    if "text" not in names:
        raise MissingInput(f"{place}: no column 'text'; there are: {there or 'none'}")
    if ("label" in names) == ("score" in names):
        raise MissingInput(f"{place}: one column 'label' (classes) or 'score' (numbers) is needed; there are: {there}")


READERS: Mapping[str, Callable[[Path], Iterator[Record]]] = {"csv": _read_csv, "tsv": _read_tsv, "jsonl": _read_jsonl}
