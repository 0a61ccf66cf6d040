"""Python interface: grids, their runs, metrics, figures and verdicts.

    from stableft import api

    arms = {"standard": {}, "reinit": {"techniques": [{"name": "reinit", "num_layers": 1}]}}
    grid = api.grid(arms, seeds=range(6))
    results = api.run(grid)
    api.compare(results)
    api.draw("curves", results, split="train", metric="loss")

A script calls `run` below ``if __name__ == "__main__":``, since training processes import it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from stableft.core import plugins
from stableft.core.errors import MissingInput
from stableft.core.experiments import get_experiment, get_protocol
from stableft.core.grid import Grid, Override, select
from stableft.core.registry import modules, named
from stableft.execution import collect, planning, runner
from stableft.execution.input_quality import qualities, refuse_unreadable
from stableft.execution.inputs import Inputs
from stableft.execution.runner import ExecutionOptions
from stableft.execution.supervisor import Status
from stableft.reporting import figures, run_scores, tables
from stableft.reporting.claims import judge as judging
from stableft.reporting.pooling import load_pooled
from stableft.reporting.tables import paired_trial
from stableft.storage.records import Results
from stableft.storage.store import Store

plug = plugins.add


def grid(
    arms: Mapping[str, Override],
    *,
    name: str = "own",
    protocol: str = "laptop",
    tasks: Sequence[str] | None = None,
    seeds: Iterable[int] = range(6),
    changes: Override | None = None,
) -> Grid:
    """Builds a grid of arms x tasks x seeds.

    Args:
        arms: Name -> dotted settings in which the arm differs from the task's baseline. The others are
            compared with the first one.
        name: Folder of its results.
        protocol: Scale, whose baselines and tasks are used.
        tasks: Some of them; None: those of the protocol.
        seeds: Shared by all arms.
        changes: Dotted settings of every run.

    Raises:
        UsageError: A name is unknown, or a setting is impossible.
    """
    scale = get_protocol(protocol)
    return select(Grid(name, scale, dict(arms), scale.tasks, tuple(seeds)), tasks=tasks, overrides=changes)


def experiment(name: str, protocol: str = "laptop", **parts: Any) -> Grid:
    """Returns the grid of an experiment, or a part of it.

    Args:
        name: Its name; for an own file see `plug`.
        protocol: Scale.
        parts: ``arms``, ``tasks``, ``seeds`` or ``overrides`` of `stableft.core.grid.select`.

    Raises:
        UsageError: There is none, or a part is unknown.
    """
    return select(get_experiment(name).grid(get_protocol(protocol)), **parts)


def run(
    wanted: Grid,
    results: str | Path = "results",
    *,
    options: ExecutionOptions | None = None,
    redo: planning.Redo | None = None,
    ended: Callable[[Status], None] = lambda status: None,
) -> Results:
    """Does the missing runs of a grid, collects all, and returns their tables.

    Args:
        wanted: The grid.
        results: Folder of results. Runs that it has are not done again.
        options: Options of execution; None: a process per core.
        redo: Finished runs to do again, see `stableft.execution.planning.plan`.
        ended: Called as each run ends.

    Returns:
        ``runs``, ``metrics`` and ``predictions``, each a DataFrame.

    Raises:
        MissingInput: Data or weights are absent, or a run failed; finished runs are kept.
        UsageError: A setting is impossible.
    """
    store, inputs, options = Store(Path(results)), Inputs(), options or ExecutionOptions()
    collect.set_aside_cut_short(store)
    planned = planning.plan(wanted, store, inputs, keep_weights=options.keep_weights, redo=redo)
    if not options.allow_unknown:
        refuse_unreadable(qualities([*planned.jobs.values(), *planned.sources.values()], inputs))
    if not planned.problems:
        planning.set_aside_redone(planned, store)
    failed: list[Status] = []
    for status in runner.run_grid(planned, store, inputs, options):
        ended(status)
        failed += [status] if status.state != "done" else []
    collected = collect.collect(wanted, store, inputs)
    if failed or collected is None:
        raise MissingInput(f"{len(failed)} runs failed: {failed[0].detail}" if failed else f"no run of {wanted.name} is done")
    return collected


def load(name: str, protocol: str = "laptop", results: str | Path = "results") -> Results:
    """Loads the collected results of an experiment, with further seeds of equal configurations in others.

    Raises:
        MissingInput: There are none, or they are damaged.
    """
    return load_pooled(Store(Path(results)), protocol, name)


def scores(results: Results) -> pd.DataFrame:
    """Returns the final score of each run, see `stableft.reporting.run_scores.final_scores`."""
    return run_scores.final_scores(results)


def compare(results: Results) -> pd.DataFrame:
    """Compares each arm with the first on paired seeds, see `stableft.reporting.tables.paired_trial`."""
    return paired_trial.table(results)


def draw(kind: str, results: Results, **options: Any) -> Figure:
    """Draws a figure.

    Args:
        kind: A module of `stableft.reporting.figures`, such as ``curves``, or a plug-in.
        results: What to draw.
        options: Those of the kind's ``data``.

    Raises:
        UsageError: There is no such kind.
        MissingInput: The results lack what it needs.
    """
    return figures.draw(named(kind, {**_modules(figures), **plugins.loaded()}, "figure"), results, **options)[0]


def table(kind: str, results: Results, **options: Any) -> pd.DataFrame:
    """Returns a table of `stableft.reporting.tables`, such as ``stability``; errors as in `draw`."""
    return named(kind, _modules(tables), "table").table(results, **options)


def _modules(package: ModuleType) -> dict[str, ModuleType]:
    return {module.__name__.rpartition(".")[2]: module for module in modules(package.__name__)}


def verdicts(name: str, results: Results, protocol: str = "laptop") -> pd.DataFrame:
    """Judges the claims of an experiment on results.

    Returns:
        claim, statement, verdict, found, n.

    Raises:
        UsageError: There is no such experiment.
    """
    module = get_experiment(name)
    judged = judging.judge(module.CLAIMS, module.grid(get_protocol(protocol)), results)
    rows = [(j.claim.name, j.claim.statement, j.verdict, j.found, j.n) for j in judged]
    return pd.DataFrame(rows, columns=["claim", "statement", "verdict", "found", "n"])
