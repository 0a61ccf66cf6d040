"""Bias magnitude: ratio of uncorrected to corrected Adam updates, against the step.

Zhang et al. (2021), Figure 1.
"""

import json

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stableft.core.adam_bias import bias_ratio, metered_steps
from stableft.core.errors import MissingInput
from stableft.reporting import treatments
from stableft.reporting.figures import style
from stableft.storage.records import Results

CAPTION = (
    "How many times too large an Adam update without bias correction is. Line: closed form; points: mean over uncorrected "
    "runs. Dark vertical lines: last steps of the tasks here; light: of Zhang et al. (2021), Figure 1."
)
LAST_STEP = 1_000_000
# Three epochs at batch size 32, protocol section 1.3.
PUBLISHED_STEPS = {"RTE": 234, "MRPC": 345, "STS-B": 540, "CoLA": 804, "MNLI": 36_816}
CLOSED_FORM, MEASURED, TASK_END, PUBLISHED_END = "closed form", "measured", "last step", "last step (Zhang et al.)"
LABEL_GAP = 0.21  # decades between two labels
MARKERS = ("o", "s", "^", "D", "v", "P")


def data(results: Results) -> pd.DataFrame:
    """Computes the closed form, the measured ratios and the last steps for `plot`.

    The closed form b(t) is evaluated at 200 logarithmically spaced steps. The measured ratio (applied
    update norm over the norm of the corrected update, metric ``update_bias``) is the mean over all
    uncorrected runs of a task, at the metered steps.

    Returns:
        Columns series (``closed form``, ``measured``, ``last step`` or ``last step (Zhang et al.)``),
        task (empty for the closed form), step and value (b(t), NaN for last steps), and n (runs in the
        mean).

    Raises:
        MissingInput: no runs.
    """
    if results.runs.empty:
        raise MissingInput("the results hold no runs; run the experiment first")
    t = np.unique(np.round(np.geomspace(1, LAST_STEP, 200)))
    curve = pd.DataFrame({"series": CLOSED_FORM, "task": "", "step": t, "value": bias_ratio(t)})
    ends = results.runs[["task", "num_steps"]].drop_duplicates().rename(columns={"num_steps": "step"}).assign(series=TASK_END)
    own = {(task.lower(), step) for task, step in zip(ends["task"], ends["step"], strict=True)}
    published = [(name, step) for name, step in PUBLISHED_STEPS.items() if (name.lower(), step) not in own]
    paper = pd.DataFrame(published, columns=["task", "step"]).assign(series=PUBLISHED_END)
    frame = pd.concat([curve, _measured(results), ends, paper], ignore_index=True)
    return frame.reindex(columns=["series", "task", "step", "value", "n"]).astype({"step": "int64", "n": "Int64"})


def plot(frame: pd.DataFrame, _: Results) -> Figure:
    """Draws b(t) on a logarithmic axis, with measured values as points.

    Last steps are dash-dot lines, labelled above the axes.
    """
    curve = frame[frame["series"] == CLOSED_FORM]
    measured = frame[frame["series"] == MEASURED]
    with style.context():
        figure, (axes,) = style.panels(1, width=1.5 * style.PANEL[0], height=1.25 * style.PANEL[1])
        # The closed form, and the ratio of corrected updates, 1.
        axes.plot(curve["step"], curve["value"], color="black", label="closed form")
        axes.axhline(1, color=style.LIGHT_INK, linewidth=0.6, zorder=1)
        # Measured ratios: rings of a different size and shape per task, because they lie on the curve.
        look = treatments.known_arms()["uncorrected"]
        for index, (task, points) in enumerate(measured.groupby("task", sort=False, observed=True)):
            hollow = {"linestyle": "none", "markerfacecolor": "none", "markersize": 3.5 + 1.5 * index, "markeredgewidth": 0.8}
            marker = MARKERS[index % len(MARKERS)]
            axes.plot(points["step"], points["value"], color=look.color, marker=marker, label=f"measured, {task}", **hollow)
        axes.set(xscale="log", xlim=(0.8, LAST_STEP), ylim=(0.5, 7), xlabel="step", ylabel="update norm, uncorrected / corrected")
        _draw_ends(axes, frame[frame["series"].isin([TASK_END, PUBLISHED_END])])
        axes.legend(loc="lower left", bbox_to_anchor=(0, 0.08))
    return figure


def _measured(results: Results) -> pd.DataFrame:
    uncorrected = [not json.loads(text)["adam"]["bias_correction"] for text in results.runs["config"]]
    metrics = results.metrics
    rows = metrics[(metrics["metric"] == "update_bias") & metrics["run_id"].isin(results.runs.loc[uncorrected, "run_id"])]
    rows = rows[np.isfinite(rows["value"])]
    if rows.empty:
        return pd.DataFrame()
    shown = metered_steps(rows["step"].max())  # older results have every step
    means = rows[rows["step"].isin(shown)].groupby(["task", "step"], sort=False, observed=True)["value"].agg(["mean", "count"])
    return means.reset_index().rename(columns={"mean": "value", "count": "n"}).assign(series=MEASURED)


def _draw_ends(axes: Axes, ends: pd.DataFrame) -> None:
    ends = ends.sort_values("step")
    at = spread(np.log10(ends["step"].to_numpy(dtype=np.float64)), LABEL_GAP)
    for series, task, step, x in zip(ends["series"], ends["task"], ends["step"], at, strict=True):
        color = style.INK if series == TASK_END else style.LIGHT_INK
        order = 1.2 if series == TASK_END else 1.1
        axes.axvline(step, color=color, linestyle="-.", linewidth=0.8, zorder=order)
        above = {"color": color, "transform": axes.get_xaxis_transform(), "clip_on": False}
        axes.plot([step, 10**x], [1, 1.05], linewidth=0.5, zorder=order, **above)
        axes.text(10**x, 1.07, f"{task} {step:,}", fontsize=7, rotation=45, rotation_mode="anchor", **above)


def spread(positions: np.ndarray, gap: float) -> np.ndarray:
    """Moves ascending positions to the right until each is at least ``gap`` from the previous one."""
    moved = positions.copy()
    for index in range(1, len(moved)):
        moved[index] = max(moved[index], moved[index - 1] + gap)
    return moved
