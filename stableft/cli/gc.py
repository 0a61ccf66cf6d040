"""Garbage collection: deletes files of the results folder that can be recreated or are duplicates."""

import os
from collections.abc import Sequence
from typing import Annotated

from rich.console import RenderableType

from stableft.cli.common import RESULTS, AsJson, ResultsFolder, option, show, verb
from stableft.cli.formatting import VIEW_SCHEMA, View, aligned
from stableft.core.experiments import all_grids
from stableft.execution import cleanup
from stableft.execution.cleanup import Garbage, Removable
from stableft.storage.store import Store


@verb
def gc(
    results: ResultsFolder = RESULTS,
    yes: Annotated[bool, option("Delete; by default only lists.", "--yes")] = False,
    runs: Annotated[bool, option("Also run records whose rows are in the collected tables.", "--runs")] = False,
    only_copies: Annotated[bool, option("Also measurements that exist nowhere else: they will be lost.", "--only-copies")] = False,
    kept_weights: Annotated[bool, option("Also weights that `run --keep-weights` kept.", "--kept-weights")] = False,
    as_json: AsJson = False,
) -> None:
    """List or delete files that are no longer needed.

    Deletes nothing without --yes, and the only copy of a measurement only with --only-copies.
    """
    store = Store(results)
    garbage = cleanup.find(store, all_grids(), runs, only_copies, weights=kept_weights)
    if yes:
        cleanup.delete(store, garbage)
    show(garbage_view(garbage, deleted=yes), as_json)


def garbage_view(garbage: Garbage, deleted: bool) -> View:
    """Shows counts and sizes by kind, and the only copies that are kept."""
    rows = [_row(kind, items) for kind, items in _by_kind(garbage.items).items()]
    total = sum(item.size for item in garbage.items)
    verdict = "deleted" if deleted else "can be deleted: add --yes"
    text: list[RenderableType] = [aligned(["kind", "number", "size", "where"], rows, numeric=[1, 2])] if rows else []
    text.append(f"{len(garbage.items)} files and folders of {_megabytes(total)} {verdict}" if rows else "nothing to delete")
    for kind, items in _by_kind(garbage.kept).items():
        size = _megabytes(sum(item.size for item in items))
        text.append(f"kept: {len(items)} {kind} ({size}), only copies, such as {items[0].path}; --only-copies deletes them")
    if garbage.kept_weights:
        size = _megabytes(sum(item.size for item in garbage.kept_weights))
        text.append(f"kept: the weights of {len(garbage.kept_weights)} runs ({size}), for `export`; --kept-weights deletes them")
    if garbage.running:
        text.append(f"{garbage.running} runs are running: drafts, tokens, weights and locks were left alone")
    data = {
        "schema": VIEW_SCHEMA, "deleted": deleted, "bytes": total, "running": garbage.running, "items": _data(garbage.items),
        "kept": _data(garbage.kept), "kept_weights": _data(garbage.kept_weights),
    }  # fmt: skip
    return View(text, data)


def _by_kind(items: Sequence[Removable]) -> dict[str, list[Removable]]:
    by_kind: dict[str, list[Removable]] = {}
    for item in items:
        by_kind.setdefault(item.kind, []).append(item)
    return by_kind


def _row(kind: str, items: Sequence[Removable]) -> list[str]:
    where = str(items[0].path) if len(items) == 1 else f"{items[0].path.parent}{os.sep}"
    return [kind, str(len(items)), _megabytes(sum(item.size for item in items)), where]


def _data(items: Sequence[Removable]) -> list[dict[str, object]]:
    return [{"kind": item.kind, "path": str(item.path), "bytes": item.size} for item in items]


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
