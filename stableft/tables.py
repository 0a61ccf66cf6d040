"""Tables: results in, frame out.

A run without a final score (it diverged, or its score is undefined or infinite) counts as failed and is scored at the task's
majority score: what anyone gets without training, on a regression task the score of the best constant. Leaving it out would flatter
the arm that diverges. Every score is higher when better (`stableft.scores`), so one rule fits classification and regression.
"""

import json

import numpy as np
import pandas as pd

from stableft import statistics
from stableft.errors import MissingInput
from stableft.records import CELL, Results

DIVERGED_RULE = "A run that diverged or has no defined score counts as failed and is scored at the majority score."


def final_scores(results: Results) -> pd.DataFrame:
    """The one number per run that tables and distributions are about.

    Returns:
        One row per run, in the order of ``results.runs``: experiment, arm, task, seed, run_id, score_name, split, score,
        majority_score, failed (final score at or below the majority score, or none at all; Mosbach et al. 2021, section 3.2)
        and diverged.

    Raises:
        MissingInput: no runs, or a finished run without its final score.
    """
    if results.runs.empty:
        raise MissingInput("the results hold no runs; run the experiment first")
    metrics = results.metrics
    scores = metrics.loc[(metrics["metric"] == "score") & (metrics["scope"] == ""), [*CELL, "split", "step", "value"]]
    runs = results.runs.rename(columns={"score_split": "split"})
    frame = runs.merge(scores, how="left", left_on=[*CELL, "split", "num_steps"], right_on=[*CELL, "split", "step"])
    diverged = frame["outcome"] != "ok"
    absent = frame["step"].isna() & ~diverged
    if absent.any():
        raise MissingInput(f"finished runs without a final score: {_cells(frame[absent])}; collect the experiment again")
    if frame["majority_score"].isna().any():
        raise MissingInput(f"no majority score for task {', '.join(frame['task'][frame['majority_score'].isna()].unique())}")
    undefined = diverged | ~np.isfinite(frame["value"])
    frame["score"] = frame["value"].mask(undefined, frame["majority_score"])
    frame["failed"] = undefined | (frame["score"] <= frame["majority_score"])
    frame["diverged"] = diverged
    return frame[[*CELL, "score_name", "split", "score", "majority_score", "failed", "diverged"]]


def score_table(results: Results) -> pd.DataFrame:
    """Scores per task and arm, and how they differ from the reference arm's at the same seeds.

    Returns:
        One row per task and arm: n, mean, std (n - 1), median, min, max, failed; then over the seeds that the arm shares with the
        reference (the first arm): pairs, difference of the means, its 95 % BCa interval (low, high) and the two-sided sign-flip p.
        The latter are NaN for the reference itself and where no seed is shared.
    """
    scores = final_scores(results)
    reference = scores["arm"].iloc[0]
    rows = []
    for task, of_task in scores.groupby("task", sort=False, observed=True):
        for arm, group in of_task.groupby("arm", sort=False, observed=True):
            row = {"task": task, "arm": arm, **statistics.summary(group["score"])._asdict(), "failed": int(group["failed"].sum())}
            if arm != reference:
                row |= _difference(group, of_task[of_task["arm"] == reference])
            rows.append(row)
    columns = ["task", "arm", *statistics.Summary._fields, "failed", "pairs", "difference", "low", "high", "p"]
    return pd.DataFrame(rows).reindex(columns=columns).astype({"pairs": "Int64"})


def learning_rates(results: Results) -> pd.DataFrame:
    """`final_scores` with the learning rate (``lr``) and the arm renamed by whether Adam's bias correction is on.

    The arms of a learning-rate grid are pairs of both; grouping needs them apart. Both come from each run's own configuration.
    A learning rate is chosen on ``validation``, the final score on that split (the majority score where it is undefined), so that
    a task's test split never decides anything.
    """
    adam = pd.DataFrame([json.loads(text)["adam"] for text in results.runs["config"]], index=results.runs.index)
    named = results.runs[CELL].assign(lr=adam["lr"], correction=np.where(adam["bias_correction"], "corrected", "uncorrected"))
    frame = final_scores(results).merge(named, on=CELL).merge(_validation_scores(results), how="left", on="run_id")
    frame["validation"] = frame["validation"].where(np.isfinite(frame["validation"]), frame["majority_score"])
    return frame.drop(columns="arm").rename(columns={"correction": "arm"})


def learning_rate_table(results: Results) -> pd.DataFrame:
    """Scores and training loss per task, bias correction and learning rate.

    Returns:
        One row per task, arm (corrected, uncorrected) and lr, ascending: n, mean, std, failed, and train_loss: the mean over runs
        of the training loss over the last tenth of the steps (one step is one batch, too noisy). Runs that diverged have none.
    """
    frame = learning_rates(results).merge(_final_losses(results), how="left", on="run_id")
    rows = []
    for task, of_task in frame.groupby("task", sort=False, observed=True):
        for (arm, lr), group in of_task.groupby(["arm", "lr"]):
            s = statistics.summary(group["score"])
            row = {"task": task, "arm": arm, "lr": lr, "n": s.n, "mean": s.mean, "std": s.std}
            rows.append(row | {"failed": int(group["failed"].sum()), "train_loss": group["train_loss"].mean()})
    return pd.DataFrame(rows)


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


def seed_scores(results: Results) -> pd.DataFrame:
    """`final_scores` with each run's own init and order seed and its method: ``standard``, or the names of its techniques.

    The arms of a grid of seeds are pairs of both seeds; grouping needs them apart.
    """
    configs = [json.loads(text) for text in results.runs["config"]]
    methods = ["+".join(technique["name"] for technique in config.get("techniques") or ()) or "standard" for config in configs]
    seeds = {name: [config[f"{name}_seed"] for config in configs] for name in ("init", "order")}
    return final_scores(results).assign(method=methods, **seeds)


def seed_table(results: Results) -> pd.DataFrame:
    """How much scores spread over init seeds and over order seeds (Zhang et al., 2021, Appendix B).

    Returns:
        One row per task and method: n, min, mean, max, std of all runs; std_over_order: the mean over init seeds of the standard
        deviation over order seeds; std_over_init: the other way round (all with n - 1); failed.
    """
    rows = []
    for (task, method), group in seed_scores(results).groupby(["task", "method"], sort=False):
        score, failed = group["score"], int(group["failed"].sum())
        over = {
            f"std_over_{one}": group.groupby(other)["score"].std().mean() for one, other in (("order", "init"), ("init", "order"))
        }
        row = {"task": task, "method": method, "n": len(group), "min": score.min(), "mean": score.mean(), "max": score.max()}
        rows.append(row | {"std": score.std(), **over, "failed": failed})
    return pd.DataFrame(rows)


def _difference(group: pd.DataFrame, reference: pd.DataFrame) -> dict[str, float]:
    pairs = group.merge(reference, on="seed", suffixes=("", "_reference"))
    if pairs.empty:
        return {"pairs": 0}
    rng = np.random.default_rng(statistics.RESAMPLING_SEED)
    d = statistics.paired_difference(pairs["score"], pairs["score_reference"], rng)
    return {"pairs": d.n, "difference": d.mean, "low": d.low, "high": d.high, "p": d.p}


def _validation_scores(results: Results) -> pd.DataFrame:
    metrics = results.metrics
    whole = (metrics["split"] == "validation") & (metrics["metric"] == "score") & (metrics["scope"] == "")
    scores = metrics.loc[whole, ["run_id", "step", "value"]]
    scores = scores.merge(results.runs[["run_id", "num_steps"]].drop_duplicates(), on="run_id")
    return scores.loc[scores["step"] == scores["num_steps"], ["run_id", "value"]].rename(columns={"value": "validation"})


def _final_losses(results: Results) -> pd.DataFrame:
    metrics = results.metrics
    losses = metrics.loc[(metrics["split"] == "train") & (metrics["metric"] == "loss"), ["run_id", "step", "value"]]
    finished = results.runs.loc[results.runs["outcome"] == "ok", ["run_id", "num_steps"]].drop_duplicates()
    losses = losses.merge(finished, on="run_id")
    tail = losses[losses["step"] > losses["num_steps"] - np.maximum(1, losses["num_steps"] // 10)]
    return tail.groupby("run_id", sort=False)["value"].mean().rename("train_loss").reset_index()


def _cells(frame: pd.DataFrame) -> str:
    names = [f"{row.task}/{row.arm}/seed {row.seed}" for row in frame.head(3).itertuples()]
    return ", ".join(names) + (f" and {len(frame) - 3} more" if len(frame) > 3 else "")
