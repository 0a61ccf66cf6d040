"""Curves over training: the mean over seeds per arm, and each failed run.

Zhang et al. (2021), Figures 3 and 11.
"""

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stableft import statistics
from stableft.core.errors import MissingInput
from stableft.reporting import majority_scores, run_scores, training_curves
from stableft.reporting.figures import style
from stableft.reporting.published import CITATIONS
from stableft.storage.records import CELL, Results

MEAN, FAILED = "mean", "failed run"
THIN: dict[str, Any] = {"linewidth": 0.5, "alpha": 0.7}
CAPTION = (
    "Mean over seeds; a point of a training series is the mean over a tenth of the run's steps if nothing else is said. "
    "Shaded, as the legend says: pointwise 95 % percentile bootstrap interval over seeds, or from the least to the greatest run. "
    "Thin lines: failed runs (final score at or below the majority score, or diverged). Runs that diverged are not part of a mean, "
    "except of the score's."
)
INTERVAL, RANGE = "interval", "range"
BANDS = {INTERVAL: "95 % interval", RANGE: "least to greatest run"}


def lead(
    *,
    split: str,
    metric: str,
    interval: int | None = None,
    band: str = INTERVAL,
    published: pd.DataFrame | None = None,
    arms: Collection[str] | None = None,
) -> str:
    """Returns the sentences before `CAPTION`, on the series and its points, or on the arms drawn.

    They are empty for a band of `RANGE`.
    """
    if band == RANGE:
        return f"Runs of {', '.join(arms)}." if arms else ""
    points = "Where a protocol evaluates on a fixed subset, all points are on it, unlike the scores of the tables."
    if split == "train":
        points = f"Each point is the mean over {f'{interval} steps' if interval else 'a tenth of the steps'}."
    sentences = f"{metric.replace('_', ' ').capitalize()} on {split}. {points}"
    if published is not None:
        sentences += " Grey, dotted, with open marks: published, where a source's points are at the same steps."
    return sentences


def data(
    results: Results,
    *,
    split: str,
    metric: str,
    interval: int | None = None,
    band: str = INTERVAL,
    published: pd.DataFrame | None = None,
    arms: Collection[str] | None = None,
) -> pd.DataFrame:
    """Computes the mean curves and the curves of failed runs for `plot`.

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
        interval: Steps per point of a training series, >= 1; None: a tenth of the run (floor, at least
            1), as Zhang et al.
        band: The shaded band: ``interval``, the 95 % bootstrap interval of the mean, or ``range``, from
            the lowest to the highest run in the mean (Zhang et al., Figures 3, 6 and 11).
        published: See `stableft.reporting.published.read_curves`: published curves of the same arms,
            drawn if their points are at the same steps as ours. None: none are drawn.
        arms: Arms to draw, see `stableft.reporting.run_scores.of_arms`; None: all.

    Returns:
        Columns task, arm, series (``mean``, ``failed run``, or the name of the published curve), seed
        (NA for means), step, value, low, high (of the band, NaN for single runs), n (runs in the mean)
        and majority_score (of that split; NaN unless the metric is the score, or if it is unknown).

    Raises:
        MissingInput: no runs, no such series, or none of these arms.
    """
    results = run_scores.of_arms(results, arms)
    scores = run_scores.final_scores(results)
    points = _points(results, split, metric, interval)
    lines = majority_scores.on_split(results, split) if metric == "score" else {}
    # Per task and arm: the mean over runs, the failed runs one by one, and published curves.
    frames = []
    for (task, arm), runs in scores.groupby(["task", "arm"], sort=False, observed=True):
        here = points[(points["task"] == task) & (points["arm"] == arm)]
        if here.empty:
            continue
        majority = lines.get(str(task), np.nan)
        # Runs without a value: for the score they count at the majority score, else they are left out.
        grid = here.pivot(index="seed", columns="step", values="value").reindex(runs["seed"]).sort_index(axis="columns")
        lost = runs["majority_score"].iloc[0] if np.isnan(majority) else majority
        whole = grid.fillna(lost) if metric == "score" else grid.loc[runs.loc[~runs["diverged"], "seed"]].dropna()
        cell = [_mean(whole, band), _runs(grid.loc[runs.loc[runs["failed"], "seed"]])]
        if published is not None:
            about = {"task": str(task), "arm": str(arm), "split": split, "metric": metric}
            cell += _published(published, {"experiment": str(results.runs["experiment"].iloc[0]), **about}, whole.columns)
        frames += [part.assign(task=str(task), arm=str(arm), majority_score=majority) for part in cell if len(part)]
    if not frames:
        raise MissingInput(f"the results hold no metric {metric!r} on split {split!r}")
    columns = ["task", "arm", "series", "seed", "step", "value", "low", "high", "n", "majority_score"]
    return pd.concat(frames, ignore_index=True)[columns].astype({"seed": "Int64", "step": "int64"})


def plot(frame: pd.DataFrame, results: Results, *, split: str, metric: str, band: str = INTERVAL, **_: object) -> Figure:
    """Draws one panel per task: mean curve and band per arm, and failed runs as thin lines.

    For scores a dotted line marks the majority score.
    """
    names = results.runs.drop_duplicates("task").set_index("task")["score_name"]
    # The looks are of all arms, so that an arm looks the same in figures of fewer arms.
    styles = style.arm_styles(results.runs["arm"])
    with style.context():
        figure, axes = style.panels(frame["task"].nunique())
        for panel, (task, of_task) in zip(axes, frame.groupby("task", sort=False, observed=True), strict=True):
            for arm, curves in of_task.groupby("arm", sort=False, observed=True):
                draw_arm(panel, curves, str(arm), styles[str(arm)])
            name_bands(panel, of_task, band)
            style.majority_line(panel, of_task["majority_score"].iloc[0])
            shown = names[task] if metric == "score" else metric
            panel.set(title=task, xlabel="step", ylabel=f"{split} {shown.replace('_', ' ')}")
            panel.set_xlim(left=0)
        style.legend(figure)
    return figure


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


def name_bands(panel: Axes, rows: pd.DataFrame, band: str) -> None:
    """Adds entries to the legend: one for all bands, and one for all failed runs."""
    if rows["low"].notna().any():
        panel.fill_between([], [], [], color=style.INK, alpha=0.2, linewidth=0, label=BANDS[band])
    if (rows["series"] == FAILED).any():
        panel.plot([], [], **THIN, color=style.INK, label=FAILED)


def draw_arm(panel: Axes, curves: pd.DataFrame, arm: str, look: style.ArmStyle) -> None:
    """Draws an arm's rows of `data`: its mean and band, published curves, and failed runs."""
    mean = curves[curves["series"] == MEAN]
    if len(mean):
        style.band(panel, mean["step"], mean, look, arm)
    for source, line in curves[~curves["series"].isin([MEAN, FAILED])].groupby("series", sort=False):
        style.published_line(panel, line["step"], line["value"], look.marker, f"{arm}: {source}")
    failed = curves[curves["series"] == FAILED].sort_values("seed", kind="stable")
    starts = np.flatnonzero(np.diff(failed["seed"].to_numpy(np.int64))) + 1
    for steps, values in zip(*(np.split(failed[name].to_numpy(), starts) for name in ("step", "value")), strict=True):
        # A run that diverged before its second point would be an invisible line.
        marker = "." if len(steps) == 1 else ""
        # Lines lie inside the panel: the layout can skip them, of which there may be thousands.
        look_of_line = {**THIN, "color": look.color, "marker": marker, "in_layout": False}
        if len(steps):
            panel.plot(steps, values, **look_of_line, zorder=1.8, label="_failed")
