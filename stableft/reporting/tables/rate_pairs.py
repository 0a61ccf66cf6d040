"""Rate pairs: the arms of a grid of learning rates against the first arm, at each rate."""

import pandas as pd

from stableft.core.errors import TooFew
from stableft.reporting.grid_axes import learning_rates
from stableft.reporting.run_scores import difference
from stableft.storage.records import Results

NOTE = (
    "Final scores over seeds. Difference: mean over the pairs of runs with equal seed, against the first arm at the same rate, "
    "with 95 % BCa bootstrap interval; p: two-sided sign-flip permutation test of the pairs, each row for itself."
)


def table(results: Results) -> pd.DataFrame:
    """Compares each arm with the first one at every learning rate and setting.

    Returns:
        One row per task, setting, lr and other arm: the arm, mean and failed runs of the first arm and
        of this one, pairs of equal seed, their mean difference with its 95 % BCa interval (low, high),
        and p of the sign-flip test. The column arm is left out if there is only one other arm.

    Raises:
        TooFew: no two arms share a learning rate.
    """
    frame = learning_rates(results)
    first, *others = frame["arm"].unique()
    rows = []
    for (task, setting, lr), group in frame.groupby(["task", "setting", "lr"], observed=True):
        reference = group[group["arm"] == first]
        for arm in others:
            of_arm = group[group["arm"] == arm]
            if of_arm.empty:  # an arm of some rates only
                continue
            means = {f"mean_{name}": part["score"].mean() for name, part in ((first, reference), (arm, of_arm))}
            failed = {f"failed_{name}": int(part["failed"].sum()) for name, part in ((first, reference), (arm, of_arm))}
            cell = {"task": task, "setting": setting, "lr": lr, "arm": arm}
            rows.append(cell | means | failed | difference(of_arm, reference))
    if not rows:
        raise TooFew("no two arms at the same learning rate")
    return pd.DataFrame(rows).drop(columns=[] if len(others) > 1 else "arm")
