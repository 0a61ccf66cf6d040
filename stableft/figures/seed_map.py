"""Final score for each pair of an init seed and an order seed: which of the two makes runs differ?

After Zhang et al. (2021), Appendix B: heat maps of 10 x 10 runs, and the means along either side.
"""

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from stableft import tables
from stableft.figures import style
from stableft.records import Results

CELL = (0.42, 0.26)  # inches
MAP, DARK = "cividis", 0.55  # light to the eye and without colour alike; text is white on what is darker than that
MEAN = "mean"
CAPTION = (
    "Final score for each init seed (head, and what else is drawn anew) and each order seed (order of the data, and dropout); "
    "last column and row: means. Crosses: failed runs (final score at or below the majority score, or diverged). Colours: from the "
    "lowest to the highest score of a task."
)


def data(results: Results) -> pd.DataFrame:
    """The numbers that `plot` draws.

    Returns:
        Columns task, method (``standard``, or the names of the run's techniques), init, order (the seed, or ``mean`` of all),
        score, failed (of a single run; number of failed runs where it is a mean).

    Raises:
        MissingInput: no runs, or a finished run without its final score.
    """
    columns = ["task", "method", "init", "order", "score", "failed"]
    runs = tables.seed_scores(results)[columns].astype({"init": "str", "order": "str", "failed": "int"})
    means = [
        runs.groupby(["task", "method", *kept], sort=False)
        .agg(score=("score", "mean"), failed=("failed", "sum"))
        .reset_index()
        .assign(**dict.fromkeys({"init", "order"} - set(kept), MEAN))
        for kept in (["init"], ["order"], [])
    ]
    return pd.concat([runs, *means], ignore_index=True)[columns]


def plot(results: Results) -> Figure:
    """One panel per task and method; init seeds downwards, order seeds to the right.

    Raises:
        MissingInput: see `data`.
    """
    frame = data(results)
    about = tables.final_scores(results).drop_duplicates("task")
    names = about[["task", "split", "score_name"]].itertuples(index=False)
    measured = {str(task): f"{split} {score}" for task, split, score in names}
    shown = list(frame.groupby(["task", "method"], sort=False))
    columns, rows = (frame[name].nunique() for name in ("order", "init"))
    with style.context():
        figure, panels = style.panels(len(shown), CELL[0] * columns + 0.7, CELL[1] * rows + 0.7)
        for panel, ((task, method), group) in zip(panels, shown, strict=True):
            of_task = frame.loc[frame["task"] == task, "score"]
            _draw(panel, group, float(of_task.min()), float(of_task.max()))
            panel.set_title(f"{task}, {method}: {measured[str(task)].replace('_', ' ')}")
            panel.set(xlabel="order seed", ylabel="init seed")
    return figure


def _draw(panel: Axes, rows: pd.DataFrame, low: float, high: float) -> None:
    inits, orders = ([*dict.fromkeys(rows.loc[rows[name] != MEAN, name]), MEAN] for name in ("init", "order"))
    score, failed = (rows.pivot(index="init", columns="order", values=name).loc[inits, orders] for name in ("score", "failed"))
    level = (score.to_numpy() - low) / ((high - low) or 1.0)
    colors = colormaps[MAP](np.nan_to_num(level))
    for (i, j), value in np.ndenumerate(score.to_numpy()):
        if np.isnan(value):
            continue
        of_mean = inits[i] == MEAN or orders[j] == MEAN
        x, y = j + 0.15 * (orders[j] == MEAN), i + 0.15 * (inits[i] == MEAN)
        if not of_mean:
            panel.add_patch(_square(x, y, colors[i, j]))
        mark = "\u00d7 " if failed.iat[i, j] and not of_mean else ""
        ink = "white" if not of_mean and level[i, j] < DARK else style.INK
        panel.text(x, y, f"{mark}{value:.3f}".replace("0.", ".", 1), ha="center", va="center", color=ink, fontsize=7)
    panel.set_xlim(-0.55, len(orders) - 0.3)
    panel.set_ylim(len(inits) - 0.3, -0.55)
    panel.set_xticks([*range(len(orders) - 1), len(orders) - 0.85], orders)
    panel.set_yticks([*range(len(inits) - 1), len(inits) - 0.85], inits)
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)


def _square(x: float, y: float, color: np.ndarray) -> Rectangle:
    return Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=color, edgecolor="white", linewidth=0.6)
