"""The commands on data: what a task's are, and the one step that fetches them."""

from typing import Annotated

import typer

from stableft.cli import views
from stableft.cli.common import Exit, Json, err, show, verb

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="What tasks are made of.")


@app.command()
@verb
def check(
    task: Annotated[str, typer.Argument(help="A task, as `ls tasks` names it, or own files, such as csv:PATH.")],
    as_json: Json = False,
) -> None:
    """Reads a task's data and says what they are: sizes, labels, lengths, repeats, fingerprint."""
    from stableft.core import registry as discover

    show(views.data_check(discover.task(task)), as_json)


@app.command()
@verb
def fetch(
    tasks: Annotated[list[str] | None, typer.Argument(help="Tasks, as `ls tasks` names them; all: every corpus on record.")] = None,
    encoders: Annotated[list[str] | None, typer.Option("--encoder", help="A hub id; repeatable.")] = None,
    as_json: Json = False,
) -> None:
    """Downloads corpora and encoders and checks them: the only command that goes online. What is there is left as it is."""
    from stableft.tasks import download as fetch

    found = fetch.everything(tasks or [], encoders or [], err.print)
    show(views.fetched(found, fetch.root()), as_json)
    if any(each.problem for each in found):
        raise typer.Exit(Exit.MISSING_INPUT)
