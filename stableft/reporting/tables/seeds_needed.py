"""Seeds needed: seeds for each comparison with the first arm, and its power at other numbers."""

import numpy as np
import pandas as pd

from stableft import statistics
from stableft.reporting.run_scores import against_first, final_scores
from stableft.storage.records import Results

SEEDS = (5, 10, 20, 50)
ALPHA = 0.05
POWER = 0.8

NOTE = (
    "Each arm against the first, over the pairs of runs with equal seed: difference of the means, std of the differences (n - 1),"
    " and needed, the seeds at which the two-sided sign-flip test at 0.05 finds a true difference of that size with probability "
    "0.8 (closed form of the paired t-test at the level that the sign-flip test attains; none where there is no difference). For "
    "each number of seeds: detectable, the least true difference with that probability; power, that of the difference found here "
    "if it were the true one, which says nothing beyond p; better and worse, the share of subsamples of that many seeds whose "
    "test finds the arm significantly better or worse, drawn with replacement where there are not that many seeds. Five seeds "
    "never suffice: their p is at least 0.0625."
)


def table(results: Results) -> pd.DataFrame:
    """Estimates needed seeds and power of each arm but the first, per task.

    Each has a row for 5, 10, 20 and 50 seeds, and one for its number of pairs.

    Returns:
        task, arm, pairs, difference, std, needed, seeds, detectable (infinite if no difference is),
        power, better, worse. With fewer than two pairs there is one row, without the numbers that need
        two.

    Raises:
        MissingInput: see `final_scores`.
    """
    rows = []
    for task, arm, pairs in against_first(final_scores(results)):
        difference = (pairs["score"] - pairs["score_reference"]).to_numpy()
        row = {"task": task, "arm": arm, "pairs": len(pairs), "difference": difference.mean() if len(pairs) else np.nan}
        if len(pairs) < 2:
            rows.append(row)
            continue
        effect, std = float(difference.mean()), _std(difference)
        row |= {"std": std, "needed": statistics.seeds_needed(effect, std, POWER, ALPHA)}
        rows += [row | _for_seeds(seeds, difference, effect, std) for seeds in sorted({*SEEDS, len(pairs)})]
    columns = ["task", "arm", "pairs", "difference", "std", "needed", "seeds", "detectable", "power", "better", "worse"]
    return pd.DataFrame(rows).reindex(columns=columns).astype({"pairs": "Int64", "needed": "Int64", "seeds": "Int64"})


def _for_seeds(seeds: int, difference: np.ndarray, effect: float, std: float) -> dict[str, float]:
    verdicts = statistics.verdicts(difference, seeds, statistics.resampling(), ALPHA)
    detectable = statistics.minimum_detectable(std, seeds, POWER, ALPHA)
    power = statistics.power(effect, std, seeds, ALPHA)
    return {"seeds": seeds, "detectable": detectable, "power": power, **verdicts._asdict()}


def _std(difference: np.ndarray) -> float:
    return float(difference.std(ddof=1)) if np.ptp(difference) else 0.0
