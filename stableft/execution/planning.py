"""Planning: identities of a grid's cells, its missing and source runs, and their disk use."""

import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from stableft.core.config import RunConfig
from stableft.core.errors import MissingInput, UsageError
from stableft.core.grid import Cell, Grid
from stableft.execution.inputs import Inputs
from stableft.storage import run_summary
from stableft.storage.kept_weights import is_done
from stableft.storage.store import Store

TYPICAL_RUN_BYTES = 200_000


@dataclass(frozen=True)
class Planned:
    """A cell with its run's identity, or the reason why there is none yet.

    Attributes:
        cell: The cell of the grid.
        run_id: Identity of its run; None if an input is absent.
        done: True if its record is in the results folder.
        collected: True if the experiment's tables have it. In a fresh clone there is no record.
        problem: The reason why it has no identity.
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
        cells: All cells of the grid.
        problems: Missing inputs without which the grid can't start, each once.
        sources: Source runs by identity. They are done first, as missing runs need their weights.
        source_bytes: Size of the source runs' weights.
        remarks: Sentences about the files of encoders.
        keep_weights: True if a run is missing too as long as its weights are not kept.
        kept_bytes: Size of the weights of the missing runs, if they will be kept.
    """

    grid: Grid
    cells: Sequence[Planned]
    problems: Sequence[str] = field(default=())
    sources: Mapping[str, RunConfig] = field(default_factory=dict)
    source_bytes: int = 0
    remarks: Sequence[str] = ()
    keep_weights: bool = False
    kept_bytes: int = 0

    @property
    def title(self) -> str:
        return f"{self.grid.name} at protocol {self.grid.protocol.name}"

    @property
    def missing(self) -> list[Planned]:
        return [planned for planned in self.cells if not planned.done]

    @property
    def jobs(self) -> dict[str, RunConfig]:
        """The missing runs by identity, without source runs of others.

        Two arms with the same setting are one run.
        """
        missing = {planned.run_id: planned.cell.config for planned in self.missing if planned.run_id is not None}
        return {run_id: config for run_id, config in missing.items() if run_id not in self.sources}


def plan(
    grid: Grid, store: Store, inputs: Inputs, chosen: Callable[[str], bool] = lambda run_id: True, *, keep_weights: bool = False
) -> Plan:
    """Resolves every cell to its run, and finds the finished runs.

    Missing inputs are listed, not raised.

    Args:
        grid: The selected grid.
        store: The results folder.
        inputs: Data and encoders of the runs.
        chosen: Returns True for the identity of a wanted run; others are left out.
        keep_weights: True if a run is missing too as long as its weights are not kept.

    Raises:
        UsageError: Runs are not feasible; the message has the reason for each arm and task, and the
            arms that can be run. Or the protocol is one of imported results.
    """
    if grid.protocol.imported:
        name, what = grid.protocol.name, grid.protocol.imported
        raise UsageError(
            f"{name} holds imported results ({what}), which can't be run; `stableft verify --protocol {name}` judges them"
        )
    # The runs of the cells and the source runs of those that are missing.
    cells: list[Planned] = []
    sources: dict[str, RunConfig] = {}
    checked: dict[tuple[str, str], UsageError | None] = {}
    collected = run_summary.summarise_tables(store, grid.protocol.name, grid.name)
    for cell in grid.cells():
        place = (cell.task, cell.arm)
        try:
            if place not in checked:  # the same for all seeds
                checked[place] = _refusal(cell.config, inputs)
            if checked[place]:
                continue
            identity = inputs.run_id(cell.config)
        except MissingInput as error:
            cells.append(Planned(cell, None, done=False, problem=str(error)))
            continue
        if not chosen(identity):
            continue
        cells.append(Planned(cell, identity, is_done(store, identity, keep_weights), identity in collected))
        if not cells[-1].done:
            sources |= {inputs.run_id(source): source for source in cell.config.sources().values()}
    # Everything infeasible is refused at once. Sources whose weights exist are not done again.
    if refused := {place: error for place, error in checked.items() if error}:
        raise UsageError(
            "\n".join([*(f"{task} / {arm}: {error}" for (task, arm), error in refused.items()), *_way_on(grid, refused)])
        )
    problems = tuple(dict.fromkeys(planned.problem for planned in cells if planned.problem))
    sources = {identity: source for identity, source in sources.items() if not store.weights_path(identity).is_file()}
    source_bytes = sum(inputs.encoder(source.encoder).size for source in sources.values())
    found = Plan(grid, cells, problems, sources, source_bytes, inputs.remarks(), keep_weights)
    kept_bytes = sum(inputs.encoder(config.encoder).size for config in found.jobs.values()) if keep_weights else 0
    return replace(found, kept_bytes=kept_bytes)


def _way_on(grid: Grid, refused: Collection[tuple[str, str]]) -> list[str]:
    """Returns a line on the arms that can be run on every task, or else on the tasks for every arm."""
    for option, names, place in (("--arms", grid.arms, 1), ("--tasks", grid.tasks, 0)):
        lost = {each[place] for each in refused}
        if possible := [name for name in names if name not in lost]:
            return [f"to run the others: {option} {shlex.quote(','.join(possible))}"]
    return []


def _refusal(config: RunConfig, inputs: Inputs) -> UsageError | None:
    try:
        inputs.check(config)
    except UsageError as error:
        return error
    return None


def estimated_bytes(wanted: Plan, store: Store) -> int:
    """Returns the estimated bytes of the missing runs and their source runs.

    A run is as large as the mean record in the folder.
    """
    files = [path.stat().st_size for path in (store.root / "runs").glob("*.parquet")]
    runs = len({**wanted.jobs, **wanted.sources})
    return runs * (sum(files) // len(files) if files else TYPICAL_RUN_BYTES) + wanted.source_bytes + wanted.kept_bytes
