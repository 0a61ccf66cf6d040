"""Synthetic results that resemble a real grid, shared by the tests of reporting."""

import functools
import json
from collections.abc import Callable
from types import ModuleType
from typing import Any, ParamSpec

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from stableft.core.adam_bias import bias_ratio
from stableft.storage.frames import PREDICTION_COLUMNS
from stableft.storage.records import CELL, Results

TASKS = {"rte": (190, 0.527, "accuracy"), "tnews_1k": (234, 0.091, "accuracy")}


P = ParamSpec("P")


def made_once(make: Callable[P, Results]) -> Callable[P, Results]:
    """The same results for the same arguments, made once in a process; each caller may change its own."""
    once: Any = functools.cache(make)

    @functools.wraps(make)
    def copied(*args: P.args, **kwargs: P.kwargs) -> Results:
        made = once(*args, **kwargs)
        return Results(*(frame.copy() for frame in (made.runs, made.metrics, made.predictions)))

    return copied


def figure(kind: ModuleType, results: Results, **options: object) -> Figure:
    """What a kind of figure draws of results, before numbers are rounded."""
    return kind.plot(kind.data(results, **options), results, **options)


def _run(arm: str, task: str, seed: int, outcome: str, num_steps: int, lr: float, corrected: bool) -> dict[str, object]:
    _, majority, name = TASKS[task]
    config = {
        "task": task,
        "encoder": "minilm-l6",
        "seed": seed,
        "adam": {"lr": lr, "betas": [0.9, 0.999], "bias_correction": corrected},
    }
    return {
        "experiment": "adam", "protocol": "laptop", "arm": arm, "task": task, "seed": seed, "run_id": f"{task}-{arm}-{seed}",
        "outcome": outcome, "score_name": name, "majority_score": majority, "score_split": "validation", "num_steps": num_steps,
        "seconds": 10.0, "peak_memory_mb": 500.0, "config": json.dumps(config), "provenance": "{}",
    }  # fmt: skip


def _rows(run: dict[str, object], rng: np.random.Generator, final: float, steps: int, num_steps: int, subset: bool) -> pd.DataFrame:
    """The measured rows of one run up to ``steps``: loss and bias at every step, the score at every tenth of the run."""
    t = np.arange(1, steps + 1)
    failed = final <= float(str(run["majority_score"]))
    level = 0.70 if failed else 0.72 - 0.4 * t / num_steps
    train = pd.DataFrame({"step": t, "split": "train", "metric": "loss", "scope": "", "value": level + rng.normal(0, 0.05, steps)})
    correct = json.loads(str(run["config"]))["adam"]["bias_correction"]
    bias = train.assign(metric="update_bias", value=1.0 if correct else bias_ratio(t) * (1 + rng.normal(0, 0.01, steps)))
    points = np.unique([*range(num_steps // 10, num_steps, num_steps // 10), num_steps])
    points = points[points <= steps]
    start = float(str(run["majority_score"]))
    curve = start + (final - start) * (points / num_steps) ** 0.5
    score = pd.DataFrame({"step": points, "split": "validation", "metric": "score", "scope": "", "value": curve})
    if subset:
        score["scope"] = np.where(points == num_steps, "", "subset")
    frame = pd.concat([train, bias, score, score.assign(metric="accuracy")], ignore_index=True)
    cell: dict[str, Any] = {name: run[name] for name in CELL}
    return frame.assign(**cell)


@made_once
def grid(seeds: int = 5, subset: bool = True, diverged: bool = True) -> Results:
    """Two tasks, two arms: the uncorrected arm collapses at odd seeds, and its seed 3 of rte diverges at step 60."""
    rng = np.random.default_rng(7)
    runs, metrics = [], []
    for task, (num_steps, majority, _) in TASKS.items():
        for arm in ("corrected", "uncorrected"):
            for seed in range(seeds):
                lost = arm == "uncorrected" and seed % 2 == 1
                stops = diverged and lost and task == "rte" and seed == 3
                run = _run(arm, task, seed, "diverged" if stops else "ok", num_steps, 2e-5, arm == "corrected")
                good = {"rte": 0.66, "tnews_1k": 0.42}[task] - 0.04 * (arm == "uncorrected")
                final = majority - 0.004 * (seed % 3) if lost else good + rng.normal(0, 0.02)
                runs.append(run)
                steps = 60 if stops else num_steps
                metrics.append(_rows(run, rng, final, steps, num_steps, subset and task == "tnews_1k"))
    return Results(pd.DataFrame(runs), pd.concat(metrics, ignore_index=True), pd.DataFrame(columns=[*CELL, *PREDICTION_COLUMNS]))


@made_once
def lr_grid(seeds: int = 3) -> Results:
    """Five learning rates with and without correction; the high ones fail, sooner without it."""
    rng = np.random.default_rng(8)
    runs, metrics = [], []
    for task, (num_steps, majority, _) in TASKS.items():
        for lr in (1e-5, 2e-5, 5e-5, 1e-4, 2e-4):
            for correct in (True, False):
                for seed in range(seeds):
                    arm = f"{'corrected' if correct else 'uncorrected'} lr={lr:.0e}"
                    run = _run(arm, task, seed, "ok", num_steps, lr, correct)
                    lost = lr * (1 if correct else 3) * (1 + 0.3 * seed) > 2e-4
                    peak = 0.15 * np.exp(-((np.log10(lr * (1 if correct else 2)) + 4.2) ** 2) * 3)
                    runs.append(run)
                    final = majority if lost else majority + peak + rng.normal(0, 0.01)
                    metrics.append(_rows(run, rng, final, num_steps, num_steps, False))
    return Results(pd.DataFrame(runs), pd.concat(metrics, ignore_index=True), pd.DataFrame(columns=[*CELL, *PREDICTION_COLUMNS]))


def without(results: Results, arm: str, seeds: set[int]) -> Results:
    """The same grid with some runs not done yet."""
    runs, metrics = (f[~((f["arm"] == arm) & f["seed"].isin(seeds))] for f in (results.runs, results.metrics))
    return Results(runs, metrics, results.predictions)


def with_blocks(results: Results, num_blocks: int, every: int = 10) -> Results:
    """The same runs with distances and gradient norms of every block; upper blocks move more, failed runs have small gradients."""
    rng = np.random.default_rng(9)
    ends = results.metrics[results.metrics["metric"] == "loss"].groupby(CELL, sort=False)["step"].max()
    scopes = {"embeddings": 0, **{f"layer.{depth:02d}": depth for depth in range(1, num_blocks + 1)}, "head": 0}
    parts = []
    for *cell, end in ends.reset_index().to_numpy().tolist():
        _, arm, _, seed, _ = cell
        steps = np.union1d(np.arange(every, end, every), [end])
        lost = arm == "uncorrected" and seed % 2 == 1
        for scope, depth in scopes.items():
            noise = rng.lognormal(0, 0.1, (2, len(steps)))
            distance = (0.3 + depth / num_blocks) * np.sqrt(steps / end) * (1 + 0.4 * (arm == "uncorrected")) * noise[0]
            gradient = (0.002 * 3.0 ** (depth - num_blocks) if lost else 0.5 + 0.1 * depth) * noise[1]
            for metric, values in (("distance", distance), ("block_grad_norm", gradient)):
                parts.append((cell, metric, scope, steps, values))
    sizes = [len(steps) for *_, steps, _ in parts]
    columns = {name: np.repeat([cell[place] for cell, *_ in parts], sizes) for place, name in enumerate(CELL)}
    columns |= {"step": np.concatenate([steps for *_, steps, _ in parts]), "split": "train"}
    columns |= {name: np.repeat([part[place] for part in parts], sizes) for place, name in ((1, "metric"), (2, "scope"))}
    blocks = pd.DataFrame({**columns, "value": np.concatenate([values for *_, values in parts])})
    return Results(results.runs, pd.concat([results.metrics, blocks], ignore_index=True), results.predictions)


@made_once
def lengths(seeds: int = 3, steps: tuple[int, ...] = (96, 200, 400, 800)) -> Results:
    """Two methods at several lengths, evaluated on both splits; the standard method gains more from steps, and fails once."""
    rng = np.random.default_rng(10)
    runs, metrics = [], []
    for task in TASKS:
        for num_steps in steps:
            for method in ("standard", "reinit"):
                for seed in range(seeds):
                    lost = (task, num_steps, method, seed) == ("rte", 96, "standard", 1)
                    run = _run(f"{method} {num_steps}", task, seed, "diverged" if lost else "ok", num_steps, 2e-5, True)
                    final = 0.7 - (8 if method == "standard" else 3) / num_steps + rng.normal(0, 0.005)
                    rows = _rows(run, rng, final, 30 if lost else num_steps, num_steps, False)
                    runs.append(run)
                    test = rows[rows["metric"] == "score"].assign(split="test", value=lambda frame: frame["value"] - 0.02)
                    metrics += [rows, test]
    return Results(pd.DataFrame(runs), pd.concat(metrics, ignore_index=True), pd.DataFrame(columns=[*CELL, *PREDICTION_COLUMNS]))


def with_predictions(results: Results, items: int = 60) -> Results:
    """The same runs with predictions of the scored split: failed runs predict one class, those that diverged nothing."""
    rng = np.random.default_rng(11)
    parts = []
    for run in results.runs[results.runs["outcome"] == "ok"].to_dict("records"):
        classes = 2 if run["task"] == "rte" else 15
        labels = np.random.default_rng(12).integers(0, classes, items)
        logits = rng.normal(0, 1, (items, classes)) + 2 * np.eye(classes)[labels] * (rng.random((items, 1)) < 0.6)
        if run["arm"] == "uncorrected" and run["seed"] % 2 == 1:
            logits = np.tile(rng.normal(0, 1, classes), (items, 1))
        said = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        rows = {"split": run["score_split"], "example": np.arange(items), "label": labels.astype(float)}
        rows |= {"prediction": said.argmax(axis=1).astype(float), "probabilities": list(said.astype(np.float32))}
        parts.append(pd.DataFrame({**{name: run[name] for name in CELL}, **rows}))
    return Results(results.runs, results.metrics, pd.concat(parts, ignore_index=True))


def scored_on_test(results: Results, less: float = 0.05) -> Results:
    """The same runs, rte scored on a test split on which each point is lower."""
    own = (results.metrics["metric"] == "score") & (results.metrics["task"] == "rte") & (results.metrics["split"] == "validation")
    test = results.metrics[own].assign(split="test", value=lambda frame: frame["value"] - less)
    others = results.metrics[results.metrics["split"] != "test"]
    runs = results.runs.assign(score_split=np.where(results.runs["task"] == "rte", "test", "validation"))
    return Results(runs, pd.concat([others, test], ignore_index=True), results.predictions)


def with_rows(results: Results, *metrics: pd.DataFrame) -> Results:
    """The same runs with these metrics."""
    return Results(results.runs, pd.concat(metrics, ignore_index=True), results.predictions)
