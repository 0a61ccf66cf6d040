"""Run predictions: the stored predictions of a task's runs, as arrays of runs by items."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stableft.core.errors import MissingInput
from stableft.statistics import Vector
from stableft.storage.records import Results


@dataclass(frozen=True)
class TaskPredictions:
    """Predictions of R runs of one task on the I items (for tagging: words) of its scored split.

    Attributes:
        rows: Row of each run, by arm and seed. Runs without predictions (diverged), or with one that
            is not finite, have no row.
        labels: (I,).
        predictions: (R, I).
        probabilities: (R, J, K) for the J items whose probabilities are kept (`kept_examples`); both
            are 0 for a task without probabilities (regression, tagging).
    """

    rows: dict[tuple[str, int], int]
    labels: Vector
    predictions: Vector
    probabilities: NDArray[np.float32]

    def of_arm(self, arm: str) -> list[int]:
        """Returns the rows of an arm's runs."""
        return [row for (known, _), row in self.rows.items() if known == arm]


def predictions(results: Results) -> dict[str, TaskPredictions]:
    """Returns the predictions of each task; tasks without any are left out.

    Raises:
        MissingInput: runs of one task were predicted on different items.
    """
    if results.predictions.empty:
        return {}
    split_of = results.runs.drop_duplicates("task").set_index("task")["score_split"]
    stored = results.predictions
    scored = stored[stored["split"].astype("str") == stored["task"].map(split_of)]
    return {str(task): _task_predictions(str(task), of_task) for task, of_task in scored.groupby("task", sort=False, observed=True)}


def _task_predictions(task: str, rows: pd.DataFrame) -> TaskPredictions:
    # Collected predictions are stored run by run, each in the order of the items.
    # A new run begins where arm or seed changes.
    arms, seeds = pd.factorize(rows["arm"])[0], rows["seed"].to_numpy()
    starts = np.flatnonzero(np.concatenate([[True], (np.diff(arms) != 0) | (np.diff(seeds) != 0)]))
    sizes = np.diff(np.append(starts, len(rows)))
    labels = rows["label"].to_numpy()[: sizes[0]]
    classes = rows["probabilities"].map(len).to_numpy()
    if (sizes != sizes[0]).any() or any(_differ(column, len(sizes)) for column in (rows["label"].to_numpy(), classes)):
        raise MissingInput(f"the runs of task {task} were predicted on different items; run the experiment again")
    predicted = rows["prediction"].to_numpy().reshape(len(starts), -1)
    probabilities = np.concatenate(rows["probabilities"].to_numpy()).astype(np.float32)
    probabilities = probabilities.reshape(len(starts), np.count_nonzero(classes[: sizes[0]]), classes.max())
    whole = np.isfinite(predicted).all(axis=1) & np.isfinite(probabilities).all(axis=(1, 2))
    cells = rows.iloc[starts[whole]]
    row_of = {(str(arm), int(seed)): row for row, (arm, seed) in enumerate(zip(cells["arm"], cells["seed"], strict=True))}
    return TaskPredictions(row_of, labels, predicted[whole], probabilities[whole])


def _differ(column: Vector, runs: int) -> bool:
    of_run = column.reshape(runs, -1)
    return bool((of_run != of_run[0]).any())
