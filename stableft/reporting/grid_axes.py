"""Grid axes: scores of grids whose arms are settings (learning rates, lengths, seeds), with the settings as columns."""

import json

import numpy as np
import pandas as pd

from stableft.core.errors import MissingInput
from stableft.reporting.run_scores import both_splits, final_scores, last_scores
from stableft.storage.records import CELL, Results


def learning_rates(results: Results) -> pd.DataFrame:
    """Returns `final_scores` with the learning rate (``lr``), and the arm's name without it.

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
    """Returns `both_splits` with each run's steps and its method.

    The arms of a grid of lengths are pairs of method and length; grouping needs them apart. The number of steps is the run's own;
    the method is the arm's name without that number (``reinit 400`` after 400 steps: ``reinit``).
    """
    frame = both_splits(results).merge(results.runs[[*CELL, "num_steps"]], on=CELL).rename(columns={"num_steps": "steps"})
    frame["method"] = [arm.removesuffix(f" {steps}") for arm, steps in zip(frame["arm"], frame["steps"], strict=True)]
    return frame


def seed_scores(results: Results) -> pd.DataFrame:
    """Returns `final_scores` with each run's init seed, order seed and method (``standard``, or the names of its techniques).

    The arms of a grid of seeds are pairs of both seeds; grouping needs them apart.
    """
    configs = [json.loads(text) for text in results.runs["config"]]
    methods = ["+".join(technique["name"] for technique in config.get("techniques") or ()) or "standard" for config in configs]
    seeds = {name: [config[f"{name}_seed"] for config in configs] for name in ("init", "order")}
    return final_scores(results).assign(method=methods, **seeds)


def final_losses(results: Results) -> pd.DataFrame:
    """Returns run_id and train_loss: the mean over the last tenth of the steps, of the runs that finished."""
    metrics = results.metrics
    losses = metrics.loc[(metrics["split"] == "train") & (metrics["metric"] == "loss"), ["run_id", "step", "value"]]
    finished = results.runs.loc[results.runs["outcome"] == "ok", ["run_id", "num_steps"]].drop_duplicates()
    losses = losses.merge(finished, on="run_id")
    tail = losses[losses["step"] > losses["num_steps"] - np.maximum(1, losses["num_steps"] // 10)]
    return tail.groupby("run_id", sort=False)["value"].mean().rename("train_loss").reset_index()
