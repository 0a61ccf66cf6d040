"""Checkpoint scores: the score of the last, the best and the averaged weights of the same runs."""

import numpy as np
import pandas as pd

from stableft.reporting.run_scores import final_scores, last_scores
from stableft.storage.records import CELL, Results

NOTE = (
    "Means over seeds. last: score of the last weights; best: of the checkpoint with the best validation score, and best_step "
    "where that was; maximum: the best score of all evaluation points (rmse: the least), chosen on the very examples that it "
    "is of; average: of the averaged weights."
)


def table(results: Results) -> pd.DataFrame:
    """Compares the scores of a run's checkpoints (protocol section 8, P1; section 7, S2, caveat ii).

    Returns:
        One row per task, arm and split (the task's own, and validation), with means over seeds: n;
        measure: name of the score; last: of the last weights (`final_scores`); best: of the checkpoint
        with the best validation score (rows of scope ``best``); best_step: its step; maximum: the
        greatest score of all points on the whole split, too high because it is chosen on the same
        examples; average: of the averaged weights (scope ``average``). negative_rmse is shown as rmse,
        with the least as maximum.

        A run that diverged or has no defined value counts at the majority score. Values that were not
        logged are missing: best and average if no run of the arm has them, maximum if only the last
        point is on the whole split.

    Raises:
        MissingInput: see `final_scores`.
    """
    # Two rows per run: the split of its final score, and validation where that is another one.
    frame, metrics = final_scores(results), results.metrics
    chosen_on = last_scores(results, "validation").rename(columns={"validation": "score"})
    also = frame[frame["split"] != "validation"].drop(columns="score").merge(chosen_on, how="left", on=CELL)
    also["score"] = also["score"].where(np.isfinite(also["score"]), also["majority_score"])
    frame, cell = pd.concat([frame, also.assign(split="validation")], ignore_index=True), [*CELL, "split"]
    # The other scores of each run, where logged.
    best_step = metrics.loc[metrics["metric"] == "best_step", [*CELL, "value"]].rename(columns={"value": "best_step"})
    scores = metrics[metrics["metric"] == "score"].merge(frame[cell], on=cell)
    of_last = scores.merge(results.runs[[*CELL, "num_steps"]], left_on=[*CELL, "step"], right_on=[*CELL, "num_steps"])
    points = scores[scores["scope"] == ""].groupby(cell, observed=True)["value"].agg(maximum="max", points="count").reset_index()
    logged = {
        "best": of_last.loc[of_last["scope"] == "best", [*cell, "value"]].rename(columns={"value": "best"}),
        "maximum": points.loc[points["points"] > 1, [*cell, "maximum"]],
        "average": of_last.loc[of_last["scope"] == "average", [*cell, "value"]].rename(columns={"value": "average"}),
    }
    # An undefined score counts at the majority score, if other runs of the arm have one.
    for name, values in logged.items():
        frame = frame.merge(values, how="left", on=cell)
        present = frame.groupby(["task", "arm", "split"], observed=True)[name].transform("count") > 0
        undefined = frame["diverged"] | ~np.isfinite(frame[name])
        frame[name] = frame[name].mask(undefined & present, frame["majority_score"])
    frame = frame.merge(best_step, how="left", on=CELL).rename(columns={"score": "last"})
    # Means over seeds; negative errors are shown as errors.
    rows = []
    for (task, arm, split), group in frame.groupby(["task", "arm", "split"], sort=False, observed=True):
        name, sign = group["score_name"].iloc[0], 1.0
        if name == "negative_rmse":
            name, sign = "rmse", -1.0
        row = {"task": task, "arm": arm, "split": split, "n": len(group), "measure": name}
        means = {column: sign * group[column].mean() for column in ("last", "best", "maximum", "average")}
        rows.append(row | means | {"best_step": group["best_step"].mean()})
    columns = ["task", "arm", "split", "n", "measure", "last", "best", "best_step", "maximum", "average"]
    return pd.DataFrame(rows)[columns]
