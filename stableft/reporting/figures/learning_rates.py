"""Learning rates: score against learning rate for each arm.

Shows if an arm behaves like another arm at a different learning rate. Mosbach et al. (2021),
Figures 5 and 9: boxes, here from five runs on; of fewer runs only the points.
"""

from collections.abc import Hashable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stableft import statistics
from stableft.reporting import grid_axes, panel_parts, run_scores
from stableft.reporting.figures import style, treatments
from stableft.reporting.rounding import exact
from stableft.storage.records import Results

MEAN, RUN = "mean", "run"
CAPTION = (
    "Final score against learning rate. Line: mean over seeds. Small marks beside it: single runs; crosses: failed runs (final "
    "score at or below the majority score, or diverged). From five runs on also: a box of their quartiles, with whiskers to 1.5 "
    "interquartile ranges, and the 95 % BCa bootstrap interval of the mean. Dotted: majority score. Triangle: the learning rate "
    "with the best mean validation score of the first arm, over the seeds that all rates have."
)
# Offset of a mean from its rate, range of offsets of its runs, offset and width of their box; unit: the gap between two rates.
MEAN_SHIFT, RUN_SHIFTS, BOX_SHIFT, BOX_WIDTH = 0.1, (0.18, 0.34), 0.26, 0.2


def data(results: Results) -> pd.DataFrame:
    """Computes the means and collects the runs for `plot`.

    Returns:
        Columns task, arm, setting, lr, series (``mean`` or ``run``), seed (NA for means), score, low,
        high (95 % BCa interval of the mean, NaN for single runs), n, failed (number of failed runs),
        majority_score and chosen. The latter is True on one mean per task and setting: the first arm's
        at its rate with the best mean validation score over the seeds that all its rates have, the
        lower rate on ties; on none if there is only one rate.

    Raises:
        MissingInput: no runs, or a finished run without its final score.
    """
    runs = grid_axes.learning_rates(results)
    single = runs.assign(series=RUN, low=np.nan, high=np.nan, n=1, failed=runs["failed"].astype(int), chosen=False)
    means = pd.DataFrame([_mean(group) for _, group in runs.groupby(["task", "arm", "setting", "lr"], observed=True)])
    # The choice is by the seeds that all rates have; a single rate is no choice.
    first = grid_axes.common_seeds(runs[runs["arm"] == runs["arm"].iloc[0]])
    keys = ["task", "arm", "setting", "lr"]
    best = first.groupby(keys, observed=True)["validation"].mean().rename("validation").reset_index()
    best["validation"] = best["validation"].map(exact)  # two rates may tie
    rates = best.groupby(["task", "setting"], observed=True)["validation"]
    chosen = best.loc[rates.idxmax()[rates.size() > 1], keys].assign(chosen=True)
    means = means.merge(chosen, how="left", on=keys)
    means["chosen"] = means["chosen"].eq(True)
    columns = ["task", "arm", "setting", "lr", "series", "seed", "score", "low", "high", "n", "failed", "majority_score", "chosen"]
    frame = pd.concat([means, single], ignore_index=True)[columns].astype({"seed": "Int64"})
    return frame.sort_values(["series", "lr"], kind="stable", ignore_index=True)


def plot(frame: pd.DataFrame, results: Results) -> Figure:
    """Draws one panel per task and setting: mean and interval per arm against the learning rate.

    Each run is a point; a triangle marks the chosen learning rate.
    """
    # Panels: the tasks, each with its settings in order, and what their scores measure.
    settings = frame[["task", "setting"]].drop_duplicates().sort_values("setting", kind="stable")
    about = run_scores.final_scores(results).drop_duplicates("task")[["task", "split", "score_name"]].merge(settings, on="task")
    first = grid_axes.learning_rates(results)["arm"].iloc[0]
    styles = treatments.arm_styles(sorted(frame["arm"].unique()))
    with style.context():
        figure, panels = style.panels(len(about))
        for panel, (task, split, score, setting) in zip(panels, about.itertuples(index=False, name=None), strict=True):
            of_task = frame[(frame["task"] == task) & (frame["setting"] == setting)]
            # The first arm is left of each rate, the others right of it.
            gap = panel_parts.rate_axis(panel, np.sort(of_task["lr"].unique()))
            for arm, look in styles.items():
                _draw(panel, of_task[of_task["arm"] == arm], arm, look, -gap if arm == first else gap)
            style.majority_line(panel, of_task["majority_score"].iloc[0])
            for chosen in of_task.loc[of_task["chosen"], "lr"]:
                panel.plot(
                    chosen, 1.03, marker="v", color=style.INK, markersize=4, clip_on=False,
                    transform=panel.get_xaxis_transform(), linestyle="none", label="chosen learning rate",
                )  # fmt: skip
            panel.set_title(f"{task}, {setting.replace('=', ' ')}" if setting else task, pad=11)
            panel.set(xlabel="learning rate", ylabel=f"{split} {score.replace('_', ' ')}")
        # The settings of a task share their scale, so that they can be compared.
        for task in dict.fromkeys(about["task"]):
            of_task = [panel for panel, name in zip(panels, about["task"], strict=True) if name == task]
            low, high = zip(*(panel.get_ylim() for panel in of_task), strict=True)
            for panel in of_task:
                panel.set_ylim(min(low), max(high))
        style.legend(figure)
    return figure


def _mean(group: pd.DataFrame) -> dict[Hashable, object]:
    shared = group[["task", "arm", "setting", "lr", "majority_score"]].iloc[0].to_dict()
    low, high = statistics.mean_interval(group["score"], statistics.resampling())
    mean = {
        "series": MEAN,
        "seed": pd.NA,
        "score": group["score"].mean(),
        "low": low,
        "high": high,
    }
    return {**shared, **mean, "n": len(group), "failed": int(group["failed"].sum())}


def _draw(panel: Axes, rows: pd.DataFrame, arm: str, look: treatments.ArmStyle, side: float) -> None:
    mean, runs = rows[rows["series"] == MEAN], rows[rows["series"] == RUN]
    at = mean["lr"] * 10 ** (side * MEAN_SHIFT)
    # Runs are spread in the order of the seeds, as failed runs of equal score would hide each other.
    of_rate = runs.groupby("lr")["seed"]
    place = (of_rate.rank(method="dense").astype(float) - 1) / (of_rate.transform("nunique") - 1).clip(lower=1)
    run_at = runs["lr"] * 10 ** (side * np.interp(place, [0, 1], RUN_SHIFTS))
    # No error bars, as they take lengths: a BCa interval of few runs need not contain the mean.
    whole = mean["n"] >= style.FEWEST
    panel.vlines(at[whole], mean.loc[whole, "low"], mean.loc[whole, "high"], color=look.color, linewidth=0.9, zorder=3)
    panel.plot(at, mean["score"], **look._asdict(), zorder=3, label=arm)
    style.run_points(panel, run_at, runs, look, size=3, alpha=0.6, markeredgewidth=0, zorder=2)
    for lr, of_rate in runs.groupby("lr"):
        if len(of_rate) >= style.FEWEST:
            left, right = (
                float(str(lr)) * 10 ** (side * shift) for shift in (BOX_SHIFT - BOX_WIDTH / 2, BOX_SHIFT + BOX_WIDTH / 2)
            )
            style.box(panel, (left + right) / 2, of_rate["score"], look, width=abs(right - left))
