"""Grid axes: scores of grids over learning rates, lengths, sizes or seeds, with these as columns."""

import json

import numpy as np
import pandas as pd

from stableft.core.errors import MissingInput, NotLogged
from stableft.reporting.run_scores import both_splits, final_scores, last_scores
from stableft.storage.records import CELL, Results


def learning_rates(results: Results) -> pd.DataFrame:
    """Returns `final_scores` with the learning rate in a column ``lr``, and the arm's name without it.

    The arms of a grid of learning rates are named "<arm> lr=<rate>" or "<arm> lr=<rate> <setting>".
    The parts become the columns ``arm`` and ``setting`` ("" if there is none). ``lr`` is taken from
    each run's configuration. ``validation`` is the final score on the validation split, or the
    majority score where that is undefined. Learning rates are chosen by it, never on a test split.

    Raises:
        MissingInput: an arm's name has no learning rate.
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


def common_seeds(runs: pd.DataFrame) -> pd.DataFrame:
    """Keeps the seeds that all rates of an arm have, so that a choice between rates is of equal seeds.

    Args:
        runs: See `learning_rates`.
    """
    of_arm = runs.groupby(["task", "arm", "setting"], observed=True)["lr"].transform("nunique")
    return runs[runs.groupby(["task", "arm", "setting", "seed"], observed=True)["lr"].transform("nunique") == of_arm]


def without_rate(arms: pd.Series) -> pd.Series:
    """Returns the arms' names up to " lr=..."."""
    return arms.astype("str").str.replace(r" lr=\S+.*$", "", regex=True)


def training_lengths(results: Results) -> pd.DataFrame:
    """Returns `both_splits` with the number of steps and the method of each run.

    The arms of a grid of lengths are pairs of a method and a length. ``steps`` is the run's own
    number of steps. ``method`` is the arm's name without it (``reinit 400``: ``reinit``).
    """
    frame = both_splits(results).merge(results.runs[[*CELL, "num_steps"]], on=CELL).rename(columns={"num_steps": "steps"})
    frame["method"] = [arm.removesuffix(f" {steps}") for arm, steps in zip(frame["arm"], frame["steps"], strict=True)]
    return frame


def training_sizes(results: Results) -> pd.DataFrame:
    """Returns `final_scores` with the training examples, the method and the draw of each run.

    The arms of a grid of sizes are pairs of a method and a size, such as ``reinit 100``, or ``reinit
    all``. ``examples`` is the run's own number. ``draw`` names its subset: the subset's seed if that is
    set, else the run's own; -1 for all examples.

    Raises:
        NotLogged: a run does not say how many examples it has.
    """
    runs = results.runs
    examples = runs["num_train"] if "num_train" in runs else pd.Series(np.nan, index=runs.index)
    if examples.isna().any():
        raise NotLogged(f"arm {runs.loc[examples.isna(), 'arm'].iloc[0]}: its number of training examples is not known")
    draws = []
    for config, seed in zip(map(json.loads, runs["config"]), runs["seed"], strict=True):
        drawn = config.get("sample_seed")
        draws.append(-1 if config.get("num_train") is None else seed if drawn is None else drawn)
    named = runs[CELL].assign(examples=examples.astype("int64"), draw=draws)
    frame = final_scores(results).merge(named, on=CELL)
    return frame.assign(method=frame["arm"].astype(str).str.replace(r" (\d+|all)$", "", regex=True))


def seed_scores(results: Results) -> pd.DataFrame:
    """Returns the last scores of a grid of seeds on validation, with ``init``, ``order`` and ``method``.

    The arms of a grid of seeds are pairs of an init seed and an order seed. ``method`` is
    ``standard``, or the names of the run's techniques. Zhang et al. (2021), Appendix B, print
    validation scores; a task without any has its final scores here. Of several runs of a method with
    the same pair of seeds, the first counts.

    Returns:
        `both_splits` with those three columns; ``split`` and ``score`` are the ones judged here, and
        ``failed`` stays that of the final score.
    """
    configs = [json.loads(text) for text in results.runs["config"]]
    methods = ["+".join(technique["name"] for technique in config.get("techniques") or ()) or "standard" for config in configs]
    seeds = {name: [config[f"{name}_seed"] for config in configs] for name in ("init", "order")}
    frame = both_splits(results).assign(method=methods, **seeds)
    evaluated = frame["validation"].notna()
    frame["split"] = frame["split"].where(~evaluated, "validation")
    frame["score"] = frame["validation"].where(evaluated, frame["score"])
    return frame.sort_values("seed", kind="stable").drop_duplicates(["task", "method", "init", "order"]).sort_index()


def seed_square(scores: pd.DataFrame) -> pd.DataFrame:
    """Returns the scores of one task and method as init seeds x order seeds; NaN where no run is done."""
    return scores.pivot(index="init", columns="order", values="score").sort_index().sort_index(axis=1)


def final_losses(results: Results) -> pd.DataFrame:
    """Returns run_id and train_loss of finished runs: the mean loss of the last tenth of the steps."""
    metrics = results.metrics
    losses = metrics.loc[(metrics["split"] == "train") & (metrics["metric"] == "loss"), ["run_id", "step", "value"]]
    finished = results.runs.loc[results.runs["outcome"] == "ok", ["run_id", "num_steps"]].drop_duplicates()
    losses = losses.merge(finished, on="run_id")
    tail = losses[losses["step"] > losses["num_steps"] - np.maximum(1, losses["num_steps"] // 10)]
    return tail.groupby("run_id", sort=False)["value"].mean().rename("train_loss").reset_index()
