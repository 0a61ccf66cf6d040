"""Commands on data: `data check`, and `data fetch`, the one step that goes online."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated

import typer

from stableft.cli import views
from stableft.cli.common import Exit, Json, err, show, verb
from stableft.core.errors import MissingInput, UsageError
from stableft.models.encoders import fetch_encoder
from stableft.tasks import download
from stableft.tasks.catalog import get_task

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="What tasks are made of.")


@app.command()
@verb
def check(
    task: Annotated[str, typer.Argument(help="A task, as `ls tasks` names it, or own files, such as csv:PATH.")],
    as_json: Json = False,
) -> None:
    """Reads a task's data and says what they are: sizes, labels, lengths, repeats, fingerprint."""
    show(views.data_check(get_task(task)), as_json)


@app.command()
@verb
def fetch(
    tasks: Annotated[list[str] | None, typer.Argument(help="Tasks, as `ls tasks` names them; all: every corpus on record.")] = None,
    encoders: Annotated[list[str] | None, typer.Option("--encoder", help="A hub id; repeatable.")] = None,
    as_json: Json = False,
) -> None:
    """Downloads corpora and encoders and checks them: the only command that goes online. What is there is left as it is."""
    found = everything(tasks or [], encoders or [], err.print)
    show(views.fetched(found, download.root()), as_json)
    if any(each.problem for each in found):
        raise typer.Exit(Exit.MISSING_INPUT)


def everything(tasks: Sequence[str], encoders: Sequence[str], told: Callable[[str], None]) -> list[download.Fetched]:
    """Fetches what tasks and encoders need, each independently of the others.

    Args:
        tasks: Names, also several in one with commas; ``all``: every corpus on record.
        encoders: Hub ids.
        told: Told of each download.

    Raises:
        UsageError: an unknown name, or none: nothing was fetched.
    """
    names = download.wanted_names(tasks)
    if not names and not encoders:
        raise UsageError("name tasks, or all, or --encoder HUB-ID")
    steps: list[tuple[str, Callable[[], str]]] = [(name, partial(download.fetch, name, told)) for name in names]
    steps += [(name, partial(_encoder, name)) for name in encoders]
    return [_tried(name, step) for name, step in steps]


def _tried(name: str, step: Callable[[], str]) -> download.Fetched:
    try:
        return download.Fetched(name, step())
    except MissingInput as error:
        return download.Fetched(name, problem=str(error))


def _encoder(name: str) -> str:
    return f"in the hub's cache, fingerprint {fetch_encoder(name).fingerprint}"
