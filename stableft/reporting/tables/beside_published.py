"""Our scores beside those that the sources print, one row for each, and whether they agree."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from stableft import statistics
from stableft.reporting import artifact_metadata as origin
from stableft.reporting import published as sources
from stableft.reporting.run_scores import final_scores, last_scores
from stableft.storage.records import CELL, Results

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
    """Every arm of ours and every published row of the same experiment.

    Args:
        results: Of one experiment.
        numbers: `stableft.reporting.published.read_published`.

    Returns:
        One row per published row, in the order of the file, ours beside it where task, arm, split and score are the same; then
        one for each of our arms that no source has. n, mean, std (n - 1), median, max and encoder are ours.
    """
    rows: list[dict[str, object]] = []
    shown: set[tuple[str, str]] = set()
    ours = our_scores(results)
    for row in sources.of(numbers, str(results.runs["experiment"].iloc[0])).to_dict("records"):
        match = ours.get((row["task"], row["arm"], row["split"], row["score_name"]))
        if match:
            shown.add((row["task"], row["arm"]))
        given = {f"published_{name}": row[name] for name in (*OURS, "encoder")}
        place = {name: row[name] for name in ("task", "arm", "split", "score_name")}
        source = {"source": f"{sources.CITATIONS[row['source']]}, {row['place']}", "confidence": row["confidence"]}
        mine = match._asdict() if match else {}
        rows.append({**place, **mine, **source, **given, **_compared(match, row), "remark": row["note"] or None})
    for (task, arm, split, name), score in ours.items():
        if (task, arm) not in shown and score.headline:
            rows.append({"task": task, "arm": arm, "split": split, "score_name": name, **score._asdict()})
    counts = dict.fromkeys(("n", "published_n"), "Int64")
    return pd.DataFrame(rows, columns=COLUMNS).astype(counts)


class Score(NamedTuple):
    """What the runs of an arm scored on one split of one task; ``headline``: it is what the task is judged by."""

    encoder: str
    n: int
    mean: float
    std: float
    median: float
    max: float
    headline: bool


def our_scores(results: Results) -> dict[tuple[str, str, str, str], Score]:
    """By task, arm, split and name: the final scores, and the same score and what is logged beside it on either split."""
    final = final_scores(results)
    configs = results.runs.drop_duplicates("task").set_index("task")["config"]
    encoders = {task: origin.encoder_name(json.loads(config)["encoder"]) for task, config in configs.items()}
    parts = [final.rename(columns={"score": "value"})[[*CELL, "split", "score_name", "value"]].assign(headline=True)]
    for split in ("validation", "test"):
        other = last_scores(results, split).merge(final.loc[final["split"] != split, [*CELL, "score_name"]], on=CELL)
        parts.append(other.rename(columns={split: "value"}).assign(split=split, headline=False))
    both = final.loc[final["score_name"] == "f1", [*CELL, "split", "score"]]
    metrics = results.metrics[results.metrics["metric"].isin(["accuracy", "pearson"]) & (results.metrics["scope"] == "")]
    logged = metrics.merge(results.runs[[*CELL, "num_steps"]], on=CELL)
    logged = logged[(logged["step"] == logged["num_steps"]) & logged["split"].isin(["validation", "test"])]
    beside = logged.rename(columns={"metric": "score_name"})
    parts.append(beside[[*CELL, "split", "score_name", "value"]].assign(headline=False))
    accuracy = logged[logged["metric"] == "accuracy"].merge(both, on=[*CELL, "split"])
    mean_of_two = accuracy.assign(value=(accuracy["value"] + accuracy["score"]) / 2, score_name="accuracy_and_f1", headline=False)
    parts.append(mean_of_two[[*CELL, "split", "score_name", "value", "headline"]])
    frame = pd.concat(parts, ignore_index=True)
    frame = frame[np.isfinite(frame["value"])].drop_duplicates([*CELL, "split", "score_name"])
    found: dict[tuple[str, str, str, str], Score] = {}
    for (task, arm, split, name), group in frame.groupby(["task", "arm", "split", "score_name"], sort=False, observed=True):
        s = statistics.summary(group["value"])
        score = Score(encoders[task], s.n, s.mean, s.std, s.median, s.max, bool(group["headline"].any()))
        found[str(task), str(arm), str(split), str(name)] = score
    return found


def _compared(ours: Score | None, row: Mapping[Any, Any]) -> dict[str, object]:
    """Difference of the means, its band and whether it lies within; nothing where that can't be said."""
    if ours is None or ours.encoder != row["encoder"] or np.isnan(row["mean"]):
        return {}
    difference = ours.mean - row["mean"]
    band = Z * np.sqrt(ours.std**2 / ours.n + row["std"] ** 2 / row["n"])
    within = {} if np.isnan(band) else {"band": band, "within": "yes" if abs(difference) <= band else "no"}
    return {"difference": difference, **within}
