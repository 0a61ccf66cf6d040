"""A folder is a registry: import its modules and return what they declare."""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from types import ModuleType
from typing import TypeVar

from stableft.core.config import Technique
from stableft.core.errors import UsageError, listed, quoted
from stableft.tasks import Task
from stableft.tasks import user_files as own

T = TypeVar("T")


def modules(package: str) -> Iterator[ModuleType]:
    """The modules of a package, in alphabetical order, private ones left out."""
    folder = importlib.import_module(package)
    for info in pkgutil.iter_modules(folder.__path__):
        if not info.name.startswith("_"):
            yield importlib.import_module(f"{package}.{info.name}")


@cache
def tasks() -> dict[str, Task]:
    """All tasks by name."""
    return {task.name: task for module in modules("stableft.tasks") for task in getattr(module, "TASKS", ())}


def task(name: str) -> Task:
    """The task of that name, or that a user's files make (``csv:PATH`` and the like, see `stableft.tasks.user_files`).

    Raises:
        UsageError: there is none.
        MissingInput: the files are not there, or malformed.
    """
    return own.read(name) if own.is_own(name) else named(name, tasks(), "task")


def own_tasks(names: Sequence[str]) -> list[Task]:
    """The tasks of a selection that is the user's own files; empty if it is names of registered tasks.

    Raises:
        UsageError: it is some of both.
        MissingInput: as for `task`.
    """
    files = [name for name in names if own.is_own(name)]
    if files and len(files) < len(names):
        others = listed(name for name in names if name not in files)
        raise UsageError(f"own files are run on their own: {listed(files)} now, {others} with another command")
    return [task(name) for name in files]


@cache
def techniques() -> dict[str, type[Technique]]:
    """All techniques by name: the classes that the modules under ``stableft/techniques/`` define."""
    return {
        kind.name: kind
        for module in modules("stableft.techniques")
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Technique) and kind.__module__ == module.__name__
    }


def technique(name: str) -> type[Technique]:
    """The technique of that name.

    Raises:
        UsageError: there is none.
    """
    return named(name, techniques(), "technique")


@cache
def experiments() -> dict[str, ModuleType]:
    """All experiment modules by name: those under ``experiments/`` that declare a ``grid``."""
    return {module.__name__.split(".")[-1]: module for module in modules("experiments") if hasattr(module, "grid")}


def experiment(name: str) -> ModuleType:
    """The experiment of that name.

    Raises:
        UsageError: there is none.
    """
    return named(name, experiments(), "experiment")


def named(name: str, known: Mapping[str, T], kind: str) -> T:
    """What is known by that name.

    Raises:
        UsageError: nothing is; the message lists what is known as a ``kind``.
    """
    try:
        return known[name]
    except KeyError:
        raise UsageError(f"unknown {kind} {quoted(name)}; known: {', '.join(known)}") from None
