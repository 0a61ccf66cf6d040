"""Update bias: measured size of an update without bias correction, and the closed form."""

import pandas as pd

from stableft.core.errors import NotLogged
from stableft.storage.records import Results

NOTE = (
    "Norm of the applied update over that of the corrected one, at the metered steps. deviation: greatest relative distance of "
    "a run and step to the closed form; largest: of all runs; at_step and last: means over runs."
)


RATIOS = ("update_bias", "update_bias_closed_form")


def table(results: Results) -> pd.DataFrame:
    """Measures the ratio of update norms, and its distance to the closed form.

    Returns:
        One row per task and arm: runs; steps: the number of measured steps; largest: the greatest
        measured ratio; at_step: its step (mean over runs); last: the mean ratio at the last step;
        deviation, median_deviation: the greatest and the median relative distance to the closed form.

    Raises:
        NotLogged: no run measured the ratio.
    """
    measured = results.metrics[results.metrics["metric"].isin(RATIOS) & results.metrics["value"].notna()]
    if set(measured["metric"]) != set(RATIOS):
        raise NotLogged("no run measured the ratio of updates")
    wide = measured.pivot_table(
        index=["task", "arm", "run_id", "step"], columns="metric", values="value", observed=True, sort=False
    )
    wide = wide.dropna(subset=["update_bias"]).reset_index()
    wide["deviation"] = (wide["update_bias"] / wide["update_bias_closed_form"] - 1).abs()
    rows = []
    for (task, arm), group in wide.groupby(["task", "arm"], sort=False):
        peaks = group.loc[group.groupby("run_id")["update_bias"].idxmax()]
        ends = group[group["step"] == group["step"].max()]
        row = {"task": task, "arm": arm, "runs": group["run_id"].nunique(), "steps": group["step"].nunique()}
        row |= {"largest": peaks["update_bias"].max(), "at_step": peaks["step"].mean(), "last": ends["update_bias"].mean()}
        rows.append(row | {"deviation": group["deviation"].max(), "median_deviation": group["deviation"].median()})
    return pd.DataFrame(rows)
