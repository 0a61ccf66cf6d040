"""Evaluations per run: expected best validation score of n runs, by how often each run is evaluated.

Dodge et al. (2020), Figure 1: evaluated once, three times or thirty times a run (protocol section
6). The best of more evaluations is higher by selection alone.
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from stableft import statistics
from stableft.core.errors import TooFew
from stableft.reporting import axis_labels, run_scores, treatments
from stableft.reporting.figures import style
from stableft.storage.records import Results

FEW = (1, 3)  # evaluations of a run, beside all that are logged
CAPTION = (
    "Validation score to expect of the best of n runs, by how many evaluations of a run count. Evenly spaced, the last among "
    "them; exact expectation over draws. Chosen and scored on the same examples, so too high."
)
LINES = (":", "--", "-")


def data(results: Results) -> pd.DataFrame:
    """Computes the expected scores for `plot`.

    A run without a defined score at a point has the task's majority score there.

    Returns:
        Columns task, arm, evaluations (of a run that count: 1, 3, and all), n (runs to choose from, 1
        to all), value, low and high (one standard deviation over draws, within the range of the
        scores).

    Raises:
        TooFew: no task has more than one evaluation of a run.
        MissingInput: no runs, or a finished run without its final score.
    """
    frames = [
        _curve(grid, count).assign(task=task, arm=arm)
        for task, arm, grid in run_scores.validation_points(results)
        for count in _counts(grid.shape[1])
    ]
    if not frames:
        raise TooFew("no run was evaluated on validation more than once")
    return pd.concat(frames, ignore_index=True)[["task", "arm", "evaluations", "n", "value", "low", "high"]]


def plot(frame: pd.DataFrame, results: Results) -> Figure:
    """Draws a panel per task and arm, with one line and band per number of evaluations."""
    looks = treatments.arm_styles(results.runs["arm"])
    shown = list(frame.groupby(["task", "arm"], sort=False))
    with style.context():
        figure, panels = style.panels(len(shown))
        for panel, ((task, arm), rows) in zip(panels, shown, strict=True):
            for line, (count, curve) in zip(LINES[-rows["evaluations"].nunique() :], rows.groupby("evaluations"), strict=True):
                look = looks[str(arm)]._replace(linestyle=line)
                style.band(panel, curve["n"], curve, look, "_", shaded=curve["n"].max() >= style.FEWEST)
                # An empty artist, so that the legend names no arm.
                panel.plot([], [], color=style.INK, linestyle=line, label=f"{count} evaluation{'s' * (count != 1)} of a run")
            panel.set(title=f"{task}, {arm}", xlabel="runs to choose from", ylabel=axis_labels.of_points(results, str(task)))
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        style.legend(figure)
    return figure


def _counts(points: int) -> list[int]:
    return [*(count for count in FEW if count < points), points]


def _curve(grid: pd.DataFrame, count: int) -> pd.DataFrame:
    points = grid.shape[1]
    places = [(place + 1) * points // count - 1 for place in range(count)]
    scores = grid.iloc[:, places].max(axis="columns").to_numpy()
    mean, std = statistics.best_of_n(scores)
    low, high = np.clip(mean - std, scores.min(), scores.max()), np.clip(mean + std, scores.min(), scores.max())
    return pd.DataFrame({"evaluations": count, "n": np.arange(1, len(scores) + 1), "value": mean, "low": low, "high": high})
