"""A folder is a registry: import its modules and return what they declare."""

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from types import ModuleType

from stableft.errors import UsageError
from stableft.tasks import Task


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
    """The task of that name.

    Raises:
        UsageError: there is none.
    """
    try:
        return tasks()[name]
    except KeyError:
        raise UsageError(f"unknown task {name!r}; known: {', '.join(tasks())}") from None


@cache
def experiments() -> dict[str, ModuleType]:
    """All experiment modules by name: those under ``experiments/`` that declare a ``grid``."""
    return {module.__name__.split(".")[-1]: module for module in modules("experiments") if hasattr(module, "grid")}


def experiment(name: str) -> ModuleType:
    """The experiment of that name.

    Raises:
        UsageError: there is none.
    """
    try:
        return experiments()[name]
    except KeyError:
        raise UsageError(f"unknown experiment {name!r}; known: {', '.join(experiments())}") from None
