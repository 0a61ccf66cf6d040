"""Measures: the number of each run that a claim is about, as a frame.

Columns are the cell of each run, and ``value``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from stableft.core.errors import NotLogged
from stableft.reporting.run_scores import both_splits, final_scores
from stableft.reporting.training_curves import interval_means, surfaces
from stableft.reporting.tuned_rates import tuned_scores
from stableft.storage.records import CELL, Results

Measure = Callable[[Results], pd.DataFrame]


def score(results: Results) -> pd.DataFrame:
    """Returns the final score; see `stableft.reporting.run_scores.final_scores`."""
    return _column(final_scores(results), "score")


def failed(results: Results) -> pd.DataFrame:
    """Returns 1 if the run failed, else 0; see `stableft.reporting.run_scores.final_scores`."""
    return _column(final_scores(results).astype({"failed": "float64"}), "failed")


def validation(results: Results) -> pd.DataFrame:
    """Returns the last score on the whole validation split; the majority score if it is undefined."""
    return _column(both_splits(results).dropna(subset="validation"), "validation")


@dataclass(frozen=True)
class TrainLoss:
    """Mean training loss over some tenths of each finished run.

    Attributes:
        first: The first tenth, from 1.
        last: The last tenth, at most 10; included.
    """

    first: int
    last: int

    def __call__(self, results: Results) -> pd.DataFrame:
        finished = results.runs.loc[results.runs["outcome"] == "ok", [*CELL, "num_steps"]]
        points = interval_means(results, "loss").merge(finished, on=CELL)
        if points.empty:
            raise NotLogged("no finished run with a training loss")
        tenth = points["step"] / np.maximum(1, points["num_steps"] // 10)
        points = points[(tenth >= self.first) & (tenth <= self.last)]
        return points.groupby(CELL, sort=False, observed=True)["value"].mean().reset_index()


def train_loss(first: int, last: int) -> Measure:
    """Builds the measure of the mean training loss over some tenths of each finished run.

    Args:
        first: The first tenth, from 1.
        last: The last tenth, at most 10; included.
    """
    return TrainLoss(first, last)


@dataclass(frozen=True)
class TunedScore:
    """Score at a tuned learning rate, see `stableft.reporting.tuned_rates`.

    Arms are ``<arm> tuned``, and ``<arm> at rate of <other arm>``.
    """

    reads_predictions: ClassVar[bool] = True

    def __call__(self, results: Results) -> pd.DataFrame:
        frame = tuned_scores(results)
        own = frame["arm"] == frame["rate_of"]
        return frame.assign(arm=np.where(own, frame["arm"] + " tuned", frame["arm"] + " at rate of " + frame["rate_of"]))


def best_validation(results: Results) -> pd.DataFrame:
    """Returns the best score of all evaluations of the whole validation split.

    Sources with selection on validation report this score.
    """
    metrics = results.metrics
    points = metrics[(metrics["split"] == "validation") & (metrics["metric"] == "score") & (metrics["scope"] == "")]
    points = points[np.isfinite(points["value"])]
    return points.groupby(CELL, sort=False, observed=True)["value"].max().reset_index()


def average_gain(results: Results) -> pd.DataFrame:
    """Returns the score of the averaged weights less that of the last ones, on the task's own split.

    Raises:
        NotLogged: no run averaged its weights.
    """
    metrics, runs = results.metrics, results.runs[[*CELL, "score_split"]]
    averaged = metrics[(metrics["metric"] == "score") & (metrics["scope"] == "average")].merge(runs, on=CELL)
    averaged = averaged[averaged["split"] == averaged["score_split"]]
    if averaged.empty:
        raise NotLogged("no run has a score of averaged weights")
    last_average = averaged.sort_values("step").groupby(CELL, sort=False, observed=True).tail(1)
    both = last_average[[*CELL, "value"]].merge(score(results), on=CELL, suffixes=("", "_last"))
    return both.assign(value=both["value"] - both["value_last"])[[*CELL, "value"]]


def barrier(results: Results) -> pd.DataFrame:
    """Returns the highest training loss between two runs' ends, less that at the higher end.

    The loss is taken on the straight line between the ends. Negative: there is no barrier.

    Raises:
        NotLogged: no run has a surface, or no surface is of a failed and a successful run.
    """
    points = surfaces(results)
    fails = final_scores(results).groupby(["task", "seed"], observed=True)["failed"].nunique()
    one_failed = fails.index[fails == 2]
    points = points[pd.MultiIndex.from_frame(points[["task", "seed"]]).isin(one_failed)]
    if points.empty:
        raise NotLogged("no surface of a failed and a successful run")
    between = points[np.isclose(points["a"] + points["b"], 1) & points["a"].between(0, 1)]
    at_end = between["a"].isin([0, 1])
    parts = (between[~at_end], between[at_end])
    highest, higher_end = (part.groupby(CELL, sort=False, observed=True)["loss"].max() for part in parts)
    return (highest - higher_end).rename("value").reset_index()


def _column(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    return frame[[*CELL, column]].rename(columns={column: "value"})
