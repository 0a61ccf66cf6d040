"""Loss and score: final score against final training loss of each run.

Shows if an ever better fit of the training set costs anything. Mosbach et al. (2021), Figure 8b;
protocol section 5.3.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from stableft.core.errors import NotLogged
from stableft.reporting import axis_labels, grid_axes, run_scores, treatments
from stableft.reporting.figures import style
from stableft.storage.records import Results

CAPTION = (
    "Final score of every run against its final training loss. Loss: mean over the last tenth of the steps; runs that "
    "diverged have none. Colours: the arm, whatever its learning rate."
)
HOLLOW: dict[str, Any] = {"markerfacecolor": "none", "markeredgewidth": 0.8}  # points below stay visible
FEW_DECADES = 2.0  # a range of losses up to this also has labels between the powers of ten


def data(results: Results) -> pd.DataFrame:
    """Computes the final loss and score for `plot`, one row per finished run with a finite loss.

    Returns:
        Columns task, arm, method (the arm's name up to " lr=..."), seed, train_loss (mean over the last
        tenth of the steps, see `stableft.reporting.grid_axes.final_losses`), score, failed and
        majority_score.

    Raises:
        NotLogged: no finished run, or none has a finite training loss.
        MissingInput: no runs, or a finished run without its final score.
    """
    scores = run_scores.final_scores(results)
    losses = grid_axes.final_losses(results)
    if scores["diverged"].all():
        raise NotLogged("every run diverged, so none has a final training loss")
    if losses.empty:
        raise NotLogged("no finished run holds the metric 'loss' on split 'train'")
    losses = losses[np.isfinite(losses["train_loss"])]
    if losses.empty:
        raise NotLogged("no finished run has a finite training loss")
    frame = scores.merge(losses.drop_duplicates("run_id"), on="run_id")
    frame["method"] = grid_axes.without_rate(frame["arm"])
    return frame[["task", "arm", "method", "seed", "train_loss", "score", "failed", "majority_score"]]


def plot(frame: pd.DataFrame, results: Results) -> Figure:
    """Draws one panel per task: score against training loss on a logarithmic axis.

    Each run is a point, a failed run a cross.
    """
    about = run_scores.final_scores(results).drop_duplicates("task")[["task", "split", "score_name"]]
    measures = {task: axis_labels.of_score(split, score) for task, split, score in about.itertuples(index=False, name=None)}
    styles = treatments.arm_styles(frame["method"])
    with style.context():
        figure, panels = style.panels(frame["task"].nunique())
        for panel, (task, of_task) in zip(panels, frame.groupby("task", sort=False, observed=True), strict=True):
            for method, runs in of_task.groupby("method", sort=False, observed=True):
                look = styles[str(method)]
                style.run_points(panel, runs["train_loss"], runs, look, label=str(method), **HOLLOW, markeredgecolor=look.color)
            style.majority_line(panel, of_task["majority_score"].iloc[0])
            _axis(panel, of_task["train_loss"].to_numpy())
            lost = f"{of_task['failed'].sum()} of {len(of_task)} runs failed"  # their crosses may hide each other
            panel.set(title=f"{task}: {lost}", xlabel="final training loss", ylabel=measures[task])
        style.legend(figure)
    return figure


def _axis(panel: Axes, losses: np.ndarray) -> None:
    low, high = losses.min() / 1.3, losses.max() * 1.3
    panel.set(xscale="log", xlim=(low, high))
    decades = np.log10(high / low)
    few = decades <= FEW_DECADES
    panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7) if decades < 1 else (1, 2, 5) if few else (1,)))
    panel.xaxis.set_minor_locator(NullLocator())
    if few:
        panel.xaxis.set_major_formatter(FuncFormatter(lambda loss, _: f"{loss:g}"))
