"""Part ``grid``: runs per hour from process start, with frequent evaluation.

Every baseline runs in the usual way of its users.
"""

import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import engine
from benchmarks.process import run_program
from benchmarks.program import Order
from benchmarks.statistic import Row, interleave
from benchmarks.variants import DEFAULTS, NOT_SUPPORTED, PACKED, PADDED, VARIANTS, Context, Variant
from benchmarks.work import MINILM, RTE, SHAPES, TINY, TNEWS, Shape, small, splits, write_json_lines

# Steps and steps between evaluations, with as many evaluated examples per step as in the real runs:
# TNEWS 10,000 every 10 steps, RTE 277 every 10.
SCHEDULES = {TNEWS.name: (6, 2), RTE.name: (20, 10)}
ROUNDS = 2
LIMITS = {PADDED.name: 1}  # expensive, and no claim depends on it
TNEWS_TITLES = 1100  # the task samples its 1,000 training examples from a larger number
RUNS_PER_PROCESS = 2
UNIT = "runs per hour"
QUICK = (DEFAULTS, PACKED)


@dataclass(frozen=True)
class Work:
    """The work of every variant.

    Attributes:
        shape: Shape of the task.
        encoder: A Hugging Face folder.
        folder: Folder of inputs and results.
        steps: Steps of a run.
        every: Steps between evaluations.
        processes: Number of stableft's training processes; each does two runs.
    """

    shape: Shape
    encoder: Path
    folder: Path
    steps: int
    every: int
    processes: int

    @property
    def runs(self) -> int:
        return RUNS_PER_PROCESS * self.processes


@dataclass(frozen=True)
class Grid:
    """One variant in one round.

    Attributes:
        runs_per_hour: Runs per hour, from process start to process end.
        seconds: Seconds per run, likewise.
        long: Seconds per run without start-up: training and evaluation alone, as in long runs.
        peak_mb: Peak memory of a process.
        threads: Threads of a process.
    """

    runs_per_hour: float
    seconds: float
    long: float
    peak_mb: float
    threads: int


def measure(context: Context) -> list[Row]:
    """Measures the part."""
    rows: list[Row] = []
    for shape in (RTE,) if context.quick else SHAPES:
        work = _work(context, shape)
        write_inputs(work)
        variants = QUICK if context.quick else VARIANTS
        limits = LIMITS if context.rounds is None else None
        calls = {variant.name: _call(context, variant, work) for variant in variants if variant.supported}
        samples = interleave(calls, context.rounds or (1 if context.quick else ROUNDS), limits)
        name = (TINY if context.quick else MINILM).name
        group = f"{shape.name}, {name}: {work.steps} steps, {work.shape.num_validation} examples every {work.every}"
        rows += [_row(group, variant, samples.get(variant.name), work) for variant in variants]
    return rows


def _work(context: Context, shape: Shape) -> Work:
    folder = context.folder / f"grid-{shape.task}"
    if context.quick:
        return Work(small(shape), context.encoder(TINY), folder, 2, 1, 1)
    return Work(shape, context.encoder(MINILM), folder, *SCHEDULES[shape.name], engine.workers())


def write_inputs(work: Work) -> None:
    """Writes the same texts for the baselines and, in the file format of the real task, for stableft."""
    work.folder.mkdir(parents=True)
    for name, rows in zip(("train", "validation"), splits(work.shape, work.encoder), strict=True):
        write_json_lines(rows, work.folder / f"{name}.jsonl")
    titles = work.shape if work.shape.pairs else replace(work.shape, num_train=TNEWS_TITLES)
    engine.write_task_files(titles, work.encoder, work.folder / "data")


class Ran(NamedTuple):
    """A finished program: its duration in seconds, its start time, and its output."""

    seconds: float
    started: float
    output: dict[str, Any]


def run(order: Order, changes: dict[str, str]) -> Ran:
    """Runs a program in a fresh process."""
    file = order.folder / "order.pickle"
    with open(file, "wb") as target:
        pickle.dump(order, target)
    done = run_program(["benchmarks.program", str(file)], changes, order.folder / "log.txt")
    return Ran(done.seconds, done.started, json.loads(done.line))


def _call(context: Context, variant: Variant, work: Work) -> Callable[[int], Grid]:
    def library(number: int) -> Grid:
        order = Order("library", work.folder, variant.spec(work.encoder, work.shape, seed=number), work.steps, work.every)
        seconds, _started, output = run(order, context.environment(ours=False))
        return Grid(3600 / seconds, seconds, output["ended"] - output["began"], output["peak_mb"], output["threads"])

    def ours(_: int) -> Grid:
        spec = variant.spec(work.encoder, work.shape)
        order = Order("grid", work.folder, spec, work.steps, work.every, work.runs, work.processes)
        shutil.rmtree(work.folder / "results", ignore_errors=True)  # otherwise the runner would find them done
        seconds, _started, output = run(order, {"STABLEFT_DATA": str(work.folder / "data")})
        alone = sum(output["seconds"]) / work.runs / work.processes
        return Grid(3600 * work.runs / seconds, seconds / work.runs, alone, output["peak_mb"], 1)

    return ours if variant.ours else library


def _row(group: str, variant: Variant, samples: list[Grid] | None, work: Work) -> Row:
    if samples is None:
        return Row(group, variant.name, UNIT, [], True, missing=NOT_SUPPORTED)
    extra = {
        "seconds per run": [one.seconds for one in samples],
        "without start-up": [one.long for one in samples],
        "peak MiB of a process": [one.peak_mb for one in samples],
        "processes x threads": f"{work.processes if variant.ours else 1} x {samples[0].threads}",
        "runs": str(work.runs if variant.ours else 1),
    }
    return Row(group, variant.name, UNIT, [one.runs_per_hour for one in samples], True, extra)
