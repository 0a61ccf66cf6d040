"""Cleanup: deletes what can be made again or exists elsewhere, never a measurement's only copy."""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stableft.core.errors import MissingInput
from stableft.core.files import drafts, lock_content, try_lock
from stableft.core.grid import Grid
from stableft.execution.inputs import Inputs
from stableft.storage import run_summary
from stableft.storage.kept_weights import are_kept
from stableft.storage.run_state import run_status
from stableft.storage.store import Store

KEPT = "weights kept by --keep-weights"
Copies = set[tuple[str, str | None]]  # identity and trajectory


@dataclass(frozen=True)
class Removable:
    """A file or folder that may be deleted.

    Attributes:
        kind: The reason for deletion.
        path: Path of the file or folder.
        size: Bytes.
        only_copy: True for the only copy of a measurement, which is deleted only on request.
    """

    kind: str
    path: Path
    size: int
    only_copy: bool = False


@dataclass(frozen=True)
class Garbage:
    """Items of a results folder for deletion, and only copies to keep.

    Attributes:
        items: Items to delete.
        kept: Only copies.
        running: Number of running runs; files that they may be using are not touched.
        kept_weights: Weights that `run --keep-weights` asked for, and that are not to be deleted.
    """

    items: Sequence[Removable]
    kept: Sequence[Removable]
    running: int
    kept_weights: Sequence[Removable] = ()


def find(store: Store, grids: Iterable[Grid], runs: bool = False, only_copies: bool = False, *, weights: bool = False) -> Garbage:
    """Finds the items of a results folder that may be deleted.

    Args:
        store: The results folder.
        grids: Grids that may yet be run; weights needed by their missing runs are kept.
        runs: Also records of runs, if the collected tables hold the same rows.
        only_copies: Also only copies of measurements.
        weights: Also weights that `run --keep-weights` asked for.
    """
    # Files without measurements. Those that a running process may be using are left alone.
    running = sum(lock_content(path) is not None for path in _locks(store))
    unmeasured = [*_stale(store), *(() if running else _made_again(store, grids))]
    unmeasured = [item for item in unmeasured if weights or item.kind != KEPT]
    going_weights = {item.path for item in unmeasured if item.kind == KEPT}
    kept_weights = [Removable(KEPT, path, _size(path)) for path in _weights(store) if are_kept(store, path.stem)]
    # Measurements are only copies unless the tables or another record hold the same rows.
    tables = _in_tables(store)
    records = {path: _copy(store, path.stem) for path in _entries(store.path("").parent, "*.parquet")}
    asked = [Removable("run records", path, _size(path), copy not in tables) for path, copy in records.items() if runs]
    going = {item.path for item in asked if only_copies or not item.only_copy}
    staying = tables | {copy for path, copy in records.items() if path not in going}
    measured = [*asked, *_set_aside(store, staying)]
    items = [*unmeasured, *(item for item in measured if only_copies or not item.only_copy)]
    kept = [item for item in measured if item.only_copy and not only_copies]
    return Garbage(items, kept, running, [item for item in kept_weights if item.path not in going_weights])


def _stale(store: Store) -> Iterator[Removable]:
    """Yields stale logs, failure notes, locks and checkpoints."""
    for path in _entries(store.log_path("").parent, "*.log"):
        if run_status(store, path.stem).state in ("done", "pending"):
            yield Removable("logs of runs that have not failed", path, _size(path))
    for path in _entries(store.failure_path("").parent, "*.json"):
        if store.has(path.stem):
            yield Removable("failure notes of done runs", path, _size(path))
    for path in _locks(store):
        if lock_content(path) is None:
            yield Removable("locks of dead processes", path, _size(path))
    for path in _entries(store.root / "checkpoints", "*"):
        if store.has(path.name.split(".")[0]):
            yield Removable("checkpoints of done runs", path, _size(path))


def _made_again(store: Store, grids: Iterable[Grid]) -> Iterator[Removable]:
    """Yields files that the next run makes again if it needs them.

    A running process may be reading or writing them.
    """
    for path, process in drafts(store.root):
        if not _alive(process):
            yield Removable("drafts of dead processes", path, _size(path))
    for path in sorted([*store.root.glob("*/*/.draft"), *store.root.glob(".*.probe")]):
        yield Removable("drafts of dead processes", path, _size(path))
    for path in _entries(store.root / "tokens", "*"):
        yield Removable("tokenised data", path, _size(path))
    weights = _weights(store)
    for path in _unneeded(store, weights, grids) if weights else ():
        yield Removable(KEPT if are_kept(store, path.stem) else "weights that no missing run needs", path, _size(path))
    for path in _entries(store.weights_path("").parent, "*.lock"):
        yield Removable("locks of dead processes", path, _size(path))


def _unneeded(store: Store, weights: Sequence[Path], grids: Iterable[Grid]) -> list[Path]:
    """Returns the weights that no missing run of the grids needs."""
    inputs = Inputs()
    needed: set[str] = set()
    unknown: set[str] = set()  # tasks of needed runs whose data or encoder are absent
    for cell in (cell for grid in grids for cell in grid.cells()):
        for source in cell.config.sources().values():
            try:
                if not store.has(inputs.run_id(cell.config)):
                    needed.add(inputs.run_id(source))
            except MissingInput:
                unknown.add(source.task)

    def may_be_needed(path: Path) -> bool:
        summary = run_summary.summarise_record(store, path.stem)
        return path.stem in needed or (bool(unknown) and (summary is None or summary.task in unknown))

    return [path for path in weights if not may_be_needed(path)]


def _set_aside(store: Store, copies: Copies) -> Iterator[Removable]:
    """Yields damaged and replaced records, and tables of other settings.

    They are only copies if no other file holds the same rows.
    """
    done = {run_id for run_id, _ in copies}
    for path in _entries(store.root / "damaged", "*"):
        yield Removable("damaged records", path, _size(path), path.name.split(".")[0] not in done)
    for path in _entries(store.root / "replaced", "*"):
        yield Removable("replaced records", path, _size(path), only_copy=True)
    for folder in sorted(store.root.glob("*/*@*")):
        try:
            rows = run_summary.summarise_tables(store, folder.parent.name, folder.name)
        except MissingInput:  # damaged
            rows = {}
        same = bool(rows) and all(summary.trajectory and (run_id, summary.trajectory) in copies for run_id, summary in rows.items())
        yield Removable("tables set aside", folder, _size(folder), not same)


def _in_tables(store: Store) -> Copies:
    tables = run_summary.summaries(run_summary.collected_runs(store))  # damaged ones hold no copy
    return {(run_id, summary.trajectory) for rows in tables for run_id, summary in rows.items() if summary.trajectory}


def _copy(store: Store, run_id: str) -> tuple[str, str | None]:
    summary = run_summary.summarise_record(store, run_id)
    return run_id, summary and summary.trajectory


def delete(store: Store, garbage: Garbage) -> None:
    """Deletes the items.

    An item that is gone meanwhile is no error. A lock taken meanwhile by a process is kept.
    """
    if not garbage.items:
        return
    with store.collecting():
        for item in garbage.items:
            if item.path.parent in _lock_folders(store):
                with try_lock(item.path):
                    pass  # releasing the lock removes the file
            elif item.path.is_dir():
                shutil.rmtree(item.path, ignore_errors=True)
            else:
                item.path.unlink(missing_ok=True)


def _weights(store: Store) -> list[Path]:
    return _entries(store.weights_path("").parent, "*.safetensors")


def _lock_folders(store: Store) -> tuple[Path, Path]:
    return store.lock_path("run").parent, store.root / "claims"  # its name in earlier versions


def _locks(store: Store) -> list[Path]:
    return [path for folder in _lock_folders(store) for path in _entries(folder, "*")]


def _entries(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(pattern))


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _alive(pid: int) -> bool:
    if os.name == "nt":  # there os.kill would end the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True
