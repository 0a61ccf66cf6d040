"""What a command is about: the options that choose runs of an experiment, and the command to type next."""

import shlex
from typing import Annotated, NamedTuple

import typer

from stableft.cli import views
from stableft.core.experiments import get_experiment, get_protocol
from stableft.core.grid import Grid, on_tasks, parse_seeds, select
from stableft.execution.inputs import Inputs
from stableft.tasks.catalog import own_tasks

Experiment = Annotated[str, typer.Argument(help="An experiment; `ls experiments` names them.")]
ProtocolName = Annotated[str, typer.Option("--protocol", help="Scale: smoke, laptop, small or paper.")]
Seeds = Annotated[str | None, typer.Option(help="Such as 0-49 or 0,3,7; the protocol's own by default.")]
Tasks = Annotated[str | None, typer.Option(help="Only these tasks, separated by commas; or own files, such as csv:PATH.")]
Arms = Annotated[str | None, typer.Option(help="Only these arms, separated by commas.")]
EncoderName = Annotated[str | None, typer.Option("--encoder", help="Another encoder: a folder, a hub id or an embedded name.")]
Precision = Annotated[str | None, typer.Option("--precision", help="fp32, bf16 or tf32 (GPU); part of a run's identity.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Override a setting of every run, such as adam.lr=3e-5; repeatable.")]


class Request(NamedTuple):
    """A grid, the whole that it is a selection of, and what their runs start from."""

    grid: Grid
    whole: Grid
    inputs: Inputs


def request(
    experiment: str, protocol_name: str, seeds: str | None, tasks: str | None, arms: str | None, encoder: str | None,
    precision: str | None, overrides: list[str] | None,
) -> Request:  # fmt: skip
    """From the options as they were typed.

    Raises:
        UsageError: a name that is not known, or a setting that can't be.
        MissingInput: own files that are not there, or malformed.
    """
    whole = get_experiment(experiment).grid(get_protocol(protocol_name))
    changes = views.parse_overrides(overrides or [])
    if encoder:
        changes["encoder"] = encoder
    if precision:
        changes["precision"] = precision
    chosen = names(tasks)
    if own := own_tasks(chosen or []):
        whole, chosen = on_tasks(whole, [task.name for task in own]), None
    whole = select(whole, seeds=parse_seeds(seeds) if seeds else None, overrides=changes)
    return Request(select(whole, arms=names(arms), tasks=chosen), whole, Inputs(own))


def names(text: str | None) -> list[str] | None:
    """``a,b`` -> ["a", "b"]; None: all."""
    return [name.strip() for name in text.split(",") if name.strip()] if text else None


def command(context: typer.Context, verb: str, *left_out: str) -> str:
    """The command that is being done, with the options that were typed, under that verb: as a shell reads it.

    Args:
        context: Of the command.
        verb: In place of its own.
        left_out: Parameters that the other verb does not have; ``--json`` and ``--dry-run`` never matter.
    """
    words = ["python", "-m", "stableft", verb]
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is None or source.name != "COMMANDLINE" or parameter.name in ("as_json", "dry_run", *left_out):
            continue
        value, option = context.params[parameter.name or ""], parameter.opts[0]
        if parameter.param_type_name == "argument":
            words.append(str(value))
        elif isinstance(value, bool):
            words.append(option if value else parameter.secondary_opts[0])
        else:
            for each in value if isinstance(value, list | tuple) else [value]:
                words += [option, str(each)]
    return shlex.join(words)
