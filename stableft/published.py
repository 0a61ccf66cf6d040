"""Numbers that the sources print, in a file beside the experiments, to be shown next to ours.

One row is one arm of a source on one task. A task or an arm in parentheses is the source's own, with no counterpart in the grid of
the experiment that the row belongs to. Scores are in the units of `stableft.scores`: shares of 1, the error of a regression
negative (``negative_rmse``).
"""

import csv
import math
from pathlib import Path

import pandas as pd

from stableft.errors import MissingInput

KEY = ["source", "place", "encoder", "experiment", "task", "arm", "split", "score_name"]
NUMBERS = ["n", "mean", "std", "median", "min", "max", "failed"]
COLUMNS = ["source", "place", "confidence", *KEY[2:], *NUMBERS, "note"]
CHOICES = {"confidence": ("exact", "read_off"), "split": ("test", "validation")}
CITATIONS = {
    "zhang2021": "Zhang et al. (2021)",
    "replication": "independent replication of Zhang et al.",
    "mosbach2021": "Mosbach et al. (2021)",
    "dodge2020": "Dodge et al. (2020)",
    "tnews_article": "first source document",
    "article": "article on advanced techniques",
    "ner_article": "article on separate learning rates",
}


def read_published(path: Path) -> pd.DataFrame:
    """The published numbers.

    Args:
        path: CSV with `COLUMNS`: source (a key of `CITATIONS`), place in it, confidence (``exact``; ``read_off``: off a plot, by
            eye), encoder, experiment, task, arm, split (``test`` or ``validation``), score_name, n (runs), mean, std (n - 1),
            median, min, max, failed (runs) and a note. Numbers that the source doesn't give are empty.

    Returns:
        Those columns, numbers as float64 with NaN for what isn't given, and ``here``: whether task and arm are ours.

    Raises:
        MissingInput: the file isn't there, or a row is malformed; the message names path, line and reason.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            if header != COLUMNS:
                raise MissingInput(f"{path}:1: columns are {', '.join(header)}; expected {', '.join(COLUMNS)}")
            lines = [(reader.line_num, fields) for fields in reader]
    except OSError as error:
        raise MissingInput(f"{path}: {error.strerror}; the published numbers belong there") from None
    rows: list[dict[str, str | float]] = []
    seen: dict[tuple[str | float, ...], int] = {}
    for number, fields in lines:
        try:
            row = _row(fields)
            key = tuple(row[name] for name in KEY)
            if (first := seen.setdefault(key, number)) != number:
                raise ValueError(f"the same {', '.join(KEY)} as in line {first}")
        except ValueError as error:
            raise MissingInput(f"{path}:{number}: {error}") from None
        rows.append(row)
    frame = pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(NUMBERS, "float64"))
    return frame.assign(here=~frame["task"].map(is_own) & ~frame["arm"].map(is_own))


def is_own(name: str) -> bool:
    """Whether a task or an arm is the source's own, without a counterpart here."""
    return name.startswith("(")


def of(published: pd.DataFrame, experiment: str) -> pd.DataFrame:
    """The rows that belong to an experiment, in the order of the file."""
    return published[published["experiment"] == experiment].reset_index(drop=True)


def _row(fields: list[str]) -> dict[str, str | float]:
    """One checked row; ValueError says what is wrong with it."""
    if len(fields) != len(COLUMNS):
        raise ValueError(f"{len(fields)} fields instead of {len(COLUMNS)}")
    row: dict[str, str | float] = dict(zip(COLUMNS, fields, strict=True))
    for name in KEY:
        if not row[name]:
            raise ValueError(f"{name} is empty")
    for name, known in {"source": tuple(CITATIONS), **CHOICES}.items():
        if row[name] not in known:
            raise ValueError(f"{name} is {row[name]!r}; expected {', '.join(known)}")
    values = {name: _number(name, str(row[name])) for name in NUMBERS}
    if not values["n"] >= 1:
        raise ValueError("n, the number of runs, is empty or below 1")
    if values["failed"] > values["n"]:
        raise ValueError("more runs failed than there are")
    if values["std"] < 0:
        raise ValueError("std is negative")
    shown = [values[name] for name in ("min", "mean", "max") if not math.isnan(values[name])]
    if shown != sorted(shown):
        raise ValueError("min, mean and max are not in this order")
    if not shown and math.isnan(values["median"]):
        raise ValueError("no mean, median, min or max")
    return row | values


def _number(name: str, text: str) -> float:
    if not text:
        return math.nan
    value = float(text) if name not in ("n", "failed") else int(text)
    if not math.isfinite(value):
        raise ValueError(f"{name} is {text}")
    return float(value)
