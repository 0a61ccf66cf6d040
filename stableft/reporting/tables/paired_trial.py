"""Paired trial: each arm against the first at equal seeds, with cost and seeds to decide."""

import numpy as np
import pandas as pd

from stableft import statistics
from stableft.reporting import run_scores
from stableft.reporting.run_scores import against_first, final_scores
from stableft.storage.records import Results

ALPHA, POWER = 0.05, 0.8

NOTE = (
    "Each arm against the first, over the pairs of runs with equal seed: means, difference of the means with 95 % BCa bootstrap "
    "interval, p of the two-sided sign-flip test, failed runs of both, time (ratio of the median seconds of a run), and more "
    "seeds, so many that the test at 0.05 would find a true difference of that size with probability 0.8 (0: p is below 0.05; "
    "none: there is no difference). Fewer than six pairs never decide."
)


def table(results: Results) -> pd.DataFrame:
    """Compares each arm with the first, per task, over the seeds that both have.

    Returns:
        task, arm, pairs, mean, reference (the first arm's mean), difference, low and high (its 95 %
        BCa interval), p, failed, failed_reference, time (median seconds of a run over the first
        arm's), more (seeds in addition to the pairs that would decide; 0 if p < 0.05; none if no
        number would).

    Raises:
        MissingInput: see `final_scores`.
    """
    scores = final_scores(results)
    seconds = results.runs.groupby(["task", "arm"], observed=True)["seconds"].median()
    first = str(scores["arm"].iloc[0])
    rows = []
    for task, arm, pairs in against_first(scores):
        row = {"task": task, "arm": arm, "pairs": len(pairs)}
        if len(pairs):
            reference = pairs[["seed", "score_reference"]].rename(columns={"score_reference": "score"})
            row |= {"mean": pairs["score"].mean(), "reference": pairs["score_reference"].mean()}
            row |= run_scores.difference(pairs[["seed", "score"]], reference)
            row |= {"failed": pairs["failed"].sum(), "failed_reference": pairs["failed_reference"].sum()}
            row |= {"time": seconds[task, arm] / seconds[task, first], "more": _more(pairs, float(row["p"]))}
        rows.append(row)
    columns = ["task", "arm", "pairs", "mean", "reference", "difference", "low", "high", "p"]
    columns += ["failed", "failed_reference", "time", "more"]
    whole = {name: "Int64" for name in ("pairs", "failed", "failed_reference", "more")}
    return pd.DataFrame(rows).reindex(columns=columns).astype(whole)


def _more(pairs: pd.DataFrame, p: float) -> int | None:
    if p < ALPHA:
        return 0
    difference = (pairs["score"] - pairs["score_reference"]).to_numpy()
    if len(difference) < 2:
        return None
    std = float(difference.std(ddof=1)) if np.ptp(difference) else 0.0
    needed = statistics.seeds_needed(float(difference.mean()), std, POWER, ALPHA)
    return None if needed is None else max(0, needed - len(difference))
