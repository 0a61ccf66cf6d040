"""Best of n: the expected score of the best of n runs, hence the value of a budget of seeds.

Zhang et al. (2021), Figures 4 and 12; Dodge et al. (2020). Protocol sections 4, 6 and 3.4.
"""

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from stableft import statistics
from stableft.core.errors import NotLogged
from stableft.reporting import axis_labels, run_scores, treatments
from stableft.reporting.figures import style
from stableft.reporting.published import CITATIONS
from stableft.storage.records import Results

OURS, PUBLISHED = "ours", "published"
CAPTION = (
    "Score to expect of the best of n runs, chosen by its validation score. Exact expectation over draws of n runs "
    "with replacement; only test counts, as validation chose. Shaded: one standard deviation over draws."
)
MOST_BANDS = 4  # arms; the bands of more would hide each other
PUBLISHED_ARM = re.compile(r"^\((?P<arm>.*) best of (?P<n>\d+)\)$")


def data(results: Results, *, published: pd.DataFrame | None = None) -> pd.DataFrame:
    """Computes the expected scores for `plot`.

    Args:
        results: Runs and metrics of one experiment.
        published: See `stableft.reporting.published.read_published`; arms named "(<arm> best of <n>)"
            are drawn next to ours.

    Returns:
        Columns task, arm, split (``validation``, and ``test`` if the task is scored on it), series
        (``ours``, ``published``), n (runs to choose from, 1 to all), value, low, high (one standard
        deviation over draws, within the range of the scores; NaN if published) and label (of published
        numbers).

    Raises:
        MissingInput: no runs, or a finished run without its final score.
        NotLogged: a task without a validation score after the last step.
    """
    runs = run_scores.both_splits(results)
    if runs["validation"].isna().any():
        raise NotLogged(f"{runs.loc[runs['validation'].isna(), 'task'].iloc[0]}: no final validation score to choose a run by")
    frames = [_curve(group, split) for (_, _, split), group in _groups(runs)]
    if published is not None:
        frames.append(_published(published, runs))
    return pd.concat(frames, ignore_index=True)


def plot(frame: pd.DataFrame, results: Results, **_: object) -> Figure:
    """Draws a panel per task and split, with one line and band per arm; no bands of many arms or few runs."""
    names = results.runs.drop_duplicates("task").set_index("task")["score_name"]
    ours, others = frame[frame["series"] == OURS], frame[frame["series"] == PUBLISHED]
    styles = treatments.arm_styles(ours["arm"])
    with style.context():
        # One panel per task and split; a task scored on validation has no second one.
        shown = list(ours[["task", "split"]].drop_duplicates().itertuples(index=False, name=None))
        figure, panels = style.panels(len(shown))
        many = ours["arm"].nunique() > MOST_BANDS
        for panel, (task, split) in zip(panels, shown, strict=True):
            of_panel = ours[(ours["task"] == task) & (ours["split"] == split)]
            # Our arms, then the published numbers for as many runs as we have at most.
            for arm, line in of_panel.groupby("arm", sort=False):
                shaded = not many and line["n"].max() >= style.FEWEST
                style.band(panel, line["n"], line, styles[str(arm)], str(arm), shaded=shaded)
            here = others[(others["task"] == task) & (others["split"] == split) & (others["n"] <= of_panel["n"].max())]
            for place, (label, points) in enumerate(here.groupby("label", sort=False)):
                style.published_points(panel, points["n"], points["value"], points["low"], str(label), place)
            panel.set(title=task, xlabel="runs to choose from", ylabel=axis_labels.of_score(split, str(names[task])))
            panel.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            if of_panel["n"].max() == 1:  # otherwise matplotlib adds ticks at fractions of a run
                panel.set_xticks([1])
        style.legend(figure)
    return figure


def _groups(runs: pd.DataFrame) -> Iterator[tuple[tuple[str, str, str], pd.DataFrame]]:
    for task, of_task in runs.groupby("task", sort=False, observed=True):
        for split in dict.fromkeys(("validation", of_task["split"].iloc[0])):
            for arm, group in of_task.groupby("arm", sort=False, observed=True):
                yield (str(task), str(arm), split), group


def _curve(runs: pd.DataFrame, split: str) -> pd.DataFrame:
    scores = runs[split].to_numpy(dtype=np.float64)
    mean, std = statistics.best_of_n(runs["validation"], scores)
    low, high = np.clip(mean - std, scores.min(), scores.max()), np.clip(mean + std, scores.min(), scores.max())
    place = {"task": str(runs["task"].iloc[0]), "arm": str(runs["arm"].iloc[0]), "split": split, "series": OURS}
    return pd.DataFrame({**place, "n": np.arange(1, len(runs) + 1), "value": mean, "low": low, "high": high, "label": ""})


def _published(published: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    parts = published["arm"].str.extract(PUBLISHED_ARM)
    rows = published.assign(arm=parts["arm"], n=parts["n"])[parts["n"].notna()].astype({"n": "int64"})
    keys = ["experiment", "task", "arm", "score_name"]
    rows = rows.merge(runs[keys].drop_duplicates().astype(str), on=keys)
    labels = [f"{arm}: {CITATIONS[source]}, {encoder}" for arm, source, encoder in rows[["arm", "source", "encoder"]].to_numpy()]
    columns = ["task", "arm", "split", "series", "n", "value", "low", "high", "label"]
    return rows.assign(series=PUBLISHED, value=rows["mean"], low=np.nan, high=np.nan, label=labels)[columns]
