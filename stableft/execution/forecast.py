"""Forecast: the time that the missing runs of a grid will take on this machine."""

import json
import math
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from stableft.core.config import EvaluationConfig, RunConfig, canonical_json
from stableft.core.technique import Stage
from stableft.execution import provenance
from stableft.execution.calibration import calibrate
from stableft.execution.inputs import Inputs
from stableft.execution.job import Job
from stableft.execution.pace import Pace, grid_seconds, guessed_seconds, run_seconds, workload
from stableft.execution.planning import Plan
from stableft.execution.runner import ExecutionOptions, job, runs_at_a_time
from stableft.models import kernels
from stableft.storage import run_summary
from stableft.storage.store import Store
from stableft.tasks import TaskData

WORTHWHILE_SECONDS = 20.0  # a calibration takes a few seconds, and longer until torch is imported
SAMPLED_EXAMPLES = 1000  # of each split, for a calibration
NEWEST = 1000  # records read at most
# Settings that change no run's time.
TIMELESS = ("adam", "seed", "sample_seed", "init_seed", "order_seed", "dropout_seed", "reinit_seed")
TOO_SHORT = "too short to be measured"
TimeSource = Literal["earlier runs", "calibration"]
Calibrate = Callable[[Sequence[Job], int], Mapping[str, Pace | str]]


@dataclass(frozen=True)
class Forecast:
    """Time of the missing runs of a grid.

    Attributes:
        workers: Runs at a time.
        seconds: By identity of each run, source runs first; empty: not known.
        seeds: Seed of each run.
        tasks: Task of each run.
        origin: Source of the times; None: not known.
        took: Seconds of the calibration.
        reason: The reason why nothing is known.
    """

    workers: int
    seconds: Mapping[str, float] = field(default_factory=dict)
    seeds: Mapping[str, int] = field(default_factory=dict)
    tasks: Mapping[str, str] = field(default_factory=dict)
    origin: TimeSource | None = None
    took: float = 0.0
    reason: str = ""

    def total(self, seeds: Sequence[int] | None = None) -> float | None:
        """Returns the seconds of all runs, or of those with some seeds; None: not known."""
        if not self.seconds:
            return None
        chosen = [each for run_id, each in self.seconds.items() if seeds is None or self.seeds[run_id] in seeds]
        return grid_seconds(chosen, max(1, min(self.workers, len(chosen))))

    def by_task(self) -> dict[str, float]:
        """Returns the median seconds of a run by task."""
        times: dict[str, list[float]] = defaultdict(list)
        for run_id, seconds in self.seconds.items():
            times[self.tasks[run_id]].append(seconds)
        return {task: statistics.median(seconds) for task, seconds in times.items()}


class _Unknown(Exception):
    """The reason why no time is known."""


def forecast(planned: Plan, store: Store, inputs: Inputs, options: ExecutionOptions, measure: Calibrate = calibrate) -> Forecast:
    """Estimates the time of the missing runs of a plan, and of the source runs that they need.

    A run takes the median time of this machine's own earlier runs of the same settings, if the results
    folder has any. Otherwise, on a CPU, some steps of such a run are measured, unless all runs together
    are guessed to take less than `WORTHWHILE_SECONDS`.

    Args:
        planned: The plan.
        store: The results folder.
        inputs: Data and encoders of the runs.
        options: Options of execution.
        measure: Measures the pace of jobs (`stableft.execution.calibration.calibrate`).

    Raises:
        KeyboardInterrupt: The measurement was interrupted.
    """
    workers, began = runs_at_a_time(options), time.monotonic()
    if options.cluster.scheduler is not None:
        return Forecast(workers, reason="the runs are on a Dask cluster, whose machines may be others than this")
    runs = {**planned.sources, **planned.jobs}
    if planned.problems or not runs:
        return Forecast(workers, reason="inputs are missing" if planned.problems else "no run is missing")
    # Runs of the same settings take the same time. Those without an earlier run here are measured.
    settings = {run_id: _settings(config, inputs) for run_id, config in runs.items()}
    seconds, earlier = dict[str, float](), earlier_seconds(store, options)
    rest: dict[str, list[RunConfig]] = defaultdict(list)
    for run_id, key in settings.items():
        if key in earlier:
            seconds[key] = earlier[key]
        else:
            rest[key].append(runs[run_id])
    try:
        seconds |= _measured(rest, store, inputs, options, measure) if rest else {}
    except _Unknown as unknown:
        return Forecast(workers, reason=str(unknown))
    return Forecast(
        workers=workers,
        seconds={run_id: seconds[key] for run_id, key in settings.items()},
        seeds={run_id: config.seed for run_id, config in runs.items()},
        tasks={run_id: config.task for run_id, config in runs.items()},
        origin="calibration" if rest else "earlier runs",
        took=time.monotonic() - began,
    )


def _measured(
    alike: Mapping[str, Sequence[RunConfig]], store: Store, inputs: Inputs, options: ExecutionOptions, measure: Calibrate
) -> dict[str, float]:
    """Returns the seconds of a run by its settings, from the pace of one run of each shape.

    ``alike`` are the runs by their settings.
    """
    if options.device != "cpu":
        raise _Unknown(f"no earlier run of these settings on {options.device} here")
    workers, number = runs_at_a_time(options), sum(map(len, alike.values()))
    needs = {key: (first, inputs.data(first.task), inputs.encoder(first.encoder)) for key, (first, *_) in alike.items()}
    if sum(len(alike[key]) * guessed_seconds(*each) for key, each in needs.items()) / workers < WORTHWHILE_SECONDS:
        raise _Unknown(TOO_SHORT)
    plain = {key: _plain(config) for key, (config, *_) in needs.items()}
    jobs = {_shape(config): _sample(job(_shape(config), config, store, inputs, options)) for config in plain.values()}
    found = measure(list(jobs.values()), min(workers, number))
    if reason := next((pace for pace in found.values() if isinstance(pace, str)), None):
        raise _Unknown(f"the calibration failed ({reason})")
    paces = {shape: pace for shape, pace in found.items() if not isinstance(pace, str)}
    return {key: run_seconds(paces[_shape(plain[key])], workload(*each)) for key, each in needs.items()}


FREE = (Stage.WEIGHTS, Stage.GROUPS, Stage.DECAY, Stage.SCHEDULE)  # such techniques cost next to nothing per step


def _plain(config: RunConfig) -> RunConfig:
    """Returns the run without source runs, and without anything else that does not change its pace."""
    kept = [technique for technique in config.techniques or () if technique.stage not in FREE]
    return config.model_copy(update={"techniques": tuple(kept) or None, "surface": None})


def _shape(config: RunConfig) -> str:
    """Returns a key of a plain run: runs with the same key have the same pace."""
    fields = config.model_dump(mode="json", exclude={*TIMELESS, "schedule", "evaluation", "techniques"})
    return canonical_json({**fields, "techniques": [technique.name for technique in config.techniques or ()]})


def _sample(job: Job) -> Job:
    """Returns the job with at most `SAMPLED_EXAMPLES` examples, from all over each split."""
    train, validation = (split[:: max(1, len(split) // SAMPLED_EXAMPLES)] for split in (job.data.train, job.data.validation))
    evaluation = EvaluationConfig(num_points=1)  # none before the last step
    config = job.config.model_copy(update={"evaluation": evaluation})
    return replace(job, data=TaskData(train, validation), config=config, checkpoint_minutes=0.0)


def earlier_seconds(store: Store, options: ExecutionOptions) -> dict[str, float]:
    """Returns the median seconds of this machine's own runs by their settings.

    Collected runs without a record in the folder do not count: they may be of other machines. A record
    counts if hardware, instruction set, libraries of products, device and threads are those of a new
    run.
    """
    conditions = dict(zip(("hardware", "torch", "execution"), _here(options), strict=True))
    times: dict[str, list[float]] = defaultdict(list)
    for footer in run_summary.newest_footers(store, NEWEST):
        try:
            said, facts = footer["provenance"], footer["facts"]
            alike = all(said[part][name] == value for part, here in conditions.items() for name, value in here.items())
            if alike and math.isfinite(seconds := float(said["seconds"])):
                times[_key(footer["config"], facts["data_fingerprint"], facts["weights_fingerprint"])].append(seconds)
        except (KeyError, TypeError, ValueError, AttributeError):  # of an earlier version, or damaged
            continue
    return {key: statistics.median(seconds) for key, seconds in times.items()}


def _here(options: ExecutionOptions) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Returns the parts of provenance that decide a run's speed, for a run here.

    They are ``hardware``, ``torch`` and ``execution``.
    """
    hardware = provenance.static()["hardware"]
    processor = kernels.this_processor()
    capability = kernels.instruction_set(processor.flags, os.environ.get("ATEN_CPU_CAPABILITY", ""))
    products = kernels.choose(processor.vendor, capability, onednn_available=True).products
    return (
        {name: hardware[name] for name in ("machine", "system", "cpu", "cores")},
        {"cpu_capability": capability, "products": asdict(products)},
        {"device": options.device, "threads": options.threads, "packed": options.packed},
    )


def _settings(config: RunConfig, inputs: Inputs) -> str:
    data, weights = inputs.data(config.task).fingerprint, inputs.encoder(config.encoder).fingerprint
    return _key(config.model_dump(mode="json"), data, weights)


def _key(config: Mapping[str, Any], data: str, weights: str) -> str:
    """Returns a key of the settings that decide a run's time."""
    fields = {name: value for name, value in config.items() if name not in (*TIMELESS, "encoder") and value is not None}
    return json.dumps([fields, data, weights], sort_keys=True)
