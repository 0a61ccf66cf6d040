"""Ls: lists experiments, techniques, protocols, tasks or encoders, a line each."""

from collections.abc import Callable
from typing import Annotated

import typer

from stableft.cli.common import RESULTS, AsJson, end_incomplete, show, verb
from stableft.cli.formatting import VIEW_SCHEMA, View, bare_table
from stableft.core.errors import UsageError
from stableft.core.experiments import all_experiments
from stableft.core.technique import all_techniques
from stableft.models.encoders import EMBEDDED, TINY
from stableft.storage.evidence import known_protocols
from stableft.storage.store import Store
from stableft.tasks.catalog import all_tasks


@verb
def ls(
    what: Annotated[str, typer.Argument(help="experiments, techniques, protocols, tasks or encoders")] = "experiments",
    as_json: AsJson = False,
) -> None:
    """List experiments, techniques, tasks and more."""
    unread: list[str] = []
    show(listing(what, unread.append), as_json)
    end_incomplete("not listed", unread)


def listing(what: str, unread: Callable[[str], None] = lambda said: None) -> View:
    """Shows all names of a kind, with a line about each.

    Args:
        what: The kind.
        unread: Called with a sentence for each evidence set that can't be read.

    Raises:
        UsageError: the kind is unknown.
    """
    kinds = {
        "experiments": lambda: {name: _first_line(module.__doc__) for name, module in all_experiments().items()},
        "protocols": lambda: {name: protocol.summary for name, protocol in known_protocols(Store(RESULTS), unread).items()},
        "techniques": lambda: {name: technique.card().get("Claim", "") for name, technique in all_techniques().items()},
        "tasks": lambda: {
            **{name: task.summary for name, task in all_tasks().items()},
            "csv:PATH, tsv:PATH, jsonl:PATH or json:PATH": "your own file or folder: columns text, pair, label or score, split",
            "bio:PATH": "your own tagged words, a word and its tag a line (BIO, BIOES, BILOU or BMES), or a folder of splits",
        },
        "encoders": lambda: {
            **{name: f"{e.distribution}=={e.version}; `{e.setup}` installs it" for name, e in EMBEDDED.items()},
            TINY: "random BERT of 2 x 32 for tests",
            "PATH or HUB-ID": "a folder as save_pretrained writes it, or a repository on the hub",
        },
    }
    if what not in kinds:
        raise UsageError(f"can't list {what!r}; try {', '.join(kinds)}")
    names = kinds[what]()
    return View([bare_table(names.items())], {"schema": VIEW_SCHEMA, what: names})


def _first_line(text: str | None) -> str:
    return (text or "").strip().splitlines()[0] if text else ""
