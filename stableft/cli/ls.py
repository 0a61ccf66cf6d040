"""Ls: lists experiments, techniques, tasks and more, a line each, or shows all about one."""

import json
import re
from collections.abc import Callable
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel, SerializeAsAny
from pydantic_core import PydanticUndefined

from stableft.cli.common import RESULTS, AsJson, end_incomplete, show, verb
from stableft.cli.formatting import VIEW_SCHEMA, View, bare_table
from stableft.core import plugins
from stableft.core.attribute_texts import attributes
from stableft.core.config import RunConfig
from stableft.core.errors import UsageError, quoted
from stableft.core.experiments import all_experiments, get_experiment
from stableft.core.technique import Stage, all_techniques, get_technique
from stableft.models.encoders import EMBEDDED, TINY
from stableft.storage.evidence import known_protocols
from stableft.storage.store import Store
from stableft.tasks.catalog import all_tasks

OWN_FILES = {
    "csv:PATH, tsv:PATH, jsonl:PATH or json:PATH": "your own file or folder: columns text, pair, label or score, split",
    "bio:PATH": "your own tagged words, a word and its tag a line (BIO, BIOES, BILOU or BMES), or a folder of splits",
}


@verb
def ls(
    what: Annotated[
        str, typer.Argument(help="experiments, techniques, protocols, tasks, encoders, settings, stages or plugins")
    ] = "experiments",
    name: Annotated[str | None, typer.Argument(help="One technique or experiment, to read all about it.")] = None,
    as_json: AsJson = False,
) -> None:
    """List experiments, techniques, tasks and more.

    With the name of a technique it shows its card: claim, definition, parameters, deviations.
    """
    if name is not None:
        return show(about(what, name), as_json)
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
    kinds: dict[str, Callable[[], dict[str, str]]] = {
        "experiments": lambda: {name: _first_line(module.__doc__) for name, module in all_experiments().items()},
        "protocols": lambda: {name: protocol.summary for name, protocol in known_protocols(Store(RESULTS), unread).items()},
        "techniques": lambda: {name: technique.card().get("Claim", "") for name, technique in all_techniques().items()},
        "tasks": lambda: {**{name: task.summary for name, task in all_tasks().items()}, **OWN_FILES},
        "encoders": lambda: {
            **{name: f"{e.distribution}=={e.version}; `{e.setup}` installs it" for name, e in EMBEDDED.items()},
            TINY: "random BERT of 2 x 32 for tests",
            "PATH or HUB-ID": "a folder as save_pretrained writes it, or a repository on the hub",
        },
        "settings": lambda: settings(RunConfig),
        "stages": lambda: _meanings(Stage),
        "plugins": lambda: {name: str(module.__file__) for name, module in plugins.loaded().items()},
    }
    if what not in kinds:
        raise UsageError(f"can't list {quoted(what)}; try {', '.join(kinds)}")
    names = kinds[what]()
    return View([bare_table(names.items())], {"schema": VIEW_SCHEMA, what: names})


def about(what: str, name: str) -> View:
    """Shows a technique's card and parameters, or the docstring of an experiment.

    Raises:
        UsageError: there is none of that name, or the kind has only lines.
    """
    if what == "techniques":
        kind = get_technique(name)
        parts, parameters = kind.card(), settings(kind)
        text = [f"{name}: {_first_line(kind.__doc__)}", *(f"{part}: {text}" for part, text in parts.items())]
        return View([*text, bare_table(parameters.items())], {"schema": VIEW_SCHEMA, "name": name, **parts, "settings": parameters})
    if what == "experiments":
        text = (get_experiment(name).__doc__ or "").strip()
        return View([text], {"schema": VIEW_SCHEMA, "name": name, "text": text})
    raise UsageError(f"`ls {what}` has a line for each and no more; techniques and experiments have more")


def settings(model: type[BaseModel], prefix: str = "") -> dict[str, str]:
    """Returns the dotted settings of a model, each with its type, default and what its docstring says."""
    found: dict[str, str] = {}
    meanings = _meanings(model)
    for name, field in model.model_fields.items():
        kind: Any = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= settings(kind, f"{prefix}{name}.")
            continue
        default = "required" if field.default is PydanticUndefined else f"default {json.dumps(field.default)}"
        found[prefix + name] = "; ".join(filter(None, [_type_name(kind), default, meanings.get(name, "")]))
    return found


def _type_name(kind: Any) -> str:
    """Returns a type in words: ``int or none``, ``"v" or "v_hat"``."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _type_name(parts[0])
    if origin is Literal:
        return " or ".join(map(json.dumps, parts))
    if origin in (Union, UnionType):
        return " or ".join(map(_type_name, parts))
    if kind is NoneType:
        return "null"
    if origin is tuple or kind is SerializeAsAny:
        return "list"
    return "object" if isinstance(kind, type) and issubclass(kind, BaseModel) else kind.__name__


def _meanings(model: type) -> dict[str, str]:
    """Returns the first sentence on each field under Attributes in a docstring."""
    return {name: re.split(r"(?<=\.) (?=[A-Z])", said)[0] for name, said in attributes(model.__doc__).items()}


def _first_line(text: str | None) -> str:
    return (text or "").strip().splitlines()[0] if text else ""
