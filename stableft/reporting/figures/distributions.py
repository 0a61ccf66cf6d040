"""Distributions: final scores of all runs, per arm and task.

Mosbach et al. (2021), Figure 1; Zhang et al. (2021), Figures 2, 5 and 13.
"""

import textwrap
from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stableft.core.errors import NotLogged
from stableft.reporting import axis_labels, broken_axis, majority_scores, run_scores, treatments
from stableft.reporting.figures import style
from stableft.reporting.published import matching_rows
from stableft.storage.records import Results

CAPTION = (
    "Final score of every run, on the split that the axis names. A cut axis leaves out a range without runs; 'failed' is "
    "judged on the split that the task is scored on."
)
RUN, PUBLISHED = "run", "published"
ARM_WIDTH, ARM_LETTERS = 0.72, 12  # inches that the label below a box needs, and letters that fit into them
WIDEST = 3.6  # inches of a panel that has another one beside it
MOST_COLUMNS = 6  # arms that are columns; more are rows, whose names have room
ROW_PANEL, ROW_MARGIN, ROW_HEIGHT = 3.5, 0.5, 0.22  # inches
LEAST_SPAN = 0.03  # of a score's axis
REFERENCE: dict[str, Any] = {"color": style.LIGHT_INK, "linewidth": 0.8, "zorder": 1.1}
ROOM = 0.05  # below the majority score, of the height of the axis
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

    The arms are columns, or rows if there are more than `MOST_COLUMNS`. The points of an arm are in the
    order of the seeds, so runs with equal scores can be counted. Published numbers are beside their
    arm's runs. The axis is broken if most of it would be empty.
    """
    # Published rows leave `failed` empty, so its type is restored for the runs.
    others = pd.DataFrame({"task": [], "score": [], "label": []})
    if "series" in frame:
        others = frame[frame["series"] == PUBLISHED]
        frame = frame[frame["series"] == RUN].astype({"failed": "bool"})
    # The looks are of all arms, so that an arm looks the same in figures of fewer arms.
    styles = treatments.arm_styles(results.runs["arm"])
    arms, tasks = frame["arm"].nunique(), frame["task"].nunique()
    rows = arms > MOST_COLUMNS
    with style.context():
        if rows:
            figure, panels = style.panels(tasks, ROW_PANEL, ROW_MARGIN + ROW_HEIGHT * arms)
        else:
            width = max(style.PANEL[0], ARM_WIDTH * (1 + arms))
            figure, panels = style.panels(tasks, width=width, columns=2 if width <= WIDEST else 1)
        for panel, (task, of_task) in zip(panels, frame.groupby("task", sort=False, observed=True), strict=True):
            here = others[others["task"] == task]
            values = pd.concat([of_task["score"], here["score"]])
            parts = broken_axis.split(panel, values, "x" if rows else "y")
            groups = {str(arm): group for arm, group in of_task.groupby("arm", sort=False, observed=True)}
            for part, ends in zip(parts, broken_axis.spots(parts, values, "x" if rows else "y"), strict=True):
                _draw(part, groups, styles, rows, ends)
                part.set_label(str(task))
                _draw_published(part, here, list(groups), list(others["label"]), rows)
                if rows:
                    first = next(iter(groups))
                    part.axvline(groups[first]["score"].mean(), **REFERENCE, label=f"mean of {first}")
            _name(parts, groups, rows, labels=panel in panels[::2])
            _arm_limits(parts, len(groups), BESIDE[1] if len(others) else 0.0, rows)
            broken_axis.limit(parts, values, "x" if rows else "y")
            if len(parts) == 1:
                _widen(panel, rows)
            _majority(parts, of_task["majority_score"].iloc[0], rows)
            label = axis_labels.of_score(of_task["split"].iloc[0], of_task["score_name"].iloc[0])
            (broken_axis.widest(parts, "x") if rows else parts[0]).set_title(str(task))
            (broken_axis.widest(parts, "x").set_xlabel if rows else broken_axis.widest(parts, "y").set_ylabel)(label)
        style.legend(figure)
    return figure


def _on(split: str, results: Results) -> pd.DataFrame:
    runs = run_scores.both_splits(results)
    if runs[split].isna().any():
        raise NotLogged(f"{runs.loc[runs[split].isna(), 'task'].iloc[0]} has no score on {split} after the last step")
    lines = runs["task"].astype("str").map(majority_scores.on_split(results, split))
    moved = runs.assign(split=split, score=runs[split], majority_score=lines)
    return moved.drop(columns=["validation", "test"])


def _draw_published(panel: Axes, rows: pd.DataFrame, arms: list[str], labels: list[str], flip: bool) -> None:
    for place, label in enumerate(dict.fromkeys(labels)):
        of_label = rows[rows["label"] == label]
        at = [arms.index(arm) + BESIDE[0] + place * BESIDE[1] for arm in of_label["arm"]]
        if at:
            style.published_points(panel, at, of_label["score"], of_label["std"], label, place, flip=flip)


def _draw(
    panel: Axes, groups: dict[str, pd.DataFrame], styles: dict[str, treatments.ArmStyle], flip: bool, ends: tuple[float, float]
) -> None:
    """Draws all boxes and means, and the runs with scores within ``ends``."""
    for position, (arm, group) in enumerate(groups.items()):
        look, few = styles[arm], len(group) < style.FEWEST
        if not few and not style.mixed(group["failed"]):
            style.box(panel, position, group["score"], look, width=0.6, flip=flip)
        elif len(group) > 1:
            draw_mean = panel.vlines if flip else panel.hlines
            draw_mean(group["score"].mean(), position - 0.3, position + 0.3, color=look.color, linewidth=1.4, zorder=2.4)
        ordered = group.sort_values("seed")
        place = pd.Series(position + np.linspace(-SPREAD, SPREAD, len(ordered) + 2)[1:-1], index=ordered.index)
        here = ordered["score"].between(*ends)
        style.run_points(panel, place[here], ordered[here], look, size=None if not few else 4 if flip else 5, flip=flip)


def _name(parts: list[Axes], groups: dict[str, pd.DataFrame], rows: bool, labels: bool) -> None:
    """Names the arms, and counts runs and failed runs: below each column, or at the end of each row."""
    counts = {arm: (len(group), int(group["failed"].sum())) for arm, group in groups.items()}
    if not rows:
        names = {arm: textwrap.fill(arm, ARM_LETTERS, break_long_words=False) for arm in groups}
        parts[-1].set_xticks(range(len(groups)), [f"{names[arm]}\nn = {n}\n{failed} failed" for arm, (n, failed) in counts.items()])
        for part in parts[:-1]:
            part.set_xticks(range(len(groups)), [""] * len(groups))
        return
    for part in parts:
        part.set_yticks(range(len(groups)), list(groups) if labels and part is parts[0] else [""] * len(groups))
        part.grid(axis="x")
    for position, (n, failed) in enumerate(counts.values()):
        beside = {"transform": parts[-1].get_yaxis_transform(), "va": "center", "fontsize": 7, "color": style.INK}
        parts[-1].text(1.02, position, f"n = {n}" + (f", {failed} failed" if failed else ""), **beside)


def _arm_limits(parts: list[Axes], arms: int, more: float, rows: bool) -> None:
    for part in parts:
        if rows:
            part.set_ylim(arms - 0.4 + more, -0.6)
        else:
            part.set_xlim(-0.6, arms - 0.4 + more)


def _widen(panel: Axes, rows: bool) -> None:
    """Widens a short axis, on which runs that hardly differ would seem to lie far apart."""
    low, high = panel.get_xlim() if rows else panel.get_ylim()
    room = max(0.0, LEAST_SPAN - (high - low)) / 2
    (panel.set_xlim if rows else panel.set_ylim)(low - room, high + room)
    panel.locator_params(axis="x" if rows else "y", nbins=6 if rows else 8)


def _majority(parts: list[Axes], score: float, rows: bool) -> None:
    """Draws the majority score, unless it is so distant that the arms would look alike beside it."""
    lowest = parts[0] if rows else parts[-1]
    for part in parts:
        low, high = part.get_xlim() if rows else part.get_ylim()
        below = part is lowest and 0 < low - score <= FAR * (high - low)
        if below:
            (part.set_xlim if rows else part.set_ylim)(score - ROOM * (high - score), high)
        if below or low <= score <= high:
            style.majority_line(part, score, flip=rows)
