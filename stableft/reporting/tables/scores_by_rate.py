"""Scores by learning rate: final scores and training loss per arm, setting and rate."""

import pandas as pd

from stableft import statistics
from stableft.reporting.grid_axes import final_losses, learning_rates
from stableft.storage.records import Results

NOTE = "Final scores over seeds; std with n - 1. train_loss: mean over the last tenth of the steps, of the runs that finished."


def table(results: Results) -> pd.DataFrame:
    """Summarizes scores and training loss per task, arm, setting and learning rate.

    Returns:
        One row per task, arm, setting (no such column if there are no settings) and lr, ascending: n,
        mean, std, failed, and train_loss: the mean over runs of the training loss over the last tenth
        of the steps (a single step is one batch, too noisy). Diverged runs have none.
    """
    frame = learning_rates(results).merge(final_losses(results), how="left", on="run_id")
    rows = []
    for task, of_task in frame.groupby("task", sort=False, observed=True):
        for (arm, setting, lr), group in of_task.groupby(["arm", "setting", "lr"]):
            s = statistics.summary(group["score"])
            row = {"task": task, "arm": arm, "setting": setting, "lr": lr, "n": s.n, "mean": s.mean, "std": s.std}
            rows.append(row | {"failed": int(group["failed"].sum()), "train_loss": group["train_loss"].mean()})
    return pd.DataFrame(rows).drop(columns=[] if frame["setting"].any() else "setting")
