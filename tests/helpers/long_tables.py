"""Small tables in the format of ``stableft import``, and their settings."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

SETTINGS: dict[str, Any] = {
    "label": "own runs, BERT-base, bf16",
    "source": "somebody, somewhere",
    "licence": "CC0",
    "config": {
        "encoder": "bert-base-uncased", "batch_size": 32, "precision": "bf16",
        "adam": {"lr": 2e-5}, "schedule": {"num_epochs": 3, "warmup_ratio": 0.1},
    },
    "deviations": ["another encoder"],
    "tasks": {"rte": {"score": "accuracy", "majority_score": 0.5252, "num_train": 2490}},
}  # fmt: skip


def table(arms: tuple[str, ...] = ("corrected", "uncorrected"), seeds: int = 8, **columns: object) -> pd.DataFrame:
    """Runs of rte with 20 steps: a loss at each tenth, and scores at the end; every run of the second arm fails."""
    rng = np.random.default_rng(2)
    rows: list[tuple[object, ...]] = []
    for seed in range(seeds):
        for place, arm in enumerate(arms):
            run = ("rte", arm, seed)
            rows += [(*run, step, "train", "loss", 0.6 + 0.1 * place + rng.normal(0, 0.01)) for step in range(2, 21, 2)]
            score = 0.5 if place else 0.7 + rng.normal(0, 0.01)
            rows += [(*run, 20, split, "accuracy", score) for split in ("validation", "test")]
    frame = pd.DataFrame(rows, columns=["task", "arm", "seed", "step", "split", "metric", "value"])
    return frame.assign(**columns) if columns else frame


def write(folder: Path, frame: pd.DataFrame, settings: dict[str, Any] = SETTINGS, name: str = "runs.csv") -> Path:
    """Writes a table and its settings next to it."""
    path = folder / name
    if path.suffix == ".csv":
        frame.to_csv(path, index=False, na_rep="nan")
    else:
        frame.to_parquet(path, index=False)
    path.with_suffix(".json").write_text(json.dumps(settings), encoding="utf-8")
    return path
