"""Experiments and protocols by name: the modules of the package ``experiments``.

No module of stableft imports that package by a statement.
"""

import importlib
from collections.abc import Iterator, Mapping
from functools import cache
from types import ModuleType

from stableft.core.grid import Grid, Protocol
from stableft.core.registry import modules, named


@cache
def all_experiments() -> dict[str, ModuleType]:
    """Returns all experiments by name: the modules under ``experiments/`` that declare a ``grid``."""
    return {module.__name__.split(".")[-1]: module for module in modules("experiments") if hasattr(module, "grid")}


def get_experiment(name: str) -> ModuleType:
    """Returns the experiment of that name.

    Raises:
        UsageError: there is none.
    """
    return named(name, all_experiments(), "experiment")


def all_protocols() -> Mapping[str, Protocol]:
    """Returns all protocols by name, in order of cost."""
    return importlib.import_module("experiments.protocol").PROTOCOLS


def get_protocol(name: str) -> Protocol:
    """Returns the protocol of that name.

    Raises:
        UsageError: there is none.
    """
    return named(name, all_protocols(), "protocol")


def all_grids() -> Iterator[Grid]:
    """Yields every experiment at every scale."""
    for experiment in all_experiments().values():
        yield from (experiment.grid(protocol) for protocol in all_protocols().values())
