"""Loss surface: training loss on the plane through the start of two runs and their ends.

Shows if both runs end in the same valley. After Mosbach et al. (2021), Figures 7 and 13.
"""

import json
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from stableft.core.errors import NotLogged
from stableft.reporting import axis_labels, run_scores, training_curves
from stableft.reporting.figures import style
from stableft.reporting.rounding import exact
from stableft.storage.records import CELL, Results

PANEL = (3.3, 2.3)
MAP = "cividis"  # its lightness also rises without colour; dark is a low loss
FLOOR = 1e-6  # losses below are drawn as this, because the scale is logarithmic
NUM_LEVELS = 17
MOST_DECADES = 3  # of losses that have ticks in between
OF_NUMBERS = ("spearman", "pearson", "negative_rmse")  # scores of tasks whose loss is the squared error
MARKERS = {"start": "o", "failed": "X", "successful": "*"}
# Labels of the points (a, b): offset in points, and alignment. All are inside the panel and apart.
BESIDE = {(0, 0): (0, -7, "center", "top"), (1, 0): (8, 6, "right", "bottom"), (0, 1): (9, 0, "left", "center")}
CAPTION = (
    "Training loss on the plane through the start of two runs and their ends. Points are start + a (end of the one run - "
    "start) + b (end of the other - start), of all weights, without dropout, on the same training examples."
)


def data(results: Results) -> pd.DataFrame:
    """Collects the points of each surface for `plot`.

    Returns:
        One row per point of each surface: task, seed, arm (of the run with the surface), a, b, loss,
        score (of the same examples), point (``start``, at the two ends the arm of the run ending there,
        else empty), final_score and failed (of that run).

    Raises:
        NotLogged: no run has a surface.
        MissingInput: a finished run without its final score.
    """
    frame = training_curves.surfaces(results)
    frame = frame.merge(_points(results, frame), on=[*CELL, "a", "b"], how="left")
    frame["point"] = frame["point"].fillna("")
    return frame[["task", "seed", "arm", "a", "b", "loss", "score", "point", "final_score", "failed"]]


def _points(results: Results, surfaces: pd.DataFrame) -> pd.DataFrame:
    """Lists the start and both ends of each surface: its cell, a, b, point, final_score, failed."""
    ends = run_scores.final_scores(results).set_index("run_id", drop=False)
    runs = results.runs.merge(surfaces[CELL].drop_duplicates(), on=CELL)
    rows = []
    for run in runs.itertuples(index=False):
        cell = {name: getattr(run, name) for name in CELL}
        rows.append({**cell, "a": 0.0, "b": 0.0, "point": "start"})
        for a, b, end in ((1.0, 0.0, ends[ends.index == run.sources]), (0.0, 1.0, ends[ends.index == run.run_id])):
            outcome = {"point": "the other run"}
            if len(end):
                outcome = {"point": end["arm"].iat[0], "final_score": end["score"].iat[0], "failed": bool(end["failed"].iat[0])}
            rows.append({**cell, "a": a, "b": b, **outcome})
    return pd.DataFrame(rows, columns=[*CELL, "a", "b", "point", "final_score", "failed"])


def plot(frame: pd.DataFrame, results: Results) -> Figure:
    """Draws one panel per surface, with its task, seed and arm.

    Raises:
        NotLogged: no loss is finite.
    """
    # All panels share their levels, so that colours can be compared.
    levels = _levels(frame["loss"])
    scored = run_scores.final_scores(results).drop_duplicates("task").set_index("task")
    shown = list(frame.groupby(["task", "seed", "arm"], sort=False))
    arms = frame["arm"].nunique()
    with style.context():
        figure, panels = style.panels(len(shown), *PANEL)
        for panel, ((task, seed, arm), group) in zip(panels, shown, strict=True):
            drawn = _draw(panel, group, levels)
            examples = _num_examples(results, str(task), str(arm))
            panel.set_title(f"{task}, seed {seed}" + (f", surface of {arm}" if arms > 1 else ""))
            # The three points, and axes with the names of the runs.
            split, score = map(str, scored.loc[str(task), ["split", "score_name"]])
            for row in group[group["point"] != ""].itertuples():
                _mark(panel, row, axis_labels.of_score(split, score))
            first, second = (group.loc[(group["a"] == a) & (group["b"] == 1 - a), "point"].item() for a in (1, 0))
            panel.locator_params(nbins=5)
            panel.grid(False)
            panel.set(xlabel=f"a (from start to {first})", ylabel=f"b (from start to {second})", aspect="equal")
            # A bar as high as its panel.
            bar = figure.colorbar(drawn, cax=panel.inset_axes((1.04, 0, 0.05, 1)), ticks=_ticks(levels))
            unit = "squared error" if scored.at[task, "score_name"] in OF_NUMBERS else "cross entropy, nats"
            bar.set_label(f"mean loss of {examples} training examples\n({unit})")
            bar.ax.minorticks_off()
            bar.ax.set_yticklabels([f"{tick:g}" for tick in _ticks(levels)])
    return figure


def _levels(losses: pd.Series) -> NDArray[np.float64]:
    finite = losses[np.isfinite(losses)].clip(lower=FLOOR)
    if finite.empty:
        raise NotLogged("no point of any surface has a finite loss: the runs diverged")
    return exact(np.geomspace(finite.min(), max(finite.max(), 1.01 * finite.min()), NUM_LEVELS))


def _ticks(levels: NDArray[np.float64]) -> list[float]:
    """Returns 1, 2, 3, 5, 7 times the powers of ten within the levels; of many decades, the powers."""
    decades = np.arange(np.floor(np.log10(levels[0])), np.log10(levels[-1]) + 1)
    steps = (1, 2, 3, 5, 7) if len(decades) <= MOST_DECADES else (1,)
    ticks = [round(step * 10**decade, 10) for decade in decades.tolist() for step in steps]
    return [tick for tick in ticks if levels[0] <= tick <= levels[-1]]


def _num_examples(results: Results, task: str, arm: str) -> int:
    run = results.runs[(results.runs["task"] == task) & (results.runs["arm"] == arm)].iloc[0]
    asked, there = json.loads(run["config"])["surface"]["num_examples"], int(run["num_train"])
    return min(asked or there, there)


def _mark(panel: Axes, row: Any, score: str) -> None:
    """Marks and labels one of the three points; a run's end shows its score and whether it failed."""
    kind, label = "start", row.point
    if row.point != "start" and row.final_score == row.final_score:
        kind = "failed" if row.failed else "successful"
        label = f"{row.point}, {kind}:\n{score} {row.final_score:.3f}"
    around = [withStroke(linewidth=2, foreground="white")]
    size = 11 if MARKERS[kind] == "*" else 7
    panel.plot(
        row.a, row.b, MARKERS[kind], color=style.INK, markeredgecolor="white", markeredgewidth=0.8, markersize=size, zorder=4
    )
    x, y, across, up = BESIDE[row.a, row.b]
    panel.annotate(
        label, (row.a, row.b), (x, y), textcoords="offset points", ha=across, va=up, fontsize=7, color=style.INK, zorder=5,
        path_effects=around,
    )  # fmt: skip


def _draw(panel: Axes, rows: pd.DataFrame, levels: NDArray[np.float64]) -> ContourSet:
    loss = rows.pivot(index="b", columns="a", values="loss")
    height = np.ma.masked_invalid(loss.to_numpy().clip(min=FLOOR))
    where = (loss.columns.to_numpy(), loss.index.to_numpy(), height)
    filled = panel.contourf(*where, levels=levels, norm=LogNorm(levels[0], levels[-1]), cmap=MAP)
    panel.contour(*where, levels=levels, colors=style.INK, linewidths=0.3)
    return filled
