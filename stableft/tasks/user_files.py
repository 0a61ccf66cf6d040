"""Tasks from the user's own files: ``csv:PATH``, ``tsv:PATH``, ``jsonl:PATH`` or ``json:PATH``.

``bio:PATH`` is in `stableft.tasks.user_tags`. Without the format and colon it is that of the path's
ending. PATH is one file, or a folder with a file of that format for each split. Columns (or the
keys of JSON objects) are found by name, see `stableft.tasks.readers.user_tables`; others are
ignored:

- ``text``, and ``pair`` for a second text.
- ``label``: a class, any text; classes are numbered in sorted order. Or ``score``: a number,
  predicted without scaling. A class has only characters that are shown, and joiners within words
  of scripts that need them (`stableft.core.visible_text`).
- ``split``, in a single file only.

Names of splits, the draw for a file without them, and inputs that occur twice are the matter of
`stableft.tasks.user_splits`; labels that are nearly equal that of `stableft.tasks.label_variants`.
The labels of a test split may be absent: all of them, by a missing column or empty cells. It is
then predicted and not scored.

The first malformed row stops the load; the error names its place and the reason. Every split with
labels must have at least two different ones: otherwise no score could detect learning.
"""

import hashlib
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from stableft.core.errors import MissingInput, UsageError, listed, quoted
from stableft.core.own_data import OwnData
from stableft.core.visible_text import described, invisible, is_visible, with_plain_spaces
from stableft.tasks import Example, Task, TaskData, label_variants, user_tags
from stableft.tasks.readers.corpus_files import Record, text
from stableft.tasks.readers.user_tables import READERS
from stableft.tasks.readers.user_text import PLAIN, check_encoding
from stableft.tasks.user_splits import SPLITS, Rules, divided, joined, split_at, split_files, unread_files, with_validation

LONGEST_NAME = 40
LONGEST_PATH = 4096
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
FORMS = (*READERS, user_tags.FORM)
ENDINGS: Mapping[str, str] = {
    **{form: form for form in READERS},
    "ndjson": "jsonl",
    **dict.fromkeys(user_tags.ENDINGS, user_tags.FORM),
}
"""Ending of a file's name -> its format."""

RecordSplits = Mapping[str, Sequence[Record]]


def is_own(name: str) -> bool:
    """Tells whether a task is named by format and path, or by a path whose ending is a format's."""
    return bool(parsed(name))


def parsed(name: str) -> tuple[str, str] | None:
    """Returns format and path of a user's file; None for another name."""
    form, colon, path = name.partition(":")
    if colon and form.strip().lower() in FORMS:
        return form.strip().lower(), path
    ending = ENDINGS.get(_unpacked(name).rpartition(".")[2].lower(), "")
    if ending and "." in name and not (colon and form.isalpha()):
        return ending, name
    folder = os.path.expanduser(name)
    if colon or not os.path.isdir(folder) or not any(c in name for c in "/\\.~"):
        return None
    with os.scandir(folder) as entries:
        there = {_unpacked(entry.name.lower()) for entry in entries}
    return next(((ENDINGS[e], name) for e in ENDINGS if {f"train.{e}", f"training.{e}"} & there), None)


def _unpacked(name: str) -> str:
    return name[:-3] if name.lower().endswith(".gz") else name


def unread(name: str) -> str:
    """Returns what to type for a name that looks like a file of no known format; else ""."""
    form, colon, _ = name.partition(":")
    forms = ", ".join(f"{form}:PATH" for form in FORMS)
    if colon and form.isalpha():
        return f"own files are {forms}; write a sheet or table of another format as CSV first"
    if os.path.exists(os.path.expanduser(name)) or "/" in name or "." in name:
        return f"if it is a file or folder of your own, write its format before it: {forms}"
    return ""


def read(name: str, own: OwnData | None = None) -> Task:
    """Makes a task of a user's files; they are read now, not when the task is loaded.

    Args:
        name: Such as ``csv:/data/reviews.csv``.
        own: How to read it; None: as it is.

    Returns:
        The task. Its name does not include the folder: ``reviews.csv``.

    Raises:
        UsageError: There is no path, it gives no name, or a choice of ``own`` is impossible.
        MissingInput: A file is missing or malformed; gives path, line and reason.
    """
    # Check the path and derive the task's name from it.
    form, written = parsed(name) or name.partition(":")[::2]
    own = own or OwnData()
    check_encoding(own.encoding)
    if not written.strip():
        raise UsageError(f"task {quoted(name)}: write a path after the colon, such as {form}:data/reviews.{form}")
    if len(written) > LONGEST_PATH or not is_visible(written):
        raise UsageError(f"task {quoted(name)}: the path is too long or has unprintable characters; rename the file")
    path = Path(os.path.abspath(os.path.expanduser(written)))
    if not (os.path.isdir(path) or os.path.isfile(path)):  # Path.is_dir raises an error for a name that is too long
        raise MissingInput(f"{path}: no such file or folder")
    short = task_name(form, path)
    own = own.model_copy(update={"source": f"{form}:{path.name if PLAIN.fullmatch(path.name) else 'PATH'}"})
    return user_tags.read(short, path, own) if form == user_tags.FORM else _table_task(short, form, path, own)


def _table_task(name: str, form: str, path: Path, own: OwnData) -> Task:
    splits, notes = _read_splits(form, path, own)
    regression = "score" in splits["train"][0].values
    labelled = {split: records for split, records in splits.items() if not _is_unlabelled(split, records)}
    # Convert labels to class indices or scores.
    names: dict[str, str] = {}
    if not regression:
        written = [_class(record) for records in labelled.values() for record in records]
        names, said = label_variants.merged(path, written, own.on_variants)
        notes += said
    classes = () if regression else tuple(sorted({names[record.values["label"]] for record in labelled["train"]}))
    index = {label: position for position, label in enumerate(classes)}
    label = _score if regression else partial(_index, names=names, classes=index)
    data = {split: tuple(_example(record, label) for record in records) for split, records in labelled.items()}
    _check_variety(path, data)
    if len(labelled) < len(splits):
        data["unlabelled"] = tuple(_example(record, lambda _: 0.0 if regression else 0) for record in splits["test"])
        notes.append("test has no labels: it is predicted, and validation is scored")
    # Describe the data for listings.
    pairs = data["train"][0].pair is not None
    sizes = ", ".join(f"{len(examples)} {split}" for split, examples in data.items())
    return Task(
        name=name,
        kind="regression" if regression else "classification",
        labels=classes,
        score="spearman" if regression else "accuracy",
        language="und",
        summary=f"Own file: {'text pairs' if pairs else 'texts'}, {'scores' if regression else f'{len(classes)} classes'}; {sizes}",
        load=partial(TaskData, **data),
        metrics=() if regression else ("macro_f1", "multiclass_mcc"),
        pairs=pairs,
        own=own,
        notes=tuple(notes),
    )


def task_name(form: str, path: Path) -> str:
    """Returns the name of a file's results in tables and figures.

    It is ASCII letters, digits, ``_`` and ``-``, then a dot and the format. Registered tasks have
    no dot in their names, so the two can't clash. A name in another script becomes ``file-`` and a
    hash.

    Raises:
        UsageError: The file's name has no letter or digit.
    """
    plain = _unpacked(path.name).removesuffix(f".{form}")
    name = re.sub(r"[^A-Za-z0-9_]+", "-", plain)[:LONGEST_NAME].strip("-_")
    if not name and any(c.isalnum() for c in plain):
        name = f"file-{hashlib.sha256(plain.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"
    if not name:
        raise UsageError(f"{path}: a task gets the name of its file, but this one has no letter or digit; rename it")
    return f"{name}.{form}"


def _read_splits(form: str, path: Path, own: OwnData) -> tuple[dict[str, list[Record]], list[str]]:
    """Reads a file or folder into splits, and returns remarks too."""
    if path.is_dir():
        given, notes = _read_folder(form, path, own)
    else:
        records, notes = READERS[form](path, own, True)
        if "split" not in records[0].values:
            _check_filled("train", records)
            splits, said = divided(path, records, _rules(own, records), "add a column 'split'")
            return splits, notes + said
        given = _by_split(path, records)
    for split, records in given.items():
        _check_filled(split, records)
    rules = _rules(own, given["train"])
    splits, said = with_validation(path, given, rules)
    splits, more = joined({split: splits[split] for split in SPLITS if split in splits}, rules)
    return splits, notes + said + more


def _by_split(path: Path, records: Sequence[Record]) -> dict[str, list[Record]]:
    splits: dict[str, list[Record]] = {split: [] for split in SPLITS}
    for record in records:
        splits[split_at(record.place, record.values["split"])].append(record)
    needed = ("train",) if splits["test"] else ("train", "validation")
    if absent := [split for split in needed if not splits[split]]:
        raise MissingInput(f"{path}: no row of split {absent[0]!r}")
    return {split: rows for split, rows in splits.items() if rows}


def _read_folder(form: str, folder: Path, own: OwnData) -> tuple[dict[str, list[Record]], list[str]]:
    forms = (
        form,
        *(ending for ending, of in ENDINGS.items() if ending != form and (of == form or {of, form} == {"json", "jsonl"})),
    )
    paths = split_files(folder, forms)
    notes = unread_files(folder, paths.values(), forms)
    splits: dict[str, list[Record]] = {}
    for split, path in paths.items():
        splits[split], said = READERS[form](path, own, split != "test")
        notes += said
    columns = list(splits["train"][0].values)
    for split, records in splits.items():
        names = list(records[0].values)
        if "split" in names:
            raise MissingInput(f"{paths[split]}:1: a column 'split' in the file of one split; remove it, or give a single file")
        differ = set(names) ^ set(columns)
        if differ and not (split == "test" and differ < {"label", "score"} and not differ & set(names)):
            raise MissingInput(f"{paths[split]}:1: columns {', '.join(names)}; {paths['train']} has {', '.join(columns)}")
    return splits, notes


def _check_filled(split: str, records: Sequence[Record]) -> None:
    """Refuses empty texts and labels, before any other check."""
    labelled = "label" in records[0].values and not _is_unlabelled(split, records)
    for record in records:
        for name in ("text", "pair"):
            if name in record.values:
                text(record, name)
        if labelled:
            _class(record)


def _is_unlabelled(split: str, records: Sequence[Record]) -> bool:
    return split == "test" and all(not (r.values.get("label") or r.values.get("score") or "").strip() for r in records)


def _rules(own: OwnData, records: Sequence[Record]) -> Rules[Record]:
    label = None if "score" in records[0].values else _label_or_none
    return Rules("input", own.on_duplicates, _input, lambda record: record.place, label)


def _check_variety(path: Path, data: Mapping[str, Sequence[Example]]) -> None:
    for split, examples in data.items():
        if len({example.label for example in examples}) < 2:
            few = f"{len(examples)} rows, all of one label" if examples else "no rows, since too few labels have three rows or more"
            ways = "give the others more rows, or divide the rows yourself by a column 'split'"
            raise MissingInput(f"{path}: {split} has {few}; two different labels are needed; {ways}")


def _input(record: Record) -> tuple[str, str | None]:
    return record.values["text"], record.values.get("pair")


def _example(record: Record, label: Callable[[Record], int | float]) -> Example:
    return Example(text(record, "text"), text(record, "pair") if "pair" in record.values else None, label(record))


def _label_or_none(record: Record) -> str:
    return record.values.get("label", "")


def _class(record: Record) -> str:
    label = record.values["label"]
    if not label.strip():
        raise MissingInput(f"{record.place}: label is empty")
    if odd := next(invisible(with_plain_spaces(label)), None):
        what = f"has unprintable characters ({described(odd[1])})"
        raise MissingInput(f"{record.place}: label {quoted(label)} {what}; replace them in the file")
    return label


def _index(record: Record, names: Mapping[str, str], classes: Mapping[str, int]) -> int:
    if (label := names[_class(record)]) not in classes:
        raise MissingInput(f"{record.place}: label {quoted(label)} never occurs in train, which has {listed(classes)}")
    return classes[label]


def _score(record: Record) -> float:
    text = record.values["score"]
    value = float(text) if NUMBER.fullmatch(text.strip()) else math.nan
    if not math.isfinite(value):
        comma = "; write a decimal point" if NUMBER.fullmatch(text.strip().replace(",", ".")) else ""
        raise MissingInput(f"{record.place}: score {quoted(text)} is not a finite number{comma}")
    return value
