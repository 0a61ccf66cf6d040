"""Seed map: score on validation for each pair of an init seed and an order seed.

Shows if init or order makes runs differ. After Zhang et al. (2021), Appendix B, Figures 9 and 10:
heat maps of 10 x 10 runs, and along either side the least, mean and greatest score and the standard
deviation.
"""

from itertools import product

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stableft.reporting import axis_labels, grid_axes
from stableft.reporting.figures import style
from stableft.storage.records import Results

CELL, GAP = (0.42, 0.26), 0.15  # inches; of a cell, before the margins
MAP, DARK = "cividis", 0.48  # its lightness also rises without colour; text is white up to DARK, then black: contrast 4.5
MARGINS = ("min", "mean", "max", "std")
WIDEST = 8  # order seeds; a map with more takes the whole width
CAPTION = (
    "Last validation score for each init seed (head, and what else is drawn anew) and order seed (data, dropout). Margins: "
    "least, mean, greatest, standard deviation. Crosses: failed runs. A task without validation: final score."
)


def data(results: Results) -> pd.DataFrame:
    """Computes the scores and their margins for `plot`.

    Returns:
        Columns task, method (``standard``, or the names of the run's techniques), init and order (the
        seed; in margins ``min``, ``mean``, ``max`` or ``std`` over all seeds of that side, both of them
        over all runs), score, failed (of a single run; in margins the number of failed runs).

    Raises:
        MissingInput: no runs, or a finished run without its final score.
    """
    columns = ["task", "method", "init", "order", "score", "failed"]
    runs = grid_axes.seed_scores(results)[columns].astype({"init": "str", "order": "str", "failed": "int"})
    margins = [
        runs.groupby(["task", "method", *kept], sort=False)
        .agg(score=("score", margin), failed=("failed", "sum"))
        .reset_index()
        .assign(**dict.fromkeys({"init", "order"} - set(kept), margin))
        for margin, kept in product(MARGINS, (["init"], ["order"], []))
    ]
    return pd.concat([runs, *margins], ignore_index=True)[columns]


def plot(frame: pd.DataFrame, results: Results) -> Figure:
    """Draws one panel per task and method, with init seeds downwards and order seeds to the right."""
    about = grid_axes.seed_scores(results).drop_duplicates("task")
    names = about[["task", "split", "score_name"]].itertuples(index=False)
    measured = {str(task): axis_labels.of_score(split, score) for task, split, score in names}
    # Panels are as large as their cells need; the colours of a task's panels share one range.
    shown = list(frame.groupby(["task", "method"], sort=False))
    columns, rows = (frame[name].nunique() for name in ("order", "init"))
    with style.context():
        wide = columns - len(MARGINS) > WIDEST
        figure, panels = style.panels(len(shown), CELL[0] * columns + 0.7, CELL[1] * rows + 0.7, 1 if wide else 2)
        for panel, ((task, method), group) in zip(panels, shown, strict=True):
            of_task = frame.loc[(frame["task"] == task) & ~frame["init"].isin(MARGINS) & ~frame["order"].isin(MARGINS), "score"]
            _draw(panel, group, float(of_task.min()), float(of_task.max()))
            panel.set_title(f"{task}, {method}: {measured[str(task)]}")
            panel.set_xlabel("order seed", x=(columns - len(MARGINS)) / columns / 2)
            panel.set_ylabel("init seed", y=1 - (rows - len(MARGINS)) / rows / 2)
    return figure


def _draw(panel: Axes, rows: pd.DataFrame, low: float, high: float) -> None:
    from seaborn import heatmap  # only here: see `style`

    # Colours for the single runs, then all numbers as text, margins set apart by a gap.
    inits, orders = ([name for name in dict.fromkeys(rows[side]) if name not in MARGINS] for side in ("init", "order"))
    cells = rows.pivot(index="init", columns="order", values="score").loc[inits, orders].astype(float)
    heatmap(cells, vmin=low, vmax=high, cmap=MAP, cbar=False, linewidths=0.6, linecolor="white", ax=panel)
    down, right = ({name: place + 0.5 + GAP * (name in MARGINS) for place, name in enumerate([*names, *MARGINS])}
                   for names in (inits, orders))  # fmt: skip
    for init, order, value, failed in rows[["init", "order", "score", "failed"]].itertuples(index=False, name=None):
        if np.isnan(value):
            continue
        ink, mark = style.INK, ""
        if init in inits and order in orders:
            ink = "white" if value <= low + DARK * (high - low) else "black"
            mark = "\u00d7 " if failed else ""
        text = f"{mark}{value:.3f}".replace("0.", ".", 1)
        panel.text(right[order], down[init], text, ha="center", va="center", color=ink, fontsize=7)
    # Axes: only the names of seeds and margins.
    panel.set_xlim(-0.05, len(right) + 0.05 + GAP)
    panel.set_ylim(len(down) + 0.05 + GAP, -0.05)
    panel.set_xticks(list(right.values()), list(right), rotation=0)
    panel.set_yticks(list(down.values()), list(down), rotation=0)
    panel.tick_params(length=0)
    panel.grid(False)
    panel.spines[:].set_visible(False)
