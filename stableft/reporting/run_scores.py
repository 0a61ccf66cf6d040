"""Run scores: final scores of runs, and comparisons of arms.

A run without a final score (it diverged, or its score is undefined or infinite) counts as failed.
It is scored at the task's majority score: the score of a constant prediction without training; on a
regression task, the score of the best constant. Leaving such runs out would favour the arm that
diverges. For every score higher is better (`stableft.tasks.scores`), so one rule fits
classification and regression.

Failed runs are counted as the sources do (Mosbach et al. 2021, section 3.2, after Dodge et al.
2020): a run at or below the majority score. The rule has two limits. For MRPC it compares F1, so a
run with an accuracy above the majority's may count as failed. For correlations and MCC the bound is
0, so a collapsed run with noise for predictions passes half of the time.
"""

import json
from collections.abc import Collection, Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from stableft import statistics
from stableft.core.errors import MissingInput, TooFew
from stableft.reporting import majority_scores
from stableft.reporting.artifact_metadata import encoder_name
from stableft.storage.records import CELL, Results

DIVERGED_RULE = "A run that diverged or has no defined score counts as failed and is scored at the majority score."


class ArmScore(NamedTuple):
    """Summary of the scores of an arm's runs on one split of one task.

    Attributes:
        encoder: Name of the encoder, without folders.
        n: Number of runs.
        mean: Mean of the scores.
        std: Standard deviation of the scores, with n - 1.
        median: Median of the scores.
        max: Maximum of the scores.
        headline: True if the task is judged by this score.
    """

    encoder: str
    n: int
    mean: float
    std: float
    median: float
    max: float
    headline: bool


def final_scores(results: Results) -> pd.DataFrame:
    """Returns the final score of each run.

    Returns:
        One row per run, in the order of ``results.runs``: experiment, arm, task, seed, run_id,
        score_name, split, score, majority_score, failed (final score at or below the majority score,
        or no final score; Mosbach et al. 2021, section 3.2) and diverged.

    Raises:
        MissingInput: no runs, or a finished run without its final score.
    """
    return _final_scores(results).copy()


@lru_cache(maxsize=4)
def _final_scores(results: Results) -> pd.DataFrame:
    """Computes `final_scores`. Cached: most items of a report and most claims ask for them."""
    if results.runs.empty:
        raise MissingInput("the results hold no runs; run the experiment first")
    # Join each run with its score after the last step.
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
    # Score runs without a final score at the majority score.
    undefined = diverged | ~np.isfinite(frame["value"])
    frame["score"] = frame["value"].mask(undefined, frame["majority_score"])
    frame["failed"] = undefined | (frame["score"] <= frame["majority_score"])
    frame["diverged"] = diverged
    return frame[[*CELL, "score_name", "split", "score", "majority_score", "failed", "diverged"]]


def of_arms(results: Results, arms: Collection[str] | None) -> Results:
    """Keeps the runs of some arms; metrics and predictions stay as they are.

    Args:
        results: Results of one experiment.
        arms: Names of arms, with ``*`` for any letters; None: all arms.

    Raises:
        TooFew: there is no such run.
    """
    if arms is None:
        return results
    shown = [arm for arm in results.runs["arm"].unique() if any(fnmatchcase(str(arm), pattern) for pattern in arms)]
    if not shown:
        raise TooFew(f"no run of {', '.join(arms)}")
    return replace(results, runs=results.runs[results.runs["arm"].isin(shown)])


def difference(group: pd.DataFrame, reference: pd.DataFrame) -> dict[str, float]:
    """Compares the runs of two arms on the same seeds.

    Returns:
        pairs (number of shared seeds), difference (of the means), low and high (its 95 % BCa
        confidence interval), and p (of the sign-flip test); only ``pairs``, 0, if none is shared.
    """
    pairs = group.merge(reference, on="seed", suffixes=("", "_reference"))
    if pairs.empty:
        return {"pairs": 0}
    rng = statistics.resampling()
    d = statistics.paired_difference(pairs["score"], pairs["score_reference"], rng)
    return {"pairs": d.n, "difference": d.mean, "low": d.low, "high": d.high, "p": d.p}


def against_first(scores: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yields task, arm and paired scores for each arm but the first.

    The paired scores are the arm's `final_scores` joined by seed with those of the first arm. The
    columns of the first arm end in ``_reference``. Without a shared seed there are no rows.
    """
    reference = scores["arm"].iloc[0]
    for task, of_task in scores.groupby("task", sort=False, observed=True):
        first = of_task[of_task["arm"] == reference]
        for arm, group in of_task[of_task["arm"] != reference].groupby("arm", sort=False, observed=True):
            yield str(task), str(arm), group.merge(first, on="seed", suffixes=("", "_reference"))


def last_scores(results: Results, split: str) -> pd.DataFrame:
    """Returns the score of each run on a whole split after the last step.

    The columns are those of the cell and one named as the split. Runs that were not evaluated on the
    split have no row.
    """
    metrics = results.metrics
    whole = (metrics["split"] == split) & (metrics["metric"] == "score") & (metrics["scope"] == "")
    scores = metrics.loc[whole, [*CELL, "step", "value"]].rename(columns={"step": "num_steps", "value": split})
    return scores.merge(results.runs[[*CELL, "num_steps"]], on=[*CELL, "num_steps"])[[*CELL, split]]


def validation_points(results: Results) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yields task, arm and validation scores, as seeds x steps, of each arm with more than one point.

    All points of a task are on the same examples: on its fixed subset, if it has one. A run without a
    defined score at a point has the majority score there.
    """
    scores = final_scores(results)
    metrics = results.metrics
    wanted = (metrics["split"] == "validation") & (metrics["metric"] == "score") & metrics["scope"].isin(["", "subset"])
    points = metrics[wanted].merge(scores[[*CELL, "majority_score"]], on=CELL)
    for task, of_task in points.groupby("task", sort=False, observed=True):
        same = of_task[of_task["scope"] == ("subset" if (of_task["scope"] == "subset").any() else "")]
        for arm, of_arm in same.groupby("arm", sort=False, observed=True):
            grid = of_arm.pivot(index="seed", columns="step", values="value").sort_index(axis="columns")
            if grid.shape[1] > 1:
                yield str(task), str(arm), grid.where(np.isfinite(grid)).fillna(of_arm["majority_score"].iloc[0])


def both_splits(results: Results) -> pd.DataFrame:
    """Returns `final_scores` with the last scores on the splits, in ``validation`` and ``test``.

    A run that diverged or has an undefined score gets the majority score of that split, or that of the
    task's scored split if it is unknown. A task without any evaluation on a split has NaN there.
    """
    frame = final_scores(results)
    for split in ("validation", "test"):
        frame = frame.merge(last_scores(results, split), how="left", on=CELL)
        evaluated = frame.groupby("task", observed=True)[split].transform("count") > 0
        majority = frame["task"].astype("str").map(majority_scores.on_split(results, split)).fillna(frame["majority_score"])
        frame[split] = frame[split].mask((frame["diverged"] | ~np.isfinite(frame[split])) & evaluated, majority)
    return frame


def arm_scores(results: Results) -> dict[tuple[str, str, str, str], ArmScore]:
    """Summarizes the scores of arms, by task, arm, split and score name.

    Summarized are the final scores, the same score on the other split, accuracy and Pearson's
    correlation where logged, and the mean of accuracy and F1 (``accuracy_and_f1``).
    """
    # Final scores, and the same score on the other split.
    final = final_scores(results)
    configs = results.runs.drop_duplicates("task").set_index("task")["config"]
    encoders = {task: encoder_name(json.loads(config)["encoder"]) for task, config in configs.items()}
    parts = [final.rename(columns={"score": "value"})[[*CELL, "split", "score_name", "value"]].assign(headline=True)]
    for split in ("validation", "test"):
        other = last_scores(results, split).merge(final.loc[final["split"] != split, [*CELL, "score_name"]], on=CELL)
        parts.append(other.rename(columns={split: "value"}).assign(split=split, headline=False))
    # Accuracy and Pearson's correlation at the last step, and the mean of accuracy and F1.
    both = final.loc[final["score_name"] == "f1", [*CELL, "split", "score"]]
    metrics = results.metrics[results.metrics["metric"].isin(["accuracy", "pearson"]) & (results.metrics["scope"] == "")]
    logged = metrics.merge(results.runs[[*CELL, "num_steps"]], on=CELL)
    logged = logged[(logged["step"] == logged["num_steps"]) & logged["split"].isin(["validation", "test"])]
    others = logged.rename(columns={"metric": "score_name"})
    parts.append(others[[*CELL, "split", "score_name", "value"]].assign(headline=False))
    accuracy = logged[logged["metric"] == "accuracy"].merge(both, on=[*CELL, "split"])
    mean_of_two = accuracy.assign(value=(accuracy["value"] + accuracy["score"]) / 2, score_name="accuracy_and_f1", headline=False)
    parts.append(mean_of_two[[*CELL, "split", "score_name", "value", "headline"]])
    # The headline comes first, so it is kept among duplicates.
    frame = pd.concat(parts, ignore_index=True)
    frame = frame[np.isfinite(frame["value"])].drop_duplicates([*CELL, "split", "score_name"])
    summaries: dict[tuple[str, str, str, str], ArmScore] = {}
    for (task, arm, split, name), group in frame.groupby(["task", "arm", "split", "score_name"], sort=False, observed=True):
        s = statistics.summary(group["value"])
        score = ArmScore(encoders[task], s.n, s.mean, s.std, s.median, s.max, bool(group["headline"].any()))
        summaries[str(task), str(arm), str(split), str(name)] = score
    return summaries


def _cells(frame: pd.DataFrame) -> str:
    names = [f"{row.task}/{row.arm}/seed {row.seed}" for row in frame.head(3).itertuples()]
    return ", ".join(names) + (f" and {len(frame) - 3} more" if len(frame) > 3 else "")
