"""Conversion of two public result tables into one table in the format of ``stableft import``.

    python -m experiments.replication.convert FOLDER runs.csv
    python -m stableft import runs.csv --as replication --settings experiments/replication/settings.json

The tables are described in ``ATTRIBUTION.md``. What is renamed, left out or absent is stated there
too. Numbers are copied, none is computed but the seed of a run on few examples.
"""

import hashlib
import json
import sys
from pathlib import Path

import pandas as pd

FULL, FEW = "replicate_results.csv", "low_resource_results.csv"
TASKS = {"RTE": "rte", "MRPC": "mrpc", "STS-B": "stsb", "CoLA": "cola"}
METHODS = {"standard_debiased": "corrected", "not_debiased": "uncorrected", "reinit_debiased": "reinit"}
# The same runs are arms of several experiments, in each under its own name.
ARMS = {
    "adam": {"corrected": "corrected", "uncorrected": "uncorrected"},
    "reinit": {"corrected": "standard", "reinit": "pooler+5"},
    "few_examples": {name: f"{name} all" for name in ("corrected", "uncorrected", "reinit")},
}
SCORES = {"acc": "accuracy", "f1": "f1", "mcc": "mcc", "pearson": "pearson", "spearmanr": "spearman"}
SCORES_OF = {"rte": ("acc",), "mrpc": ("f1", "acc"), "stsb": ("spearmanr", "pearson"), "cola": ("mcc",)}
NUM_SEEDS = 5  # of each draw of few examples
TENTHS = 10
COLUMNS = ["experiment", "task", "arm", "seed", "draw", "step", "split", "metric", "value"]


def convert(folder: Path) -> pd.DataFrame:
    """Converts the two tables of a folder.

    Args:
        folder: Folder with both CSV files.

    Returns:
        `COLUMNS`, a row per number. An undefined correlation (of a constant prediction) is NaN.

    Raises:
        ValueError: A file is not the one of ``settings.json``, or a run has other rows than expected.
    """
    settings = json.loads(Path(__file__).with_name("settings.json").read_text(encoding="utf-8"))
    raw = {}
    for name in (FULL, FEW):
        content = (folder / name).read_bytes()
        if (found := hashlib.sha256(content).hexdigest()) != settings["files"][name]:
            raise ValueError(f"{folder / name}: SHA-256 is {found}, expected {settings['files'][name]}")
        raw[name] = pd.read_csv(folder / name, index_col=0)
    full = _long(raw[FULL].assign(draw=pd.NA))
    parts = [
        full[full["method"].isin(arms)].assign(experiment=experiment, arm=full["method"].map(arms))
        for experiment, arms in ARMS.items()
    ]
    few = raw[FEW].rename(columns={"replicate": "draw"})
    few = _long(few.assign(seed=NUM_SEEDS * few["draw"] + few["seed"]))
    parts.append(few.assign(experiment="few_examples", arm=few["method"] + " " + few["split_size"].astype(str)))
    whole = pd.concat(parts, ignore_index=True)
    whole["draw"] = whole["draw"].astype("Int64")
    return whole[COLUMNS]


def _long(raw: pd.DataFrame) -> pd.DataFrame:
    """Returns one row per number of the raw table's lines."""
    names = {"task": raw["dataset"].map(TASKS), "method": raw["method"].map(METHODS), "split_size": raw.get("split", 0)}
    raw = raw.drop(columns="split", errors="ignore").assign(**names)
    log, last = raw[raw["filetype"] == "raw_log"], raw[raw["filetype"] == "test_last_log"]
    last = last.assign(step=last["test_step"])
    # A training loss is the mean over the steps since the line before. That of the steps after the last tenth is left out.
    total = log.groupby(["task", "method", "split_size", "seed"])["step"].transform("max")
    whole = log["step"] <= total // (total // TENTHS).clip(lower=1) * (total // TENTHS).clip(lower=1)
    parts = [
        _column(log[whole], "loss", "train", "loss"),
        _column(log, "val_loss", "validation", "loss"),
        _column(last, "test_loss", "test", "loss"),
    ]
    for task, scores in SCORES_OF.items():
        for score in scores:
            parts.append(_column(log[log["task"] == task], f"val_{score}", "validation", SCORES[score], undefined=task == "stsb"))
            parts.append(_column(last[last["task"] == task], f"test_{score}", "test", SCORES[score], undefined=task == "stsb"))
    return pd.concat(parts, ignore_index=True)


def _column(lines: pd.DataFrame, column: str, split: str, metric: str, *, undefined: bool = False) -> pd.DataFrame:
    if not undefined and lines[column].isna().any():
        raise ValueError(f"{column} is absent in {lines[column].isna().sum()} of {len(lines)} lines")
    rows = lines[["task", "method", "split_size", "seed", "draw"]]
    return rows.assign(step=lines["step"].astype("int64"), split=split, metric=metric, value=lines[column])


def write(table: pd.DataFrame, path: Path) -> None:
    """Writes a table as CSV: an undefined score is ``nan``, an absent draw is empty."""
    table.assign(value=[repr(value) for value in table["value"].tolist()]).to_csv(path, index=False)


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    write(convert(source), target)
