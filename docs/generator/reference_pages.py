"""Reference pages: columns, settings, exit codes and commands, read from the code."""

import inspect
from typing import Annotated, Any, Literal, get_args, get_origin

import click
import typer
from pydantic import BaseModel

from docs.generator.text import table, to_markdown
from stableft.cli.app import app
from stableft.cli.common import Exit
from stableft.core.attribute_texts import attributes
from stableft.core.config import RunConfig
from stableft.core.errors import StableftError
from stableft.storage import long_format
from stableft.storage.schema import KINDS

CODES = {
    Exit.OK: "all that was asked for is done; a diverged run is a result",
    Exit.RUNS_FAILED: "some runs ended in a failure that is no result (crash, kill, time limit)",
    Exit.CONTRADICTED: "with `--strict`: a claim is contradicted, or results differ",
    Exit.INTERRUPTED: "interrupted by Ctrl-C; 143 by SIGTERM. What is done is collected",
}


def reference_pages() -> dict[str, str]:
    """Returns the reference pages by path in the site."""
    return {
        "reference/columns.md": columns(),
        "reference/exit-codes.md": exit_codes(),
        "reference/settings.md": settings(),
        "reference/commands.md": commands(),
    }


def columns() -> str:
    """Returns the columns of the collected tables and of a table of others' results."""
    parts = ["# Columns", "What the rows mean: [files and formats](../formats.md)."]
    for name, kinds in KINDS.items():
        rows = [[f"`{column}`", kind] for column, kind in kinds.items()]
        parts += [f"## {name}.parquet", table(["column", "holds"], rows)]
    parts += ["Any further fact of a run is a column of `runs.parquet` too."]
    imported = [[f"`{column}`", ""] for column in long_format.COLUMNS] + [
        [f"`{column}`", "optional"] for column in long_format.OPTIONAL
    ]
    parts += [
        "## A table for `stableft import`",
        "Described in [results of others](../import.md).",
        table(["column", ""], imported),
    ]
    return "\n\n".join(parts) + "\n"


def exit_codes() -> str:
    """Returns the exit codes, with the errors that lead to each."""
    rows = []
    errors = [kind for kind in StableftError.__subclasses__()]
    codes = sorted({*(int(code) for code in Exit), *(kind.exit_code for kind in errors)})
    for code in codes:
        texts = [text for known, text in CODES.items() if known == code]
        texts += [" ".join((kind.__doc__ or "").split("\n\n")[0].split()).rstrip(".") for kind in errors if kind.exit_code == code]
        rows.append([str(code), to_markdown("; ".join(texts), "../protocol.md")])
    return "# Exit codes\n\nScripts can rely on them.\n\n" + table(["code", "meaning"], rows)


def settings() -> str:
    """Returns all fields of a run's configuration, for `--set`."""
    parts = [
        "# Settings",
        "All that decides the result of a run. `--set NAME=VALUE` changes one in every arm of an experiment; the values of a "
        "scale are in `experiments/protocol.py`. Techniques have settings of their own: [cards](../techniques.md).",
        fields(RunConfig, ""),
    ]
    for name, field in RunConfig.model_fields.items():
        if (kind := nested(field.annotation)) and name != "own_data":
            parts += [
                f"## {name}",
                to_markdown((kind.__doc__ or "").split("\n\n")[0], "../protocol.md"),
                fields(kind, f"{name}."),
            ]
    return "\n\n".join(parts) + "\n"


def fields(model: type[BaseModel], prefix: str) -> str:
    """Returns a table of the fields of a model; those with one description share a row."""
    described = attributes(model.__doc__)
    rows: dict[str, list[str]] = {}
    for name, field in model.model_fields.items():
        if nested(field.annotation) and name != "own_data":  # a table of its own
            continue
        default = "required" if field.is_required() else f"`{field.default}`"
        meaning = to_markdown(described.get(name, ""), "../protocol.md")
        if meaning and meaning in rows:
            rows[meaning][0] += f", `{prefix}{name}`"
        else:
            rows[meaning or name] = [f"`{prefix}{name}`", kind_of(field.annotation), default, meaning]
    return table(["setting", "type", "default", "meaning"], rows.values())


def nested(annotation: Any) -> type[BaseModel] | None:
    """Returns the model that a field holds, or None."""
    kinds = [kind for kind in (annotation, *get_args(annotation)) if inspect.isclass(kind) and issubclass(kind, BaseModel)]
    return kinds[0] if kinds else None


def kind_of(annotation: Any) -> str:
    """Returns a type in words."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return kind_of(inner[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin is tuple:
        return " and ".join(kind_of(each) for each in inner if each is not Ellipsis) + (", several" if Ellipsis in inner else "")
    if inner:
        return " or ".join(dict.fromkeys(kind_of(each) for each in inner if each is not type(None)))
    words = {"int": "whole number", "float": "number", "str": "text", "bool": "true or false"}
    return words.get(name := getattr(annotation, "__name__", str(annotation)), f"`{name}`")


def commands() -> str:
    """Returns every command with its options, as ``--help`` has them."""
    group: Any = typer.main.get_command(app)
    parts = [
        "# Commands and options",
        "As `python -m stableft COMMAND --help` prints them. By example: [commands](../commands.md).",
    ]
    for name, command in group.commands.items():
        below = getattr(command, "commands", None)
        for full, each in {f"{name} {sub}": each for sub, each in below.items()}.items() if below else [(name, command)]:
            parts += [f"## {full}", described(each), table(["option", "meaning"], options(each))]
    return "\n\n".join(parts) + "\n"


def described(command: Any) -> str:
    """Returns the help text of a command."""
    return "\n\n".join(to_markdown(part, "../protocol.md") for part in (command.help or "").split("\n\n"))


def options(command: Any) -> list[list[str]]:
    """Returns names and meanings of the arguments and options of a command."""
    context = click.Context(command)
    rows = []
    for parameter in command.params:
        if record := parameter.get_help_record(context):
            rows.append([f"`{record[0]}`", to_markdown(record[1], "../protocol.md")])
    return rows
