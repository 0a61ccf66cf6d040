"""Programs for a fresh process: a baseline's run, a grid of the runner, or small runs without it.

Nothing heavy is imported here, because the runner's training processes import the main module too.
"""

import json
import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.subject import Spec


@dataclass(frozen=True)
class Order:
    """Order for a program.

    Attributes:
        kind: ``library``: one run of a baseline; ``grid``: runs of the runner; ``toy`` and
            ``toy-in-process``: small ones.
        folder: Folder of files, caches and results.
        spec: The variant.
        steps: Steps of a run.
        every: Steps between evaluations.
        runs: Number of runs; a baseline's program does one.
        processes: Number of training processes of the runner.
    """

    kind: str
    folder: Path
    spec: Spec | None = None
    steps: int = 0
    every: int = 0
    runs: int = 1
    processes: int = 1


def obey(order: Order) -> dict[str, Any]:
    """Executes an order and returns its timings."""
    from benchmarks import engine

    seeds = range(order.runs)
    if order.kind == "toy":
        return engine.run_grid(engine.toy_configuration(), seeds, order.folder / "results", packed=True, processes=order.processes)
    if order.kind == "toy-in-process":
        return engine.run_in_process(engine.toy_configuration(), seeds, order.folder / "results")
    spec = order.spec
    assert spec is not None
    if order.kind == "library":
        from benchmarks.huggingface import whole_run
        from stableft.training import memory

        files = {name: str(order.folder / f"{name}.jsonl") for name in ("train", "validation")}
        times = whole_run(spec, files, str(order.folder / "cache"), order.steps, order.every)
        return {**times, "peak_mb": memory.peak_memory_mb()}
    config = engine.configuration(
        spec.shape, spec.encoder, seed=0, dropout=spec.dropout, precision=spec.options["precision"], num_steps=order.steps,
        every=order.every,
    )  # fmt: skip
    return engine.run_grid(config, seeds, order.folder / "results", packed=spec.options["packed"], processes=order.processes)


def main() -> None:
    with open(sys.argv[1], "rb") as file:  # written by the benchmark itself a moment ago
        order: Order = pickle.load(file)
    print(json.dumps(obey(order)))


if __name__ == "__main__":
    main()
