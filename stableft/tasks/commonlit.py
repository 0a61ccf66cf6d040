"""CommonLit Readability (Kaggle, 2021): a regression task, the ease of reading an excerpt.

The setting is that of the CommonLit article. Source: the article's notebooks
(train-roberta-basic) and protocol section 7, S2. One of the 2,834 rows of ``train.csv``, with
target 0 and standard error 0, is dropped: the others were rated against it. ``commonlit0`` to
``commonlit4`` validate on one of five folds and train on the others. The split follows the
article's code: rows in an order drawn by seed 3377, then stratified, without shuffling, by
floor(1 + log2 n) = 12 bins of the target of equal width. It reproduces the sizes and mean targets
printed in the notebook.

There is no test split, as the article has none: runs are judged on their validation fold. An epoch
or a setting chosen on that fold gives a selected number. The article reports one too, the least of
up to 138 evaluations (caveat ii).

The score is the error pooled over the fold, negated because a higher score must be better. Two
metrics are logged next to it: the same error with a positive sign (``rmse``), and the article's
number, the mean over batches of 64 in order (``batch_rmse``, caveat iv).

Deviations: the loss is the mean squared error of a batch, not its root. The gradients differ by a
factor, 1 / (2 RMSE) of the batch. It changes from batch to batch, so Adam does not remove it: the
article's loss gives batches with a small error relatively more weight. The head is that of all
tasks, with dropout. In the article one seed draws the folds and initialises the models; here a
run's seed does not change the folds.
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
from stableft.tasks.readers.corpus_files import DATA_VARIABLE, Bounds, Fields, Record, find_local, number, read_text, to_examples

NUM_FOLDS = 5
SEED = 3377
FOLDERS = ("commonlit", "commonlitreadabilityprize")
FIELDS = Fields("excerpt", "target", Bounds(-math.inf, math.inf), ident="id")
STANDARD_ERROR = "standard_error"


def read_csv(path: Path, names: tuple[str, ...]) -> Iterator[Record]:
    """Yields the rows of a comma-separated file with a header.

    A quoted cell may contain commas, line ends and doubled quotes.

    Args:
        path: The file.
        names: Required columns.

    Raises:
        MissingInput: A column is missing, or a row is malformed.
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
    """Reads the rated excerpts of a ``train.csv``, in file order.

    The reference excerpt, with target and standard error 0, is left out.

    Raises:
        MissingInput: There are fewer than five, or a row is malformed.
    """
    records = list(read_csv(path, (*FIELDS.names, STANDARD_ERROR)))
    examples = to_examples(records, FIELDS)
    errors = [number(record, STANDARD_ERROR, Bounds(0, math.inf)) for record in records]
    rated = tuple(example for example, error in zip(examples, errors, strict=True) if (example.label, error) != (0, 0))
    if len(rated) < NUM_FOLDS:
        raise MissingInput(f"{path}: {len(rated)} rated excerpts, at least {NUM_FOLDS} are needed")
    return rated


def bins(targets: NDArray[np.float64]) -> NDArray[np.int64]:
    """Assigns each target to a bin, as pandas' ``cut`` does.

    The floor(1 + log2 N) bins have equal width, from the least to the greatest target. Each is open
    on the left: a target on an edge belongs to the bin below it.

    Returns:
        (N,) bin of each target, from 0.
    """
    edges = np.linspace(targets.min(), targets.max(), int(1 + math.log2(len(targets))) + 1)
    return np.maximum(np.searchsorted(edges, targets, side="left") - 1, 0)


def stratified_folds(classes: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Assigns examples to folds as scikit-learn's ``StratifiedKFold(5)`` does without shuffling.

    The examples are lined up class by class, in order of first appearance, and dealt to the folds
    in turn. This fixes how many of a class each fold gets. Within a class the first examples in the
    given order go to fold 0, the next ones to fold 1, and so on.

    Returns:
        (N,) fold of each example.
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
    """Loads one fold for validation and the others for training, in the article's order.

    Raises:
        MissingInput: There is no ``train.csv``, or a row is malformed.
    """
    paths = find_local("commonlit", FOLDERS, ("train.csv",))
    if paths is None:
        raise MissingInput(
            "commonlit: no data. By the rules of its competition commonlitreadabilityprize only Kaggle may distribute them: "
            f"download train.csv there and set {DATA_VARIABLE} to a folder that holds it as {FOLDERS[0]}/train.csv"
        )
    examples = read(paths[0])
    # The article's order: DataFrame.sample(frac=1) permutes with numpy's global generator.
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
