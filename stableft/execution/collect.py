"""Collecting: gathers the finished runs of an experiment into its tables."""

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from stableft.core.errors import Damaged, MissingInput
from stableft.core.grid import Grid
from stableft.execution.inputs import Inputs
from stableft.storage.records import CellKey, Results
from stableft.storage.store import Store


def collect(grid: Grid, store: Store, inputs: Inputs, warn: Callable[[str], None] = lambda _: None) -> Results | None:
    """Gathers all finished runs of an experiment into its tables.

    Collected runs of other seeds are kept if the grid still derives the same identity for them.
    Tables with any other run are moved to ``<experiment>@<fingerprint>``, never overwritten.

    Args:
        grid: The whole grid of the experiment (all arms and tasks), at the selected seeds.
        store: The results folder.
        inputs: Data and encoders of its runs.
        warn: Called for each damaged record. The record is quarantined and left out; the next run
            of the grid computes it again.

    Returns:
        The collected tables, or None if no run is done.
    """
    store.root.mkdir(parents=True, exist_ok=True)
    with store.collecting():
        return _collect(grid, store, inputs, warn)


def _collect(grid: Grid, store: Store, inputs: Inputs, warn: Callable[[str], None]) -> Results | None:
    # The cells of the whole grid, at the seeds asked for and those collected earlier.
    protocol = grid.protocol.name
    earlier = _collected_cells(store, protocol, grid.name)
    full = grid.with_earlier((key.arm for key in earlier), (key.seed for key in earlier))
    arms, tasks = list(full.arms), list(full.tasks)
    keys: list[CellKey] = []
    for cell in sorted(full.cells(), key=lambda cell: (arms.index(cell.arm), tasks.index(cell.task), cell.seed)):
        with contextlib.suppress(MissingInput):
            keys.append(CellKey(grid.name, cell.arm, cell.task, cell.seed, inputs.run_id(cell.config)))
    # Tables with a run of other settings are moved away unchanged.
    derived = set(keys)
    if any(key not in derived for key in earlier):
        _set_aside(store.folder(protocol, grid.name), earlier)
        earlier = []
    # Rows without a record, as in a fresh clone, come from the present tables.
    kept = {key for key in earlier if not store.has(key.run_id)}
    done = [key for key in keys if key in kept or store.has(key.run_id)]
    while done:
        try:
            return store.collect(protocol, grid.name, done, keep=kept)
        except Damaged as error:
            if error.path.parent != store.path("").parent:
                raise
            warn(f"{error} It was set aside as {store.quarantine(error.path.stem)}.")
            done = [key for key in done if key.run_id != error.path.stem]
    return None


def check_kept(grid: Grid, store: Store) -> None:
    """Checks that collecting will be able to keep rows without a record, before anything starts.

    Raises:
        MissingInput: They can't be read.
    """
    if any(not store.has(key.run_id) for key in _collected_cells(store, grid.protocol.name, grid.name)):
        store.load(grid.protocol.name, grid.name)


def set_aside_cut_short(store: Store, warn: Callable[[str], None] = lambda _: None) -> None:
    """Quarantines truncated records, so that their runs are done again."""
    for run_id in store.cut_short():
        warn(f"{store.path(run_id)} is damaged (cut short); set aside as {store.quarantine(run_id)}, its run is done again.")


def _collected_cells(store: Store, protocol: str, experiment: str) -> list[CellKey]:
    if (protocol, experiment) not in store.collected():
        return []
    runs = store.load_runs(protocol, experiment)
    return [CellKey(*row) for row in runs[list(CellKey._fields)].itertuples(index=False, name=None)]


def _set_aside(folder: Path, keys: Sequence[CellKey]) -> None:
    fingerprint = hashlib.sha256("".join(sorted(key.run_id for key in keys)).encode()).hexdigest()[:8]
    target = folder.with_name(f"{folder.name}@{fingerprint}")
    if target.exists():
        shutil.rmtree(folder)
    else:
        folder.rename(target)
