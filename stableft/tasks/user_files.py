"""The user's own files as a task: ``csv:PATH``, ``tsv:PATH`` or ``jsonl:PATH``; ``bio:PATH`` is in `stableft.tasks.user_tags`.

PATH is one file, or a folder with ``train``, ``validation`` and, if there is one, ``test`` in files of that format. Columns go by
name, as do the keys of a JSON object; others are ignored:

- ``text``, and ``pair`` where there is a second text.
- ``label``: a class, any text; classes are numbered in sorted order. Or ``score``: a number, predicted as it is written.
- ``split``, in a single file only: ``train``, ``validation`` or ``test``.

A single file without ``split`` is split once and for all, whatever the run's seed: a tenth of its rows for validation, a tenth for
test, the rest for training; drawn by a stream of seed 0, each class by its share.

The first malformed row stops the load with its place and the reason. So does an input that occurs in two splits, or twice in a file
that is to be split; repeats within a split stay. Every split must hold two different labels, or no score could tell a run that
learnt something.
"""

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from stableft.core.errors import MissingInput, UsageError, listed, quoted
from stableft.tasks import Example, Task, TaskData
from stableft.tasks import user_tags as own_tags
from stableft.tasks.readers.corpus_files import Record, text
from stableft.tasks.readers.user_tables import MIN_ROWS, READERS, SPLITS, divide

LONGEST_NAME = 40
LONGEST_PATH = 4096
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)

Splits = Mapping[str, Sequence[Record]]


def is_own(name: str) -> bool:
    """Whether a task is named by format and path."""
    form, colon, _ = name.partition(":")
    return bool(colon) and form in (*READERS, own_tags.FORM)


def read(name: str) -> Task:
    """The task that a user's files make; what it loads is what was read here.

    Args:
        name: Such as ``csv:/data/reviews.csv``.

    Returns:
        A task whose name says nothing of where the files lie: ``reviews.csv``.

    Raises:
        UsageError: no path, or one that gives no name.
        MissingInput: a file that is not there, or is malformed, with path, line and reason.
    """
    form, _, written = name.partition(":")
    if not written.strip():
        raise UsageError(f"task {quoted(name)}: write a path after the colon, such as {form}:data/reviews.{form}")
    if len(written) > LONGEST_PATH or not written.isprintable():
        raise UsageError(f"task {quoted(name)}: no path is that long, or has characters that can't be printed")
    path = Path(os.path.abspath(os.path.expanduser(written)))
    short = task_name(form, path)
    if form == own_tags.FORM:
        return own_tags.read(short, path)
    splits = _read_splits(form, path)
    regression = "score" in splits["train"][0].values
    classes = () if regression else tuple(sorted({_class(record) for record in splits["train"]}))
    label = _score if regression else partial(_index, classes={name: index for index, name in enumerate(classes)})
    data = {split: tuple(_example(record, label) for record in records) for split, records in splits.items()}
    _check_overlap(splits)
    _check_variety(path, data)
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
    """The name under which results on a file stand in tables and figures: ASCII letters, digits, ``_`` and ``-``, then the format.

    No registered task has a dot in its name, so that none is called the same.
    """
    name = re.sub(r"[^A-Za-z0-9_]+", "-", path.name.removesuffix(f".{form}"))[:LONGEST_NAME].strip("-_")
    if not name:
        raise UsageError(f"{path}: a task is called after its file, which needs an ASCII letter or digit in its name; rename it")
    return f"{name}.{form}"


def _read_splits(form: str, path: Path) -> Splits:
    if os.path.isdir(path):  # unlike Path's method it has an answer for a name that is too long
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


def _read_folder(form: str, folder: Path) -> Splits:
    paths = {split: folder / f"{split}.{form}" for split in SPLITS}
    if absent := [str(paths[split]) for split in ("train", "validation") if not paths[split].is_file()]:
        raise MissingInput(f"not found: {', '.join(absent)}")
    splits = {split: list(READERS[form](path)) for split, path in paths.items() if split != "test" or path.exists()}
    columns = list(splits["train"][0].values)
    for split, records in splits.items():
        found = list(records[0].values)
        if "split" in found:
            raise MissingInput(f"{paths[split]}:1: a column 'split' in a file that is a split; give one file or the folder")
        if set(found) != set(columns):
            raise MissingInput(f"{paths[split]}:1: columns {', '.join(found)}; {paths['train']} has {', '.join(columns)}")
    return splits


def _divided(path: Path, records: Sequence[Record]) -> Splits:
    if len(records) < MIN_ROWS:
        raise MissingInput(f"{path}: {len(records)} rows; to be split they must be {MIN_ROWS}, or add a column 'split'")
    seen: dict[tuple[str, str | None], str] = {}
    for record in records:
        if (first := seen.setdefault(_input(record), record.place)) != record.place:
            raise MissingInput(f"{record.place}: the input of {first} again; remove one, or add a column 'split'")
    labels = None if "score" in records[0].values else [_class(record) for record in records]
    names = divide(labels, len(records))
    return {split: [r for r, name in zip(records, names, strict=True) if name == split] for split in SPLITS}


def _check_overlap(splits: Splits) -> None:
    seen: dict[tuple[str, str | None], tuple[str, str]] = {}
    for split, records in splits.items():
        for record in records:
            other, place = seen.setdefault(_input(record), (split, record.place))
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
        raise MissingInput(f"{record.place}: label {quoted(label)} has characters that can't be printed")
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
