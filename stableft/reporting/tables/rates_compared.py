"""Rates compared: each arm at its own best learning rate, beside both arms at one arm's best rate."""

import pandas as pd

from stableft.reporting.run_scores import difference
from stableft.reporting.tuned_rates import tuned_scores
from stableft.storage.records import Results

NOTE = (
    "Each other arm against the first, over the pairs of runs with equal seed: at its own best learning rate (each), and at the "
    "best rate of one of them (both), which favours that one. rate and rate_first: the chosen rates. They are chosen on other "
    "examples than those reported: on validation if a test split is scored; else examples of even index choose for those of odd "
    "index, and the reverse (two rates if they differ), and the scores of both halves are averaged. The means of the seeds that "
    "all rates of an arm have decide. low and high: 95 % BCa bootstrap interval over seeds; p: two-sided sign-flip permutation "
    "test, each row for itself."
)
COLUMNS = ["task", "arm", "rates_of", "rate", "rate_first", "mean", "mean_first", "pairs", "difference", "low", "high", "p"]


def table(results: Results) -> pd.DataFrame:
    """Compares each arm with the first one at tuned learning rates.

    Returns:
        Three rows per task and other arm: rates_of is ``each``, or the arm with the best rate of which
        both were run. The means are over the pairs. A comparison without a run at the rate has no row.

    Raises:
        MissingInput: see `stableft.reporting.tuned_rates.tuned_scores`.
    """
    scores = tuned_scores(results).rename(columns={"value": "score"})
    first, *others = scores["arm"].unique()
    rows = []
    for task, of_task in scores.groupby("task", sort=False):
        groups = {(str(arm), str(chooser)): group for (arm, chooser), group in of_task.groupby(["arm", "rate_of"])}
        for arm in others:
            for rates_of, choosers in (("each", (arm, first)), (first, (first, first)), (arm, (arm, arm))):
                both = groups.get((arm, choosers[0])), groups.get((first, choosers[1]))
                if both[0] is None or both[1] is None:
                    continue
                pairs = both[0].merge(both[1], on="seed", suffixes=("", "_first"))
                means = {"mean": pairs["score"].mean(), "mean_first": pairs["score_first"].mean()}
                rates = {"rate": both[0]["rates"].iloc[0], "rate_first": both[1]["rates"].iloc[0]}
                rows.append({"task": task, "arm": arm, "rates_of": rates_of} | rates | means | difference(*both))
    return pd.DataFrame(rows).reindex(columns=COLUMNS).astype({"pairs": "Int64"})
