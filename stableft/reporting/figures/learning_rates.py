"""Learning rates: score against learning rate for each arm.

Shows if an arm behaves like another arm at a different learning rate. Mosbach et al. (2021),
Figures 5 and 9: boxes, here from five runs on; of fewer runs only the points.
"""

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from stableft import statistics
from stableft.reporting import axis_labels, grid_axes, markup, run_scores, treatments
from stableft.reporting.figures import style
from stableft.reporting.rounding import exact
from stableft.storage.records import Results

MEAN, RUN = "mean", "run"
CAPTION = (
    "Final score against learning rate, and the failed runs of each arm and rate. All points above a rate are runs of it; "
    "bars: means. Triangle: the rate with the first arm's best mean validation score, over seeds that all rates have."
)
HEIGHT = 2.2  # inches of a panel without the counts of failed runs
SLOTS, APART = 0.92, 0.35  # width of all arms at a rate; the next rate is 1 away, that of a further setting more
COLUMN = "#f5f5f5"  # behind each rate: no point belongs to another one
COUNT_TOP, COUNT_ROW = -23, 9  # points below the axis of the first row of counts, and between rows


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
    """Draws one panel per task and setting: a column per learning rate, the arms beside each other.

    Each run is a point; a triangle marks the chosen learning rate. Settings with a single rate are
    further columns of the first panel. Failed runs are counted below each column.
    """
    about = run_scores.final_scores(results).drop_duplicates("task").set_index("task")[["split", "score_name"]]
    arms = list(dict.fromkeys(grid_axes.learning_rates(results)["arm"]))
    styles = treatments.arm_styles(arms)
    shown = [panel for task in about.index for panel in _panels(frame[frame["task"] == task], str(task))]
    with style.context():
        figure, panels = style.panels(len(shown), height=HEIGHT + COUNT_ROW / 72 * len(arms))
        for panel, (task, columns) in zip(panels, shown, strict=True):
            of_task = frame[frame["task"] == task]
            places = _columns(panel, columns)
            top = COUNT_TOP - COUNT_ROW * (len({setting for setting, _ in columns}) - 1)
            for arm in (arm for arm in arms if (of_task["arm"] == arm).any()):
                panel.plot([], [], **styles[arm]._asdict(), label=arm)
            for place, arm in enumerate(arms):
                look = styles[arm]
                shift = SLOTS * ((place + 0.5) / len(arms) - 0.5)
                for (setting, lr), x in places.items():
                    here = of_task[(of_task["setting"] == setting) & (of_task["lr"] == lr) & (of_task["arm"] == arm)]
                    if len(here):
                        _draw(panel, here, look, x + shift, SLOTS / len(arms))
                        _count(panel, here, look, x, top - COUNT_ROW * place)
                _mean_line(panel, of_task[of_task["arm"] == arm], {column: x + shift for column, x in places.items()}, look)
            style.majority_line(panel, of_task["majority_score"].iloc[0])
            panel.set_title(_title(str(task), columns), pad=11)
            panel.annotate(
                "failed runs", (0, 0), (-4, top - COUNT_ROW * (len(arms) - 1) / 2), xycoords="axes fraction",
                textcoords="offset points", ha="right", va="center", fontsize=7,
            )  # fmt: skip
            panel.set_xlabel("learning rate", labelpad=COUNT_ROW * len(arms) + 8)
            split, score = map(str, about.loc[task])
            panel.set_ylabel(axis_labels.of_score(split, score))
        # The settings of a task share their scale, so that they can be compared.
        for task in about.index:
            of_task = [panel for panel, (name, _) in zip(panels, shown, strict=True) if name == task]
            low, high = zip(*(panel.get_ylim() for panel in of_task), strict=True)
            for panel in of_task:
                panel.set_ylim(min(low), max(high))
        style.legend(figure)
    return figure


Column = tuple[str, float]  # setting and learning rate


def _panels(of_task: pd.DataFrame, task: str) -> list[tuple[str, list[Column]]]:
    """Returns the task and the columns of each panel: one per setting, but for those of a single rate."""
    settings = {
        str(setting): [(str(setting), float(str(lr))) for lr in np.sort(rows["lr"].unique())]
        for setting, rows in of_task.groupby("setting", sort=True, observed=True)
    }
    first, *others = settings
    single = [name for name in others if len(settings[name]) == 1 < len(settings[first])]
    whole = [*settings[first], *(column for name in single for column in settings[name])]
    return [(task, whole), *((task, settings[name]) for name in others if name not in single)]


def _title(task: str, columns: list[Column]) -> str:
    setting = columns[0][0]
    return f"{task}, {setting.replace('=', ' ')}" if setting else task


def _columns(panel: Axes, columns: list[Column]) -> dict[Column, float]:
    """Sets an axis with a column per learning rate and setting, and returns their middles."""
    settings = list(dict.fromkeys(setting for setting, _ in columns))
    places = {column: number + APART * settings.index(column[0]) for number, column in enumerate(columns)}
    further = {setting: f"\n{setting.replace('=', ' ')}" for setting in settings[1:]}
    panel.set_xticks(list(places.values()), [markup.FORMATS["lr"](lr) + further.get(setting, "") for setting, lr in columns])
    panel.set_xlim(-0.5, max(places.values()) + 0.5)
    panel.tick_params(axis="x", length=0)
    for x in places.values():
        panel.axvspan(x - SLOTS / 2 - 0.01, x + SLOTS / 2 + 0.01, color=COLUMN, linewidth=0, zorder=0)
    return places


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


def _mean_line(panel: Axes, rows: pd.DataFrame, places: dict[Column, float], look: treatments.ArmStyle) -> None:
    """Draws a thin line through the means of each setting."""
    for setting, of_setting in rows[rows["series"] == MEAN].sort_values("lr").groupby("setting", observed=True):
        ends = [
            (places[str(setting), lr], score) for lr, score in of_setting[["lr", "score"]].to_numpy() if (setting, lr) in places
        ]
        if len(ends) > 1:
            thin = {"edgecolor": look.color, "linestyle": look.linestyle, "linewidth": 0.8, "alpha": 0.6, "zorder": 1.5}
            panel.add_patch(PathPatch(Path(ends), facecolor="none", **thin))


def _draw(panel: Axes, rows: pd.DataFrame, look: treatments.ArmStyle, at: float, width: float) -> None:
    """Draws the runs of an arm at one learning rate, their mean, and of enough runs box and interval."""
    mean, runs = rows[rows["series"] == MEAN].iloc[0], rows[rows["series"] == RUN].sort_values("seed")
    boxed = len(runs) >= style.FEWEST and not style.mixed(runs["failed"])
    # Runs are spread in the order of the seeds, as failed runs of equal score would hide each other.
    spread = width * (np.linspace(-0.42, 0.42, len(runs) + 2)[1:-1])
    style.run_points(panel, pd.Series(at + spread, index=runs.index), runs, look, size=3.2, alpha=0.5 if boxed else 0.8)
    figure: Any = panel.get_figure()
    wide: dict[str, Any] = {"markersize": 0.8 * 72 * width * figure.get_figwidth() / 14, "markeredgewidth": 1.6}
    panel.plot([at], [mean["score"]], marker="_", linestyle="none", color=look.color, zorder=3.2, **wide)
    if len(runs) >= style.FEWEST:
        panel.vlines(at, mean["low"], mean["high"], color=look.color, linewidth=0.9, zorder=3)
    if boxed:
        style.box(panel, at, runs["score"], look, width=0.9 * width)
    if mean["chosen"]:
        panel.plot(
            at, 1.03, marker="v", color=style.INK, markersize=4, clip_on=False, transform=panel.get_xaxis_transform(),
            linestyle="none", label="chosen learning rate",
        )  # fmt: skip


def _count(panel: Axes, rows: pd.DataFrame, look: treatments.ArmStyle, x: float, below: float) -> None:
    mean = rows[rows["series"] == MEAN].iloc[0]
    panel.annotate(
        f"{mean['failed']}/{mean['n']}", (x, 0), (0, below), xycoords=("data", "axes fraction"),
        textcoords="offset points", ha="center", va="center", fontsize=7, color=look.color,
    )  # fmt: skip
