"""Reproduction: from the provenance of runs to the checkout, the patch and the command that compute exactly them."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stableft.core.config import run_id
from stableft.core.errors import UsageError
from stableft.core.experiments import get_experiment, get_protocol
from stableft.core.grid import Grid, on_tasks, select
from stableft.execution import checkout, worker_environment
from stableft.storage.store import Store

REBUILT = "rebuilt"  # another results folder, since in its own the run is there
FLAGS = {"encoder": "--encoder", "precision": "--precision"}
# Variables that a run sets itself, whatever the user's environment says.
SET_BY_RUNS = ("OMP_NUM_THREADS", "HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
Row = Mapping[Any, Any]  # of the table of runs


@dataclass(frozen=True)
class Reproduction:
    """Steps that compute again runs of the same code and options.

    Attributes:
        runs: Their identities.
        steps: Lines for a shell, in a clone of the repository: checkout, patch, set-up, and one or more ``stableft run``.
        notes: What has to be done beside these lines.
        exact: The present code derives exactly these identities from the commands; if not, that of the checkout may.
    """

    runs: tuple[str, ...]
    steps: tuple[str, ...]
    notes: tuple[str, ...]
    exact: bool


@dataclass(frozen=True)
class _Selected:
    """A run with the options that select it, beside its arm, task and seed."""

    row: Row
    options: tuple[str, ...]
    exact: bool


def reproductions(rows: Sequence[Row], store: Store) -> list[Reproduction]:
    """Returns how to compute runs again: one entry per code, lock and execution, in order of first appearance.

    Args:
        rows: Of the table of runs, as dictionaries.
        store: The results folder that they are from.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        provenance = json.loads(row["provenance"])
        code = [provenance.get("git"), provenance.get("lock")]
        key = [*code, _options(provenance), _variables(provenance), row["experiment"], row["protocol"]]
        groups.setdefault(json.dumps(key, sort_keys=True), []).append(row)
    return [_reproduction(group, store) for group in groups.values()]


def _reproduction(rows: Sequence[Row], store: Store) -> Reproduction:
    provenance = json.loads(rows[0]["provenance"])
    code, notes = _checkout(provenance.get("git") or {}, store)
    lock = provenance.get("lock") or {}
    differs = ", ".join(f"{name} {version or 'absent'}" for name, version in lock.get("differs", {}).items())
    if differs:
        notes.append(f"not as requirements.lock says were then: {differs}")
    grid = _grid(rows[0])
    selected = [_select(row, grid) for row in rows]
    prefix = " ".join(f"{name}={shlex.quote(value)}" for name, value in _variables(provenance).items())
    commands = [_command(group, prefix, _options(provenance)) for group in _products(selected)]
    own = {row["task"]: row["data_fingerprint"] for row in rows if "+" in row["protocol"]}
    notes += [f"PATH is what {task} was read from: the fingerprint of its data is {data}" for task, data in own.items()]
    folders = {json.loads(row["config"]).get("encoder", ""): row["weights_fingerprint"] for row in rows}
    notes += [
        f"{name} is a folder that you have to put there: its fingerprint is {of}"
        for name, of in folders.items()
        if name[:2] == "./"
    ]
    exact = all(each.exact for each in selected)
    if not exact:
        notes.append("the code here does not derive these very runs from the command; that of the checkout may")
    return Reproduction(tuple(row["run_id"] for row in rows), (*code, *commands), tuple(notes), exact)


def _checkout(git: Mapping[str, Any], store: Store) -> tuple[list[str], list[str]]:
    """Returns the steps that bring back the code, and notes on what they lack."""
    if not git.get("commit"):
        return [], ["the code was no git checkout, so its state is not known"]
    folder = f"../stableft-{git['commit'][:12]}"
    steps = [f"git worktree add --detach {folder} {git['commit']}"]
    notes = []
    if sha := git.get("diff_sha256"):
        path = checkout.patches(store.root) / f"{sha}.patch"
        if path.is_file():
            where = shlex.quote(str(path)) if path.is_absolute() else f'"$PWD"/{shlex.quote(str(path))}'
            steps.append(f"git -C {folder} apply {where}")
        else:
            why = git.get("diff_left_out") or f"{path} is not there"
            notes.append(f"the code was changed after its commit, and the patch can't be had (sha256 {sha}): {why}")
    return [*steps, f"cd {folder} && make setup"], notes


def _variables(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Returns the variables that the user had set otherwise than a run does by itself."""
    environment = provenance.get("environment") or {}
    return {k: v for k, v in sorted(environment.items()) if k not in SET_BY_RUNS and worker_environment.VARIABLES.get(k) != v}


def _options(provenance: Mapping[str, Any]) -> list[str]:
    """Returns the options of execution that are not the default."""
    execution = provenance.get("execution") or {}
    device, threads = execution.get("device", "cpu"), execution.get("threads", 1)
    options = [] if device == "cpu" else ["--device", device]
    options += [] if threads == 1 else ["--threads", str(threads)]
    return options + ([] if execution.get("packed", True) else ["--padded"])


def _grid(row: Row) -> Grid | None:
    """Returns the experiment at its protocol, as the present code has it; None if it has none."""
    scale, *own = row["protocol"].split("+")
    try:
        whole = get_experiment(row["experiment"]).grid(get_protocol(scale))
        return on_tasks(whole, own) if own else whole
    except UsageError:
        return None


def _select(row: Row, grid: Grid | None) -> _Selected:
    """Returns the run with the overrides between its cell of the grid and itself."""
    config = json.loads(row["config"])
    place = {"arms": [row["arm"]], "tasks": [row["task"]], "seeds": [int(row["seed"])]}
    try:
        if grid is None:
            raise UsageError("no such grid")
        changes = _differences(select(grid, **place).cells()[0].config.model_dump(mode="json"), config)
        cell = select(grid, **place, overrides=changes).cells()[0]
        sources = str(row.get("sources") or "")
        identity = run_id(
            cell.config,
            data=row["data_fingerprint"],
            weights=row["weights_fingerprint"],
            sources=sources.split() if sources != "nan" else (),
        )
    except UsageError:
        return _Selected(row, (), exact=False)
    return _Selected(row, tuple(_flags(changes)), identity == row["run_id"])


def _differences(base: Mapping[str, Any], wanted: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Returns the dotted fields in which a configuration differs from the base, but for those that the run's code lacked."""
    changes: dict[str, Any] = {}
    for name, value in wanted.items():
        known = base.get(name)
        if isinstance(value, dict) and isinstance(known, dict):
            changes |= _differences(known, value, f"{above}{name}.")
        elif value != known and f"{above}{name}" != "seed":
            changes[f"{above}{name}"] = value
    return changes


def _flags(changes: Mapping[str, Any]) -> list[str]:
    words: list[str] = []
    for name, value in changes.items():
        words += [FLAGS[name], str(value)] if name in FLAGS else ["--set", f"{name}={json.dumps(value)}"]
    return words


def _products(selected: Sequence[_Selected]) -> list[list[_Selected]]:
    """Groups runs of the same overrides: together if they are all arms on all tasks with all seeds, else by arm and task."""
    alike: dict[tuple[str, ...], list[_Selected]] = {}
    for each in selected:
        alike.setdefault(each.options, []).append(each)
    products: list[list[_Selected]] = []
    for group in alike.values():
        counts = [len({each.row[name] for each in group}) for name in ("arm", "task", "seed")]
        if len(group) == counts[0] * counts[1] * counts[2]:
            products.append(group)
            continue
        cells: dict[tuple[str, str], list[_Selected]] = {}
        for each in group:
            cells.setdefault((each.row["arm"], each.row["task"]), []).append(each)
        products += cells.values()
    return products


def _command(group: Sequence[_Selected], prefix: str, execution: Sequence[str]) -> str:
    row = group[0].row
    scale, *own = row["protocol"].split("+")
    arms, tasks = (list(dict.fromkeys(each.row[name] for each in group)) for name in ("arm", "task"))
    if own:
        tasks = [f"{Path(task).suffix[1:]}:PATH" for task in tasks]
    seeds = join_spans(sorted({int(each.row["seed"]) for each in group})).replace(" ", "")
    words = ["run", row["experiment"], "--protocol", scale, "--arms", ",".join(arms), "--tasks", ",".join(tasks), "--seeds", seeds]
    line = shlex.join([".venv/bin/python", "-m", "stableft", *words, *group[0].options, *execution, "--results", REBUILT])
    return f"{prefix} {line}".strip()


def join_spans(numbers: Sequence[int]) -> str:
    """Joins increasing numbers into spans: ``0-9, 12``."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][-1] == number - 1:
            spans[-1].append(number)
        else:
            spans.append([number])
    return ", ".join(f"{span[0]}-{span[-1]}" if len(span) > 1 else f"{span[0]}" for span in spans)
