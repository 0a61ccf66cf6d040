"""What happened in training: the size of updates, convergence, and which of a run's weights a score is of."""

import numpy as np
import pandas as pd

from stableft.reporting import training_curves as series
from stableft.reporting.run_scores import final_scores, last_scores
from stableft.storage.records import CELL, Results


def bias_table(results: Results) -> pd.DataFrame:
    """How far the measured size of an update, over that of the corrected one, is from the closed form.

    Returns:
        One row per task and arm: runs; steps: at how many steps it was measured; largest: the greatest measured ratio; at_step:
        where that was (mean over runs); last: the mean ratio at the last step; deviation, median_deviation: the greatest and the
        median relative distance to the closed form.
    """
    wide = results.metrics.pivot_table(
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


def convergence_table(results: Results) -> pd.DataFrame:
    """How far and how fast the training loss falls: Zhang et al. (2021), Figure 6, in numbers, which the source does not print.

    Losses are those of `stableft.reporting.training_curves.interval_means`, the points of the curves of the training loss.

    Returns:
        One row per task and arm: runs (those that finished; what diverged has no part in this); first, middle, last: mean over
        runs of the loss of the first interval, of the one that ends at the middle of the run (the fifth of ten) and of the last
        whole one; half_step: the end of the first interval whose loss is at most half of the first one's, mean over the runs that
        get there (NaN if none does); reached: how many do.
    """
    finished = results.runs.loc[results.runs["outcome"] == "ok", CELL]
    columns = ["first", "middle", "last", "half_step"]
    found = []
    for cell, points in series.interval_means(results, "loss").merge(finished, on=CELL).groupby(CELL, sort=False, observed=True):
        steps, losses = points.sort_values("step")[["step", "value"]].to_numpy().T
        low = losses <= losses[0] / 2
        half_step = steps[low.argmax()] if low.any() else np.nan
        found.append((*cell, losses[0], losses[(len(losses) - 1) // 2], losses[-1], half_step))
    frame = results.runs[CELL].merge(pd.DataFrame(found, columns=[*CELL, *columns]).astype(results.runs[CELL].dtypes), how="left")
    groups = frame.groupby(["task", "arm"], sort=False, observed=True)
    means = groups[columns].mean()
    means.insert(0, "runs", groups["first"].count())
    return means.assign(reached=groups["half_step"].count()).reset_index()


def checkpoint_table(results: Results) -> pd.DataFrame:
    """How much a score depends on which of a run's weights it is of (protocol section 8, P1; section 7, S2, caveat ii).

    Returns:
        One row per task, arm and split (the one that scores are of, and validation), means over seeds: n; measure: name of the
        score; last: of the last weights (`final_scores`); best: of the checkpoint with the best validation score (rows of scope
        ``best``); best_step: where that was; maximum: the greatest of all points on the whole split, which is chosen on the very
        examples it is of, and so too high; average: of the averaged weights (scope ``average``). negative_rmse is shown as rmse, of
        which maximum is the least.

        A run that diverged or has no defined value counts at the majority score. Missing is what was not logged: best and average
        where no run of the arm has them, maximum where only the last point is on the whole split.

    Raises:
        MissingInput: see `final_scores`.
    """
    frame, metrics = final_scores(results), results.metrics
    chosen_on = last_scores(results, "validation").rename(columns={"validation": "score"})
    also = frame[frame["split"] != "validation"].drop(columns="score").merge(chosen_on, how="left", on=CELL)
    also["score"] = also["score"].where(np.isfinite(also["score"]), also["majority_score"])
    frame, cell = pd.concat([frame, also.assign(split="validation")], ignore_index=True), [*CELL, "split"]
    best_step = metrics.loc[metrics["metric"] == "best_step", [*CELL, "value"]].rename(columns={"value": "best_step"})
    scores = metrics[metrics["metric"] == "score"].merge(frame[cell], on=cell)
    of_last = scores.merge(results.runs[[*CELL, "num_steps"]], left_on=[*CELL, "step"], right_on=[*CELL, "num_steps"])
    points = scores[scores["scope"] == ""].groupby(cell, observed=True)["value"].agg(maximum="max", points="count").reset_index()
    logged = {
        "best": of_last.loc[of_last["scope"] == "best", [*cell, "value"]].rename(columns={"value": "best"}),
        "maximum": points.loc[points["points"] > 1, [*cell, "maximum"]],
        "average": of_last.loc[of_last["scope"] == "average", [*cell, "value"]].rename(columns={"value": "average"}),
    }
    for name, values in logged.items():
        frame = frame.merge(values, how="left", on=cell)
        present = frame.groupby(["task", "arm", "split"], observed=True)[name].transform("count") > 0
        undefined = frame["diverged"] | ~np.isfinite(frame[name])
        frame[name] = frame[name].mask(undefined & present, frame["majority_score"])
    frame = frame.merge(best_step, how="left", on=CELL).rename(columns={"score": "last"})
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
