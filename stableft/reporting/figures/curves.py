"""Curves over training: the mean over seeds per arm, and each failed run.

Zhang et al. (2021), Figures 3 and 11.
"""

import re
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stableft.reporting import axis_labels, captions, panel_parts, treatments
from stableft.reporting.figures import style
from stableft.reporting.mean_curves import INTERVAL, MEAN, RANGE, mean_curves
from stableft.storage.records import Results

CAPTION = "Thin lines: failed runs. Runs that diverged are not part of a mean, except of the score's."


MOST_CURVES = 4  # arms of one panel
PAGE, SMALL = 7.0, 1.45  # inches: width of a page of small panels, and height of each
NUMBERED = re.compile(r" (\d+)$")
Pairs = Sequence[Sequence[str]]


class ArmPanel(NamedTuple):
    """A panel of a task: its arms, and how they are drawn.

    Attributes:
        name: Title after the task; empty: none.
        arms: The arms drawn.
        wide: The first arm is a wide, pale line.
        numbered: The arms end in the number that is the panel's name.
        lines: Only means are drawn.
    """

    name: str
    arms: list[str]
    wide: bool = False
    numbered: bool = False
    lines: bool = False


def lead(*, split: str, metric: str, interval: int | None = None, **_: object) -> str:
    """Returns the sentences before `CAPTION`: what is shown, and what a point is."""
    shown = f"{metric.replace('_', ' ').capitalize()} on {split}" if (split, metric) != ("train", "loss") else "Training loss"
    title = f"{shown} over the steps of a run, mean over seeds."
    if split == "train":
        return f"{title} Each point is the mean over {f'{interval} steps' if interval else 'a tenth of the steps'}."
    return title


def note(*, band: str = INTERVAL, published: pd.DataFrame | None = None, arms: Collection[str] | None = None, **_: object) -> str:
    """Returns the sentences after `CAPTION`: what is shaded, and whose curves are drawn."""
    shaded = "from the least to the greatest run" if band == RANGE else "pointwise 95 % percentile bootstrap interval over seeds"
    grey = "Grey, dotted: published." if published is not None else ""
    return " ".join(filter(None, [f"Shaded: {shaded}.", grey, captions.arms_drawn(arms=arms)]))


def data(results: Results, *, split: str, metric: str, pairs: Pairs | None = None, **options: Any) -> pd.DataFrame:
    """Computes the mean curves and the curves of failed runs for `plot`.

    Args:
        results: Runs and metrics of one experiment.
        split: ``train``, ``validation`` or ``test``.
        metric: Name of the logged series.
        pairs: See `plot`.
        options: ``interval``, ``band``, ``published`` and ``arms`` of
            `stableft.reporting.mean_curves.mean_curves`.

    Returns:
        As that function.

    Raises:
        MissingInput: as that function.
    """
    return mean_curves(results, split=split, metric=metric, **options)


def plot(
    frame: pd.DataFrame, results: Results, *, split: str, metric: str, band: str = INTERVAL, pairs: Pairs | None = None, **_: object
) -> Figure:
    """Draws one panel per task: mean curve and band per arm, and failed runs as thin lines.

    More than `MOST_CURVES` arms would hide each other: then each has a panel of its own, with the first
    arm as a wide, pale line. Arms that end in numbers, such as ``standard 96`` and ``reinit 96``, share
    a panel per number. For scores a dotted line marks the majority score.

    Args:
        frame: See `data`.
        results: The same results.
        split: See `data`.
        metric: See `data`.
        band: See `data`.
        pairs: Arms that share a panel; the first of each is the wide, pale line. None: as above.
    """
    # The looks are of all arms, so that an arm looks the same in figures of fewer arms.
    styles = treatments.arm_styles(results.runs["arm"])
    label = {
        str(task): axis_labels.of_points(results, str(task), split) if metric == "score" else f"{split} {metric.replace('_', ' ')}"
        for task in frame["task"].unique()
    }
    with style.context():
        shown = {
            str(task): (rows, _panels(results.runs[results.runs["task"] == task], list(rows["arm"].unique()), pairs))
            for task, rows in frame.groupby("task", sort=False)
        }
        most = max(len(groups) for _, groups in shown.values())
        columns = 2 if most == 1 or pairs else grid_columns(most)
        rows = -(-most // columns)
        if most == 1:
            figure, panels = style.panels(len(shown))
        else:
            figure, panels = style.panels(len(shown) * rows * columns, PAGE / columns, SMALL, columns)
        for place, (task, (of_task, groups)) in enumerate(shown.items()):
            here = panels[place : place + 1] if most == 1 else panels[place * rows * columns : (place + 1) * rows * columns]
            for number, (panel, group) in enumerate(zip(here, groups, strict=False)):
                _draw(panel, of_task, group, styles, band)
                panel.set(title=group.name or task, xlabel="step", ylabel=label[task])
                panel.set_xlim(left=0)
                if most > 1:
                    panel.set_ylabel(f"{task}\n{label[task]}" if number % columns == 0 else "")
                    _share(panel, of_task, number % columns == 0, number + columns >= len(groups))
            for unused in here[len(groups) :]:
                unused.remove()
        style.legend(figure)
    return figure


def _panels(runs: pd.DataFrame, arms: list[str], pairs: Pairs | None) -> list[ArmPanel]:
    """Returns the panels of a task, of which ``runs`` are all and ``arms`` those with curves."""
    if pairs is not None:
        present = [[arm for arm in pair if arm in arms] for pair in pairs]
        return [ArmPanel(" and ".join(pair), pair, wide=True) for pair in present if pair]
    if len(arms) <= MOST_CURVES:
        return [ArmPanel("", arms)]
    numbers = {arm: match[1] for arm in arms if (match := NUMBERED.search(arm))}
    if len(numbers) == len(arms) > len(each := dict.fromkeys(numbers.values())):
        unit = " steps" if set(each) <= set(map(str, runs["num_steps"])) else ""
        return [ArmPanel(f"{number}{unit}", [arm for arm in arms if numbers[arm] == number], numbered=True) for number in each]
    groups = [ArmPanel(arm, [arms[0], arm], wide=True) for arm in arms[1:]]
    # Where a row of panels has room for one more, the first shows all arms.
    return [ArmPanel("all arms", arms, lines=True), *groups] if len(groups) % grid_columns(len(groups)) else groups


def grid_columns(count: int) -> int:
    """Returns the columns, 3 to 5, that give the fewest rows, then the fewest holes."""
    return min((3, 4, 5), key=lambda columns: (-(-count // columns), -count % columns))


def _draw(panel: Axes, rows: pd.DataFrame, group: ArmPanel, styles: dict[str, treatments.ArmStyle], band: str) -> None:
    for place, arm in enumerate(group.arms):
        curves, look = rows[rows["arm"] == arm], styles[arm]
        if group.lines:
            mean = curves[curves["series"] == MEAN]
            panel.plot(mean["step"], mean["value"], color=look.color, linestyle=look.linestyle, linewidth=0.9, label="_")
            continue
        label = arm
        if group.numbered:
            label = NUMBERED.sub("", arm)
            look = treatments.arm_styles([label])[label]
        elif group.name == arm:
            label = "_"
        panel_parts.arm_curves(panel, curves, arm, look, band, label=label, wide=group.wide and place == 0)
    shown = rows[rows["arm"].isin(group.arms)]
    if not group.lines:
        panel_parts.band_names(panel, shown, band)
    style.majority_line(panel, shown["majority_score"].iloc[0])


def _share(panel: Axes, rows: pd.DataFrame, leftmost: bool, lowest: bool) -> None:
    """Gives a panel the scale of the others of its task; only outer panels name it."""
    values = rows[["value", "low", "high"]].to_numpy(dtype=float)
    if np.isfinite(values).any():
        style.same_scale(panel, pd.Series(values[np.isfinite(values)]))
    panel.tick_params(labelleft=leftmost)
    if not lowest:
        panel.set_xlabel("")
