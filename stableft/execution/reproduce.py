"""Reproduction: finds the checkout, patch and command for exactly the same runs, from provenance."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stableft.core.config import run_id
from stableft.core.errors import UsageError
from stableft.core.experiments import get_experiment, get_protocol
from stableft.core.grid import Grid, join_spans, on_tasks, run_command, select
from stableft.core.own_data import OwnData
from stableft.execution import checkout, worker_environment
from stableft.storage.store import Store

REBUILT = "rebuilt"  # a new results folder, as the original has the run already
FLAGS = {"encoder": "--encoder", "precision": "--precision"}
# Variables that a run sets itself, regardless of the user's environment.
SET_BY_RUNS = ("OMP_NUM_THREADS", "HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
Row = Mapping[Any, Any]  # a row of the table of runs


@dataclass(frozen=True)
class Reproduction:
    """Steps to compute runs of the same code and options again.

    Attributes:
        runs: Identities of the runs.
        steps: Shell lines for a clone of the repository: checkout, patch, set-up, and one or more
            ``stableft run``.
        notes: Further requirements and limits, one sentence each.
        exact: True if the present code derives exactly these identities from the commands. If not,
            the code of the checkout may.
    """

    runs: tuple[str, ...]
    steps: tuple[str, ...]
    notes: tuple[str, ...]
    exact: bool


@dataclass(frozen=True)
class _Selected:
    """A run with the options that select it, in addition to arm, task and seed."""

    row: Row
    options: tuple[str, ...]
    exact: bool


def reproductions(rows: Sequence[Row], store: Store) -> list[Reproduction]:
    """Returns the steps to compute runs again.

    There is one entry per combination of code, lock file, options, environment variables,
    experiment and protocol, in order of first appearance.

    Args:
        rows: Rows of the table of runs, as dictionaries.
        store: The results folder of the runs.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        provenance = json.loads(row["provenance"])
        code = [provenance.get("git"), provenance.get("lock")]
        key = [*code, _options(provenance), _variables(provenance), row["experiment"], row["protocol"]]
        groups.setdefault(json.dumps(key, sort_keys=True), []).append(row)
    return [_reproduction(group, store) for group in groups.values()]


def _reproduction(rows: Sequence[Row], store: Store) -> Reproduction:
    # Code and environment, which all rows share.
    provenance = json.loads(rows[0]["provenance"])
    if source := provenance.get("imported"):
        note = f"imported, so they can't be computed again from here: {source['source']}"
        return Reproduction(tuple(row["run_id"] for row in rows), (), (note,), exact=False)
    code, notes = _checkout(provenance.get("git") or {}, store)
    lock = provenance.get("lock") or {}
    differs = ", ".join(f"{name} {version or 'absent'}" for name, version in lock.get("differs", {}).items())
    if differs:
        notes.append(f"installed versions that differed from requirements.lock: {differs}")
    # The commands, each for as many runs as possible.
    grid = _grid(rows[0])
    selected = [_select(row, grid) for row in rows]
    prefix = " ".join(f"{name}={shlex.quote(value)}" for name, value in _variables(provenance).items())
    commands = [_command(group, prefix, _options(provenance)) for group in _products(selected)]
    # Inputs that the user has to provide.
    own = [row for row in {row["task"]: row for row in rows if "+" in row["protocol"]}.values()]
    for row, source in zip(own, _sources(own), strict=True):
        name = source.partition(":")[2]
        what = f"PATH is the file of {row['task']}" if name == "PATH" else f"{name} is a file for you to put there"
        notes.append(f"{what}: the fingerprint of its data is {row['data_fingerprint']}")
    folders = {json.loads(row["config"]).get("encoder", ""): row.get("weights_fingerprint", "unknown") for row in rows}
    notes += [f"{name} is a folder for you to provide: its fingerprint is {of}" for name, of in folders.items() if name[:2] == "./"]
    exact = all(each.exact for each in selected)
    if not exact:
        notes.append("the present code does not derive exactly these runs from the command; the checkout's code may")
    return Reproduction(tuple(row["run_id"] for row in rows), (*code, *commands), tuple(notes), exact)


def _checkout(git: Mapping[str, Any], store: Store) -> tuple[list[str], list[str]]:
    """Returns the steps to restore the code, and notes on missing parts."""
    if not git.get("commit"):
        return [], ["the code was not a git checkout, so its state is unknown"]
    folder = f"../stableft-{git['commit'][:12]}"
    steps = [f"git worktree add --detach {folder} {git['commit']}"]
    notes = []
    if sha := git.get("diff_sha256"):
        path = checkout.patches(store.root) / f"{sha}.patch"
        if path.is_file():
            where = shlex.quote(str(path)) if path.is_absolute() else f'"$PWD"/{shlex.quote(str(path))}'
            steps.append(f"git -C {folder} apply {where}")
        else:
            why = git.get("diff_left_out") or f"{path} is absent"
            notes.append(f"the code was changed after its commit, and the patch is unavailable (sha256 {sha}): {why}")
    return [*steps, f"cd {folder} && make setup"], notes


def _variables(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Returns the environment variables with other values than a run sets by default."""
    environment = provenance.get("environment") or {}
    return {k: v for k, v in sorted(environment.items()) if k not in SET_BY_RUNS and worker_environment.VARIABLES.get(k) != v}


def _options(provenance: Mapping[str, Any]) -> list[str]:
    """Returns the options of execution with other values than the default."""
    execution = provenance.get("execution") or {}
    device, threads = execution.get("device", "cpu"), execution.get("threads", 1)
    options = [] if device == "cpu" else ["--device", device]
    options += [] if threads == 1 else ["--threads", str(threads)]
    options += [] if execution.get("packed", True) else ["--padded"]
    return options + (["--force-bf16"] if execution.get("forced_bf16") else [])


def _grid(row: Row) -> Grid | None:
    """Returns the grid of a run in the present code; None if it has no such experiment or protocol."""
    scale, *own = row["protocol"].split("+")
    try:
        whole = get_experiment(row["experiment"]).grid(get_protocol(scale))
        reading = _own_data(row)
        if reading and reading.like not in whole.protocol.configs:
            return None
        return on_tasks(whole, [row["task"]], {row["task"]: reading} if reading else None) if own else whole
    except UsageError:
        return None


def _own_data(row: Row) -> OwnData | None:
    """Returns how the user's file of a run was read; None for a registered task, and in older results."""
    try:
        return OwnData.model_validate(json.loads(row["config"]).get("own_data"))
    except ValidationError:
        return None


def _sources(rows: Sequence[Row]) -> list[str]:
    """Returns the user's files of runs as on the command line, with PATH for an unknown name."""
    own = {row["task"]: _own_data(row) for row in rows}
    return [reading.source if reading else f"{Path(task).suffix[1:]}:PATH" for task, reading in own.items()]


def run_again(rows: Sequence[Row]) -> str:
    """Returns the shell command to run an experiment, given its collected runs, in this checkout."""
    row = rows[0]
    if "+" not in row["protocol"]:
        return run_command(row["experiment"], row["protocol"])
    reading = _own_data(row)
    return " ".join(
        [run_command(row["experiment"], row["protocol"], _sources(rows)), *map(shlex.quote, reading.flags() if reading else ())]
    )


def keep_weights_command(row: Row) -> str:
    """Returns the shell command that repeats a collected run in this checkout and keeps its weights."""
    selected = _select(row, _grid(row))
    options = [*selected.options, *_options(json.loads(row["provenance"])), "--keep-weights"]
    return shlex.join(["stableft", *_words([selected]), *options])


def _select(row: Row, grid: Grid | None) -> _Selected:
    """Returns a run with the overrides that turn its cell of the grid into its configuration."""
    config = {name: value for name, value in json.loads(row["config"]).items() if name != "own_data"}
    try:
        if grid is None:
            raise UsageError("no such grid")
        place = {"arms": [row["arm"]], "tasks": [row["task"]], "seeds": _seeds(grid, [row])}
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
    reading = _own_data(row)
    return _Selected(row, (*(reading.flags() if reading else ()), *_flags(changes)), identity == row["run_id"])


def _seeds(grid: Grid | None, rows: Sequence[Row]) -> list[int]:
    """Returns the seeds of runs as typed for ``--seeds``: in a square of seeds, those in the arms' names."""
    if grid is not None and grid.square is not None:
        return grid.square.seeds(row["arm"] for row in rows)
    return sorted({int(row["seed"]) for row in rows})


def _differences(base: Mapping[str, Any], wanted: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Returns the dotted fields in which a configuration differs from the base.

    Fields of the base are ignored if the configuration lacks them: its code had no such field.
    """
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
    """Groups runs of the same overrides, one group per command.

    They stay together if they are all arms on all tasks with all seeds; else they are grouped by arm
    and task.
    """
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
    line = shlex.join([".venv/bin/python", "-m", "stableft", *_words(group), *group[0].options, *execution, "--results", REBUILT])
    return f"{prefix} {line}".strip()


def _words(group: Sequence[_Selected]) -> list[str]:
    """Returns `run` and the options that name arms, tasks and seeds."""
    row = group[0].row
    scale, *own = row["protocol"].split("+")
    arms, tasks = (list(dict.fromkeys(each.row[name] for each in group)) for name in ("arm", "task"))
    if own:
        tasks = _sources([each.row for each in group])
    seeds = join_spans(_seeds(_grid(row), [each.row for each in group])).replace(" ", "")
    return ["run", row["experiment"], "--protocol", scale, "--arms", ",".join(arms), "--tasks", ",".join(tasks), "--seeds", seeds]
