"""Registries without lists: the entries are the declarations in a package's modules."""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import TypeVar

from stableft.core.errors import UsageError, quoted

T = TypeVar("T")


def modules(package: str) -> Iterator[ModuleType]:
    """Yields the modules of a package in alphabetical order, without private ones."""
    folder = importlib.import_module(package)
    for info in pkgutil.iter_modules(folder.__path__):
        if not info.name.startswith("_"):
            yield importlib.import_module(f"{package}.{info.name}")


def named(name: str, known: Mapping[str, T], kind: str) -> T:
    """Returns the entry of a name.

    Raises:
        UsageError: there is none; the message lists the known names of this ``kind``.
    """
    try:
        return known[name]
    except KeyError:
        raise UsageError(f"unknown {kind} {quoted(name)}; known: {', '.join(known)}") from None
