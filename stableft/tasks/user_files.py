"""Tasks from the user's own files: ``csv:PATH``, ``tsv:PATH`` or ``jsonl:PATH``.

``bio:PATH`` is in `stableft.tasks.user_tags`. PATH is one file, or a folder with ``train``,
``validation`` and optionally ``test`` in files of that format. Columns (or the keys of a JSON
object) are found by name; others are ignored:

- ``text``, and ``pair`` for a second text.
- ``label``: a class, any text; classes are numbered in sorted order. Or ``score``: a number,
  predicted without scaling.
- ``split``, in a single file only: ``train``, ``validation`` or ``test``.

A single file without ``split`` gets a fixed split, independent of the run's seed: a tenth of its
rows for validation, a tenth for test, the rest for training. It is drawn by a stream of seed 0,
stratified by class.

The first malformed row stops the load; the error names its place and the reason. It is also an
error if an input occurs in two splits, or twice in a file without ``split``. Repeats within a given
split are kept. Every split must have at least two different labels: otherwise no score could detect
learning.
"""

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from stableft.core.errors import MissingInput, UsageError, listed, quoted
from stableft.tasks import Example, Task, TaskData, user_tags
from stableft.tasks.readers.corpus_files import Record, text
from stableft.tasks.readers.user_tables import MIN_ROWS, READERS, SPLITS, divide

LONGEST_NAME = 40
LONGEST_PATH = 4096
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)

RecordSplits = Mapping[str, Sequence[Record]]


def is_own(name: str) -> bool:
    """Tells whether a task is named by format and path."""
    form, colon, _ = name.partition(":")
    return bool(colon) and form in (*READERS, user_tags.FORM)


def read(name: str) -> Task:
    """Makes a task of a user's files; they are read now, not when the task is loaded.

    Args:
        name: Such as ``csv:/data/reviews.csv``.

    Returns:
        The task. Its name does not include the folder: ``reviews.csv``.

    Raises:
        UsageError: There is no path, or it gives no name.
        MissingInput: A file is missing or malformed; gives path, line and reason.
    """
    # Check the path and derive the task's name from it.
    form, _, written = name.partition(":")
    if not written.strip():
        raise UsageError(f"task {quoted(name)}: write a path after the colon, such as {form}:data/reviews.{form}")
    if len(written) > LONGEST_PATH or not written.isprintable():
        raise UsageError(f"task {quoted(name)}: the path is too long or has unprintable characters")
    path = Path(os.path.abspath(os.path.expanduser(written)))
    short = task_name(form, path)
    if form == user_tags.FORM:
        return user_tags.read(short, path)
    # Read the rows and convert their labels to class indices or scores.
    splits = _read_splits(form, path)
    regression = "score" in splits["train"][0].values
    classes = () if regression else tuple(sorted({_class(record) for record in splits["train"]}))
    label = _score if regression else partial(_index, classes={name: index for index, name in enumerate(classes)})
    data = {split: tuple(_example(record, label) for record in records) for split, records in splits.items()}
    _check_overlap(splits)
    _check_variety(path, data)
    # Describe the data for listings.
    inputs = "text pairs" if data["train"][0].pair is not None else "texts"
    sizes = ", ".join(f"{len(examples)} {split}" for split, examples in data.items())
    return Task(
        name=short,
        kind="regression" if regression else "classification",
        labels=classes,
        score="spearman" if regression else "accuracy",
        language="und",
        summary=f"Own file: {inputs}, {'scores' if regression else f'{len(classes)} classes'}; {sizes}",
        load=partial(TaskData, **data),
    )


def task_name(form: str, path: Path) -> str:
    """Returns the name of a file's results in tables and figures.

    It is ASCII letters, digits, ``_`` and ``-``, then a dot and the format. Registered tasks have
    no dot in their names, so the two can't clash.

    Raises:
        UsageError: The file's name has no ASCII letter or digit.
    """
    name = re.sub(r"[^A-Za-z0-9_]+", "-", path.name.removesuffix(f".{form}"))[:LONGEST_NAME].strip("-_")
    if not name:
        raise UsageError(f"{path}: a task gets the name of its file, but this one has no ASCII letter or digit; rename it")
    return f"{name}.{form}"


def _read_splits(form: str, path: Path) -> RecordSplits:
    if os.path.isdir(path):  # Path.is_dir raises an error for a name that is too long
        return _read_folder(form, path)
    if not os.path.isfile(path):
        raise MissingInput(f"{path}: no such file or folder")
    records = list(READERS[form](path))
    if "split" not in records[0].values:
        return _divided(path, records)
    splits: dict[str, list[Record]] = {split: [] for split in SPLITS}
    for record in records:
        split = next((split for split in SPLITS if split == record.values["split"]), None)
        if split is None:
            raise MissingInput(
                f"{record.place}: unknown split {quoted(record.values['split'])}, expected one of {', '.join(SPLITS)}"
            )
        splits[split].append(record)
    for split in ("train", "validation"):
        if not splits[split]:
            raise MissingInput(f"{path}: no row of split {split!r}")
    return {split: rows for split, rows in splits.items() if rows}


def _read_folder(form: str, folder: Path) -> RecordSplits:
    paths = {split: folder / f"{split}.{form}" for split in SPLITS}
    if absent := [str(paths[split]) for split in ("train", "validation") if not paths[split].is_file()]:
        raise MissingInput(f"not found: {', '.join(absent)}")
    splits = {split: list(READERS[form](path)) for split, path in paths.items() if split != "test" or path.exists()}
    columns = list(splits["train"][0].values)
    for split, records in splits.items():
        names = list(records[0].values)
        if "split" in names:
            raise MissingInput(f"{paths[split]}:1: a column 'split' in the file of one split; remove it, or give a single file")
        if set(names) != set(columns):
            raise MissingInput(f"{paths[split]}:1: columns {', '.join(names)}; {paths['train']} has {', '.join(columns)}")
    return splits


def _divided(path: Path, records: Sequence[Record]) -> RecordSplits:
    if len(records) < MIN_ROWS:
        raise MissingInput(f"{path}: {len(records)} rows; at least {MIN_ROWS} are needed to split them; or add a column 'split'")
    places: dict[tuple[str, str | None], str] = {}
    for record in records:
        if (first := places.setdefault(_input(record), record.place)) != record.place:
            raise MissingInput(f"{record.place}: repeats the input of {first}; remove one, or add a column 'split'")
    labels = None if "score" in records[0].values else [_class(record) for record in records]
    names = divide(labels, len(records))
    return {split: [r for r, name in zip(records, names, strict=True) if name == split] for split in SPLITS}


def _check_overlap(splits: RecordSplits) -> None:
    origins: dict[tuple[str, str | None], tuple[str, str]] = {}
    for split, records in splits.items():
        for record in records:
            other, place = origins.setdefault(_input(record), (split, record.place))
            if other != split:
                raise MissingInput(f"{record.place}: this input of {split} is also in {other}, at {place}; remove one")


def _check_variety(path: Path, data: Mapping[str, Sequence[Example]]) -> None:
    for split, examples in data.items():
        if len({example.label for example in examples}) < 2:
            raise MissingInput(f"{path}: {split} has {len(examples)} rows, all of one label; two different labels are needed")


def _input(record: Record) -> tuple[str, str | None]:
    return record.values["text"], record.values.get("pair")


def _example(record: Record, label: Callable[[Record], int | float]) -> Example:
    return Example(text(record, "text"), text(record, "pair") if "pair" in record.values else None, label(record))


def _class(record: Record) -> str:
    label = record.values["label"]
    if not label.strip():
        raise MissingInput(f"{record.place}: label is empty")
    if not label.isprintable():
        raise MissingInput(f"{record.place}: label {quoted(label)} has unprintable characters")
    return label


def _index(record: Record, classes: Mapping[str, int]) -> int:
    if (label := _class(record)) not in classes:
        raise MissingInput(f"{record.place}: label {quoted(label)} never occurs in train, which has {listed(classes)}")
    return classes[label]


def _score(record: Record) -> float:
    text = record.values["score"]
    value = float(text) if NUMBER.fullmatch(text.strip()) else math.nan
    if not math.isfinite(value):
        raise MissingInput(f"{record.place}: score {quoted(text)} is not a finite number")
    return value
