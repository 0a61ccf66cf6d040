"""Splits of a user's files: their names, their draw, and inputs that occur twice.

A split is called ``train`` or ``training``; ``validation``, ``valid``, ``val``, ``dev`` or
``development``; or ``test``. If only validation is absent, a tenth of train becomes validation.

Rows without splits get fixed ones, independent of the run's seed: a tenth for validation, a tenth
for test, the rest for training. They are drawn by a stream of seed 0, stratified by class. Equal
inputs stay together. A class that would be absent from train stays in train as a whole. If
validation or test would have one class only, each absent class with three rows or more in train
gives it one.

An input that occurs in two splits, or twice without splits, stops the reading. ``keep`` leaves all
rows as they are. ``drop`` leaves each input once: its first row in the last of train, validation
and test that has it. Repeats within a given split stay, unless dropped.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from stableft.core.errors import MissingInput, listed, quoted
from stableft.core.seeds import stream
from stableft.tasks.readers.user_text import short

SPLITS = ("train", "validation", "test")
NAMES: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "development"),
    "test": ("test",),
}
MIN_ROWS = 20  # of a file without splits: two rows for validation and two for test
SHOWN = 3
WAYS = "--on-duplicates keep leaves them, --on-duplicates drop leaves each input once"

R = TypeVar("R")


@dataclass(frozen=True)
class Rules(Generic[R]):
    """Rules for the splits of a user's rows, and functions of a row.

    Attributes:
        what: A row in messages: ``input`` or ``sentence``.
        on_duplicates: stop, keep or drop.
        key: Returns the input of a row.
        place: Returns its place.
        label: Returns its class, to stratify by; None: there are no classes.
    """

    what: str
    on_duplicates: str
    key: Callable[[R], Hashable]
    place: Callable[[R], str]
    label: Callable[[R], str] | None = None


def split_named(name: str) -> str | None:
    """Returns the split that a name means, in any case; None: there is none."""
    plain = name.strip().casefold()
    return next((split for split, names in NAMES.items() if plain in names), None)


def split_files(folder: Path, forms: Sequence[str]) -> dict[str, Path]:
    """Finds the file of each split in a folder, also packed as ``.gz``.

    Args:
        folder: The folder.
        forms: Accepted ends of the file's name, the first one preferred.

    Raises:
        MissingInput: There is no train, neither validation nor test, or two files for one split.
    """
    try:
        there = {path.name.casefold(): path for path in sorted(folder.iterdir()) if path.is_file()}
    except OSError as error:
        raise MissingInput(f"{folder}: {error.strerror}") from error
    found: dict[str, Path] = {}
    for split, names in NAMES.items():
        if (usual := folder / f"{split}.{forms[0]}").is_file():
            found[split] = usual
            continue
        paths = [there[f] for name in names for form in forms for f in (f"{name}.{form}", f"{name}.{form}.gz") if f in there]
        if len(paths) > 1:
            raise MissingInput(f"{folder}: {paths[0].name} and {paths[1].name} could both be {split}; move one away")
        if paths:
            found[split] = paths[0]
    absent = [split for split in ("train", "validation") if split not in found]
    if "train" in absent or (absent and "test" not in found):
        ways = "validation may also be called valid, val or dev"
        if "train" in found:
            ways = f"{ways}; to have the program split one file, give that file: {forms[0]}:{found['train']}"
        raise MissingInput(f"not found: {', '.join(str(folder / f'{split}.{forms[0]}') for split in absent)}; {ways}")
    return found


def unread_files(folder: Path, found: Iterable[Path], forms: Sequence[str]) -> list[str]:
    """Returns a remark on files of the formats in a folder that are no split's."""
    names = {path.name for path in found}
    ends = tuple(f".{form}{packed}" for form in forms for packed in ("", ".gz"))
    others = sorted(path.name for path in folder.iterdir() if path.name.casefold().endswith(ends) and path.name not in names)
    plain = [short(name) for name in others]
    return [f"not read, since their names are no split's: {listed(plain, SHOWN)}"] if others else []


def divide(labels: Sequence[str] | None, count: int) -> list[str]:
    """Returns the fixed split of rows without splits, by the plain draw.

    Args:
        labels: (count,) classes to stratify by; None for a plain draw.
        count: Number of rows.

    Returns:
        (count,) name of each row's split.
    """
    splits: list[str] = ["train"] * count
    tenth = count // 10
    for position, row in enumerate(_drawn(labels, count)[: 2 * tenth]):
        splits[row] = "validation" if position < tenth else "test"
    return splits


def _drawn(labels: Sequence[str] | None, count: int) -> list[int]:
    # Sorts uniform numbers: numpy doesn't guarantee that permutation() never changes.
    order = np.argsort(stream(0, "own").random(count), kind="stable")
    if labels is not None:
        # Spread the ranks within a class evenly over (0, 1): the smallest ones keep its share.
        rank, classes = np.empty(count), np.array(labels)
        for label in np.unique(classes):
            members = order[classes[order] == label]
            rank[members] = (np.arange(len(members)) + 0.5) / len(members)
        order = order[np.argsort(rank[order], kind="stable")]
    return order.tolist()


def divided(path: Path, rows: Sequence[R], rules: Rules[R], way_out: str) -> tuple[dict[str, list[R]], list[str]]:
    """Returns rows without splits as splits, and remarks.

    Args:
        path: Their file.
        rows: At least one.
        rules: See `Rules`.
        way_out: How to give splits, for messages.

    Raises:
        MissingInput: There are too few rows, or an input occurs twice and that stops the reading.
    """
    if len(rows) < MIN_ROWS:
        what = "rows" if rules.what == "input" else "sentences"
        raise MissingInput(f"{path}: {len(rows)} {what}; at least {MIN_ROWS} are needed to split them; or {way_out}")
    groups: dict[Hashable, list[R]] = {}
    for row in rows:
        groups.setdefault(rules.key(row), []).append(row)
    notes = _repeats(groups.values(), rules, f"{WAYS}; or {way_out}", stop=rules.on_duplicates == "stop")
    firsts = [group[0] for group in groups.values()]
    labels = [rules.label(row) for row in firsts] if rules.label else None
    names = divide(labels, len(firsts))
    if labels:
        _repair(names, labels)
    split_of = dict(zip(groups, names, strict=True))
    kept = firsts if rules.on_duplicates == "drop" else rows
    return {split: [row for row in kept if split_of[rules.key(row)] == split] for split in SPLITS}, notes


def _repair(names: list[str], labels: Sequence[str], held_out: Sequence[str] = ("validation", "test")) -> None:
    """Moves rows of classes that the draw left out of train, or of a held-out split with one class."""
    trained = {label for name, label in zip(names, labels, strict=True) if name == "train"}
    for i, label in enumerate(labels):
        if label not in trained:
            names[i] = "train"
    for split in held_out:
        there = {label for name, label in zip(names, labels, strict=True) if name == split}
        if len(there) > 1:
            continue
        for label in sorted(set(labels) - there):
            rows = [i for i, name in enumerate(names) if name == "train" and labels[i] == label]
            if len(rows) > 2:
                names[rows[-1]] = split


def joined(splits: Mapping[str, Sequence[R]], rules: Rules[R]) -> tuple[dict[str, list[R]], list[str]]:
    """Returns given splits after the rule for inputs that occur twice, and remarks.

    Raises:
        MissingInput: An input occurs in two splits, and that stops the reading.
    """
    last = {rules.key(row): split for split, rows in splits.items() for row in rows}  # a later split replaces an earlier one
    first = {rules.key(row): (split, row) for split, rows in reversed(list(splits.items())) for row in reversed(rows)}
    again = [(split, row) for split, rows in splits.items() for row in rows if first[rules.key(row)][0] != split]
    notes: list[str] = []
    if again:
        split, row = again[0]
        other, origin = first[rules.key(row)]
        more = _more([rules.place(each) for _, each in again])
        said = f"this {rules.what} of {split} is also in {other}, at {rules.place(origin)}"
        if rules.on_duplicates == "stop":
            raise MissingInput(f"{rules.place(row)}: {said}; {more}: remove them, or type a rule: {WAYS}")
        notes.append(f"{len(again)} rows have the {rules.what} of an earlier split, first at {short(rules.place(row))}")
    groups = {split: _grouped(rows, rules) for split, rows in splits.items()}
    for split, of_split in groups.items():
        notes += [f"{split}: {note}" for note in _repeats(of_split.values(), rules, "", stop=False)]
    if rules.on_duplicates != "drop":
        return {split: list(rows) for split, rows in splits.items()}, notes
    kept = {split: [rows[0] for key, rows in of_split.items() if last[key] == split] for split, of_split in groups.items()}
    if empty := [split for split, rows in kept.items() if not rows]:
        raise MissingInput(f"{rules.place(splits[empty[0]][0])}: no row of {empty[0]} is left without those of later splits")
    return kept, notes


def with_validation(path: Path, splits: Mapping[str, Sequence[R]], rules: Rules[R]) -> tuple[dict[str, Sequence[R]], list[str]]:
    """Returns splits with validation, if need be drawn from train, and remarks."""
    if "validation" in splits:
        return dict(splits), []
    groups = _grouped(splits["train"], rules)
    labels = [rules.label(rows[0]) for rows in groups.values()] if rules.label else None
    if len(groups) < MIN_ROWS:
        raise MissingInput(
            f"{path}: no row of split 'validation', and fewer than {MIN_ROWS} different ones of train to draw it from"
        )
    drawn = ["validation" if name == "validation" else "train" for name in divide(labels, len(groups))]
    if labels:
        _repair(drawn, labels, held_out=("validation",))
    names = dict(zip(groups, drawn, strict=True))
    train, validation = ([row for row in splits["train"] if names[rules.key(row)] == split] for split in ("train", "validation"))
    rest = {split: rows for split, rows in splits.items() if split != "train"}
    note = f"no validation split: {len(validation)} of {len(splits['train'])} rows of train are it, the same in every run"
    return {"train": train, "validation": validation, **rest}, [note]


def _grouped(rows: Iterable[R], rules: Rules[R]) -> dict[Hashable, list[R]]:
    groups: dict[Hashable, list[R]] = {}
    for row in rows:
        groups.setdefault(rules.key(row), []).append(row)
    return groups


def _repeats(groups: Iterable[Sequence[R]], rules: Rules[R], ways: str, *, stop: bool) -> list[str]:
    """Returns a remark on inputs that occur twice, or stops at them."""
    several = [group for group in groups if len(group) > 1]
    if not several:
        return []
    again = [row for group in several for row in group[1:]]
    conflicts = sum(len({rules.label(row) for row in group}) > 1 for group in several) if rules.label else 0
    if stop:
        more = _more([rules.place(row) for row in again])
        more += f", {conflicts} inputs with more than one label" if conflicts else ""
        first, second = several[0][:2]
        raise MissingInput(f"{rules.place(second)}: repeats the {rules.what} of {rules.place(first)}; {more}: {ways}")
    places = ", ".join(short(rules.place(row)) for row in again[:SHOWN])
    differ = f"; {conflicts} inputs have more than one label" if conflicts else ""
    return [f"{len(again)} rows repeat an earlier {rules.what}, first at {places}{differ}"]


def _more(places: Sequence[str]) -> str:
    shown = ", ".join(places[:SHOWN]) + (", ..." if len(places) > SHOWN else "")
    return f"{len(places)} such row{'s' * (len(places) > 1)} in all ({shown})"


def split_at(place: str, written: str) -> str:
    """Returns the split that a row names.

    Raises:
        MissingInput: The name means none.
    """
    split = split_named(written)
    if split is None:
        also = "training, valid, val, dev and development are read too"
        raise MissingInput(f"{place}: unknown split {quoted(written)}, expected one of {', '.join(SPLITS)}; {also}")
    return split
