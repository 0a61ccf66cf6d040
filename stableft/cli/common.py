"""Shared parts of the commands: exit codes, consoles, options, and printing of errors and views."""

import inspect
import os
import sys
from collections.abc import Callable, Sequence
from enum import IntEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from stableft.cli.formatting import View, written
from stableft.cli.terminal import SafeConsole, json_text
from stableft.core import plugins
from stableft.core.errors import StableftError
from stableft.storage import code_state
from stableft.storage.store import Store

Command = Callable[..., Any]


class Exit(IntEnum):
    """Exit codes. Scripts can rely on them."""

    OK = 0
    RUNS_FAILED = 1
    USAGE = 2
    CONTRADICTED = 3
    MISSING_INPUT = 4
    NO_DEVICE = 69
    IO = 74
    INTERRUPTED = 130


out = SafeConsole()
err = SafeConsole(stderr=True)
settings = {"debug": False}
RESULTS = Path("results")
FIGURES = Path("figures")
CLAIMS = Path("CLAIMS.md")


def option(help: str, *flags: str, panel: str | None = None, **limits: Any) -> Any:
    """Declares an option. ``--help`` lists it under the heading ``panel``."""
    return typer.Option(*flags, help=help, rich_help_panel=panel, **limits)


def refuse(error: StableftError | OSError) -> NoReturn:
    """Prints an error that a user can cause, and ends the command with its exit code."""
    err.print(f"error: {error}", style="bold red" if err.is_terminal else None)
    raise typer.Exit(error.exit_code if isinstance(error, StableftError) else Exit.IO) from None


def add_plugins(paths: Sequence[str]) -> list[str]:
    """Adds files to the plug-ins while options are read, and returns their names."""
    try:
        return plugins.add(paths)
    except StableftError as error:
        refuse(error)


def experiment_name(typed: str) -> str:
    """Returns the name of an experiment as typed; a file becomes a plug-in of that name."""
    return add_plugins([typed])[0] if typed.endswith(".py") else typed


EXPERIMENT: dict[str, Any] = {"parser": experiment_name, "metavar": "EXPERIMENT"}  # of every argument that is one
Experiments = Annotated[
    list[str] | None, typer.Argument(help="Only these, by name or file; by default all that have results.", **EXPERIMENT)
]
OnlyProtocol = Annotated[str | None, option("Only this scale; by default all.", "--protocol")]


def folder(name: str | Path) -> Path:
    """Returns a file or folder as typed, with ``~`` replaced: the shell leaves it in ``--results=~/out``."""
    return Path(os.path.expanduser(name))  # Path.expanduser raises an error without a home


TYPED: dict[str, Any] = {"parser": folder, "metavar": "PATH"}  # of every option that is a file or a folder
FiguresFolder = Annotated[
    Path | None,
    option("Folder of figures and tables; by default figures, or that of the name in other --results.", "--figures", **TYPED),
]
ResultsFolder = Annotated[Path, option("Folder of results.", "--results", **TYPED)]
AsJson = Annotated[bool, option("Print JSON.", "--json")]


def beside(results: Path, name: Path) -> Path:
    """Returns the default place of what is made of results: in this folder for its own, else in theirs.

    Results that were brought from elsewhere overwrite no page and no figure of the checkout.
    """
    return name if results.resolve() == RESULTS.resolve() else results / name


PLUGIN = Annotated[
    list[str] | None,
    option(
        "File with a technique, task, experiment or figure of your own; repeatable.",
        "--plugin",
        metavar="PATH",
        is_eager=True,  # names in other options may be its own
        callback=lambda paths: add_plugins(paths or []),
    ),
]


def verb(command: Command) -> Command:
    """Wraps a command to turn errors that a user can cause into a message and an exit code.

    Adds the option ``--plugin``.
    """

    @wraps(command)
    def guarded(*args: Any, plugin: Any = None, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except (StableftError, OSError) as error:
            if settings["debug"]:
                raise
            refuse(error)

    signature = inspect.signature(command)
    added = inspect.Parameter("plugin", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=PLUGIN)
    whole: Any = guarded
    whole.__signature__ = signature.replace(parameters=[*signature.parameters.values(), added])
    whole.__annotations__ = {**command.__annotations__, "plugin": PLUGIN}
    return guarded


def with_options(**readers: Callable[..., Any]) -> Callable[[Command], Command]:
    """Returns a decorator that replaces parameters of a command by options.

    Args:
        **readers: For each parameter, a function of options. The command receives its result. Readers
            are called in this order; their options take the place of the parameter, but for those that
            the command has too: both receive these.
    """
    options = {name: inspect.signature(reader).parameters for name, reader in readers.items()}

    def decorate(command: Command) -> Command:
        own = inspect.signature(command).parameters

        @wraps(command)
        def called(**values: Any) -> Any:
            for name, reader in readers.items():
                values[name] = reader(**{each: values[each] if each in own else values.pop(each) for each in options[name]})
            return command(**values)

        # typer reads the options from the signature and the annotations.
        parameters: list[inspect.Parameter] = []
        for name, parameter in own.items():
            parameters += [each for each in options[name].values() if each.name not in own] if name in readers else [parameter]
        signature = inspect.Signature([each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters])
        called.__signature__ = signature  # pyright: ignore[reportAttributeAccessIssue]
        called.__annotations__ = {each.name: each.annotation for each in parameters}
        return called

    return decorate


def say_changed_code(store: Store, protocol: str | None, experiments: Sequence[str] = ()) -> None:
    """Prints what code changed since collected runs were done: figures show those runs nevertheless."""
    for each in code_state.changed_code(store, protocol, experiments):
        err.print(each.sentence())


def show(value: View, as_json: bool) -> None:
    """Prints a view, as text or as JSON."""
    if as_json:
        sys.stdout.write(json_text(value.data) + "\n")
    else:
        for renderable in value.text:
            out.print(renderable)


def show_written(paths: Sequence[Path], left_out: Sequence[str], not_drawn: Sequence[str], as_json: bool) -> None:
    """Prints the files written, and ends with 4 if results can't give some of them."""
    show(written(paths, left_out, not_drawn), as_json)
    end_incomplete("not drawn", not_drawn)


def end_incomplete(what: str, reasons: Sequence[str]) -> None:
    """Ends the command with 4 if there are reasons for what is missing in its output, and prints them."""
    if reasons:
        err.print(*(f"{what}: {why}" for why in reasons), sep="\n")
        raise typer.Exit(Exit.MISSING_INPUT)
