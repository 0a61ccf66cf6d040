"""Curves over training: the mean over seeds per arm, and each failed run.

Zhang et al. (2021), Figures 3 and 11.
"""

from collections.abc import Collection
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from stableft.reporting import captions, panel_parts
from stableft.reporting.figures import style, treatments
from stableft.reporting.mean_curves import INTERVAL, RANGE, mean_curves
from stableft.storage.records import Results

CAPTION = (
    "Mean over seeds; a point of a training series is the mean over a tenth of the run's steps if nothing else is said. "
    "Shaded, as the legend says: pointwise 95 % percentile bootstrap interval over seeds, or from the least to the greatest run. "
    "Thin lines: failed runs (final score at or below the majority score, or diverged). Runs that diverged are not part of a mean, "
    "except of the score's."
)


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
        return captions.arms_drawn(arms=arms)
    points = "Where a protocol evaluates on a fixed subset, all points are on it, unlike the scores of the tables."
    if split == "train":
        points = f"Each point is the mean over {f'{interval} steps' if interval else 'a tenth of the steps'}."
    sentences = f"{metric.replace('_', ' ').capitalize()} on {split}. {points}"
    if published is not None:
        sentences += " Grey, dotted, with open marks: published, where a source's points are at the same steps."
    return sentences


def data(results: Results, *, split: str, metric: str, **options: Any) -> pd.DataFrame:
    """Computes the mean curves and the curves of failed runs for `plot`.

    Args:
        results: Runs and metrics of one experiment.
        split: ``train``, ``validation`` or ``test``.
        metric: Name of the logged series.
        options: ``interval``, ``band``, ``published`` and ``arms`` of
            `stableft.reporting.mean_curves.mean_curves`.

    Returns:
        As that function.

    Raises:
        MissingInput: as that function.
    """
    return mean_curves(results, split=split, metric=metric, **options)


def plot(frame: pd.DataFrame, results: Results, *, split: str, metric: str, band: str = INTERVAL, **_: object) -> Figure:
    """Draws one panel per task: mean curve and band per arm, and failed runs as thin lines.

    For scores a dotted line marks the majority score.
    """
    names = results.runs.drop_duplicates("task").set_index("task")["score_name"]
    # The looks are of all arms, so that an arm looks the same in figures of fewer arms.
    styles = treatments.arm_styles(results.runs["arm"])
    with style.context():
        figure, axes = style.panels(frame["task"].nunique())
        for panel, (task, of_task) in zip(axes, frame.groupby("task", sort=False, observed=True), strict=True):
            for arm, curves in of_task.groupby("arm", sort=False, observed=True):
                panel_parts.arm_curves(panel, curves, str(arm), styles[str(arm)])
            panel_parts.band_names(panel, of_task, band)
            style.majority_line(panel, of_task["majority_score"].iloc[0])
            shown = names[task] if metric == "score" else metric
            panel.set(title=task, xlabel="step", ylabel=f"{split} {shown.replace('_', ' ')}")
            panel.set_xlim(left=0)
        style.legend(figure)
    return figure
