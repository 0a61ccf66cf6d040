"""From the provenance of runs back to what computes them: the checkout, the patch, and the command that selects exactly them."""

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
from stableft.execution import checkout
from stableft.execution import worker_environment as environment
from stableft.storage.store import Store

REBUILT = "rebuilt"  # another results folder, since in its own the run is there
FLAGS = {"encoder": "--encoder", "precision": "--precision"}
# What a run sets itself, whatever the user's environment says.
SET_BY_RUNS = ("OMP_NUM_THREADS", "HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
Row = Mapping[Any, Any]  # of the table of runs


@dataclass(frozen=True)
class Rebuilding:
    """How runs that were computed alike are computed again.

    Attributes:
        runs: Their identities.
        steps: Lines for a shell, in a clone of the repository: checkout, patch, set-up, and one or more ``stableft run``.
        notes: What these lines can't say.
        exact: The code that is here derives exactly these identities from the commands; if not, that of the checkout may.
    """

    runs: tuple[str, ...]
    steps: tuple[str, ...]
    notes: tuple[str, ...]
    exact: bool


@dataclass(frozen=True)
class _Selected:
    """A run with what has to be said to select it, beside its arm, task and seed."""

    row: Row
    options: tuple[str, ...]
    exact: bool


def of_runs(rows: Sequence[Row], store: Store) -> list[Rebuilding]:
    """What computes these runs again, one entry for all of the same code, lock and execution, in order of first appearance.

    Args:
        rows: Of the table of runs, as dictionaries.
        store: Where they are from.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        said = json.loads(row["provenance"])
        key = [said.get("git"), said.get("lock"), _options_of(said), _variables(said), row["experiment"], row["protocol"]]
        groups.setdefault(json.dumps(key, sort_keys=True), []).append(row)
    return [_rebuilding(group, store) for group in groups.values()]


def _rebuilding(rows: Sequence[Row], store: Store) -> Rebuilding:
    said = json.loads(rows[0]["provenance"])
    code, notes = _checkout(said.get("git") or {}, store)
    lock = said.get("lock") or {}
    differs = ", ".join(f"{name} {version or 'absent'}" for name, version in lock.get("differs", {}).items())
    if differs:
        notes.append(f"not as requirements.lock says were then: {differs}")
    grid = _grid(rows[0])
    selected = [_select(row, grid) for row in rows]
    prefix = " ".join(f"{name}={shlex.quote(value)}" for name, value in _variables(said).items())
    commands = [_command(group, prefix, _options_of(said)) for group in _products(selected)]
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
    return Rebuilding(tuple(row["run_id"] for row in rows), (*code, *commands), tuple(notes), exact)


def _checkout(git: Mapping[str, Any], store: Store) -> tuple[list[str], list[str]]:
    """Steps that bring back the code, and what is wrong with them."""
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


def _variables(said: Mapping[str, Any]) -> dict[str, str]:
    """The variables that the user had set otherwise than a run does by itself."""
    found = said.get("environment") or {}
    return {k: v for k, v in sorted(found.items()) if k not in SET_BY_RUNS and environment.VARIABLES.get(k) != v}


def _options_of(said: Mapping[str, Any]) -> list[str]:
    """What the command says of the execution, where that is not the default."""
    execution = said.get("execution") or {}
    device, threads = execution.get("device", "cpu"), execution.get("threads", 1)
    options = [] if device == "cpu" else ["--device", device]
    options += [] if threads == 1 else ["--threads", str(threads)]
    return options + ([] if execution.get("packed", True) else ["--padded"])


def _grid(row: Row) -> Grid | None:
    """The experiment at its protocol, as the code here has it."""
    scale, *own = row["protocol"].split("+")
    try:
        whole = get_experiment(row["experiment"]).grid(get_protocol(scale))
        return on_tasks(whole, own) if own else whole
    except UsageError:
        return None


def _select(row: Row, grid: Grid | None) -> _Selected:
    """The overrides between the run and its cell of the grid."""
    config = json.loads(row["config"])
    place = {"arms": [row["arm"]], "tasks": [row["task"]], "seeds": [int(row["seed"])]}
    try:
        if grid is None:
            raise UsageError("no such grid")
        changes = _differences(select(grid, **place).cells()[0].config.model_dump(mode="json"), config)
        cell = select(grid, **place, overrides=changes).cells()[0]
        sources = str(row.get("sources") or "")
        found = run_id(
            cell.config,
            data=row["data_fingerprint"],
            weights=row["weights_fingerprint"],
            sources=sources.split() if sources != "nan" else (),
        )
    except UsageError:
        return _Selected(row, (), exact=False)
    return _Selected(row, tuple(_flags(changes)), found == row["run_id"])


def _differences(base: Mapping[str, Any], wanted: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Dotted fields in which a configuration is not the base. Those that the run's own code did not have yet stay as they are."""
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
    """Runs whose overrides are the same, together where they are all arms on all tasks with all seeds, else by arm and task."""
    alike: dict[tuple[str, ...], list[_Selected]] = {}
    for each in selected:
        alike.setdefault(each.options, []).append(each)
    found: list[list[_Selected]] = []
    for group in alike.values():
        counts = [len({each.row[name] for each in group}) for name in ("arm", "task", "seed")]
        if len(group) == counts[0] * counts[1] * counts[2]:
            found.append(group)
            continue
        cells: dict[tuple[str, str], list[_Selected]] = {}
        for each in group:
            cells.setdefault((each.row["arm"], each.row["task"]), []).append(each)
        found += cells.values()
    return found


def _command(group: Sequence[_Selected], prefix: str, execution: Sequence[str]) -> str:
    row = group[0].row
    scale, *own = row["protocol"].split("+")
    arms, tasks = (list(dict.fromkeys(each.row[name] for each in group)) for name in ("arm", "task"))
    if own:
        tasks = [f"{Path(task).suffix[1:]}:PATH" for task in tasks]
    seeds = spans(sorted({int(each.row["seed"]) for each in group})).replace(" ", "")
    words = ["run", row["experiment"], "--protocol", scale, "--arms", ",".join(arms), "--tasks", ",".join(tasks), "--seeds", seeds]
    line = shlex.join([".venv/bin/python", "-m", "stableft", *words, *group[0].options, *execution, "--results", REBUILT])
    return f"{prefix} {line}".strip()


def spans(numbers: Sequence[int]) -> str:
    """``0-9, 12``: increasing numbers, neighbours joined."""
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][-1] == number - 1:
            found[-1].append(number)
        else:
            found.append([number])
    return ", ".join(f"{span[0]}-{span[-1]}" if len(span) > 1 else f"{span[0]}" for span in found)
