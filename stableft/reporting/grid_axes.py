"""Grids whose arms are settings: of learning rates, lengths and seeds."""

import json

import numpy as np
import pandas as pd

from stableft import statistics
from stableft.core.errors import MissingInput
from stableft.reporting.run_scores import both_splits, difference, final_scores, last_scores
from stableft.storage.records import CELL, Results


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
    frame = final_scores(results).merge(named, on=CELL).merge(last_scores(results, "validation"), how="left", on=CELL)
    frame["validation"] = frame["validation"].where(np.isfinite(frame["validation"]), frame["majority_score"])
    return frame.drop(columns="arm").rename(columns={"line": "arm"})


def training_lengths(results: Results) -> pd.DataFrame:
    """`both_splits` with each run's steps and its method.

    The arms of a grid of lengths are pairs of method and length; grouping needs them apart. The number of steps is the run's own;
    the method is the arm's name without that number (``reinit 400`` after 400 steps: ``reinit``).
    """
    frame = both_splits(results).merge(results.runs[[*CELL, "num_steps"]], on=CELL).rename(columns={"num_steps": "steps"})
    frame["method"] = [arm.removesuffix(f" {steps}") for arm, steps in zip(frame["arm"], frame["steps"], strict=True)]
    return frame


def learning_rate_table(results: Results) -> pd.DataFrame:
    """Scores and training loss per task, arm, setting and learning rate.

    Returns:
        One row per task, arm, setting (no such column where there is none) and lr, ascending: n, mean, std, failed, and train_loss:
        the mean over runs of the training loss over the last tenth of the steps (one step is one batch, too noisy). Runs that
        diverged have none.
    """
    frame = learning_rates(results).merge(final_losses(results), how="left", on="run_id")
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
            rows.append(place | means | failed | difference(of_arm, reference))
    return pd.DataFrame(rows).drop(columns=[] if len(others) > 1 else "arm")


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


def final_losses(results: Results) -> pd.DataFrame:
    """run_id and train_loss: the mean over the last tenth of the steps, of the runs that finished."""
    metrics = results.metrics
    losses = metrics.loc[(metrics["split"] == "train") & (metrics["metric"] == "loss"), ["run_id", "step", "value"]]
    finished = results.runs.loc[results.runs["outcome"] == "ok", ["run_id", "num_steps"]].drop_duplicates()
    losses = losses.merge(finished, on="run_id")
    tail = losses[losses["step"] > losses["num_steps"] - np.maximum(1, losses["num_steps"] // 10)]
    return tail.groupby("run_id", sort=False)["value"].mean().rename("train_loss").reset_index()
