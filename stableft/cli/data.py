"""Data: summarises a task's data, and downloads corpora and encoders."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import RenderableType

from stableft.cli.common import AsJson, Exit, err, option, show, verb, with_options
from stableft.cli.formatting import VIEW_SCHEMA, View, aligned
from stableft.cli.own_options import read_own_data
from stableft.core.config import RunConfig
from stableft.core.errors import MissingInput, UsageError
from stableft.core.experiments import get_protocol
from stableft.core.own_data import OwnData
from stableft.execution.input_quality import qualities
from stableft.execution.inputs import Inputs
from stableft.models.encoders import fetch_encoder
from stableft.tasks import Task, download
from stableft.tasks.catalog import get_task, plugged_tasks
from stableft.tasks.data_summary import QUANTILES, summarise
from stableft.tasks.download import Fetched
from stableft.tasks.settings_source import settings_source

SCALES = ("laptop", "small", "paper", "smoke")


@verb
@with_options(own=read_own_data)
def check(
    *,
    task: Annotated[str, typer.Argument(help="A task, as `ls tasks` lists it, or own files, such as csv:PATH.")],
    own: OwnData,
    encoder: Annotated[str | None, option("Encoder to read it; by default that of a run.", "--encoder")] = None,
    protocol: Annotated[str | None, option("Scale of the run; by default the first one with such a task.")] = None,
    as_json: AsJson = False,
) -> None:
    """Summarise the data of a task.

    Shows sizes, labels, lengths, repeats, the fingerprint, and what an encoder can read of it.
    """
    found = get_task(task, own)
    config = run_of(found, protocol)
    if encoder:
        config = config.model_copy(update={"encoder": os.path.expanduser(encoder)})
    show(data_summary(found, config), as_json)


def run_of(task: Task, protocol: str | None) -> RunConfig:
    """Returns the settings of a run on a task; for a user's own task those of the task most like it.

    Args:
        task: The task.
        protocol: Name of the scale; None: the first one of laptop, small, paper and smoke that has the
            task.

    Raises:
        UsageError: there is no such scale, or it hasn't the task.
    """
    scales = [get_protocol(name) for name in ([protocol] if protocol else SCALES)]
    if task.own is not None or task in plugged_tasks():
        known = [get_task(name) for name in dict.fromkeys([*scales[0].tasks, *scales[0].configs])]
        like = settings_source(task, task.load(), known)[0]
        return scales[0].configs[like].model_copy(update={"task": task.name})
    for scale in scales:
        if task.name in scale.configs:
            return scale.configs[task.name]
    raise UsageError(f"{task.name} is no task of {protocol or 'any protocol'}; leave out --protocol")


@verb
def fetch(
    tasks: Annotated[list[str] | None, typer.Argument(help="Tasks, as `ls tasks` lists them; all: every known corpus.")] = None,
    encoders: Annotated[list[str] | None, option("A hub id; repeatable.", "--encoder")] = None,
    as_json: AsJson = False,
) -> None:
    """Download corpora and encoders.

    Checks them, and keeps existing files. No other command uses the network.
    """
    downloads = fetch_all(tasks or [], encoders or [], err.print)
    show(fetched(downloads, download.root()), as_json)
    if any(each.problem for each in downloads):
        raise typer.Exit(Exit.MISSING_INPUT)


def fetch_all(tasks: Sequence[str], encoders: Sequence[str], warn: Callable[[str], None]) -> list[Fetched]:
    """Fetches the corpora of tasks, and encoders. One failure does not stop the others.

    Args:
        tasks: Names of tasks, also separated by commas; ``all``: every known corpus.
        encoders: Hub ids.
        warn: Called with a line for each download.

    Raises:
        UsageError: a name is unknown, or none is given; nothing is fetched.
    """
    names = download.wanted_names(tasks)
    if not names and not encoders:
        raise UsageError("name tasks, or all, or --encoder HUB-ID")
    steps: list[tuple[str, Callable[[], str]]] = [(name, partial(download.fetch, name, warn)) for name in names]
    steps += [(name, partial(_fetch_encoder, name)) for name in encoders]
    return [_tried(name, step) for name, step in steps]


def _tried(name: str, step: Callable[[], str]) -> Fetched:
    try:
        return Fetched(name, step())
    except MissingInput as error:
        return Fetched(name, problem=str(error))


def _fetch_encoder(name: str) -> str:
    return f"in the hub's cache, fingerprint {fetch_encoder(name).fingerprint}"


def data_summary(task: Task, config: RunConfig) -> View:
    """Shows a summary of a task's data; see `stableft.tasks.data_summary`.

    Args:
        task: The task.
        config: Settings with the encoder to read it.

    Raises:
        MissingInput: the data are absent or malformed.
    """
    facts = summarise(task, task.load())
    splits: dict[str, dict[str, Any]] = facts["splits"]
    columns = [_split_facts(task, split, splits) for split in splits.values()]
    rows = [[name, *(column[name] for column in columns)] for name in columns[0]]
    inputs = "sentences" if task.kind == "tagging" else "text pairs" if facts["pairs"] else "texts"
    (quality,) = qualities([config], Inputs([task]))
    data = {
        "schema": VIEW_SCHEMA, "task": task.name, "kind": task.kind, "score": task.score, "language": task.language, **facts,
        "inputs": quality.facts,
    }  # fmt: skip
    text: list[RenderableType] = [
        f"{task.name}: {task.kind} of {inputs}, judged by {task.score}",
        aligned(["", *splits], rows),
        f"words, characters: {', '.join(QUANTILES)} of an example; conflicts: inputs that have another label too",
        *([f"unlabelled: {facts['unlabelled']} examples, predicted and not scored"] if facts["unlabelled"] else []),
        *quality.lines,
        f"fingerprint {facts['fingerprint']}",
    ]
    return View(text, data)


def _split_facts(task: Task, split: dict[str, Any], splits: Iterable[str]) -> dict[str, str]:
    constant = split["constant_score"]
    return {
        "examples": str(split["examples"]),
        **{f"  {_shown(label)}": str(count) for label, count in split.get("labels", {}).items()},
        **{f"  {kind} entities": str(count) for kind, count in split.get("entities", {}).items()},
        **{f"  {name} score": f"{value:.4g}" for name, value in split.get("scores", {}).items()},
        f"constant {task.score}": "undefined" if constant is None else f"{constant:.4f}",
        **{unit: " ".join(map(str, split[unit].values())) for unit in ("words", "characters")},
        "repeats": str(split["repeats"]),
        "conflicts": str(split["conflicts"]),
        **{f"in {other} too": str(split["shared"].get(other, "")) for other in splits},
    }


def _shown(label: str) -> str:
    """Returns a label, in quotes if it would otherwise look like another one."""
    return label if label == " ".join(label.split()).strip("'\"") else repr(label)


def fetched(downloads: Sequence[Fetched], folder: Path) -> View:
    """Shows the place of each corpus and encoder, or the reason for its failure."""
    text: list[RenderableType] = [f"{each.name}: {each.problem or each.said}" for each in downloads]
    return View(text, {"schema": VIEW_SCHEMA, "folder": str(folder), "fetched": [asdict(each) for each in downloads]})
