"""Reading helpers that the task families share: find the data, read it strictly, turn rows into examples.

Data come from the folder named by ``STABLEFT_DATA`` or else from the Hugging Face hub through ``datasets``. Explicit beats
implicit: once the variable is set, the hub is never asked, so a mistyped folder can't silently be replaced by other data.
The first malformed row stops the load with its place and the reason; a row is never skipped, repaired or guessed.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from stableft.errors import MissingInput
from stableft.tasks import Example

if TYPE_CHECKING:
    from datasets import Dataset

DATA_VARIABLE = "STABLEFT_DATA"
OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
HUB_SPLITS = ("train", "validation")


@dataclass(frozen=True, slots=True)
class Fields:
    """How one origin names a row's parts.

    Attributes:
        text: Column or key of the text.
        label: Column or key of the label.
        classes: The labels as this origin writes them, in class order.
        pair: Column of the second text, if the task has one.
        ident: Column of a row number that must be unique, if there is one.
    """

    text: str
    label: str
    classes: tuple[str, ...]
    pair: str | None = None
    ident: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that must exist."""
        return tuple(name for name in (self.text, self.pair, self.label, self.ident) if name is not None)


@dataclass(frozen=True, slots=True)
class Source:
    """Where the labelled training and development rows of one task may lie.

    Attributes:
        name: What messages call the task.
        folders: Accepted places below ``STABLEFT_DATA``, in order of preference.
        files: File names of the training and the development rows.
        local: The parts of a row in these files.
        repo: Dataset on the Hugging Face hub.
        config: Its configuration.
        hub: The parts of a row there; class names come from the ``ClassLabel`` feature.
    """

    name: str
    folders: tuple[str, ...]
    files: tuple[str, str]
    local: Fields
    repo: str
    config: str
    hub: Fields


@dataclass(frozen=True, slots=True)
class Record:
    """A row as it was written, and its place: ``path:line`` or dataset and row, counted from 1."""

    place: str
    values: Mapping[str, str]


def read_train_dev(source: Source, read: Callable[[Path], Iterable[Record]]) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """The training and the development examples of a source, from local files (by ``read``) or from the hub."""
    paths = local_files(source)
    if paths is None:
        train, dev = (to_examples(read_hub(source, split), source.hub) for split in HUB_SPLITS)
    else:
        train, dev = (to_examples(read(path), source.local) for path in paths)
    return train, dev


def local_files(source: Source) -> tuple[Path, ...] | None:
    """The task's files below ``STABLEFT_DATA``: the first accepted folder that holds all of them.

    Returns:
        Their paths, or None if the variable is unset or empty: the hub is to be asked.

    Raises:
        MissingInput: The variable is set, but no accepted folder is complete; names every path that was tried.
    """
    value = os.environ.get(DATA_VARIABLE)
    if not value:
        return None
    root = Path(value).expanduser()
    if not root.is_dir():
        raise MissingInput(f"{source.name}: {DATA_VARIABLE}={value} is not a folder")
    absent: list[str] = []
    for folder in source.folders:
        paths = tuple(root / folder / name for name in source.files)
        missing = [str(path) for path in paths if not path.is_file()]
        if not missing:
            return paths
        absent += missing
    raise MissingInput(
        f"{source.name}: {DATA_VARIABLE}={value} lacks the task's files; not found: {', '.join(absent)}. "
        f"Put {_wanted(source)} there, or unset {DATA_VARIABLE} to use the Hugging Face hub"
    )


def _wanted(source: Source) -> str:
    return " or ".join(f"{folder}/{{{','.join(source.files)}}}" for folder in source.folders)


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file without their ends (LF or CRLF); no other character ends a line."""
    try:
        data = path.read_bytes()
        text = data.decode("utf-8")
    except OSError as error:
        raise MissingInput(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise MissingInput(f"{path}:{line}: not UTF-8 ({error.reason}, byte 0x{error.object[error.start]:02x})") from error
    lines = text.removesuffix("\n").split("\n") if text else []
    return [line.removesuffix("\r") for line in lines]


def read_tsv(path: Path, header: tuple[str, ...]) -> Iterator[Record]:
    """The rows of a tab-separated file as GLUE writes it: a header, no quoting (a bare double quote is text)."""
    lines = read_lines(path)
    if len(lines) < 2:
        raise MissingInput(f"{path}:1: the file has no rows")
    if tuple(lines[0].split("\t")) != header:
        raise MissingInput(f"{path}:1: header {lines[0][:100]!r}, expected the columns {', '.join(header)}")
    for number, line in enumerate(lines[1:], start=2):
        cells = line.split("\t")
        if len(cells) != len(header):
            raise MissingInput(f"{path}:{number}: {len(cells)} columns, expected {len(header)}")
        yield Record(f"{path}:{number}", dict(zip(header, cells, strict=True)))


def read_json_lines(path: Path, keys: tuple[str, ...]) -> Iterator[Record]:
    """The rows of a file with one JSON object a line; only ``keys`` are kept, and each must hold a string."""
    lines = read_lines(path)
    if not lines:
        raise MissingInput(f"{path}:1: the file has no rows")
    for number, line in enumerate(lines, start=1):
        place = f"{path}:{number}"
        try:
            row: object = json.loads(line)
        except ValueError as error:
            raise MissingInput(f"{place}: bad JSON ({error})") from error
        if not isinstance(row, dict):
            raise MissingInput(f"{place}: a JSON {type(row).__name__}, expected an object")
        yield Record(place, {key: _string(place, row, key) for key in keys})


def _string(place: str, row: dict[str, object], key: str) -> str:
    if key not in row:
        raise MissingInput(f"{place}: key {key!r} is missing")
    value = row[key]
    if not isinstance(value, str):
        raise MissingInput(f"{place}: {key!r} holds {type(value).__name__}, expected a string")
    return value


def read_hub(source: Source, split: str) -> Iterator[Record]:
    """The rows of one split of the source's hub dataset, downloaded or from the local cache; labels by class name."""
    data = _load_hub(source, split)
    where = f"{source.repo} ({source.config}, {split})"
    absent = [name for name in source.hub.names if name not in data.column_names]
    if absent or len(data) == 0:
        raise MissingInput(f"{where}: " + (f"no column {', '.join(absent)}" if absent else "the split has no rows"))
    kinds = [getattr(data.features[name], "names", None) for name in source.hub.names]
    columns = [data[name][:] for name in source.hub.names]
    for number, row in enumerate(zip(*columns, strict=True), start=1):
        written = map(_written, row, kinds)
        yield Record(f"{where}:{number}", dict(zip(source.hub.names, written, strict=True)))


def _load_hub(source: Source, split: str) -> "Dataset":
    try:
        from datasets import load_dataset

        return cast("Dataset", load_dataset(source.repo, source.config, split=split))
    except Exception as error:  # no common base: OSError, ValueError, httpx and Arrow errors all mean "not to be had"
        offline = [name for name in OFFLINE_VARIABLES if os.environ.get(name)]
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise MissingInput(
            f"{source.name}: no data. {DATA_VARIABLE} is not set, and the Hugging Face dataset {source.repo} "
            f"(config {source.config}, split {split}) could not be loaded ({reason}). "
            f"Either set {DATA_VARIABLE} to a folder that holds {_wanted(source)}, "
            "or go online once so that the dataset is downloaded and cached"
            + (f" ({' and '.join(offline)} now forbids it)" if offline else "")
        ) from error


def _written(value: Any, names: list[str] | None) -> str:
    """A cell as text: class numbers by name, so that no class order of the hub is relied on. No value is an empty text."""
    if names is not None and isinstance(value, int) and 0 <= value < len(names):
        return names[value]
    return "" if value is None else str(value)


def to_examples(records: Iterable[Record], names: Fields) -> tuple[Example, ...]:
    """Checks rows and turns them into examples, in order; texts stay exactly as they were written.

    Raises:
        MissingInput: At the first row with an empty text, an unknown label or a row number that was there before.
    """
    index = {label: number for number, label in enumerate(names.classes)}
    seen: dict[str, str] = {}
    examples: list[Example] = []
    for record in records:
        label = record.values[names.label]
        if label not in index:
            raise MissingInput(f"{record.place}: unknown label {label!r}, expected one of {', '.join(index)}")
        if names.ident is not None:
            ident = record.values[names.ident]
            if ident in seen:
                raise MissingInput(f"{record.place}: {names.ident} {ident!r} was already used at {seen[ident]}")
            seen[ident] = record.place
        pair = None if names.pair is None else _text(record, names.pair)
        examples.append(Example(_text(record, names.text), pair, index[label]))
    return tuple(examples)


def _text(record: Record, name: str) -> str:
    value = record.values[name]
    if not value.strip():
        raise MissingInput(f"{record.place}: {name} is empty")
    try:
        value.encode()
    except UnicodeEncodeError as error:  # JSON can spell half a surrogate pair, which no tokenizer or hash accepts
        raise MissingInput(f"{record.place}: {name} is not valid Unicode ({error.reason})") from error
    return value
