"""Schedules: the learning rate over training, per part of the model and per schedule.

The CommonLit article shows its schedules in the same way (plain, warm-up, LLRD, grouped, SWA;
protocol section 7, S2). No number here is measured: `stableft.core.schedule` computes them from a
configuration, as the training loop does.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stableft.core import schedule
from stableft.core.config import RunConfig
from stableft.core.errors import MissingInput
from stableft.reporting import training_curves, treatments
from stableft.reporting.figures import style
from stableft.reporting.rounding import exact
from stableft.storage.records import Results

CAPTION = (
    "Learning rate of each update, from each arm's configuration (closed form). Parts of the model that have one rate share "
    "a line; dark blocks are low."
)
MOST_NAMED = 6  # with more lines a legend names only the lowest, the middle one and the upper two
TITLE, LABEL = {2: 40, 3: 26}, 12  # letters of arms' names that fit above a panel, by panels of a row; and into its legend
ALL, SEPARATOR = "all parts", ", "
ABOVE = 1.45  # height of a panel in highest rates, for its legend


def data(results: Results) -> pd.DataFrame:
    """Computes the learning rates for `plot`: the corners of lines with straight parts.

    Returns:
        Columns task, arms (all arms with this schedule, in the order of the runs), parts (all parts of
        the model with this rate, from the embeddings up to the head), step (1 is the first update) and
        lr.

    Raises:
        MissingInput: no runs, or something starts after an epoch of a run whose length is given in
            steps.
        NotLogged: no finished run of a task tells the number of its encoder's blocks.
    """
    if results.runs.empty:
        raise MissingInput("the results hold no runs; run the experiment first")
    frames = []
    for task, runs in results.runs.groupby("task", sort=False, observed=True):
        parts = training_curves.parts(results, str(task))
        lines: dict[tuple[tuple[str, bytes], ...], list[str]] = {}  # schedule (parts and their rates) -> arms
        for arm, text, num_steps in runs.drop_duplicates("arm")[["arm", "config", "num_steps"]].itertuples(index=False):
            lines.setdefault(_lines(RunConfig.model_validate_json(text), num_steps, parts), []).append(str(arm))
        # One line per schedule and rate, without the points in between.
        for of_arm, arms in lines.items():
            for names, content in of_arm:
                rates = np.frombuffer(content)
                steps = corners(rates)
                line = {"task": task, "arms": SEPARATOR.join(arms), "parts": names, "step": steps + 1, "lr": rates[steps]}
                frames.append(pd.DataFrame(line))
    return pd.concat(frames, ignore_index=True)


def plot(frame: pd.DataFrame, _: Results) -> Figure:
    """Draws one panel per task and schedule by parts, with a line per rate.

    Schedules that give all parts one rate share a panel of the task, with the look of their first arm.
    The panels of a task share their scale.
    """
    highest = frame.groupby("task", sort=False)["lr"].max().to_dict()
    styles = treatments.arm_styles(dict.fromkeys(arm for arms in frame["arms"].unique() for arm in str(arms).split(SEPARATOR)))
    with style.context():
        shown = [(str(task), panel) for task, of_task in frame.groupby("task", sort=False) for panel in _panels(of_task)]
        columns = 3 if len(shown) in (3, 5, 6) or len(shown) > 8 else 2
        figure, panels = style.panels(len(shown), style.THIRD if columns == 3 else style.PANEL[0], columns=columns)
        for panel, (task, lines) in zip(panels, shown, strict=True):
            names = list(lines["arms"].unique())
            if set(lines["parts"]) == {ALL}:
                _draw_whole(panel, lines, styles)
            else:
                _draw(panel, lines)
            title = _shorten(names[0].split(SEPARATOR), TITLE[columns]) if len(names) == 1 else "one rate for all parts"
            panel.set_title(f"{task}: {title}", fontsize=7.5)
            panel.set(xlabel="step", ylabel="learning rate", ylim=(0, ABOVE * highest[task]), xlim=(0, None))
            panel.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
            if len(panel.lines) > 1:
                panel.legend(loc="upper right", handlelength=1.6, borderaxespad=0.0, fontsize=7)
    return figure


def _panels(of_task: pd.DataFrame) -> list[pd.DataFrame]:
    """Returns the lines of each panel of a task: first all schedules with one rate for all parts."""
    schedules = {str(arms): lines for arms, lines in of_task.groupby("arms", sort=False)}
    whole = [lines for lines in schedules.values() if set(lines["parts"]) == {ALL}]
    return [*([pd.concat(whole)] if whole else []), *(lines for lines in schedules.values() if set(lines["parts"]) != {ALL})]


def corners(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Returns the indices of both ends and of each point off the straight line between its neighbours."""
    bend = np.abs(np.diff(values, 2)) > 1e-9 * np.abs(values).max()
    return np.flatnonzero(np.concatenate([[True], bend, [True]])[: len(values)])


def _lines(config: RunConfig, num_steps: int, parts: Sequence[str]) -> tuple[tuple[str, bytes], ...]:
    """Groups parts with equal rates: their joint name and their rates, from the embeddings up."""
    epochs = config.schedule.num_epochs
    rates = schedule.learning_rates(config, num_steps, num_steps // epochs if epochs else None)
    depths = {part: int(part.removeprefix(training_curves.BLOCK)) for part in parts if part.startswith(training_curves.BLOCK)}
    groups: dict[float, list[str]] = {}
    for part in parts:
        role, depth = ("encoder", depths[part]) if part in depths else (part, 0)
        groups.setdefault(schedule.lr_scale(config, role, depth, len(depths)), []).append(part)
    return tuple(
        (ALL if len(names) == len(parts) else _names(names), exact(rates * scale).tobytes()) for scale, names in groups.items()
    )


def _names(parts: Sequence[str]) -> str:
    """Names parts of one rate, such as ``embeddings, blocks 1 to 2``; their blocks are consecutive."""
    blocks = [int(part.removeprefix(training_curves.BLOCK)) for part in parts if part.startswith(training_curves.BLOCK)]
    between = f"blocks {blocks[0]} to {blocks[-1]}" if len(blocks) > 1 else f"block {blocks[0]}" if blocks else ""
    before, after = (["embeddings"] if "embeddings" in parts else []), [part for part in parts if part in ("pooler", "head")]
    return ", ".join(filter(None, [*before, between, *after]))


def _draw(panel: Axes, lines: pd.DataFrame) -> None:
    names = list(dict.fromkeys(lines["parts"]))
    named = names if len(names) <= MOST_NAMED else [names[0], names[len(names) // 2], *names[-2:]]
    colors = [*style.depth_colors(len(names) - 1), style.INK]
    for place, name in reversed(list(enumerate(names))):  # the head first, as its line is the highest
        line = lines[lines["parts"] == name]
        top = place == len(names) - 1
        panel.plot(line["step"], line["lr"], color=colors[place], linewidth=1.2, linestyle="--" if top and place else "-",
                   label=name if name in named else "_")  # fmt: skip


def _draw_whole(panel: Axes, lines: pd.DataFrame, styles: dict[str, treatments.ArmStyle]) -> None:
    for arms, line in lines.groupby("arms", sort=False):
        names = str(arms).split(SEPARATOR)
        look = styles[names[0]]
        label = _shorten(names, LABEL) if lines["arms"].nunique() > 1 else ALL
        panel.plot(line["step"], line["lr"], color=look.color, linestyle=look.linestyle, linewidth=1.2, label=label)


def _shorten(arms: Sequence[str], letters: int) -> str:
    """Joins as many names as fit into some letters, and counts the others."""
    shown = [arm for place, arm in enumerate(arms) if sum(map(len, arms[: place + 1])) + 2 * place <= letters] or arms[:1]
    more = len(arms) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
