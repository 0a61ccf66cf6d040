"""What the commands share: exit codes, consoles, options, and how errors and views are printed."""

import json
import sys
from collections.abc import Callable
from enum import IntEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from stableft.cli.views import View
from stableft.core.errors import StableftError


class Exit(IntEnum):
    """Exit codes: what a script that calls the command line can rely on."""

    OK = 0
    RUNS_FAILED = 1
    USAGE = 2
    CONTRADICTED = 3
    MISSING_INPUT = 4
    NO_DEVICE = 69
    IO = 74
    INTERRUPTED = 130


# What is printed may hold a user's paths and labels: brackets and colons in them are no markup.
out = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)
settings = {"debug": False}

Experiments = Annotated[list[str] | None, typer.Argument(help="Only these; by default all that have results.")]
Scale = Annotated[str | None, typer.Option("--protocol", help="Only this scale; by default all.")]
FiguresFolder = Annotated[Path, typer.Option("--figures", help="Where figures and tables lie.")]
ResultsFolder = Annotated[Path, typer.Option("--results", help="The results folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def verb(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turns the errors that a user can cause into one message and an exit code."""

    @wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (StableftError, OSError) as error:
            if settings["debug"]:
                raise
            err.print(f"error: {printable(str(error))}", style="bold red" if err.is_terminal else None, markup=False)
            raise typer.Exit(error.exit_code if isinstance(error, StableftError) else Exit.IO) from None

    return guarded


def printable(text: str) -> str:
    """The text with control characters spelt out: a file's name or content must not speak to the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def show(value: View, as_json: bool) -> None:
    """Prints a view, as text or as JSON."""
    if as_json:
        sys.stdout.write(json.dumps(value.data, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    else:
        for renderable in value.text:
            out.print(renderable)
