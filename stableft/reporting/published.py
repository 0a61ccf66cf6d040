"""Published numbers: results printed by the sources, read from a file in `experiments`.

They are shown next to ours. One row is one arm of a source on one task. A task or an arm in
parentheses is the source's own: it has no counterpart in the grid of the row's experiment. Scores
are in the units of `stableft.tasks.scores`: shares of 1, the error of a regression negative
(``negative_rmse``).
"""

import csv
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from stableft.core.errors import MissingInput, quoted

PublishedRow = dict[str, str | float]
KEY = ["source", "place", "encoder", "experiment", "task", "arm", "split", "score_name"]
NUMBERS = ["n", "mean", "std", "median", "min", "max", "failed"]
COLUMNS = ["source", "place", "confidence", *KEY[2:], *NUMBERS, "note"]
CURVE_KEY = ["source", "place", "encoder", "experiment", "task", "arm", "split", "metric", "step"]
CURVE_COLUMNS = [*CURVE_KEY[:-1], "n", "step", "value"]
CHOICES = {"confidence": ("exact", "read_off"), "split": ("test", "validation")}
CITATIONS = {
    "zhang2021": "Zhang et al. (2021)",
    "replication": "independent replication of Zhang et al.",
    "mosbach2021": "Mosbach et al. (2021)",
    "dodge2020": "Dodge et al. (2020)",
    "tnews_article": "TNEWS note",
    "article": "CommonLit article",
    "ner_article": "head-rate article",
}


def read_published(path: Path) -> pd.DataFrame:
    """Reads the published numbers.

    Args:
        path: CSV with `COLUMNS`: source (a key of `CITATIONS`), place in it, confidence (``exact``,
            or ``read_off`` for numbers read off a plot by eye), encoder, experiment, task, arm, split
            (``test`` or ``validation``), score_name, n (runs), mean, std (n - 1), median, min, max,
            failed (runs) and a note. Numbers that the source does not give are empty.

    Returns:
        Those columns, with numbers as float64 (NaN if empty), and ``here``: True if task and arm are
        ours.

    Raises:
        MissingInput: the file is absent, or a row is malformed; the message names path, line and
            reason.
    """
    rows = _rows(path, COLUMNS, KEY, _row)
    frame = pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(NUMBERS, "float64"))
    return frame.assign(here=~frame["task"].map(is_own) & ~frame["arm"].map(is_own))


def read_curves(path: Path) -> pd.DataFrame:
    """Reads the published curves over training.

    Args:
        path: CSV with `CURVE_COLUMNS`. A row is the mean over n runs of a metric logged at a step.
            Metrics and splits are named as ours, such as ``loss`` on ``train``. The other columns are
            those of `read_published`.

    Returns:
        Those columns, n and step as int64, value as float64.

    Raises:
        MissingInput: the file is absent, or a row is malformed; the message names path, line and
            reason.
    """
    rows = _rows(path, CURVE_COLUMNS, CURVE_KEY, _point)
    return pd.DataFrame(rows, columns=CURVE_COLUMNS).astype({"n": "int64", "step": "int64", "value": "float64"})


def _rows(path: Path, columns: list[str], key: list[str], checked: Callable[[dict[str, str]], PublishedRow]) -> list[PublishedRow]:
    """Reads and checks the rows of a file.

    Raises:
        MissingInput: a row is malformed or repeats the key of another; the message names its line.
    """
    lines = _lines(path)
    if lines[:1] != [(1, columns)]:
        header = ", ".join(lines[0][1]) if lines else ""
        raise MissingInput(f"{path}:1: columns are {header[:200]}; expected {', '.join(columns)}")
    rows: list[PublishedRow] = []
    line_of: dict[tuple[str | float, ...], int] = {}
    for number, fields in lines[1:]:
        try:
            if len(fields) != len(columns):
                raise ValueError(f"{len(fields)} fields instead of {len(columns)}")
            row = dict(zip(columns, fields, strict=True))
            for name in key:
                if not row[name]:
                    raise ValueError(f"{name} is empty")
            if row["source"] not in CITATIONS:
                raise ValueError(f"source is {quoted(row['source'])}; expected {', '.join(CITATIONS)}")
            rows.append(checked(row))
            cell = tuple(rows[-1][name] for name in key)
            if (first := line_of.setdefault(cell, number)) != number:
                raise ValueError(f"the same {', '.join(key)} as in line {first}")
        except ValueError as error:
            raise MissingInput(f"{path}:{number}: {error}") from None
    return rows


def is_own(name: str) -> bool:
    """Tells whether a task or an arm is the source's own, without a counterpart here."""
    return name.startswith("(")


def rows_for(published: pd.DataFrame, experiment: str) -> pd.DataFrame:
    """Returns the rows of an experiment, in the order of the file."""
    return published[published["experiment"] == experiment].reset_index(drop=True)


def matching_rows(published: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Returns the published rows with a mean or a median that match our scores.

    They have the same experiment, task, arm, split and score name.

    Args:
        published: See `read_published`.
        scores: Ours, with those five columns.

    Returns:
        The rows in the order of the file, with ``value`` (the mean, or the median if there is no
        mean) and ``label`` (source, place, encoder, number of runs, kind of value). Of several
        encoders of a source, only the first on each task is kept.
    """
    keys = ["experiment", "task", "arm", "split", "score_name"]
    rows = published.merge(scores[keys].drop_duplicates().astype(str), on=keys)
    rows = rows[rows["encoder"] == rows.groupby(["source", "task"])["encoder"].transform("first")]
    rows = rows.assign(value=rows["mean"].fillna(rows["median"]))
    rows = rows[rows["value"].notna()].reset_index(drop=True)
    kinds = np.select([rows["mean"].isna(), rows["std"].isna()], ["median", "mean"], "mean \u00b1 std")
    about = zip(rows["source"], rows["place"], rows["encoder"], rows["n"], kinds, strict=True)
    labels = [f"{CITATIONS[source]}, {place}, {encoder}, n = {n:.0f}: {kind}" for source, place, encoder, n, kind in about]
    return rows.assign(label=pd.Series(labels, index=rows.index, dtype="str"))


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """Reads the cells of each row, with the number of its last line."""
    rows: list[tuple[int, list[str]]] = []
    try:
        with open(path, encoding="utf-8", newline="") as file:
            reader = csv.reader(file)
            rows += ((reader.line_num, fields) for fields in reader)
    except OSError as error:
        raise MissingInput(f"{path}: {error.strerror}; the published numbers are read from there") from None
    except UnicodeDecodeError as error:
        raise MissingInput(f"{path}: not UTF-8 ({error.reason}, byte {error.start})") from None
    except csv.Error as error:
        raise MissingInput(f"{path}:{rows[-1][0] + 1 if rows else 1}: bad CSV ({error})") from None
    return rows


def _row(row: dict[str, str]) -> PublishedRow:
    """Checks a row of scores, and parses its numbers.

    Raises:
        ValueError: it is malformed.
    """
    for name, known in CHOICES.items():
        if row[name] not in known:
            raise ValueError(f"{name} is {quoted(row[name])}; expected {', '.join(known)}")
    values = {name: _number(name, row[name]) for name in NUMBERS}
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
    return {**row, **values}


def _point(row: dict[str, str]) -> PublishedRow:
    values = {name: _number(name, row[name]) for name in ("n", "step", "value")}
    if not (values["n"] >= 1 and values["step"] >= 1):
        raise ValueError("n and step are at least 1")
    if math.isnan(values["value"]):
        raise ValueError("value is empty")
    return {**row, **values}


def _number(name: str, text: str) -> float:
    if not text:
        return math.nan
    wanted = "a whole number" if name in ("n", "failed", "step") else "a number"
    try:
        value = float(text)
        fits = math.isfinite(value) and (wanted == "a number" or (abs(value) < 2**53 and int(text) == value))
    except ValueError:
        fits, value = False, math.nan
    if not fits:
        raise ValueError(f"{name} is {quoted(text)}; expected {wanted}")
    return value
