"""Tables: results in, frame out.

A run without a final score (it diverged, or its score is undefined or infinite) counts as failed and is scored at the task's
majority score: what anyone gets without training, on a regression task the score of the best constant. Leaving it out would flatter
the arm that diverges. Every score is higher when better (`stableft.scores`), so one rule fits classification and regression.
"""

import json

import numpy as np
import pandas as pd

from stableft import series, statistics
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
    """`final_scores` with the learning rate (``lr``), and the arm's name without it.

    The arms of a grid of learning rates are named "<arm> lr=<rate>" or "<arm> lr=<rate> <setting>"; grouping needs the parts apart.
    The rate is that of each run's own configuration; ``setting`` is "" where there is none. A learning rate is chosen on
    ``validation``, the final score on that split (the majority score where it is undefined), so that a task's test split never
    decides anything.
    """
    runs = results.runs
    parts = runs["arm"].astype(str).str.extract(r"^(?P<line>.*?) lr=\S+ ?(?P<setting>.*)$")
    if parts["line"].isna().any():
        raise MissingInput(f"no learning rate in the arm's name: {runs.loc[parts['line'].isna(), 'arm'].iloc[0]!r}")
    rates = [json.loads(text)["adam"]["lr"] for text in runs["config"]]
    named = runs[CELL].assign(lr=rates, line=parts["line"], setting=parts["setting"])
    frame = final_scores(results).merge(named, on=CELL).merge(_last_scores(results, "validation"), how="left", on=CELL)
    frame["validation"] = frame["validation"].where(np.isfinite(frame["validation"]), frame["majority_score"])
    return frame.drop(columns="arm").rename(columns={"line": "arm"})


def training_lengths(results: Results) -> pd.DataFrame:
    """`final_scores` with each run's steps, its method, and its last scores on ``validation`` and on ``test``.

    The arms of a grid of lengths are pairs of method and length; grouping needs them apart. The number of steps is the run's own;
    the method is the arm's name without that number (``reinit 400`` after 400 steps: ``reinit``).

    On either split a run that diverged or whose score is undefined counts at the majority score of the split that the task is
    scored on. A task for which no run was evaluated on a split has NaN there.
    """
    frame = final_scores(results).merge(results.runs[[*CELL, "num_steps"]], on=CELL).rename(columns={"num_steps": "steps"})
    frame["method"] = [arm.removesuffix(f" {steps}") for arm, steps in zip(frame["arm"], frame["steps"], strict=True)]
    for split in ("validation", "test"):
        frame = frame.merge(_last_scores(results, split), how="left", on=CELL)
        evaluated = frame.groupby("task", observed=True)[split].transform("count") > 0
        frame[split] = frame[split].mask((frame["diverged"] | ~np.isfinite(frame[split])) & evaluated, frame["majority_score"])
    return frame


def learning_rate_table(results: Results) -> pd.DataFrame:
    """Scores and training loss per task, arm, setting and learning rate.

    Returns:
        One row per task, arm, setting (no such column where there is none) and lr, ascending: n, mean, std, failed, and train_loss:
        the mean over runs of the training loss over the last tenth of the steps (one step is one batch, too noisy). Runs that
        diverged have none.
    """
    frame = learning_rates(results).merge(_final_losses(results), how="left", on="run_id")
    rows = []
    for task, of_task in frame.groupby("task", sort=False, observed=True):
        for (arm, setting, lr), group in of_task.groupby(["arm", "setting", "lr"]):
            s = statistics.summary(group["score"])
            row = {"task": task, "arm": arm, "setting": setting, "lr": lr, "n": s.n, "mean": s.mean, "std": s.std}
            rows.append(row | {"failed": int(group["failed"].sum()), "train_loss": group["train_loss"].mean()})
    return pd.DataFrame(rows).drop(columns=[] if frame["setting"].any() else "setting")


def rate_pair_table(results: Results) -> pd.DataFrame:
    """The arms of a grid of learning rates against the first of them, at each rate and setting.

    Returns:
        One row per task, setting, lr and other arm: the arm, mean and failed runs of the first arm and of this one, pairs of equal
        seed, their mean difference with its 95 % BCa interval (low, high), and p of the sign-flip test.
    """
    frame = learning_rates(results)
    first, *others = frame["arm"].unique()
    rows = []
    for (task, setting, lr), group in frame.groupby(["task", "setting", "lr"], observed=True):
        reference = group[group["arm"] == first]
        for arm in others:
            of_arm = group[group["arm"] == arm]
            means = {f"mean_{name}": part["score"].mean() for name, part in ((first, reference), (arm, of_arm))}
            failed = {f"failed_{name}": int(part["failed"].sum()) for name, part in ((first, reference), (arm, of_arm))}
            place = {"task": task, "setting": setting, "lr": lr, "arm": arm}
            rows.append(place | means | failed | _difference(of_arm, reference))
    return pd.DataFrame(rows).drop(columns=[] if len(others) > 1 else "arm")


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


def convergence_table(results: Results) -> pd.DataFrame:
    """How far and how fast the training loss falls: Zhang et al. (2021), Figure 6, in numbers, which the source does not print.

    Losses are those of `stableft.series.interval_means`, the points of the curves of the training loss.

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
    chosen_on = _last_scores(results, "validation").rename(columns={"validation": "score"})
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


def _difference(group: pd.DataFrame, reference: pd.DataFrame) -> dict[str, float]:
    pairs = group.merge(reference, on="seed", suffixes=("", "_reference"))
    if pairs.empty:
        return {"pairs": 0}
    rng = np.random.default_rng(statistics.RESAMPLING_SEED)
    d = statistics.paired_difference(pairs["score"], pairs["score_reference"], rng)
    return {"pairs": d.n, "difference": d.mean, "low": d.low, "high": d.high, "p": d.p}


def _last_scores(results: Results, split: str) -> pd.DataFrame:
    """Cell and score on the whole split after the last step, in a column named as the split; only where it was evaluated."""
    metrics = results.metrics
    whole = (metrics["split"] == split) & (metrics["metric"] == "score") & (metrics["scope"] == "")
    scores = metrics.loc[whole, [*CELL, "step", "value"]].rename(columns={"step": "num_steps", "value": split})
    return scores.merge(results.runs[[*CELL, "num_steps"]], on=[*CELL, "num_steps"])[[*CELL, split]]


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
