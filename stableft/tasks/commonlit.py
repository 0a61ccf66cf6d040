"""CommonLit Readability (Kaggle, 2021): how easy an excerpt is to read, as a number; the setting of the third seed document.

Source: the article's notebooks (train-roberta-basic) and protocol section 7, S2. Of the 2,834 rows of ``train.csv`` the one with
target 0 and standard error 0 is dropped: all others were rated against it. ``commonlit0`` to ``commonlit4`` validate on one of five
folds and train on the others, split as the article's code does: rows in an order drawn by seed 3377, then stratified, unshuffled,
by floor(1 + log2 n) = 12 bins of the target of equal width. The sizes and mean targets that the notebook prints come out.

There is no test split, since the article has none: runs are judged on the fold that they validate on. Whoever chooses an epoch or a
setting on that fold reports a selected number; so does the article, by the least of up to 138 evaluations (caveat ii).

The score is the error pooled over the fold, negative as every score is higher when better. Logged beside it: the same positive
(``rmse``), and what the article reports, the mean over batches of 64 in order (``batch_rmse``, caveat iv).

Deviations: the loss is the mean squared error of a batch, not its root, whose gradient differs by a factor only (clipping and Adam
scale it anyway). The head is that of all tasks, with dropout. The article's seed for folds is also that of its models; here a run's
seed moves no fold.
"""

import csv
import io
import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stableft.core.errors import MissingInput, quoted
from stableft.tasks import Example, Task, TaskData
from stableft.tasks.readers.corpus_files import DATA_VARIABLE, Fields, Interval, Record, find_local, number, read_text, to_examples

NUM_FOLDS = 5
SEED = 3377
FOLDERS = ("commonlit", "commonlitreadabilityprize")
FIELDS = Fields("excerpt", "target", Interval(-math.inf, math.inf), ident="id")
STANDARD_ERROR = "standard_error"


def read_csv(path: Path, names: tuple[str, ...]) -> Iterator[Record]:
    """The rows of a comma-separated file with a header; a quoted cell may hold commas, line ends and doubled quotes.

    Args:
        path: The file.
        names: Columns that must be there.
    """
    rows = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    line = 1
    try:
        header = next(rows, [])
        if not set(names) <= set(header):
            raise MissingInput(f"{path}:1: header {quoted(','.join(header))}, expected the columns {', '.join(names)}")
        line = rows.line_num + 1
        for cells in rows:
            if len(cells) != len(header):
                raise MissingInput(f"{path}:{line}: {len(cells)} columns, expected {len(header)}")
            yield Record(f"{path}:{line}", dict(zip(header, cells, strict=True)))
            line = rows.line_num + 1
    except csv.Error as error:
        raise MissingInput(f"{path}:{line}: bad CSV ({error})") from error


def read(path: Path) -> tuple[Example, ...]:
    """The rated excerpts of a ``train.csv``, in file order, without the one that all were rated against.

    Raises:
        MissingInput: Fewer than five, or a row that is malformed.
    """
    records = list(read_csv(path, (*FIELDS.names, STANDARD_ERROR)))
    examples = to_examples(records, FIELDS)
    errors = [number(record, STANDARD_ERROR, Interval(0, math.inf)) for record in records]
    rated = tuple(example for example, error in zip(examples, errors, strict=True) if (example.label, error) != (0, 0))
    if len(rated) < NUM_FOLDS:
        raise MissingInput(f"{path}: {len(rated)} rated excerpts, at least {NUM_FOLDS} are needed")
    return rated


def bins(targets: NDArray[np.float64]) -> NDArray[np.int64]:
    """(N,) the bin of each target: floor(1 + log2 N) bins of equal width from the least to the greatest, each open on the left.

    As pandas' ``cut``: what lies on an edge belongs to the bin below it.
    """
    edges = np.linspace(targets.min(), targets.max(), int(1 + math.log2(len(targets))) + 1)
    return np.maximum(np.searchsorted(edges, targets, side="left") - 1, 0)


def stratified_folds(classes: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) the fold of each example, as scikit-learn's ``StratifiedKFold(5)`` without shuffling.

    Lined up class by class, in order of first appearance, the examples are dealt round; that settles how many of a class each fold
    has. Within a class the first of them in the given order go to fold 0, the next to fold 1, and so on.
    """
    members: dict[int, list[int]] = {}
    for index, of_class in enumerate(np.asarray(classes).tolist()):
        members.setdefault(of_class, []).append(index)
    folds = np.empty(len(classes), np.int64)
    dealt = 0
    for indices in members.values():
        folds[indices] = np.sort((dealt + np.arange(len(indices))) % NUM_FOLDS)
        dealt += len(indices)
    return folds


def load(fold: int) -> TaskData:
    """One fold for validation, the others for training, in the article's order.

    Raises:
        MissingInput: There is no ``train.csv``, or a row is malformed.
    """
    paths = find_local("commonlit", FOLDERS, ("train.csv",))
    if paths is None:
        raise MissingInput(
            "commonlit: no data. The rules of Kaggle's competition commonlitreadabilityprize let nobody else hand them out: "
            f"download train.csv there and set {DATA_VARIABLE} to a folder that holds it as {FOLDERS[0]}/train.csv"
        )
    examples = read(paths[0])
    # The article's order: DataFrame.sample(frac=1) draws a permutation from numpy's global generator.
    shuffled = [examples[i] for i in np.random.RandomState(SEED).permutation(len(examples))]
    folds = stratified_folds(bins(np.array([example.label for example in shuffled])))
    train, validation = (tuple(shuffled[i] for i in np.flatnonzero(chosen)) for chosen in (folds != fold, folds == fold))
    return TaskData(train, validation)


TASKS: tuple[Task, ...] = tuple(
    Task(
        name=f"commonlit{fold}",
        kind="regression",
        labels=(),
        score="negative_rmse",
        language="en",
        summary=f"CommonLit Readability (regression): fold {fold} of 5 for validation, {size:,} others to train on",
        load=partial(load, fold),
        metrics=("rmse", "batch_rmse"),
    )
    for fold, size in enumerate((2266, 2266, 2266, 2267, 2267))
)
