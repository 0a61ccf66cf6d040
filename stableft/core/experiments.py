"""Experiments and protocols by name, from the package ``experiments``; no module imports it itself."""

import importlib
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType

import stableft
from stableft.core import plugins
from stableft.core.errors import UsageError
from stableft.core.grid import Grid, Protocol
from stableft.core.registry import modules, named

CHECKOUT = Path(stableft.__file__).resolve().parent.parent / "experiments"
INSTALLED = "stableft.experiments"  # the copy in a wheel, which installs no other top-level package


@cache
def package() -> str:
    """Returns the name of the package that holds the experiments.

    Raises:
        UsageError: in a checkout, another package named ``experiments`` was imported before.
    """
    if not (CHECKOUT / "__init__.py").is_file():
        return INSTALLED
    if sys.path[0] != str(CHECKOUT.parent):  # first, so that no folder of that name where the user is comes before it
        sys.path.insert(0, str(CHECKOUT.parent))
    module = importlib.import_module(CHECKOUT.name)
    if Path(module.__file__ or "").parent.resolve() != CHECKOUT:
        raise UsageError(f"another package named experiments hides {CHECKOUT}: {module.__file__}. Start from another folder.")
    return CHECKOUT.name


def folder() -> Path:
    """Returns the folder of the package that holds the experiments."""
    return Path(str(importlib.import_module(package()).__file__)).resolve().parent


def all_experiments() -> dict[str, ModuleType]:
    """Returns all experiments by name: modules of ``experiments/`` and plug-ins with a ``grid``.

    A plug-in without ``CLAIMS`` or ``REPORT`` gets empty ones (`stableft.reporting.report.report_of`).

    Raises:
        UsageError: a plug-in has the name of another experiment.
    """
    return _all_experiments(plugins.key())


@cache
def _all_experiments(_: str) -> dict[str, ModuleType]:
    known = {module.__name__.split(".")[-1]: module for module in modules(package()) if hasattr(module, "grid")}
    own = {name: module for name, module in plugins.loaded().items() if hasattr(module, "grid")}
    for module in own.values():
        vars(module).setdefault("CLAIMS", ())
        vars(module).setdefault("REPORT", {})
    return plugins.plugged(known, own, "an experiment")


def get_experiment(name: str) -> ModuleType:
    """Returns the experiment of that name.

    Raises:
        UsageError: there is none.
    """
    return named(name, all_experiments(), "experiment")


def all_protocols() -> Mapping[str, Protocol]:
    """Returns all protocols by name, in order of cost."""
    return importlib.import_module(f"{package()}.protocol").PROTOCOLS


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
