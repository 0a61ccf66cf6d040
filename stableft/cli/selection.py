"""Selection: options that choose runs of an experiment, and commands with the same options."""

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import typer

from stableft.cli import own_options
from stableft.cli.common import EXPERIMENT, RESULTS, ResultsFolder, option, with_options
from stableft.core import plugins
from stableft.core.errors import UsageError, quoted
from stableft.core.experiments import get_experiment
from stableft.core.grid import Grid, on_tasks, parse_seeds, select
from stableft.core.own_data import OwnData
from stableft.execution.inputs import Inputs
from stableft.execution.planning import Plan
from stableft.storage.evidence import find_protocol, stored_grid
from stableft.storage.store import Store
from stableft.tasks import Task
from stableft.tasks.catalog import get_task, own_tasks
from stableft.tasks.settings_source import settings_source

PANEL = "Selection"
ProtocolName = Annotated[str, option("Scale: smoke, laptop, small or paper.", "--protocol", panel=PANEL)]


class Selection(NamedTuple):
    """The selected runs.

    Attributes:
        grid: The selected runs.
        whole: All arms and tasks of the experiment, with the same settings.
        inputs: Data and initial weights of runs.
    """

    grid: Grid
    whole: Grid
    inputs: Inputs


class Narrowing(NamedTuple):
    """The wanted part of a grid, and its settings; None: all, or as the grid has it.

    Attributes:
        seeds: Such as ``0-49``.
        tasks: Names of tasks or own files.
        changes: Dotted overrides of every run.
        reading: How own files are read.
    """

    seeds: str | None
    tasks: Sequence[str] | None
    changes: Mapping[str, Any]
    reading: OwnData

    def of(self, whole: Grid, arms: Sequence[str] | None = None) -> Selection:
        """Returns the wanted runs of a grid.

        Raises:
            UsageError: a name is unknown, or a setting is impossible.
            MissingInput: own files are absent or malformed.
        """
        chosen = self.tasks
        if own := own_tasks(chosen or [], self.reading):
            whole, chosen = with_own_tasks(whole, own), None
        whole = select(whole, seeds=parse_seeds(self.seeds) if self.seeds else None, overrides=self.changes)
        return Selection(select(whole, arms=arms, tasks=chosen), whole, Inputs(own))


def read_narrowing(
    seeds: Annotated[str | None, option("Such as 0-49 or 0,3,7; by default the protocol's own.", panel=PANEL)] = None,
    tasks: Annotated[str | None, option("Only these, separated by commas; or own files, such as csv:PATH.", panel=PANEL)] = None,
    encoder: Annotated[str | None, option("Another encoder: a folder, a hub id or an embedded name.", panel=PANEL)] = None,
    precision: Annotated[str | None, option("fp32, bf16 or tf32 (GPU); part of a run's identity.", panel=PANEL)] = None,
    overrides: Annotated[
        list[str] | None, option("Override a setting of every run, such as adam.lr=3e-5; repeatable.", "--set", panel=PANEL)
    ] = None,
    text: own_options.TextColumn = None,
    pair: own_options.PairColumn = None,
    label: own_options.LabelColumn = None,
    score: own_options.ScoreColumn = None,
    split: own_options.SplitColumn = None,
    encoding: own_options.EncodingName = None,
    on_duplicates: own_options.OnDuplicates = "stop",
    on_variants: own_options.OnVariants = "stop",
) -> Narrowing:
    """Returns what the options choose.

    Raises:
        UsageError: an option can't be read.
    """
    changes = parse_overrides(overrides or [])
    if encoder:
        changes["encoder"] = os.path.expanduser(encoder)
    if precision:
        changes["precision"] = precision
    reading = own_options.read_own_data(text, pair, label, score, split, encoding, on_duplicates, on_variants)
    return Narrowing(seeds, names(tasks), changes, reading)


@with_options(narrowing=read_narrowing)
def read_selection(
    *,
    experiment: Annotated[str, typer.Argument(help="A name that `ls experiments` lists, or your own file.", **EXPERIMENT)],
    protocol_name: ProtocolName = "laptop",
    narrowing: Narrowing,
    arms: Annotated[str | None, option("Only these arms, separated by commas.", panel=PANEL)] = None,
    results: ResultsFolder = RESULTS,
) -> Selection:
    """Returns the runs selected by the options.

    Raises:
        UsageError: a name is unknown, or a setting is impossible.
        MissingInput: own files are absent or malformed.
    """
    return narrowing.of(whole_grid(experiment, protocol_name, Store(results)), names(arms))


def whole_grid(experiment: str, protocol_name: str, store: Store) -> Grid:
    """Returns all arms and tasks of an experiment; of imported results those that there are."""
    module, protocol = get_experiment(experiment), find_protocol(protocol_name, store)
    if not protocol.imported:
        return module.grid(protocol)
    if (protocol.name, experiment) not in store.collected():
        raise UsageError(f"{protocol.name} holds imported results ({protocol.imported}), and none of {experiment}")
    return stored_grid(experiment, protocol, store.load_runs(protocol.name, experiment))


def with_own_tasks(whole: Grid, own: Sequence[Task]) -> Grid:
    """Returns the grid on a user's own tasks, each with the settings of the protocol's task most like it."""
    names = dict.fromkeys([*whole.tasks, *whole.protocol.tasks, *whole.protocol.configs])
    known = [get_task(name) for name in names if name in whole.protocol.configs]
    found = {task.name: settings_source(task, task.load(), known) for task in own}
    readings = {task.name: (task.own or OwnData()).model_copy(update={"like": found[task.name][0]}) for task in own}
    return on_tasks(whole, [task.name for task in own], readings, {name: reason for name, (_, reason) in found.items()})


def parse_overrides(settings: Sequence[str]) -> dict[str, Any]:
    """Parses ``["adam.lr=3e-5"]`` into ``{"adam.lr": 3e-05}``; values are JSON, else text.

    Raises:
        UsageError: a setting has no ``=`` or no name.
    """
    changes: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {quoted(setting)}: write field=value, such as adam.lr=3e-5")
        try:
            changes[key] = json.loads(text)
        except (ValueError, RecursionError):
            changes[key] = text
    return changes


def names(text: str | None) -> list[str] | None:
    """Parses ``a,b`` into ``["a", "b"]``; None means all."""
    return [name.strip() for name in text.split(",") if name.strip()] if text else None


def command(context: typer.Context, verb: str, *left_out: str) -> str:
    """Returns a shell command with the options typed for this command.

    Args:
        context: Context of this command.
        verb: Name of the returned command.
        left_out: Parameters to omit; ``--json`` and ``--dry-run`` are always omitted.
    """
    words = ["python", "-m", "stableft", verb]
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is None or source.name != "COMMANDLINE" or parameter.name in ("as_json", "dry_run", "plugin", *left_out):
            continue
        value, flag = context.params[parameter.name or ""], parameter.opts[0]
        if parameter.param_type_name == "argument":
            words.append(str(value))
        elif isinstance(value, bool):
            words.append(flag if value else parameter.secondary_opts[0])
        else:
            for each in value if isinstance(value, list | tuple) else [value]:
                words += [flag, str(each)]
    return shlex.join([*words, *plugins.words()])


def failures_command(planned: Plan, store: Store) -> str:
    """Returns the shell command to list the failures of a grid."""
    words = ["python", "-m", "stableft", "failures", planned.grid.name, "--protocol", planned.grid.protocol.name]
    return shlex.join([*words, *plugins.words()]) + store.option
