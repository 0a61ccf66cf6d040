"""Tuned rates: arms of a grid of learning rates, each at its own best rate and at another arm's.

The rate is chosen on other examples than those reported. If a task is scored on a test split, the
rate is chosen on validation. If it is scored on validation, the rate is chosen by cross-fitting:
examples of even index choose the rate for those of odd index, and the reverse; the two scores are
averaged. All seeds that every rate of an arm has choose together, by their mean.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from stableft.core.errors import NotLogged, TooFew
from stableft.reporting.grid_axes import learning_rates
from stableft.reporting.rounding import exact
from stableft.reporting.run_predictions import predictions
from stableft.storage.records import Results
from stableft.tasks import scores

HALVES = 2


def tuned_scores(results: Results) -> pd.DataFrame:
    """Returns the scores of each arm at its own best rate, and at the best rate of each other arm.

    Only runs without a setting besides the rate count (see
    `stableft.reporting.grid_axes.learning_rates`).

    Args:
        results: Results of a grid of learning rates. A task scored on validation needs predictions.

    Returns:
        task, arm (without its rate), rate_of (the arm that chose the rate), rates (the chosen rate, or
        that of each half, such as ``5e-04 / 2e-04``), seed and value (the score).

    Raises:
        NotLogged: predictions are absent, or the rates of an arm have no common seed.
        MissingInput: see `learning_rates`.
    """
    frame = learning_rates(results)
    frame = frame[frame["setting"] == ""]
    rows = []
    for task, of_task in frame.groupby("task", sort=False, observed=True):
        by_part = list(_parts(str(task), of_task, results))
        arms = list(map(str, of_task["arm"].unique()))
        best = {arm: [_best(str(task), arm, chosen[arm]) for chosen, _ in by_part] for arm in arms}
        for arm in arms:
            for chooser in arms:
                rates = best[chooser]
                reported = [of_part[arm] for _, of_part in by_part]
                if any(rate not in wide for rate, wide in zip(rates, reported, strict=True)):
                    continue  # the arm was not run at the other arm's rate
                columns = [wide[rate] for rate, wide in zip(rates, reported, strict=True)]
                values = pd.concat(columns, axis=1, join="inner").dropna().mean(axis=1)
                named = " / ".join(f"{rate:.0e}" for rate in dict.fromkeys(rates))
                rows += [(str(task), arm, chooser, named, int(str(seed)), value) for seed, value in values.items()]
    return pd.DataFrame(rows, columns=["task", "arm", "rate_of", "rates", "seed", "value"])


def _parts(task: str, runs: pd.DataFrame, results: Results) -> Iterator[tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]]]:
    """Yields, for each part of the reported examples, the scores that choose and those reported.

    Scores are frames of seeds x rates by arm.
    """
    if (runs["split"] != "validation").all():
        yield _wide(runs, "validation"), _wide(runs, "score")
        return
    halves = _half_scores(task, runs, results)
    for half in range(HALVES):
        yield _wide(halves, str(half)), _wide(halves, str(1 - half))


def _wide(runs: pd.DataFrame, column: str) -> dict[str, pd.DataFrame]:
    return {str(arm): of_arm.pivot(index="seed", columns="lr", values=column) for arm, of_arm in runs.groupby("arm")}


def _best(task: str, arm: str, chosen: pd.DataFrame) -> float:
    """Returns the rate with the best mean over the seeds that all rates have; of equal ones, the lowest."""
    common = chosen.dropna()
    if common.empty:
        raise TooFew(f"no seed on {task} that all learning rates of {arm} have")
    return float(str(common.mean().map(exact).idxmax()))


def _half_scores(task: str, runs: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Returns the runs with their scores on examples of even and of odd index, in columns 0 and 1."""
    names = results.runs.set_index("run_id")["arm"].astype(str).to_dict()
    stored = results.predictions
    of_task = Results(results.runs, results.metrics.iloc[:0], stored[stored["task"] == task])
    found = predictions(of_task).get(task)
    name = str(runs["score_name"].iloc[0])
    if found is None or name not in scores.SCORES:
        why = "no predictions" if found is None else f"a score of whole texts, {name}"
        raise NotLogged(f"the learning rate on {task} can't be chosen on other examples than those reported: {why}")
    columns: dict[str, list[float]] = {str(half): [] for half in range(HALVES)}
    for run in runs.itertuples():
        row = found.rows.get((names[str(run.run_id)], int(str(run.seed))))
        for half in range(HALVES):
            labels = found.labels[half::HALVES]
            if row is None:  # diverged: scored at the majority score, as everywhere
                columns[str(half)].append(scores.constant(name, labels))
                continue
            value = scores.evaluate(name, labels, found.predictions[row, half::HALVES])
            columns[str(half)].append(value if np.isfinite(value) else scores.constant(name, labels))
    return runs.assign(**columns)
