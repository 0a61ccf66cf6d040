"""Part ``backends``: overhead of each backend per run, measured with runs that do nothing."""

import json
from collections.abc import Callable

from benchmarks import engine
from benchmarks.process import run_program
from benchmarks.statistic import Row, interleave
from benchmarks.variants import Context

NAMES = {"serial": "serial", "local": "local", "dask": "dask", "gather": "dask --gather"}
RUNS = 1000


def measure(context: Context) -> list[Row]:
    """Measures the part."""
    runs, rounds = (50, 1) if context.quick else (RUNS, context.rounds or 3)
    workers = engine.workers()

    def program(name: str) -> Callable[[int], dict[str, float]]:
        arguments = ["benchmarks.idle", name, str(runs), str(workers)]
        return lambda _: json.loads(run_program(arguments, {}, context.folder / "idle.txt").line)

    samples = interleave({name: program(name) for name in NAMES}, rounds)
    group = f"{runs:,} runs that do nothing, {workers} at a time"
    return [
        Row(
            group, title, "ms per run", [each["wall"] for each in samples[name]],
            extra={
                "CPU ms per run, command": [each["cpu"] for each in samples[name]],
                "CPU ms per run, all processes": [each["cpu_all"] for each in samples[name]],
            },
        )
        for name, title in NAMES.items()
    ]  # fmt: skip
