"""Training length: score against the number of steps, with separate runs for each length.

Zhang et al. (2021), Figures 8 and 14; protocol section 4.
"""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from stableft.reporting import axis_labels, grid_axes, majority_scores, treatments
from stableft.reporting.figures import style
from stableft.reporting.published import matching_rows
from stableft.storage.records import Results

CAPTION = (
    "Validation score against the number of steps, of runs whose schedule is that long. Mean over seeds, shaded from the "
    "least to the greatest run."
)
OURS, PUBLISHED = "ours", "published"


def data(results: Results, *, published: pd.DataFrame | None = None) -> pd.DataFrame:
    """Computes the validation scores for `plot`, and those of the test split.

    Args:
        results: Runs and metrics of one experiment.
        published: See `stableft.reporting.published.read_published`; None: none are drawn.

    Returns:
        Columns task, method, steps (methods and steps of
        `stableft.reporting.grid_axes.training_lengths`), n, failed (runs), value, low, high (mean,
        least and greatest validation score), test_value, test_low, test_high (likewise, NaN if not
        evaluated) and majority_score (of validation, NaN if unknown). With
        ``published`` also series (``ours`` or ``published``), std and label
        (`stableft.reporting.published.beside`), and rows of the published validation scores of the same
        arms.

    Raises:
        MissingInput: no runs, or a finished run without its final score.
    """
    runs = grid_axes.training_lengths(results)
    runs["majority_score"] = runs["task"].astype("str").map(majority_scores.on_split(results, "validation"))
    groups = runs.sort_values("steps", kind="stable").groupby(["task", "method", "steps"], sort=False, observed=True)
    frame = groups.agg(
        n=("seed", "count"), failed=("failed", "sum"), value=("validation", "mean"), low=("validation", "min"),
        high=("validation", "max"), test_value=("test", "mean"), test_low=("test", "min"), test_high=("test", "max"),
        majority_score=("majority_score", "first"),
    )  # fmt: skip
    frame = frame.reset_index()
    if published is None:
        return frame
    rows = matching_rows(published, runs.assign(split="validation"))
    rows = rows.drop(columns="n").merge(runs[["task", "arm", "method", "steps"]].drop_duplicates(), on=["task", "arm"])
    rows = rows[["task", "method", "steps", "value", "std", "label"]].assign(series=PUBLISHED)
    return pd.concat([frame.assign(series=OURS), rows], ignore_index=True)


def plot(frame: pd.DataFrame, results: Results, **_: object) -> Figure:
    """Draws one panel per task: validation score against steps, with one line and band per method.

    The axis of steps is by powers of two.
    """
    # Published rows are drawn as points, ours as lines.
    others = pd.DataFrame()
    if "series" in frame:
        others, frame = frame[frame["series"] == PUBLISHED], frame[frame["series"] == OURS]
    names = results.runs.drop_duplicates("task").set_index("task")["score_name"]
    styles = treatments.arm_styles(frame["method"])
    with style.context():
        figure, panels = style.panels(len(names))
        for panel, (task, score) in zip(panels, names.items(), strict=True):
            of_task = frame[frame["task"] == task]
            for method, line in of_task.groupby("method", sort=False, observed=True):
                style.band(panel, line["steps"], line, styles[str(method)], str(method), marks=len(line))
            if len(others):
                _draw_published(panel, others, str(task))
            style.majority_line(panel, of_task["majority_score"].iloc[0])
            # A tick at each length, and no others.
            panel.set_xscale("log", base=2)
            steps = sorted(of_task["steps"].unique())
            panel.set_xticks(steps, [f"{step:,}" for step in steps])
            panel.xaxis.set_minor_locator(NullLocator())
            panel.set(title=task, xlabel="total steps", ylabel=axis_labels.of_score("validation", str(score)))
        style.legend(figure)
    return figure


def _draw_published(panel: Axes, rows: pd.DataFrame, task: str) -> None:
    for place, (method, label) in enumerate(rows[["method", "label"]].drop_duplicates().itertuples(index=False)):
        points = rows[(rows["method"] == method) & (rows["label"] == label) & (rows["task"] == task)]
        if len(points):
            style.published_points(panel, points["steps"], points["value"], points["std"], f"{method}: {label}", place)
