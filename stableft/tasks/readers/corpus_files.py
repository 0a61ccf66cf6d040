"""Reading helpers of the task families: find the data, read it strictly, make examples.

Data come from the folder in ``STABLEFT_DATA``, else from the folder that ``data fetch`` fills, else
from the local cache of the Hugging Face hub; never from the network. Explicit beats implicit: if
the variable is set, the other two are ignored, so a mistyped folder can't silently be replaced by
other data. The first malformed row stops the load; the error names its place and the reason. A row
is never skipped, repaired or guessed.
"""

import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stableft.core.errors import MissingInput, quoted
from stableft.core.files import data_folder
from stableft.core.hub import cached_dataset
from stableft.tasks import Example

if TYPE_CHECKING:
    from datasets import Dataset

DATA_VARIABLE = "STABLEFT_DATA"
HUB_SPLITS = ("train", "validation")
DECIMAL = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?")  # float() accepts more, such as 1_0


@dataclass(frozen=True, slots=True)
class Bounds:
    """Finite numbers from ``low`` to ``high``, both included."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Fields:
    """Column names of a row in one origin.

    Attributes:
        text: Column or key of the text.
        label: Column or key of the label.
        classes: The labels as written in this origin, in class order; for regression, their range.
        pair: Column of the second text, if the task has one.
        ident: Column of a row number that must be unique, if there is one.
        empty: True if texts may be empty.
    """

    text: str
    label: str
    classes: tuple[str, ...] | Bounds
    pair: str | None = None
    ident: str | None = None
    empty: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that must exist."""
        return tuple(name for name in (self.text, self.pair, self.label, self.ident) if name is not None)


@dataclass(frozen=True, slots=True)
class Source:
    """Locations of the labelled training and development rows of one task.

    Attributes:
        name: The task's name in messages.
        folders: Accepted places below ``STABLEFT_DATA``, in order of preference.
        files: File names of the training and the development rows.
        local: The parts of a row in these files.
        repo: Dataset on the Hugging Face hub.
        config: Its configuration.
        hub: The parts of a row there; class names come from the ``ClassLabel`` feature.
        splits: Names of its training and development splits.
    """

    name: str
    folders: tuple[str, ...]
    files: tuple[str, str]
    local: Fields
    repo: str
    config: str
    hub: Fields
    splits: tuple[str, str] = HUB_SPLITS


@dataclass(frozen=True, slots=True)
class Record:
    """A row as written in a file or dataset.

    Attributes:
        place: ``path:line``, or dataset and row, counted from 1.
        values: Column -> text.
    """

    place: str
    values: Mapping[str, str]


def read_train_dev(source: Source, read: Callable[[Path], Iterable[Record]]) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Reads the training and the development examples of a source.

    Args:
        source: Their locations.
        read: Reads a local file; without local files the hub's cache is read.
    """
    paths = local_files(source)
    if paths is None:
        train, dev = (to_examples(read_hub(source, split), source.hub) for split in source.splits)
    else:
        train, dev = (to_examples(read(path), source.local) for path in paths)
    return train, dev


def local_files(source: Source) -> tuple[Path, ...] | None:
    """Calls `find_local` for a source that is also on the hub."""
    return find_local(
        source.name, source.folders, source.files, f", or unset {DATA_VARIABLE} to use the cache of the Hugging Face hub"
    )


def find_local(name: str, folders: Sequence[str], files: Sequence[str], otherwise: str = "") -> tuple[Path, ...] | None:
    """Finds a task's files below ``STABLEFT_DATA``, in the first complete accepted folder.

    Args:
        name: The task's name in messages.
        folders: Accepted places, in order of preference.
        files: File names.
        otherwise: Other advice for the message, if the files are missing.

    Returns:
        Their paths; None if the variable is unset or empty, and `stableft.core.files.data_folder`
        does not have them.

    Raises:
        MissingInput: The variable is set, but no accepted folder is complete; names every path
            tried.
    """
    value = os.environ.get(DATA_VARIABLE)
    if not value:
        fetched = ([data_folder() / folder / file for file in files] for folder in folders)
        return next((tuple(paths) for paths in fetched if all(path.is_file() for path in paths)), None)
    root = Path(value).expanduser()
    if not root.is_dir():
        raise MissingInput(f"{name}: {DATA_VARIABLE}={value} is not a folder")
    absent: list[str] = []
    for folder in folders:
        paths = tuple(root / folder / file for file in files)
        missing = [str(path) for path in paths if not path.is_file()]
        if not missing:
            return paths
        absent += missing
    raise MissingInput(
        f"{name}: {DATA_VARIABLE}={value} lacks the task's files; not found: {', '.join(absent)}. "
        f"Put {_wanted(folders, files)} there{otherwise}"
    )


def _wanted(folders: Sequence[str], files: Sequence[str]) -> str:
    return " or ".join(f"{folder}/{{{','.join(files)}}}" for folder in folders)


def read_text(path: Path) -> str:
    """Reads a UTF-8 file without its byte-order mark; line ends are not changed.

    Raises:
        MissingInput: The file can't be read, or is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise MissingInput(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise MissingInput(f"{path}:{line}: not UTF-8 ({error.reason}, byte 0x{error.object[error.start]:02x})") from error


def read_lines(path: Path) -> list[str]:
    """Reads the lines of a UTF-8 file, without their ends (LF or CRLF).

    No other character ends a line.
    """
    text = read_text(path)
    lines = text.removesuffix("\n").split("\n") if text else []
    return [line.removesuffix("\r") for line in lines]


def read_tsv(path: Path, names: tuple[str, ...], columns: tuple[str, ...] | None = None) -> Iterator[Record]:
    """Yields the rows of a tab-separated file in GLUE's format.

    There is no quoting: a bare double quote is text.

    Args:
        path: The file.
        names: Required columns; others are ignored, but every row must have all of them.
        columns: Column names of a file without a header; None: its first line names them.

    Raises:
        MissingInput: There are no rows, a column is missing, or a row is malformed.
    """
    lines = read_lines(path)
    first = 1 if columns else 2
    if len(lines) < first:
        raise MissingInput(f"{path}:1: the file has no rows")
    header = columns or tuple(lines[0].split("\t"))
    if not set(names) <= set(header):
        raise MissingInput(f"{path}:1: header {quoted(lines[0])}, expected the columns {', '.join(names)}")
    for number, line in enumerate(lines[first - 1 :], start=first):
        cells = line.split("\t")
        if len(cells) != len(header):
            raise MissingInput(f"{path}:{number}: {len(cells)} columns, expected {len(header)}")
        yield Record(f"{path}:{number}", dict(zip(header, cells, strict=True)))


def read_json_lines(path: Path, keys: tuple[str, ...]) -> Iterator[Record]:
    """Yields the rows of a file with one JSON object a line.

    Only ``keys`` are kept; each must have a string.

    Raises:
        MissingInput: There are no rows, or one is malformed.
    """
    for place, row in json_objects(path):
        yield Record(place, {key: _string(place, row, key) for key in keys})


def json_objects(path: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """Yields the objects of a file with one JSON object a line, with their places ``path:line``.

    Raises:
        MissingInput: There are no lines, or one is no JSON object.
    """
    lines = read_lines(path)
    if not lines:
        raise MissingInput(f"{path}:1: the file has no rows")
    for number, line in enumerate(lines, start=1):
        place = f"{path}:{number}"
        try:
            row: object = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise MissingInput(f"{place}: bad JSON ({error})") from error
        if not isinstance(row, dict):
            raise MissingInput(f"{place}: a JSON {type(row).__name__}, expected an object")
        yield place, row


def _string(place: str, row: dict[str, object], key: str) -> str:
    if key not in row:
        raise MissingInput(f"{place}: key {quoted(key)} is missing")
    value = row[key]
    if not isinstance(value, str):
        raise MissingInput(f"{place}: {quoted(key)} holds {type(value).__name__}, expected a string")
    return value


def read_hub(source: Source, split: str) -> Iterator[Record]:
    """Yields the rows of one split of the source's hub dataset, from the local cache.

    Labels are class names.

    Raises:
        MissingInput: The dataset is not in the cache, lacks a column, or has no rows.
    """
    data = _load_hub(source, split)
    where = f"{source.repo} ({source.config}, {split})"
    absent = [name for name in source.hub.names if name not in data.column_names]
    if absent or len(data) == 0:
        raise MissingInput(f"{where}: " + (f"no column {', '.join(absent)}" if absent else "the split has no rows"))
    kinds = [data.features[name] for name in source.hub.names]
    columns = [data[name][:] for name in source.hub.names]
    for number, row in enumerate(zip(*columns, strict=True), start=1):
        written = map(_written, row, kinds)
        yield Record(f"{where}:{number}", dict(zip(source.hub.names, written, strict=True)))


def _load_hub(source: Source, split: str) -> "Dataset":
    try:
        return cached_dataset(source.repo, source.config, split)
    except Exception as error:  # OSError, ValueError, httpx and Arrow errors have no common base
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise MissingInput(
            f"{source.name}: no data. {DATA_VARIABLE} is not set, and the Hugging Face dataset {source.repo} "
            f"(config {source.config}, split {split}) is not in the local cache ({reason}). "
            f"Either type `python -m stableft data fetch {source.name}`, the one step that goes online, or set {DATA_VARIABLE} to "
            f"a folder that holds {_wanted(source.folders, source.files)}"
        ) from error


def _written(value: Any, kind: Any) -> str:
    """Converts a cell of a hub dataset to text; None becomes an empty text.

    Class numbers become names, so the hub's order of classes does not matter. Single-precision
    numbers are written with just enough digits to identify them: 3.8, not 3.799999952316284.
    """
    names = getattr(kind, "names", None)
    if names is not None and isinstance(value, int) and 0 <= value < len(names):
        return names[value]
    if isinstance(value, float) and getattr(kind, "dtype", None) == "float32":
        return str(np.float32(value))
    return "" if value is None else str(value)


def to_examples(records: Iterable[Record], names: Fields) -> tuple[Example, ...]:
    """Checks rows and converts them to examples, in order; texts are not changed.

    Raises:
        MissingInput: A row has an empty text, an unknown label, a score that is no number or out of
            range, or a repeated row number.
    """
    to_label = _label_reader(names.classes)
    seen: dict[str, str] = {}
    examples: list[Example] = []
    for record in records:
        label = to_label(record, names.label)
        if names.ident is not None:
            ident = record.values[names.ident]
            if ident in seen:
                raise MissingInput(f"{record.place}: {names.ident} {quoted(ident)} was already used at {seen[ident]}")
            seen[ident] = record.place
        pair = None if names.pair is None else text(record, names.pair, empty=names.empty)
        examples.append(Example(text(record, names.text, empty=names.empty), pair, label))
    return tuple(examples)


def _label_reader(classes: tuple[str, ...] | Bounds) -> Callable[[Record, str], int | float]:
    if isinstance(classes, Bounds):
        return partial(number, interval=classes)
    index = {label: position for position, label in enumerate(classes)}

    def position(record: Record, name: str) -> int:
        label = record.values[name]
        if label not in index:
            raise MissingInput(f"{record.place}: unknown label {quoted(label)}, expected one of {', '.join(index)}")
        return index[label]

    return position


def number(record: Record, name: str, interval: Bounds) -> float:
    """Parses the number in one cell, in decimal notation.

    Raises:
        MissingInput: It is not a number, or not in the interval.
    """
    written = record.values[name]
    value = float(written) if DECIMAL.fullmatch(written) else math.nan
    if not (math.isfinite(value) and interval.low <= value <= interval.high):
        wanted = f"a number from {interval.low:g} to {interval.high:g}"
        raise MissingInput(f"{record.place}: {name} is {quoted(written)}, expected {wanted}")
    return value


def text(record: Record, name: str, *, empty: bool = False) -> str:
    """Returns the text in one cell, unchanged.

    Raises:
        MissingInput: It is empty and ``empty`` is False, or it is not valid Unicode.
    """
    value = record.values[name]
    if not empty and not value.strip():
        raise MissingInput(f"{record.place}: {name} is empty")
    try:
        value.encode()
    except UnicodeEncodeError as error:  # half a surrogate pair, possible in JSON, breaks tokenizers and hashes
        raise MissingInput(f"{record.place}: {name} is not valid Unicode ({error.reason})") from error
    return value
