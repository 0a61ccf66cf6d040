"""Final scores of runs, and of arms against each other."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from stableft import statistics
from stableft.core.errors import MissingInput
from stableft.storage.records import CELL, Results

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
                row |= difference(group, of_task[of_task["arm"] == reference])
            rows.append(row)
    columns = ["task", "arm", "n", "mean", "std", "median", "min", "max", "failed", "pairs", "difference", "low", "high", "p"]
    return pd.DataFrame(rows).reindex(columns=columns).astype({"pairs": "Int64"})


def difference(group: pd.DataFrame, reference: pd.DataFrame) -> dict[str, float]:
    """Pairs of runs with equal seed: pairs, difference of the means, its 95 % BCa interval (low, high), p of the sign-flip test."""
    pairs = group.merge(reference, on="seed", suffixes=("", "_reference"))
    if pairs.empty:
        return {"pairs": 0}
    rng = statistics.resampling()
    d = statistics.paired_difference(pairs["score"], pairs["score_reference"], rng)
    return {"pairs": d.n, "difference": d.mean, "low": d.low, "high": d.high, "p": d.p}


def against_first(scores: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Task, arm, and the arm's `final_scores` beside those of the first arm at the same seeds, for every other arm.

    The columns of the first arm end in ``_reference``; there are no rows where no seed is shared.
    """
    reference = scores["arm"].iloc[0]
    for task, of_task in scores.groupby("task", sort=False, observed=True):
        first = of_task[of_task["arm"] == reference]
        for arm, group in of_task[of_task["arm"] != reference].groupby("arm", sort=False, observed=True):
            yield str(task), str(arm), group.merge(first, on="seed", suffixes=("", "_reference"))


def last_scores(results: Results, split: str) -> pd.DataFrame:
    """Cell and score on the whole split after the last step, in a column named as the split; only where it was evaluated."""
    metrics = results.metrics
    whole = (metrics["split"] == split) & (metrics["metric"] == "score") & (metrics["scope"] == "")
    scores = metrics.loc[whole, [*CELL, "step", "value"]].rename(columns={"step": "num_steps", "value": split})
    return scores.merge(results.runs[[*CELL, "num_steps"]], on=[*CELL, "num_steps"])[[*CELL, split]]


def both_splits(results: Results) -> pd.DataFrame:
    """`final_scores` with the last scores on ``validation`` and on ``test``.

    On either split a run that diverged or whose score is undefined counts at the majority score of the split that the task is
    scored on. A task for which no run was evaluated on a split has NaN there.
    """
    frame = final_scores(results)
    for split in ("validation", "test"):
        frame = frame.merge(last_scores(results, split), how="left", on=CELL)
        evaluated = frame.groupby("task", observed=True)[split].transform("count") > 0
        frame[split] = frame[split].mask((frame["diverged"] | ~np.isfinite(frame[split])) & evaluated, frame["majority_score"])
    return frame


def _cells(frame: pd.DataFrame) -> str:
    names = [f"{row.task}/{row.arm}/seed {row.seed}" for row in frame.head(3).itertuples()]
    return ", ".join(names) + (f" and {len(frame) - 3} more" if len(frame) > 3 else "")
