"""Distributions: final scores of all runs, per arm and task.

Mosbach et al. (2021), Figure 1; Zhang et al. (2021), Figures 2, 5 and 13.
"""

import textwrap
from collections.abc import Collection

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stableft.core.errors import NotLogged
from stableft.reporting import majority_scores, run_scores
from stableft.reporting.figures import style, treatments
from stableft.reporting.published import matching_rows
from stableft.storage.records import Results

CAPTION = (
    "Final score of every run, on the split that the axis names. Boxes, of five runs or more: quartiles, whiskers to 1.5 "
    "interquartile ranges. Crosses: "
    "failed runs (final score, on the split that the task is scored on, at or below the majority score, or diverged). Dotted: "
    "majority score of that split, below the axis where all runs are far above it. Open grey marks, if any: published."
)
RUN, PUBLISHED = "run", "published"
ARM_WIDTH, ARM_LETTERS = 0.8, 14  # inches that the label below a box needs, and letters that fit into them
FAR = 1.0  # a majority score more than so many axis heights below the runs is not drawn
BESIDE = (0.37, 0.09)  # offset of an arm's first published number from its middle, and the gap between them
SPREAD = 0.28  # half the width over which the points of an arm are spread


def data(
    results: Results, *, split: str | None = None, published: pd.DataFrame | None = None, arms: Collection[str] | None = None
) -> pd.DataFrame:
    """Selects the final scores for `plot`.

    Args:
        results: Runs and metrics of one experiment.
        split: ``validation`` or ``test``; None: the split on which each task is scored.
        published: See `stableft.reporting.published.read_published`; None: none are drawn.
        arms: Arms to draw, see `stableft.reporting.run_scores.of_arms`; None: all.

    Returns:
        One row per run: the columns of `stableft.reporting.run_scores.final_scores`. On another split
        than the task's own, ``majority_score`` is of that split (NaN if unknown) and ``failed`` is
        unchanged. With
        ``published`` also series (``run`` or ``published``), std, n, label
        (`stableft.reporting.published.beside`), and rows of the published numbers of the same arms.

    Raises:
        MissingInput: no runs, or a finished run without its final score.
        NotLogged: a task was not evaluated on that split after the last step, or there is no run of
            these arms.
    """
    results = run_scores.of_arms(results, arms)
    runs = run_scores.final_scores(results) if split is None else _on(split, results)
    if published is None:
        return runs
    rows = matching_rows(published, runs).drop(columns=["failed"]).rename(columns={"value": "score"}).assign(series=PUBLISHED)
    columns = [*runs.columns, "series", "std", "n", "label"]
    return pd.concat([runs.assign(series=RUN), rows[[name for name in columns if name in rows]]], ignore_index=True)[columns]


def plot(frame: pd.DataFrame, results: Results, **_: object) -> Figure:
    """Draws one panel per task: per arm each run as a point, failed runs as crosses, and a box.

    Arms of fewer than `stableft.reporting.figures.style.FEWEST` runs have no box. It shows the
    quartiles; its whiskers reach to 1.5 interquartile ranges. The points of an arm are in the order of
    the seeds, so runs with equal scores can be counted. Published numbers are to the right of their
    arm's runs.
    """
    # Published rows leave `failed` empty, so its type is restored for the runs.
    others = pd.DataFrame({"task": []})
    if "series" in frame:
        others = frame[frame["series"] == PUBLISHED]
        frame = frame[frame["series"] == RUN].astype({"failed": "bool"})
    # The looks are of all arms, so that an arm looks the same in figures of fewer arms.
    styles = treatments.arm_styles(results.runs["arm"])
    # Panels with many arms take the whole width.
    width = max(style.PANEL[0], ARM_WIDTH * (1 + frame["arm"].nunique()))
    with style.context():
        figure, panels = style.panels(frame["task"].nunique(), width=width, columns=2 if width == style.PANEL[0] else 1)
        for panel, (task, of_task) in zip(panels, frame.groupby("task", sort=False, observed=True), strict=True):
            groups = {str(arm): group for arm, group in of_task.groupby("arm", sort=False, observed=True)}
            _draw(panel, groups, styles)
            # Runs and failed runs are counted below each arm.
            labels = [
                f"{textwrap.fill(arm, ARM_LETTERS, break_long_words=False)}\nn = {len(group)}\n{group['failed'].sum()} failed"
                for arm, group in groups.items()
            ]
            panel.set_xticks(range(len(groups)), labels)
            panel.set_xlim(-0.6, len(groups) - 0.4 + (BESIDE[1] if len(others) else 0))
            _draw_published(panel, others[others["task"] == task], list(groups), list(others.get("label", [])))
            # On one axis with a distant majority score the arms would look alike.
            low, high = panel.get_ylim()
            majority = of_task["majority_score"].iloc[0]
            if not low - majority > FAR * (high - low):
                style.majority_line(panel, majority)
            panel.set(title=task, xlabel="", ylabel=f"{of_task['split'].iloc[0]} {of_task['score_name'].iloc[0].replace('_', ' ')}")
        style.legend(figure)
    return figure


def _on(split: str, results: Results) -> pd.DataFrame:
    runs = run_scores.both_splits(results)
    if runs[split].isna().any():
        raise NotLogged(f"{runs.loc[runs[split].isna(), 'task'].iloc[0]} has no score on {split} after the last step")
    lines = runs["task"].astype("str").map(majority_scores.on_split(results, split))
    moved = runs.assign(split=split, score=runs[split], majority_score=lines)
    return moved.drop(columns=["validation", "test"])


def _draw_published(panel: Axes, rows: pd.DataFrame, arms: list[str], labels: list[str]) -> None:
    for place, label in enumerate(dict.fromkeys(labels)):
        of_label = rows[rows["label"] == label]
        x = [arms.index(arm) + BESIDE[0] + place * BESIDE[1] for arm in of_label["arm"]]
        if x:
            style.published_points(panel, x, of_label["score"], of_label["std"], label, place)


def _draw(panel: Axes, groups: dict[str, pd.DataFrame], styles: dict[str, treatments.ArmStyle]) -> None:
    for position, (arm, group) in enumerate(groups.items()):
        if len(group) >= style.FEWEST:
            style.box(panel, position, group["score"], styles[arm], width=0.6)
        ordered = group.sort_values("seed")
        x = pd.Series(position + np.linspace(-SPREAD, SPREAD, len(ordered) + 2)[1:-1], index=ordered.index)
        style.run_points(panel, x, ordered, styles[arm], size=None if len(group) >= style.FEWEST else 5)
