"""Published comparison: our scores and those printed by the sources, and whether they agree."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from stableft.reporting.published import CITATIONS, rows_for
from stableft.reporting.rounding import exact
from stableft.reporting.run_scores import ArmScore, arm_scores
from stableft.storage.records import Results

NOTE = (
    "Ours beside the sources' numbers. A task or an arm in parentheses is the source's own: this experiment has none like it; "
    "missing is what was not run, not published, or not given. difference: of the means, ours - published; band: two such means "
    "differ by less with a probability of 95 % if nothing but chance parts them (1.96 standard errors of the difference; protocol "
    "section 3.5); within: whether they do. All three only where the encoder is the same; settings may still differ, as remarked. "
    "negative_rmse: the error, its sign turned. read_off: taken off a plot by eye."
)
Z = 1.96
OURS = ["n", "mean", "std", "median", "max"]
COLUMNS = [
    *("task", "arm", "split", "score_name", "encoder", *OURS),
    *("source", "confidence", "published_encoder", *(f"published_{name}" for name in OURS)),
    *("difference", "band", "within", "remark"),
]


def table(results: Results, *, numbers: pd.DataFrame) -> pd.DataFrame:
    """Compares every arm of ours with every published row of the same experiment.

    Args:
        results: Of one experiment.
        numbers: `stableft.reporting.published.read_published`.

    Returns:
        One row per published row, in the order of the file, with ours next to it if task, arm, split
        and score are the same; then one for each of our arms without a published row. n, mean, std (n -
        1), median, max and encoder are ours.
    """
    rows: list[dict[str, object]] = []
    shown: set[tuple[str, str]] = set()
    ours = arm_scores(results)
    # Published rows, each with ours if there is one.
    for row in rows_for(numbers, str(results.runs["experiment"].iloc[0])).to_dict("records"):
        match = ours.get((row["task"], row["arm"], row["split"], row["score_name"]))
        if match:
            shown.add((row["task"], row["arm"]))
        given = {f"published_{name}": row[name] for name in (*OURS, "encoder")}
        cell = {name: row[name] for name in ("task", "arm", "split", "score_name")}
        source = {"source": f"{CITATIONS[row['source']]}, {row['place']}", "confidence": row["confidence"]}
        mine = match._asdict() if match else {}
        rows.append({**cell, **mine, **source, **given, **_compared(match, row), "remark": row["note"] or None})
    # Our other arms, by the score that their task is judged by.
    for (task, arm, split, name), score in ours.items():
        if (task, arm) not in shown and score.headline:
            rows.append({"task": task, "arm": arm, "split": split, "score_name": name, **score._asdict()})
    counts = dict.fromkeys(("n", "published_n"), "Int64")
    return pd.DataFrame(rows, columns=COLUMNS).astype(counts)


def _compared(ours: ArmScore | None, row: Mapping[Any, Any]) -> dict[str, object]:
    """Returns the difference of the means, its band and whether it lies within the band.

    Leaves out numbers that are not determined; returns nothing for different encoders.
    """
    if ours is None or ours.encoder != row["encoder"] or np.isnan(row["mean"]):
        return {}
    difference = exact(float(ours.mean - row["mean"]))
    band = exact(float(Z * np.sqrt(ours.std**2 / ours.n + row["std"] ** 2 / row["n"])))
    within = {} if np.isnan(band) else {"band": band, "within": "yes" if abs(difference) <= band else "no"}
    return {"difference": difference, **within}
