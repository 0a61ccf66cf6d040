"""Planning: identities of a grid's cells, its missing and source runs, and their disk use."""

import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from stableft.core.config import RunConfig
from stableft.core.errors import MissingInput, UsageError
from stableft.core.grid import Cell, Grid
from stableft.execution.inputs import Inputs
from stableft.storage import code_state, run_summary
from stableft.storage.kept_weights import is_done
from stableft.storage.store import Store

TYPICAL_RUN_BYTES = 200_000
Redo = Literal["changed", "all"]


@dataclass(frozen=True)
class Planned:
    """A cell with its run's identity, or the reason why there is none yet.

    Attributes:
        cell: The cell of the grid.
        run_id: Identity of its run; None if an input is absent.
        done: True if its record is in the results folder.
        collected: True if the experiment's tables have it. In a fresh clone there is no record.
        problem: The reason why it has no identity.
        changed: Parts of the code that changed since its record was written (`code_state`).
    """

    cell: Cell
    run_id: str | None
    done: bool
    collected: bool = False
    problem: str = ""
    changed: Sequence[str] = ()


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
        redone: Identities of runs that are missing only because they are to be done again.
    """

    grid: Grid
    cells: Sequence[Planned]
    problems: Sequence[str] = field(default=())
    sources: Mapping[str, RunConfig] = field(default_factory=dict)
    source_bytes: int = 0
    remarks: Sequence[str] = ()
    keep_weights: bool = False
    kept_bytes: int = 0
    redone: Sequence[str] = ()

    @property
    def title(self) -> str:
        return f"{self.grid.name} at protocol {self.grid.protocol.name}"

    @property
    def missing(self) -> list[Planned]:
        return [planned for planned in self.cells if not planned.done]

    @property
    def changed(self) -> dict[str, int]:
        """Cached runs by the part of the code that changed since."""
        return code_state.count(planned.changed for planned in self.cells if planned.done)

    @property
    def jobs(self) -> dict[str, RunConfig]:
        """The missing runs by identity, without source runs of others.

        Two arms with the same setting are one run.
        """
        missing = {planned.run_id: planned.cell.config for planned in self.missing if planned.run_id is not None}
        return {run_id: config for run_id, config in missing.items() if run_id not in self.sources}


def plan(
    grid: Grid,
    store: Store,
    inputs: Inputs,
    chosen: Callable[[str], bool] = lambda run_id: True,
    *,
    keep_weights: bool = False,
    redo: Redo | None = None,
) -> Plan:
    """Resolves every cell to its run, and finds the finished runs.

    Missing inputs are listed, not raised.

    Args:
        grid: The selected grid.
        store: The results folder.
        inputs: Data and encoders of the runs.
        chosen: Returns True for the identity of a wanted run; others are left out.
        keep_weights: True if a run is missing too as long as its weights are not kept.
        redo: Finished runs that are missing too: those whose code ``changed`` since, or ``all``.

    Raises:
        UsageError: Runs are not feasible; the message has the reason for each arm and task, and the
            arms that can be run. Or the protocol is one of imported results.
    """
    if grid.protocol.imported:
        name, what = grid.protocol.name, grid.protocol.imported
        raise UsageError(
            f"{name} holds imported results ({what}), which can't be run; `stableft verify --protocol {name}` judges them"
        )
    cells, redone, sources = _resolved(grid, store, inputs, chosen, keep_weights, redo)
    problems = tuple(dict.fromkeys(planned.problem for planned in cells if planned.problem))
    # Sources whose weights exist are not done again.
    if redo:
        redone |= {identity: None for identity in sources if store.has(identity) and _again(redo, _changed(store, identity))}
    sources = {key: source for key, source in sources.items() if key in redone or not store.weights_path(key).is_file()}
    source_bytes = sum(inputs.encoder(source.encoder).size for source in sources.values())
    found = Plan(grid, cells, problems, sources, source_bytes, inputs.remarks(), keep_weights, redone=tuple(redone))
    kept_bytes = sum(inputs.encoder(config.encoder).size for config in found.jobs.values()) if keep_weights else 0
    return replace(found, kept_bytes=kept_bytes)


def _resolved(
    grid: Grid, store: Store, inputs: Inputs, chosen: Callable[[str], bool], keep_weights: bool, redo: Redo | None
) -> tuple[list[Planned], dict[str, None], dict[str, RunConfig]]:
    """Returns the cells, the runs among them to be done again, and the source runs of missing ones."""
    cells: list[Planned] = []
    redone: dict[str, None] = {}
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
        done, changed = is_done(store, identity, keep_weights), _changed(store, identity)
        if done and _again(redo, changed):
            redone[identity], done = None, False
        cells.append(Planned(cell, identity, done, identity in collected and identity not in redone, changed=changed))
        if not done:
            sources |= {inputs.run_id(source): source for source in cell.config.sources().values()}
    # Everything infeasible is refused at once.
    if refused := {place: error for place, error in checked.items() if error}:
        raise UsageError(
            "\n".join([*(f"{task} / {arm}: {error}" for (task, arm), error in refused.items()), *_way_on(grid, refused)])
        )
    return cells, redone, sources


def _changed(store: Store, run_id: str) -> list[str]:
    """Returns the parts of the code that changed since a run's record; none without a record."""
    return code_state.changed(code_state.recorded_code(run_summary.recorded_provenance(store, run_id)))


def _again(redo: Redo | None, changed: Sequence[str]) -> bool:
    return redo == "all" or (redo == "changed" and bool(changed))


def set_aside_redone(wanted: Plan, store: Store) -> dict[str, Path]:
    """Moves records and weights of runs that are to be done again to ``replaced/``; nothing is deleted.

    Returns:
        The new path of each record, by the run's identity.
    """
    for run_id in wanted.redone:
        if store.weights_path(run_id).is_file():
            store.set_aside(store.weights_path(run_id), "replaced")
    return {run_id: store.set_aside(store.path(run_id), "replaced") for run_id in wanted.redone if store.has(run_id)}


def other_numbers(replaced: Mapping[str, Path], store: Store) -> int:
    """Counts the runs, done again since, whose rows differ from those of the replaced record."""
    rows = run_summary.recorded_trajectory
    return sum(rows(old) != new for key, old in replaced.items() if (new := rows(store.path(key))) is not None)


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
