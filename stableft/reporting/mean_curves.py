"""Mean curves: logged series over training, as a mean over seeds per arm, and of each failed run."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from stableft import statistics
from stableft.core.errors import NotLogged, TooFew
from stableft.reporting import majority_scores, run_scores, training_curves
from stableft.reporting.published import CITATIONS
from stableft.storage.records import CELL, Results

MEAN, FAILED = "mean", "failed run"
INTERVAL, RANGE = "interval", "range"
COLUMNS = ["task", "arm", "series", "seed", "step", "value", "low", "high", "n", "majority_score"]


def mean_curves(
    results: Results,
    *,
    split: str,
    metric: str,
    interval: int | None = None,
    band: str = INTERVAL,
    published: pd.DataFrame | None = None,
    arms: Collection[str] | None = None,
) -> pd.DataFrame:
    """Computes the mean curves of arms over their seeds, and the curves of failed runs.

    Series logged at every step (split ``train``) are averaged over consecutive intervals of steps, with
    the point at the interval's end, as Zhang et al. log the training loss. Steps after the last whole
    interval are left out, as in the paper. Evaluations are used unchanged: on the fixed subset if the
    point was evaluated on one, else on the whole split.

    The mean is over the same runs throughout: those that finished and have a value at every point. A
    diverged run is drawn up to its last value. The score is an exception: as in the score table, a run
    without a score counts at the majority score.

    Args:
        results: Runs and metrics of one experiment.
        split: ``train``, ``validation`` or ``test``.
        metric: Name of the logged series.
        interval: Steps per point of a training series, >= 1; None: a tenth of the run (floor, >= 1).
        band: The shaded band: ``interval``, the 95 % bootstrap interval of the mean, or ``range``, from
            the lowest to the highest run in the mean (Zhang et al., Figures 3, 6 and 11).
        published: See `stableft.reporting.published.read_curves`: published curves of the same arms, if
            their points are at the same steps as ours. None: none.
        arms: Arms to draw, see `stableft.reporting.run_scores.of_arms`; None: all.

    Returns:
        Columns task, arm, series (``mean``, ``failed run``, or the name of the published curve), seed
        (NA for means), step, value, low, high (of the band, NaN for single runs), n (runs in the mean)
        and majority_score (of that split; NaN unless the metric is the score, or if it is unknown).

    Raises:
        MissingInput: no runs, or no run of the arms.
        NotLogged: no such series, as where all runs diverged at once.
    """
    results = run_scores.of_arms(results, arms)
    scores = run_scores.final_scores(results)
    points = _points(results, split, metric, interval)
    lines = majority_scores.on_split(results, split) if metric == "score" else {}
    frames = []
    for (task, arm), runs in scores.groupby(["task", "arm"], sort=False, observed=True):
        here = points[(points["task"] == task) & (points["arm"] == arm)]
        about = {
            "experiment": str(runs["experiment"].iloc[0]),
            "task": str(task),
            "arm": str(arm),
            "split": split,
            "metric": metric,
        }
        parts = _of_arm(here, runs, lines.get(str(task), np.nan), band, published, about) if len(here) else []
        frames += [part.assign(task=str(task), arm=str(arm)) for part in parts if len(part)]
    if not frames:
        raise _not_logged(results, split, metric, interval)
    return pd.concat(frames, ignore_index=True)[COLUMNS].astype({"seed": "Int64", "step": "int64"})


def _not_logged(results: Results, split: str, metric: str, interval: int | None) -> NotLogged:
    """Says which series is missing, and how often it would have to be logged."""
    often = f", as often as every {interval} steps" if interval else ""
    rows = results.metrics[(results.metrics["split"] == split) & (results.metrics["metric"] == metric)]
    kind = TooFew if interval and np.isfinite(rows["value"]).any() else NotLogged  # the runs are shorter, or logged it less often
    return kind(f"the results hold no metric {metric!r} on split {split!r}{often}")


def _of_arm(
    points: pd.DataFrame, runs: pd.DataFrame, majority: float, band: str, published: pd.DataFrame | None, about: dict[str, str]
) -> list[pd.DataFrame]:
    """Lists the curves of one arm: its mean, its failed runs one by one, and published curves."""
    # Runs without a value: for the score they count at the majority score, else they are left out.
    grid = points.pivot(index="seed", columns="step", values="value").reindex(runs["seed"]).sort_index(axis="columns")
    lost = runs["majority_score"].iloc[0] if np.isnan(majority) else majority
    is_score = about["metric"] == "score"
    whole = grid.fillna(lost) if is_score else grid.loc[runs.loc[~runs["diverged"], "seed"]].dropna()
    curves = [_mean(whole, band), _runs(grid.loc[runs.loc[runs["failed"], "seed"]])]
    if published is not None:
        curves += _published(published, about, whole.columns)
    return [curve.assign(majority_score=majority) for curve in curves]


def _points(results: Results, split: str, metric: str, interval: int | None) -> pd.DataFrame:
    if split == "train":
        return training_curves.interval_means(results, metric, interval)
    metrics = results.metrics
    wanted = (metrics["split"] == split) & (metrics["metric"] == metric) & metrics["scope"].isin(["", "subset"])
    rows = metrics[wanted & np.isfinite(metrics["value"])].merge(results.runs[CELL], on=CELL)
    return rows.sort_values("scope", ascending=False).drop_duplicates([*CELL, "step"])


def _mean(grid: pd.DataFrame, band: str) -> pd.DataFrame:
    if grid.empty:
        return pd.DataFrame()
    if band == RANGE:
        low, high = grid.min().to_numpy(), grid.max().to_numpy()
    else:
        low, high = statistics.curve_interval(grid)
    mean = {"series": MEAN, "seed": pd.NA, "step": grid.columns, "value": grid.mean().to_numpy(), "low": low, "high": high}
    return pd.DataFrame({**mean, "n": len(grid)})


def _published(published: pd.DataFrame, about: dict[str, str], steps: pd.Index) -> list[pd.DataFrame]:
    """Selects the published curves of one arm whose points are at the given steps, named as series."""
    rows = published[np.logical_and.reduce([published[name] == value for name, value in about.items()])]
    curves = []
    for (source, place, encoder), curve in rows.groupby(["source", "place", "encoder"], sort=False):
        if curve["step"].tolist() == steps.tolist():
            name = f"{CITATIONS[source]}, {place}, {encoder}"
            line = curve[["step", "value", "n"]].assign(series=name, seed=pd.NA, low=np.nan, high=np.nan)
            curves.append(line.reset_index(drop=True))
    return curves


def _runs(grid: pd.DataFrame) -> pd.DataFrame:
    """Lists the points of all runs in one frame, run by run.

    One frame per run would take seconds, as there may be thousands of runs.
    """
    values = grid.to_numpy()
    rows, columns = np.nonzero(~np.isnan(values))
    line = {"series": FAILED, "seed": grid.index[rows], "step": grid.columns[columns], "value": values[rows, columns]}
    return pd.DataFrame({**line, "low": np.nan, "high": np.nan, "n": 1})
