"""Does a run give the same bits again on this machine? One short run is done in several ways, and all that it logs compared.

Its fingerprint (``trajectory_sha256``) covers all values of metrics and predictions, bit by bit. The answer is one of `LEVELS`:

- ``bit-exact``: all ways give the same rows: repeated, killed and resumed from a checkpoint, and on every other backend, in one
  of two processes beside another arm.
- ``same-hardware``: repeated in the same layout of processes it gives the same rows, in some other way it does not. So a run can be
  computed again here by the command that made it; which way differs is said.
- ``statistical``: the same command gives other rows when it is repeated. Only distributions over seeds can be compared.

Nothing is said about other machines and versions, nor about other numbers of CPU threads, which change the last bits by design.
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
from stableft.execution.backends import BACKENDS, Cluster
from stableft.execution.runner import Execution, Inputs, job, plan, run_grid
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
    """What one way gave: the fingerprint of all rows, and those of metrics."""

    trajectory: str
    metrics: pd.DataFrame


Way = Callable[[Path], Rows]


@dataclass(frozen=True)
class Comparison:
    """One way beside the first run.

    Attributes:
        way: Its name.
        difference: The first row that differs; empty: none does.
    """

    way: str
    difference: str

    @property
    def equal(self) -> bool:
        return not self.difference


def level(comparisons: Sequence[Comparison]) -> Level:
    """What these say together; one of them is `REPEATED`."""
    if all(comparison.equal for comparison in comparisons):
        return "bit-exact"
    return "same-hardware" if next(c for c in comparisons if c.way == REPEATED).equal else "statistical"


def compare(ways: Mapping[str, Way], folder: Path) -> Iterator[Comparison]:
    """Does a run in each way and compares it with the first.

    Args:
        ways: By name; each gets a folder of its own.
        folder: Where these are made.
    """
    (first, *others) = ways
    reference = ways[first](folder / first)
    for way in others:
        yield Comparison(way, first_difference(reference, ways[way](folder / way)))


def first_difference(one: Rows, other: Rows) -> str:
    """In words; empty if all rows, metrics and predictions, are the same bit by bit."""
    if one.trajectory == other.trajectory:
        return ""
    for a, b in zip(*(rows.metrics.itertuples(index=False, name=None) for rows in (one, other)), strict=False):
        if repr(a) != repr(b):
            return f"step {a[0]} {' '.join(filter(None, a[1:4]))}: {a[4]!r}, {b[4]!r}"
    return "a prediction, or the number of rows"


def check(grid: Grid) -> list[Comparison]:
    """All `ways` of a grid's first cell compared, in a temporary folder.

    Raises:
        MissingInput: data or weights are absent.
        StableftError: a run failed.
    """
    with tempfile.TemporaryDirectory(prefix="stableft-") as folder:
        return list(compare(ways(grid, Inputs()), Path(folder)))


def ways(grid: Grid, inputs: Inputs) -> dict[str, Way]:
    """Those of the first cell of a grid, shortened to `STEPS` steps; beside it, where there are two processes, another arm.

    Args:
        grid: Its cells need no other run's weights.
        inputs: What they start from.
    """
    both = select(grid, arms=list(grid.arms)[:2], tasks=grid.tasks[:1], seeds=grid.seeds[:1], overrides=SHORT)
    alone = select(both, arms=list(both.arms)[:1])
    serial = partial(_run, alone, alone, inputs, Execution("serial"))
    return {
        "first": serial,
        REPEATED: serial,
        "killed and resumed": partial(_resumed, alone, inputs),
        **{f"{name}, two processes": partial(_run, alone, both, inputs, execution) for name, execution in _others().items()},
    }


def _others() -> dict[str, Execution]:
    """Two processes at a time, by each backend that is installed."""
    found = {name: Execution(name, workers=2) for name in BACKENDS.keys() - {"serial", "dask"}}
    if importlib.util.find_spec("distributed"):
        found["dask"] = Execution("dask", cluster=Cluster(local=2))
    return dict(sorted(found.items()))


def _run(alone: Grid, grid: Grid, inputs: Inputs, execution: Execution, folder: Path) -> Rows:
    store = Store(folder)
    _refuse_failed(run_grid(plan(grid, store, inputs), store, inputs, execution))
    return _rows(alone, inputs, store)


def _resumed(alone: Grid, inputs: Inputs, folder: Path) -> Rows:
    store = Store(folder)
    ((run_id, config),) = plan(alone, store, inputs).jobs.items()
    supervisor = Supervisor(lambda *_: None, target=partial(serve_but_die_once, step=STEPS // 2))
    try:
        _refuse_failed([supervisor(job(run_id, config, store, inputs, Execution()))])
    finally:
        supervisor.stop()
    if store.read(run_id).provenance["resumed_at"] != [STEPS // 2]:
        raise StableftError(f"run {run_id} was killed after {STEPS // 2} steps, but did not go on from its checkpoint")
    return _rows(alone, inputs, store)


def serve_but_die_once(connection: Connection, step: int) -> None:
    """A training process like any other that kills itself after that step of each run that it begins, with a checkpoint written."""
    from stableft.training.checkpointing import Checkpointer, TrainingState

    def maybe_save(self: Checkpointer, done: int, state: TrainingState) -> None:
        if done == step:  # never of a run that goes on from there
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
