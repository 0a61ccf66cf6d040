"""Planning: the identity of every cell of a grid, its missing runs, their source runs, and the time and disk they take."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from stableft.core.config import RunConfig
from stableft.core.errors import MissingInput, UsageError
from stableft.core.grid import Cell, Grid
from stableft.execution.inputs import Inputs
from stableft.storage import run_summary
from stableft.storage.store import Store

TYPICAL_RUN_BYTES = 200_000


@dataclass(frozen=True)
class Planned:
    """A cell with its identity, or with the reason for having none yet.

    Attributes:
        cell: Of the grid.
        run_id: Its identity; None if an input is absent.
        done: Whether its record is in the results folder.
        collected: Whether the experiment's tables have it, with or without the record, as in a fresh clone.
        problem: Why it has no identity.
    """

    cell: Cell
    run_id: str | None
    done: bool
    collected: bool = False
    problem: str = ""


@dataclass(frozen=True)
class Plan:
    """The runs of a grid, and their needs.

    Attributes:
        grid: The selected grid.
        cells: All of it.
        problems: Inputs that are missing before the grid can start, each once.
        sources: By identity: source runs that have to be done first, since missing runs need their weights.
        source_bytes: Size of these weights.
    """

    grid: Grid
    cells: Sequence[Planned]
    problems: Sequence[str] = field(default=())
    sources: Mapping[str, RunConfig] = field(default_factory=dict)
    source_bytes: int = 0

    @property
    def missing(self) -> list[Planned]:
        return [planned for planned in self.cells if not planned.done]

    @property
    def jobs(self) -> dict[str, RunConfig]:
        """Returns the missing runs by identity, without source runs of others. Two arms with the same setting are one run."""
        missing = {planned.run_id: planned.cell.config for planned in self.missing if planned.run_id is not None}
        return {run_id: config for run_id, config in missing.items() if run_id not in self.sources}


def plan(grid: Grid, store: Store, inputs: Inputs, chosen: Callable[[str], bool] = lambda run_id: True) -> Plan:
    """Resolves every cell to its run, and finds the finished ones. Missing inputs are listed, not raised.

    Args:
        grid: The selection.
        store: The results folder.
        inputs: Data and encoders of the runs.
        chosen: By identity: whether a run is wanted; others are left out.

    Raises:
        UsageError: runs that can't be, each arm and task with the reason.
    """
    cells: list[Planned] = []
    sources: dict[str, RunConfig] = {}
    checked: dict[str, UsageError | None] = {}
    collected = run_summary.summarise_tables(store, grid.protocol.name, grid.name)
    for cell in grid.cells():
        place = f"{cell.task} / {cell.arm}"
        try:
            if place not in checked:  # other seeds are refused for the same reason
                checked[place] = _refusal(cell.config, inputs)
            if checked[place]:
                continue
            identity = inputs.run_id(cell.config)
        except MissingInput as error:
            cells.append(Planned(cell, None, done=False, problem=str(error)))
            continue
        if not chosen(identity):
            continue
        cells.append(Planned(cell, identity, store.has(identity), identity in collected))
        if not cells[-1].done:
            sources |= {inputs.run_id(source): source for source in cell.config.sources().values()}
    if refused := [f"{place}: {error}" for place, error in checked.items() if error]:
        raise UsageError("\n".join(refused))
    problems = tuple(dict.fromkeys(planned.problem for planned in cells if planned.problem))
    sources = {identity: source for identity, source in sources.items() if not store.weights_path(identity).is_file()}
    return Plan(grid, cells, problems, sources, sum(inputs.encoder(source.encoder).size for source in sources.values()))


def _refusal(config: RunConfig, inputs: Inputs) -> UsageError | None:
    try:
        inputs.check(config)
    except UsageError as error:
        return error
    return None


def estimate(wanted: Plan, store: Store, workers: int) -> tuple[float | None, int]:
    """Returns the seconds and bytes that the missing runs and their source runs will take.

    Seconds come from runs of the same task and protocol that were collected earlier, here or by the authors on the hardware in
    their provenance; None if a task has none.
    """
    times = typical_seconds(wanted.grid.protocol.name, store)
    missing = wanted.missing
    files = [path.stat().st_size for path in (store.root / "runs").glob("*.parquet")]
    tasks = [planned.cell.task for planned in missing if planned.run_id not in wanted.sources]
    tasks += [source.task for source in wanted.sources.values()]
    size = len(tasks) * (sum(files) // len(files) if files else TYPICAL_RUN_BYTES) + wanted.source_bytes
    if not set(tasks) <= times.keys():
        return None, size
    return sum(times[task] for task in tasks) / max(1, min(workers, len(missing))), size


def typical_seconds(protocol: str, store: Store) -> dict[str, float]:
    """Returns the median seconds of a run by task, over all experiments collected at that protocol."""
    known = [store.load_runs(protocol, name) for p, name in store.collected() if p == protocol]
    return {str(task): float(t) for task, t in pd.concat(known).groupby("task")["seconds"].median().items()} if known else {}
