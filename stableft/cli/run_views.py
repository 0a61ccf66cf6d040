"""What the command line shows of the runs of a grid: their states, what came of a command, failures, and what to type next."""

import os
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from stableft.cli.report_views import aligned
from stableft.cli.views import VIEW_SCHEMA, View
from stableft.execution.cleanup import Garbage, Item
from stableft.execution.planning import Plan, Planned
from stableft.execution.supervisor import Status
from stableft.reporting.markup import duration
from stableft.storage import run_state as states
from stableft.storage import run_summary as outcomes
from stableft.storage.records import Results
from stableft.storage.run_state import FAILED, STATES, Failure, RunStatus
from stableft.storage.store import Store

FEW = 10  # failures that a view which is not about them lists
LAST_LINES = 20  # of each log, where there are several
Cells = Sequence[tuple[Planned, RunStatus]]


def look(planned: Plan, store: Store) -> Cells:
    """The cells of a grid with their states; one whose inputs are absent is pending."""
    return [(p, states.run_status(store, p.run_id, p.collected) if p.run_id else RunStatus("pending")) for p in planned.cells]


def status(planned: Plan, store: Store) -> View:
    """Every cell in one of seven states, by task and arm; what is running, and why runs failed."""
    cells = look(planned, store)
    counts: dict[tuple[str, str], Counter[str]] = {}
    for p, seen in cells:
        counts.setdefault((p.cell.task, p.cell.arm), Counter()).update(_counted(p, seen, store))
    total = sum(counts.values(), Counter())
    shown = [state for state in STATES if state in ("done", "running", "pending") or total[state]]
    shown = sorted(shown, key=["done", "running", "pending", *FAILED].index)
    rows = [[task, arm, *(str(found[state]) for state in shown)] for (task, arm), found in counts.items()]
    names = [*STATES, "diverged", "only_collected"]
    running = [(p, seen.progress) for p, seen in cells if seen.state == "running"]
    failed = [seen.failure for _, seen in cells if seen.failure]
    grid = planned.grid
    data = {
        "schema": VIEW_SCHEMA, "experiment": grid.name, "protocol": grid.protocol.name, "runs": len(cells),
        **{name: total[name] for name in names},
        "cells": [{"task": task, "arm": arm, **{name: found[name] for name in names}} for (task, arm), found in counts.items()],
        "progress": [{**_place(p), **(doing.model_dump() if doing else {})} for p, doing in running],
        "failures": [_data(failure, store) for failure in failed],
        "problems": list(planned.problems),
    }  # fmt: skip
    text: list[RenderableType] = [
        aligned(["task", "arm", *shown], rows, numeric=range(2, 2 + len(shown))),
        *([f"{total['diverged']} of the done runs diverged, which is a result"] if total["diverged"] else []),
        *([_only_collected(total["only_collected"])] if total["only_collected"] else []),
        *(f"running: {name(p)}{far(doing)}" for p, doing in running),
        *(f"{failure.state}: {failure.name} ({failure.why})" for failure in failed[:FEW]),
        *([f"`{list_failures(planned, store)}` lists {len(failed)} failures with their logs"] if failed else []),
        *(f"can't start yet: {problem}" for problem in planned.problems),
    ]
    return View(text, data)


def _counted(p: Planned, seen: RunStatus, store: Store) -> list[str]:
    if seen.state != "done" or p.run_id is None:
        return [seen.state]
    if not store.has(p.run_id):
        return ["done", "only_collected"]
    brief = outcomes.summarise_record(store, p.run_id)
    return ["done", "diverged"] if brief and brief.outcome == "diverged" else ["done"]


def _only_collected(count: int) -> str:
    return f"{count} of the done runs are only in the collected tables, as in a fresh clone: `run` does them anew"


def name(p: Planned) -> str:
    return f"{p.cell.task} / {p.cell.arm} / {p.cell.seed}"


def far(doing: states.RunProgress | None) -> str:
    """How far a run has come."""
    if doing is None or not doing.total:
        return ", starting"
    loss = "" if doing.loss is None else f", loss {doing.loss:.3f}"
    return f", step {doing.step} of {doing.total}{loss}, {duration(doing.seconds)}"


def finished(planned: Plan, store: Store, collected: Results | None, failures: Sequence[Status], again: str) -> View:
    """The end of a run: where the results are and what to type next."""
    grid = planned.grid
    folder = store.folder(grid.protocol.name, grid.name)
    text: list[RenderableType] = []
    if collected is not None:
        from stableft.reporting import markup
        from stableft.reporting.tables import score_summary

        if len(grid.arms) <= 4:
            text.append(markup.to_markdown(score_summary.table(collected)))
        text.append(f"{grid.protocol.name}: {grid.protocol.summary}")
        text.append(f"{len(collected.runs)} runs collected in {folder}/{{runs,metrics,predictions}}.parquet")
    draw = "make report" if store.root == Path("results") else f"python -m stableft figures --results {store.root}"
    text += failed(planned, store, failures, again) if failures else [f"next: `{draw}` draws them"]
    places = {p.run_id: _place(p) for p in reversed(planned.cells)}
    data = {
        "schema": VIEW_SCHEMA, "experiment": grid.name, "protocol": grid.protocol.name, "results": str(folder),
        "collected": 0 if collected is None else len(collected.runs),
        "failed": [
            {**places[s.job.run_id], "state": states.STATE_OF[s.state], "kind": s.state, "detail": s.detail, "attempts": s.attempts,
             "log": str(store.log_path(s.job.run_id))}
            for s in failures
        ],
        "retry": again if failures else None,
    }  # fmt: skip
    return View(text, data)


def failed(planned: Plan, store: Store, failures: Sequence[Status], again: str) -> list[str]:
    """A line for each kind of failure, and what to type next."""
    names = {p.run_id: name(p) for p in reversed(planned.cells)}
    lines = []
    for kind, count in Counter(status.state for status in failures).most_common():
        first = next(status for status in failures if status.state == kind)
        kind = kind if states.STATE_OF[kind] == kind else f"failed ({kind})"
        line = (first.detail.splitlines() or [""])[0]
        such = "" if count == 1 else "such as "
        lines.append(f"{count} {kind}: {such}{names[first.job.run_id]}: {line} (log: {store.log_path(first.job.run_id)})")
    ended = {status.job.run_id for status in failures}
    if left := sum(not store.has(run_id) for run_id in planned.jobs if run_id not in ended):
        lines.append(f"{left} more were not done")
    return [*lines, f"next: `{list_failures(planned, store)}` lists what failed,", f"      `{again}` does it again"]


def interrupted(planned: Plan, store: Store, failures: Sequence[Status], command: str, again: str) -> str:
    """The end of a run that was interrupted."""
    left = sum(not store.has(run_id) for run_id in planned.jobs)
    lines = failed(planned, store, failures, again) if failures else []
    counts = f"interrupted: {len(planned.jobs) - left} runs were done and are kept, {left} are left."
    return "\n".join([*lines, f"{counts} This goes on:", command])


def list_failures(planned: Plan, store: Store) -> str:
    """The command that lists them."""
    words = ["python", "-m", "stableft", "failures", planned.grid.name, "--protocol", planned.grid.protocol.name]
    return shlex.join(words if store.root == Path("results") else [*words, "--results", str(store.root)])


def to_retry(planned: Plan, failures: Sequence[Failure]) -> View:
    """What a retry is about to do."""
    grid = planned.grid
    counts = Counter(failure.state for failure in failures)
    data = {
        "schema": VIEW_SCHEMA, "experiment": grid.name, "protocol": grid.protocol.name, "retried": {s: counts[s] for s in FAILED},
    }  # fmt: skip
    if not failures:
        return View([f"no run of {grid.name} at {grid.protocol.name} has failed so: nothing is done again"], data)
    kinds = ", ".join(f"{counts[state]} {state}" for state in FAILED if counts[state])
    return View([f"{len(failures)} runs of {grid.name} at {grid.protocol.name} that failed are done again: {kinds}"], data)


def failures(found: Sequence[Failure], store: Store) -> View:
    """The notes of failed runs, why each failed, and the commands that do them again."""
    rows = [[f.run_id, f.experiment, f.protocol, f.name, f.state, str(f.attempts), f.when[:19], f.why] for f in found]
    names = ["run", "experiment", "protocol", "cell", "state", "tries", "when (UTC)", "why"]
    again = list(dict.fromkeys(failure.retry for failure in found if failure.retry))
    text: list[RenderableType] = ["no run has failed, of those that are not done since"]
    if found:
        text = [
            aligned(names, rows, numeric=[5]),
            f"logs: {store.log_path('RUN')}; `python -m stableft logs RUN` shows one, the first digits of RUN are enough",
            *(f"again: {command}" for command in again),
        ]
    return View(text, {"schema": VIEW_SCHEMA, "failures": [_data(failure, store) for failure in found]})


def _place(p: Planned) -> dict[str, Any]:
    return {"run_id": p.run_id, "task": p.cell.task, "arm": p.cell.arm, "seed": p.cell.seed}


def _data(failure: Failure, store: Store) -> dict[str, Any]:
    return {**failure.model_dump(), "log": str(store.log_path(failure.run_id))}


def failure_logs(failures: Sequence[Failure], store: Store) -> View:
    """Returns the ends of the logs of failed runs."""
    text, data = [], []
    for failure in failures:
        try:
            lines = store.log_path(failure.run_id).read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            lines = [failure.why]
        left_out = [f"({len(lines) - LAST_LINES} lines before)"] if len(lines) > LAST_LINES else []
        text += [f"== {failure.name} ({failure.run_id}): {failure.state}", *left_out, *lines[-LAST_LINES:]]
        data.append({**failure.model_dump(), "lines": lines})
    return View(text or ["no run has failed, of those that are not done since"], {"schema": VIEW_SCHEMA, "logs": data})


def garbage(found: Garbage, deleted: bool) -> View:
    """Returns counts and sizes by kind, and the kept items."""
    rows = [_item_row(kind, items) for kind, items in _by_kind(found.items).items()]
    total = sum(item.size for item in found.items)
    done = "deleted" if deleted else "may be deleted; --yes does"
    text: list[RenderableType] = [aligned(["kind", "number", "size", "where"], rows, numeric=[1, 2])] if rows else []
    text.append(f"{len(found.items)} files and folders of {_megabytes(total)} {done}" if rows else "nothing may be deleted")
    for kind, items in _by_kind(found.kept).items():
        size = _megabytes(sum(item.size for item in items))
        text.append(
            f"kept: {len(items)} {kind} ({size}) that stand nowhere else, such as {items[0].path}; --only-copies deletes them"
        )
    if found.running:
        text.append(f"{found.running} runs are running: drafts, tokens, weights and locks were left alone")
    data = {
        "schema": VIEW_SCHEMA, "deleted": deleted, "bytes": total, "running": found.running, "items": _item_data(found.items),
        "kept": _item_data(found.kept),
    }  # fmt: skip
    return View(text, data)


def _by_kind(items: Sequence[Item]) -> dict[str, list[Item]]:
    kinds: dict[str, list[Item]] = {}
    for item in items:
        kinds.setdefault(item.kind, []).append(item)
    return kinds


def _item_row(kind: str, items: Sequence[Item]) -> list[str]:
    where = str(items[0].path) if len(items) == 1 else f"{items[0].path.parent}{os.sep}"
    return [kind, str(len(items)), _megabytes(sum(item.size for item in items)), where]


def _item_data(items: Sequence[Item]) -> list[dict[str, object]]:
    return [{"kind": item.kind, "path": str(item.path), "bytes": item.size} for item in items]


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
