"""Stability: each arm against the first at the same seeds, in score, spread and failed runs."""

import numpy as np
import pandas as pd

from stableft import statistics
from stableft.reporting.run_predictions import TaskPredictions, predictions
from stableft.reporting.run_scores import against_first, final_scores
from stableft.statistics import Interval
from stableft.storage.records import Results

NOTE = (
    "Each arm against the first, over the pairs of runs with equal seed. difference: of the means, with 95 % BCa bootstrap "
    "interval over seeds; items: its 95 % percentile interval over seeds and test items together (multi-bootstrap; accuracy "
    "only). p: two-sided sign-flip permutation test; p_holm: the same, adjusted by Holm for all rows of this table; p_wilcoxon: "
    "signed ranks. std_ratio: standard deviation over seeds, arm / first, with 95 % percentile interval; p_brown_forsythe: test "
    "of equal spread. alone_failed and first_failed: seeds at which only this arm, or only the first, failed; p_mcnemar: exact "
    "test of that. better: share of seeds at which the arm is the better one, ties half, with 95 % Wilson interval. aso: epsilon "
    "of almost stochastic order, upper bound at 95 %; below 0.5 the arm is almost stochastically dominant, 0.2 is the advised "
    "threshold. Here aso resamples pairs, seeds that both arms share; both thresholds were found with independent resamples of the "
    "arms, and paired epsilons are smaller. Resampled intervals and aso are too sure of themselves below about ten seeds."
)
COLUMNS = [
    *("task", "arm", "pairs", "difference", "low", "high", "items_low", "items_high", "p", "p_holm", "p_wilcoxon"),
    *("std_ratio", "std_ratio_low", "std_ratio_high", "p_brown_forsythe", "alone_failed", "first_failed", "p_mcnemar"),
    *("better", "better_low", "better_high", "aso"),
]


def table(results: Results) -> pd.DataFrame:
    """Compares each arm with the first, one row per task and arm.

    Returns:
        See `NOTE`; intervals are pairs of columns, low and high. NaN if a number is not determined: for
        a single pair, for arms without spread, and ``items`` if the score is not accuracy or a finished
        run has no predictions.

    Raises:
        MissingInput: see `final_scores`.
    """
    by_task = predictions(results)
    rows = []
    for task, arm, pairs in against_first(final_scores(results)):
        row = {"task": task, "arm": arm, "pairs": len(pairs)}
        rows.append(row | _compared(pairs, by_task.get(task)) if len(pairs) else row)
    frame = pd.DataFrame(rows).reindex(columns=COLUMNS)
    tested = frame["p"].notna()
    if tested.any():
        frame.loc[tested, "p_holm"] = statistics.holm(frame.loc[tested, "p"])
    return frame.astype({"pairs": "Int64", "alone_failed": "Int64", "first_failed": "Int64"})


def _compared(pairs: pd.DataFrame, predicted: TaskPredictions | None) -> dict[str, float]:
    treated, reference = pairs["score"].to_numpy(), pairs["score_reference"].to_numpy()
    d = statistics.paired_difference(treated, reference, statistics.resampling())
    spread = statistics.std_ratio(treated, reference, statistics.resampling())
    failed = statistics.mcnemar(pairs["failed"], pairs["failed_reference"])
    better = statistics.improvement(treated, reference)
    items = _over_items(pairs, predicted)
    return {
        **{"difference": d.mean, "low": d.low, "high": d.high, "items_low": items.low, "items_high": items.high, "p": d.p},
        "p_wilcoxon": statistics.wilcoxon_p(treated - reference),
        **{"std_ratio": spread.ratio, "std_ratio_low": spread.low, "std_ratio_high": spread.high, "p_brown_forsythe": spread.p},
        **{"alone_failed": failed.only_treated, "first_failed": failed.only_reference, "p_mcnemar": failed.p},
        **{"better": better.probability, "better_low": better.low, "better_high": better.high},
        "aso": statistics.almost_stochastic_order(treated, reference, statistics.resampling()),
    }


def _over_items(pairs: pd.DataFrame, predicted: TaskPredictions | None) -> Interval:
    """Returns the interval over seeds and items.

    A diverged run without predictions counts as predicting the most frequent class.
    """
    missing = Interval(float("nan"), float("nan"))
    if predicted is None or pairs["score_name"].iloc[0] != "accuracy":
        return missing
    classes, counts = np.unique(predicted.labels, return_counts=True)
    right = []
    for suffix in ("", "_reference"):
        cells = zip(pairs[f"arm{suffix}"], pairs["seed"], pairs[f"diverged{suffix}"], strict=True)
        rows = [-1 if diverged else predicted.rows.get((str(arm), int(seed))) for arm, seed, diverged in cells]
        if None in rows:
            return missing
        majority = np.full_like(predicted.labels, classes[counts.argmax()])
        right.append(np.vstack([predicted.predictions, majority])[np.array(rows)] == predicted.labels)
    treated, reference = right
    return statistics.multi_bootstrap(treated, reference, statistics.resampling())
