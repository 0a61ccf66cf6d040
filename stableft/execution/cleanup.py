"""What may be deleted of a results folder: what can be made again or stands elsewhere. Never the only copy of a measurement."""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import RenderableType

from stableft.cli.report_views import aligned
from stableft.cli.views import VIEW_SCHEMA, View
from stableft.core.errors import MissingInput
from stableft.core.files import drafts, held
from stableft.core.grid import Grid
from stableft.execution.inputs import Inputs
from stableft.storage import run_state as states
from stableft.storage import run_summary as outcomes
from stableft.storage.store import Store

Copies = set[tuple[str, str | None]]  # identity and trajectory


@dataclass(frozen=True)
class Item:
    """A file or folder.

    Attributes:
        kind: Why it may be deleted.
        path: Which.
        size: Bytes.
        only_copy: Whether it is a measurement that stands nowhere else: it is deleted only if that is asked for.
    """

    kind: str
    path: Path
    size: int
    only_copy: bool = False


@dataclass(frozen=True)
class Garbage:
    """What may be deleted, and what is kept though it lies there.

    Attributes:
        items: To be deleted.
        kept: Only copies.
        running: Runs that are being done: meanwhile nothing is touched that one may be using.
    """

    items: Sequence[Item]
    kept: Sequence[Item]
    running: int


def find(store: Store, grids: Iterable[Grid], runs: bool = False, only_copies: bool = False) -> Garbage:
    """Looks through a results folder.

    Args:
        store: The folder.
        grids: Those that may be run: weights that a missing run of theirs needs are kept.
        runs: Also records of runs, if the collected tables hold the same rows.
        only_copies: Also what stands nowhere else.
    """
    running = sum(held(path) is not None for path in _entries(_claims(store), "*"))
    found = [*_left_over(store), *(() if running else _made_again(store, grids))]
    tables = _in_tables(store)
    records = {path: _copy(store, path.stem) for path in _entries(store.path("").parent, "*.parquet")}
    asked = [Item("run records", path, _size(path), copy not in tables) for path, copy in records.items() if runs]
    going = {item.path for item in asked if only_copies or not item.only_copy}
    staying = tables | {copy for path, copy in records.items() if path not in going}
    measured = [*asked, *_set_aside(store, staying)]
    items = [*found, *(item for item in measured if only_copies or not item.only_copy)]
    return Garbage(items, [item for item in measured if item.only_copy and not only_copies], running)


def _left_over(store: Store) -> Iterator[Item]:
    """What says something about runs that nobody needs to be told any more."""
    for path in _entries(store.log_path("").parent, "*.log"):
        if states.look(store, path.stem).state in ("done", "pending"):
            yield Item("logs of runs that have not failed", path, _size(path))
    for path in _entries(store.failure_path("").parent, "*.json"):
        if store.has(path.stem):
            yield Item("failure notes of done runs", path, _size(path))
    for path in _entries(_claims(store), "*"):
        if held(path) is None:
            yield Item("claims of dead processes", path, _size(path))
    for path in _entries(store.root / "checkpoints", "*"):
        if store.has(path.name.split(".")[0]):
            yield Item("checkpoints of done runs", path, _size(path))


def _made_again(store: Store, grids: Iterable[Grid]) -> Iterator[Item]:
    """What the next run that needs it makes anew; a process may be at it, or have it open."""
    for path, process in drafts(store.root):
        if not _alive(process):
            yield Item("drafts of dead processes", path, _size(path))
    for path in sorted([*store.root.glob("*/*/.draft"), *store.root.glob(".*.probe")]):
        yield Item("drafts of dead processes", path, _size(path))
    for path in _entries(store.root / "tokens", "*"):
        yield Item("tokenised data", path, _size(path))
    weights = _entries(store.weights_path("").parent, "*.safetensors")
    for path in _unneeded(store, weights, grids) if weights else ():
        yield Item("weights that no missing run needs", path, _size(path))
    for path in _entries(store.weights_path("").parent, "*.lock"):
        yield Item("locks of dead processes", path, _size(path))


def _unneeded(store: Store, weights: Sequence[Path], grids: Iterable[Grid]) -> list[Path]:
    inputs = Inputs()
    needed: set[str] = set()
    unknown: set[str] = set()  # tasks of runs that are needed, but whose data or encoder are absent
    for cell in (cell for grid in grids for cell in grid.cells()):
        for source in cell.config.sources().values():
            try:
                if not store.has(inputs.run_id(cell.config)):
                    needed.add(inputs.run_id(source))
            except MissingInput:
                unknown.add(source.task)

    def of_unknown(path: Path) -> bool:
        brief = outcomes.of_record(store, path.stem)
        return bool(unknown) and (brief is None or brief.task in unknown)

    return [path for path in weights if path.stem not in needed and not of_unknown(path)]


def _set_aside(store: Store, copies: Copies) -> Iterator[Item]:
    """Damaged records, and tables of other settings: measurements, if the same does not stand elsewhere."""
    done = {run_id for run_id, _ in copies}
    for path in _entries(store.root / "damaged", "*"):
        yield Item("damaged records", path, _size(path), path.name.split(".")[0] not in done)
    for folder in sorted(store.root.glob("*/*@*")):
        try:
            rows = outcomes.of_tables(store, folder.parent.name, folder.name)
        except MissingInput:  # damaged
            rows = {}
        same = bool(rows) and all(brief.trajectory and (run_id, brief.trajectory) in copies for run_id, brief in rows.items())
        yield Item("tables set aside", folder, _size(folder), not same)


def _in_tables(store: Store) -> Copies:
    found = [outcomes.of_tables(store, protocol, experiment) for protocol, experiment in store.collected()]
    return {(run_id, brief.trajectory) for rows in found for run_id, brief in rows.items() if brief.trajectory}


def _copy(store: Store, run_id: str) -> tuple[str, str | None]:
    brief = outcomes.of_record(store, run_id)
    return run_id, brief and brief.trajectory


def delete(store: Store, garbage: Garbage) -> None:
    """Deletes what was found; what has gone meanwhile is no error, and a claim that somebody has taken meanwhile stays."""
    if not garbage.items:
        return
    with store.collecting():
        for item in garbage.items:
            if item.path.parent == _claims(store):
                with store.claimed(item.path.name):
                    pass  # whose end removes it
            elif item.path.is_dir():
                shutil.rmtree(item.path, ignore_errors=True)
            else:
                item.path.unlink(missing_ok=True)


def view(garbage: Garbage, deleted: bool) -> View:
    """Counts and sizes by kind, and what is kept."""
    rows = [_row(kind, items) for kind, items in _by_kind(garbage.items).items()]
    total = sum(item.size for item in garbage.items)
    said = "deleted" if deleted else "may be deleted; --yes does"
    text: list[RenderableType] = [aligned(["kind", "number", "size", "where"], rows, numeric=[1, 2])] if rows else []
    text.append(f"{len(garbage.items)} files and folders of {_megabytes(total)} {said}" if rows else "nothing may be deleted")
    for kind, items in _by_kind(garbage.kept).items():
        size = _megabytes(sum(item.size for item in items))
        text.append(
            f"kept: {len(items)} {kind} ({size}) that stand nowhere else, such as {items[0].path}; --only-copies deletes them"
        )
    if garbage.running:
        text.append(f"{garbage.running} runs are running: drafts, tokens, weights and locks were left alone")
    data = {
        "schema": VIEW_SCHEMA, "deleted": deleted, "bytes": total, "running": garbage.running, "items": _data(garbage.items),
        "kept": _data(garbage.kept),
    }  # fmt: skip
    return View(text, data)


def _by_kind(items: Sequence[Item]) -> dict[str, list[Item]]:
    found: dict[str, list[Item]] = {}
    for item in items:
        found.setdefault(item.kind, []).append(item)
    return found


def _row(kind: str, items: Sequence[Item]) -> list[str]:
    where = str(items[0].path) if len(items) == 1 else f"{items[0].path.parent}{os.sep}"
    return [kind, str(len(items)), _megabytes(sum(item.size for item in items)), where]


def _data(items: Sequence[Item]) -> list[dict[str, object]]:
    return [{"kind": item.kind, "path": str(item.path), "bytes": item.size} for item in items]


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _claims(store: Store) -> Path:
    return store.claim_path("run").parent


def _entries(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(pattern))


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _alive(pid: int) -> bool:
    if os.name == "nt":  # where asking would end it
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True
