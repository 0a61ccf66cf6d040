"""Part ``recommend``: answers of `stableft recommend` beside SetFit, the Trainer and linear models."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from benchmarks.statistic import Row
from benchmarks.variants import Context
from stableft.core.errors import MissingInput
from stableft.models.encoders import resolve
from stableft.recommend.parts import labelled, with_test_part
from stableft.statistics.intervals import resampling
from stableft.statistics.score_draws import interval_of, score_draws
from stableft.tasks import Example, Task, TaskData
from stableft.tasks.catalog import get_task

NAMES = ("docs15", "rte", "tnews", "cola.csv")
CSV_ROWS = 1_000
SEEDS = (0, 1, 2)
LIMIT_SECONDS = 3600


@dataclass(frozen=True)
class DataSet:
    """One data set: its name on the command line, its parts, and the encoder of all variants."""

    argument: str
    task: Task
    data: TaskData
    encoder: Path
    options: tuple[str, ...] = ()


def measure(context: Context) -> list[Row]:
    """Measures each data set once; those whose corpora are absent are named as missing."""
    rows: list[Row] = []
    for name in ("toy",) if context.quick else NAMES:
        print(f"  {name}", file=sys.stderr, flush=True)
        try:
            rows += _measure(name, _data_set(name, context), context)
        except MissingInput as error:
            rows.append(Row(name, "all", "", [], missing=str(error).splitlines()[0]))
    return rows


def _data_set(name: str, context: Context) -> DataSet:
    argument, encoder = name, "tiny-random" if context.quick else "bert-4x512-zh" if name == "tnews" else "minilm-l6"
    if name.endswith(".csv"):
        argument = str(_excel(context.folder / name))
    from stableft.tasks.toy import VOCABULARY

    task = with_test_part(get_task(argument))[0]
    folder = resolve(encoder, tiny_vocabulary=VOCABULARY).folder
    return DataSet(argument, task, task.load(), folder, ("--protocol", "smoke") if context.quick else ())


def _excel(file: Path) -> Path:
    """Writes sentences of CoLA as a spreadsheet program would, with semicolons and a byte-order mark."""
    task = get_task("cola")
    rows = [(example.text, task.labels[int(example.label)]) for example in cast(Sequence[Example], task.load().train[:CSV_ROWS])]
    with open(file, "w", encoding="utf-8-sig", newline="") as out:
        csv.writer(out, delimiter=";").writerows([("Sentence", "Category"), *rows])
    return file


def _measure(name: str, chosen: DataSet, context: Context) -> list[Row]:
    part = labelled(chosen.task, chosen.data, "test")
    answered = _recommend(chosen, context)
    found = answered["test"]["fine_tuned"]
    linear = next(each for each in answered["baselines"] if each["name"] == answered["best_baseline"])
    rows = [
        _row(name, f"recommend: {answered['winner']}, lr {answered['config']['adam']['lr']:g}", found["mean"], found["interval"],
             answered["minutes"]),
        Row(name, f"recommend: {linear['name']}", "score", [linear["test"]], higher_is_better=True,
            extra={"minutes": [linear["seconds"] / 60]}),
    ]  # fmt: skip
    for anchor, seeds in (("trainer", SEEDS), ("setfit", SEEDS[:1])):
        got = [_anchor(anchor, chosen, seed, context) for seed in (seeds[:1] if context.quick else seeds)]
        if missing := next((each["missing"] for each in got if "missing" in each), ""):
            rows.append(Row(name, anchor, "score", [], missing=missing))
            continue
        predictions = [np.array(each["predictions"], dtype=np.float64) for each in got]
        draws = score_draws([part.scorer(each) for each in predictions], part.items, resampling())
        mean = float(np.mean([part.score(each) for each in predictions]))
        rows.append(_row(name, anchor, mean, interval_of(draws), sum(each["seconds"] for each in got) / 60))
    return rows


def _row(group: str, name: str, mean: float, interval: Any, minutes: float) -> Row:
    low, high = interval
    extra = {"95 %": f"{low:.3f} to {high:.3f}", "minutes": [minutes]}
    return Row(group, name, "score", [mean], higher_is_better=True, extra=extra)


def _recommend(chosen: DataSet, context: Context) -> dict[str, Any]:
    results = context.folder / "recommend"
    minutes = 1.5 if context.quick else context.minutes
    command = [
        sys.executable, "-m", "stableft", "recommend", chosen.argument, "--minutes", f"{minutes:g}",
        "--results", str(results / "results"), "--out", str(results / chosen.task.name), "--json", *chosen.options,
    ]  # fmt: skip
    return json.loads(_output(command, {}))


def _anchor(kind: str, chosen: DataSet, seed: int, context: Context) -> dict[str, Any]:
    parts = {split: [[*example.row] for example in getattr(chosen.data, split)] for split in ("train", "test")}
    file = context.folder / f"{kind}.json"
    order = {
        "kind": kind,
        "seed": seed,
        "encoder": str(chosen.encoder),
        "labels": len(chosen.task.labels),
        **parts,
        "minutes": context.minutes,
    }
    file.write_text(json.dumps(order), encoding="utf-8")
    said = _output([sys.executable, "-m", "benchmarks.anchors", str(file)], context.environment(ours=False))
    return json.loads(said.splitlines()[-1])


def _output(command: Sequence[str], environment: Mapping[str, str]) -> str:
    environment = {**os.environ, **environment}
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, env=environment, check=False)
    if done.returncode:
        raise MissingInput(f"{command[2]}: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'failed'}")
    return done.stdout
