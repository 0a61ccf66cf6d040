"""Training-set size: score and failed runs against the number of training examples.

No source draws it.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stableft import statistics
from stableft.reporting import axis_labels, grid_axes, treatments
from stableft.reporting.figures import style
from stableft.storage.records import Results

MEAN, RUN = "mean", "run"
CAPTION = (
    "Score and share of failed runs against the number of training examples, sizes evenly spaced. Below each, n: every seed "
    "of every draw. Runs of a draw share examples, so the 95 % Wilson intervals are too narrow."
)
ROOM = 0.8  # width of all methods at one size; the next one is 1 away
USED = 0.85  # share of a method's width that its points take


def data(results: Results) -> pd.DataFrame:
    """Computes the scores for `plot`.

    Returns:
        One row per method and size (series ``mean``), then one per run (``run``), by task. Columns:
        task, method, examples, series, seed and draw (of runs), n (runs), draws (different subsets),
        score (of means, their mean), std_draws (of the draws' means, n - 1), std_seeds (within draws,
        pooled), failed (runs; of a run 1 or 0), rate, rate_low, rate_high (share of failed runs with
        its Wilson interval) and majority_score. A standard deviation is NaN for one draw, or for one
        seed of each draw.

    Raises:
        NotLogged: see `stableft.reporting.grid_axes.training_sizes`.
    """
    runs = grid_axes.training_sizes(results)
    frames = []
    for task, of_task in runs.groupby("task", sort=False, observed=True):
        groups = of_task.sort_values("examples", kind="stable").groupby(["method", "examples"], sort=False)
        means = [{"method": method, "examples": size, **_summary(group)} for (method, size), group in groups]
        one_by_one = of_task[["method", "examples", "seed", "draw", "score", "majority_score"]]
        frames.append(pd.DataFrame(means).assign(task=str(task), series=MEAN))
        frames.append(one_by_one.assign(failed=of_task["failed"].astype("int64"), n=1, task=str(task), series=RUN))
    columns = [
        *("task", "method", "examples", "series", "seed", "draw", "n", "draws", "score", "std_draws", "std_seeds"),
        *("failed", "rate", "rate_low", "rate_high", "majority_score"),
    ]
    return pd.concat(frames, ignore_index=True)[columns].astype(dict.fromkeys(("seed", "draw", "draws"), "Int64"))


def plot(frame: pd.DataFrame, results: Results) -> Figure:
    """Draws a row per task: scores left, shares of failed runs right, one line per method."""
    about = results.runs.drop_duplicates("task").set_index("task")
    styles = treatments.arm_styles(frame["method"])
    methods = list(styles)
    offsets = dict(zip(methods, ROOM * ((np.arange(len(methods)) + 0.5) / len(methods) - 0.5), strict=True))
    with style.context():
        figure, panels = style.panels(2 * frame["task"].nunique())
        for row, (task, of_task) in enumerate(frame.groupby("task", sort=False)):
            scores, failed = panels[2 * row : 2 * row + 2]
            sizes = sorted(of_task["examples"].unique())
            for method, of_method in of_task.groupby("method", sort=False):
                x = of_method["examples"].map(sizes.index) + offsets[str(method)]
                _draw(scores, failed, x, of_method, styles[str(method)], str(method), ROOM * USED / len(methods))
            style.majority_line(scores, of_task["majority_score"].iloc[0])
            labels = _labels(of_task[of_task["series"] == MEAN], sizes)
            split, score = map(str, about.loc[str(task), ["score_split", "score_name"]])
            name = axis_labels.of_score(split, score)
            for panel, title in ((scores, name), (failed, "share of failed runs")):
                panel.set_xticks(range(len(sizes)), labels)
                panel.set(title=task, xlabel="training examples", ylabel=title, xlim=(-0.6, len(sizes) - 0.4))
            failed.set_ylim(-0.03, 1.03)
        style.legend(figure)
    return figure


def _summary(runs: pd.DataFrame) -> dict[str, float]:
    """Summarizes the runs of a method at one size."""
    draws = runs.groupby("draw")["score"]
    rate = statistics.failed_runs(runs["failed"])
    freedom = len(runs) - len(draws)
    within = (runs["score"] - draws.transform("mean")).pow(2).sum()
    return {
        "n": len(runs), "draws": len(draws), "score": runs["score"].mean(),
        "std_draws": draws.mean().std(), "std_seeds": float(np.sqrt(within / freedom)) if freedom else np.nan,
        "failed": rate.failed, "rate": rate.failed / rate.n, "rate_low": rate.low, "rate_high": rate.high,
        "majority_score": runs["majority_score"].iloc[0],
    }  # fmt: skip


def _draw(
    scores: Axes, failed: Axes, x: pd.Series, rows: pd.DataFrame, look: treatments.ArmStyle, method: str, width: float
) -> None:
    mean, runs = rows[rows["series"] == MEAN], rows[rows["series"] == RUN].sort_values("seed", kind="stable")
    # The points of a size are in the order of their seeds, so that equal scores can be counted.
    place = runs.groupby("examples").cumcount() / (runs.groupby("examples")["seed"].transform("size") - 1).clip(lower=1)
    style.run_points(scores, x[runs.index] + width * (place - 0.5), runs, look, size=2, alpha=0.5)
    line = {"color": look.color, "marker": look.marker, "linestyle": look.linestyle}
    scores.plot(x[mean.index], mean["score"], **line, zorder=3.5, markeredgecolor="white", markeredgewidth=0.5, label=method)
    failed.vlines(x[mean.index], mean["rate_low"], mean["rate_high"], color=look.color, linewidth=1)
    failed.plot(x[mean.index], mean["rate"], **line, label=method)


def _labels(means: pd.DataFrame, sizes: list[int]) -> list[str]:
    counts = means.groupby("examples")["n"].agg(["min", "max"])
    ranges = [f"{low}" if low == high else f"{low}-{high}" for low, high in counts.loc[sizes].itertuples(index=False)]
    return [f"{size:,}\nn = {n}" for size, n in zip(sizes, ranges, strict=True)]
