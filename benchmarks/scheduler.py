"""Part ``scheduler``: overhead around the runs, in the runner, planning, collecting and reporting."""

import shutil
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from benchmarks import engine
from benchmarks.grid import run
from benchmarks.process import Command, run_command
from benchmarks.program import Order
from benchmarks.statistic import Row, interleave
from benchmarks.variants import Context
from stableft.core.experiments import get_experiment, get_protocol
from stableft.core.grid import Grid, select
from stableft.execution import planning
from stableft.execution.inputs import Inputs
from stableft.storage.frames import metrics_frame, predictions_frame
from stableft.storage.records import RunRecord
from stableft.storage.store import Store

EXPERIMENT = "adam"
PROTOCOL = "smoke"
STEPS, EVERY, EXAMPLES = 100, 10, 32  # of a synthetic record
PER_STEP = ("loss", "lr", "grad_norm", "update_norm", "update_bias_closed_form", "update_bias")


def measure(context: Context) -> list[Row]:
    """Measures the part."""
    cells, records, toys = (200, 20, 3) if context.quick else (100_000, 10_000, 30)
    rounds = context.rounds or (1 if context.quick else 3)
    return [*_overhead(context, toys, rounds), *_planning(context, cells, rounds), *_reporting(context, records)]


def _overhead(context: Context, runs: int, rounds: int) -> list[Row]:
    folder = context.folder / "toys"
    folder.mkdir()

    def program(kind: str) -> Callable[[int], tuple[float, float]]:
        def call(_: int) -> tuple[float, float]:
            shutil.rmtree(folder / "results", ignore_errors=True)
            _seconds, started, output = run(Order(kind, folder, runs=runs), engine.worker_environment())
            first, last = output["ends"][0], output["ends"][-1]
            return first - started, 1e3 * (last - first) / (runs - 1)

        return call

    samples = interleave({kind: program(kind) for kind in ("toy", "toy-in-process")}, rounds)
    through, bare = ([each[1] for each in samples[kind]] for kind in ("toy", "toy-in-process"))
    group = f"{runs} toy runs on one training process, the first left out"
    return [
        Row(group, "in one process, without the runner", "ms per run", bare),
        Row(group, "through the runner", "ms per run", through),
        Row(group, "overhead of the runner", "ms per run", [a - b for a, b in zip(through, bare, strict=True)]),
        Row(group, "process start to the end of the first run, through the runner", "s", [each[0] for each in samples["toy"]]),
    ]


def _grid(cells: int) -> Grid:
    whole = get_experiment(EXPERIMENT).grid(get_protocol(PROTOCOL))
    return select(whole, seeds=range(cells // (len(whole.arms) * len(whole.tasks))))


def _planning(context: Context, cells: int, rounds: int) -> list[Row]:
    grid = _grid(cells)

    def plan(_: int) -> float:
        started = time.perf_counter()
        planned = planning.plan(grid, Store(context.folder / "nothing"), Inputs())
        assert len(planned.missing) == cells
        return time.perf_counter() - started

    return [Row(f"{cells:,} cells", "plan", "s", interleave({"plan": plan}, rounds)["plan"])]


def _reporting(context: Context, runs: int) -> list[Row]:
    """Measures every command from finished runs to a report, as a user types it.

    The first command plans and collects.
    """
    grid, store = _grid(runs), Store(context.folder / "records")
    _write_records(grid, store, Inputs())
    folder = context.folder / "reported"
    folder.mkdir()
    # The commands of a user, from collecting to checking, one after another.
    results, figures, of = ["--results", str(store.root)], ["--figures", str(folder / "figures")], ["--protocol", PROTOCOL]
    commands = {
        "run (collects)": ["run", EXPERIMENT, *of, "--seeds", f"0-{len(grid.seeds) - 1}", *results],
        "figures": ["figures", *results, *figures],
        "tables": ["tables", *results, *figures],
        "report": ["report", *of, *results, *figures],
        "verify": ["verify", *of, *results],
    }
    measured = {name: run_command(["stableft", *arguments], folder) for name, arguments in commands.items()}
    seconds, processor, peaks = zip(*measured.values(), strict=True)
    measured["all of them"] = Command(sum(seconds), sum(processor), max(peaks))
    group = f"{runs:,} runs of {STEPS} steps"
    return [
        Row(group, name, "s", [of.seconds], extra={"processor s": [of.processor], "peak MiB of all processes": [of.peak_mb]})
        for name, of in measured.items()
    ]


def _write_records(grid: Grid, store: Store, inputs: Inputs) -> None:
    rng = np.random.default_rng(0)
    metrics, predictions = _frames(rng)
    facts = {
        "score_name": "accuracy", "score_split": "test", "majority_score": 0.5, "num_steps": STEPS, "num_train": 64,
        "data_fingerprint": "0" * 64, "weights_fingerprint": "0" * 64,
    }  # fmt: skip
    for cell in grid.cells():
        noise = rng.uniform(0.9, 1.1, len(metrics))  # so that files compress like real ones
        store.write(
            RunRecord(
                inputs.run_id(cell.config), "ok", cell.config.model_dump(mode="json"), facts,
                {"seconds": 1.0, "peak_memory_mb": 500.0}, metrics.assign(value=metrics["value"] * noise), predictions,
            )
        )  # fmt: skip


def _frames(rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    steps = range(1, STEPS + 1)
    rows = [(step, "train", metric, "", 0.5) for step in steps for metric in PER_STEP]
    rows += [
        (step, split, metric, "", 0.5)
        for step in range(EVERY, STEPS + 1, EVERY)
        for split in ("validation", "test")
        for metric in ("loss", "accuracy", "score")
    ]
    labels = rng.integers(0, 2, EXAMPLES).astype(float)
    probabilities = rng.dirichlet((1, 1), EXAMPLES).astype(np.float32)
    parts = [(split, labels, probabilities.argmax(axis=1).astype(float), probabilities) for split in ("validation", "test")]
    return metrics_frame(rows), predictions_frame(parts)
