"""Determinism: does one short run in several ways here, and compares all logged values bit by bit.

The fingerprint of a run (``trajectory_sha256``) covers all values of metrics and predictions. The
result is one of `LEVELS`:

- ``bit-exact``: all ways give the same rows: repeated, killed and resumed from a checkpoint, and on
  every other backend in one of two processes, while the other trains another arm.
- ``same-hardware``: the repetition in the same layout of processes gives the same rows, but some
  other way does not. The command of a run can compute it again here; the report names the way that
  differs.
- ``statistical``: the same command gives other rows when repeated. Only distributions over seeds
  can be compared.

The check does not cover other machines and versions. Nor does it cover other numbers of CPU
threads, which change the last bits by design.
"""

import importlib.util
import os
import signal
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd

from stableft.core.errors import StableftError
from stableft.core.grid import Grid, select
from stableft.execution.backends.backend_registry import BACKENDS
from stableft.execution.backends.base import Cluster
from stableft.execution.inputs import Inputs
from stableft.execution.planning import plan
from stableft.execution.runner import ExecutionOptions, job, run_grid
from stableft.execution.supervisor import Status, Supervisor
from stableft.execution.worker import serve
from stableft.storage.store import Store

Level = Literal["bit-exact", "same-hardware", "statistical"]
LEVELS: Mapping[Level, str] = {
    "bit-exact": "every way gave the same rows, bit by bit",
    "same-hardware": "the same layout of processes gives the same rows again, another way does not",
    "statistical": "the same command does not give the same rows again",
}
STEPS = 12
SHORT = {"schedule.num_epochs": None, "schedule.num_steps": STEPS, "evaluation.num_points": None, "evaluation.every": 4}
REPEATED = "repeated"


class Rows(NamedTuple):
    """Rows of a run: the fingerprint of all rows, and the metrics."""

    trajectory: str
    metrics: pd.DataFrame


Way = Callable[[Path], Rows]


@dataclass(frozen=True)
class RepeatCheck:
    """The comparison of one way with the first run.

    Attributes:
        way: Name of the way.
        difference: The first row that differs; empty if all are equal.
    """

    way: str
    difference: str

    @property
    def equal(self) -> bool:
        return not self.difference


def level(checks: Sequence[RepeatCheck]) -> Level:
    """Returns the level of determinism proved by the checks; one of them is `REPEATED`."""
    if all(check.equal for check in checks):
        return "bit-exact"
    return "same-hardware" if next(check for check in checks if check.way == REPEATED).equal else "statistical"


def compare(ways: Mapping[str, Way], folder: Path) -> Iterator[RepeatCheck]:
    """Does a run in each way and compares it with the first.

    Args:
        ways: The ways by name; each gets a folder of its own.
        folder: The parent folder.
    """
    (first, *others) = ways
    reference = ways[first](folder / first)
    for way in others:
        yield RepeatCheck(way, first_difference(reference, ways[way](folder / way)))


def first_difference(one: Rows, other: Rows) -> str:
    """Returns the first difference in words.

    It is empty if all rows (metrics and predictions) are equal bit by bit.
    """
    if one.trajectory == other.trajectory:
        return ""
    for a, b in zip(*(rows.metrics.itertuples(index=False, name=None) for rows in (one, other)), strict=False):
        if repr(a) != repr(b):
            return f"step {a[0]} {' '.join(filter(None, a[1:4]))}: {a[4]!r}, {b[4]!r}"
    return "a prediction, or the number of rows"


def check(grid: Grid) -> list[RepeatCheck]:
    """Compares all `ways` of a grid's first cell, in a temporary folder.

    Raises:
        MissingInput: Data or weights are absent.
        StableftError: A run failed.
    """
    with tempfile.TemporaryDirectory(prefix="stableft-") as folder:
        return list(compare(ways(grid, Inputs()), Path(folder)))


def ways(grid: Grid, inputs: Inputs, device: str = "cpu") -> dict[str, Way]:
    """Returns the ways to do the first cell of a grid in `STEPS` steps.

    In ways with two processes the second one does another arm.

    Args:
        grid: A grid whose cells need no other run's weights.
        inputs: Their data and encoders.
        device: A torch device. On a GPU the only other layout is two processes on the first one.
    """
    both = select(grid, arms=list(grid.arms)[:2], tasks=grid.tasks[:1], seeds=grid.seeds[:1], overrides=SHORT)
    alone = select(both, arms=list(both.arms)[:1])
    serial = partial(_run, alone, alone, inputs, ExecutionOptions("serial", device=device))
    return {
        "first": serial,
        REPEATED: serial,
        "killed and resumed": partial(_resumed, alone, inputs, device),
        **{f"{name}, two processes": partial(_run, alone, both, inputs, options) for name, options in _others(device).items()},
    }


def _others(device: str) -> dict[str, ExecutionOptions]:
    """Returns options for two processes at a time; on a CPU for each installed backend."""
    if device != "cpu":
        return {"local": ExecutionOptions(device=device, gpus=(0,), per_gpu=2)}
    options = {name: ExecutionOptions(name, workers=2) for name in BACKENDS.keys() - {"serial", "dask"}}
    if importlib.util.find_spec("distributed"):
        options["dask"] = ExecutionOptions("dask", cluster=Cluster(local=2))
    return dict(sorted(options.items()))


def _run(alone: Grid, grid: Grid, inputs: Inputs, options: ExecutionOptions, folder: Path) -> Rows:
    store = Store(folder)
    _refuse_failed(run_grid(plan(grid, store, inputs), store, inputs, options))
    return _rows(alone, inputs, store)


def _resumed(alone: Grid, inputs: Inputs, device: str, folder: Path) -> Rows:
    store = Store(folder)
    ((run_id, config),) = plan(alone, store, inputs).jobs.items()
    supervisor = Supervisor(lambda *_: None, target=partial(serve_but_die_once, step=STEPS // 2))
    try:
        _refuse_failed([supervisor(job(run_id, config, store, inputs, ExecutionOptions(device=device)))])
    finally:
        supervisor.stop()
    if store.read(run_id).provenance["resumed_at"] != [STEPS // 2]:
        raise StableftError(f"run {run_id} was killed after {STEPS // 2} steps, but did not resume from its checkpoint")
    return _rows(alone, inputs, store)


def serve_but_die_once(connection: Connection, step: int) -> None:
    """Serves like any training process, but writes a checkpoint and kills itself after that step.

    It does so in each run that it starts; a resumed run is past the step.
    """
    from stableft.training.checkpointing import Checkpointer, TrainingState

    def maybe_save(self: Checkpointer, done: int, state: TrainingState) -> None:
        if done == step:  # a run resumed from here never meets this step again
            self.save(done, state)
            os.kill(os.getpid(), signal.SIGKILL)

    Checkpointer.maybe_save = maybe_save
    serve(connection)


def _rows(alone: Grid, inputs: Inputs, store: Store) -> Rows:
    (cell,) = alone.cells()
    run_id = inputs.run_id(cell.config)
    return Rows(store.trajectory(run_id), store.read(run_id).metrics)


def _refuse_failed(statuses: Iterable[Status]) -> None:
    for status in statuses:
        if status.state != "done":
            raise StableftError(f"run {status.job.run_id} {status.state}: {status.detail}")
