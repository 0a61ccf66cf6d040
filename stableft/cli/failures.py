"""Failures: lists runs that failed and have not succeeded since."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from rich.console import RenderableType

from stableft.cli.common import EXPERIMENT, RESULTS, AsJson, ResultsFolder, end_incomplete, option, show, verb
from stableft.cli.formatting import VIEW_SCHEMA, View, aligned
from stableft.core.experiments import get_experiment
from stableft.storage import run_state
from stableft.storage.run_state import Failure
from stableft.storage.store import Store

NO_FAILURES = "no failed runs"


@verb
def failures(
    experiment: Annotated[str | None, typer.Argument(help="Only of this experiment.", **EXPERIMENT)] = None,
    protocol: Annotated[str | None, option("Only at this scale.")] = None,
    results: ResultsFolder = RESULTS,
    as_json: AsJson = False,
) -> None:
    """List failed runs and why they failed.

    Shows their logs and the commands to retry them. Omits runs that have succeeded since.
    """
    if experiment:
        get_experiment(experiment)
    store = Store(results)
    unread: list[str] = []
    show(failures_view(select_failures(store, experiment, protocol, unread.append), store), as_json)
    end_incomplete("not listed", unread)


def select_failures(
    store: Store, experiment: str | None, protocol: str | None, unread: Callable[[str], None] | None = None
) -> list[Failure]:
    """Returns the failures of an experiment at a scale; None: of all. For ``unread`` see `run_state`."""
    return [
        f
        for f in run_state.failures(store, unread)
        if experiment in (None, f.experiment) and protocol in (None, f.protocol, f.protocol.partition("+")[0])
    ]


def failures_view(failed: Sequence[Failure], store: Store) -> View:
    """Shows failed runs with the reason of each, and the commands to retry them."""
    rows = [[f.run_id, f.experiment, f.protocol, f.name, f.state, str(f.attempts), f.when[:19], f.why] for f in failed]
    names = ["run", "experiment", "protocol", "cell", "state", "tries", "when (UTC)", "why"]
    again = list(dict.fromkeys(failure.retry for failure in failed if failure.retry))
    text: list[RenderableType] = [NO_FAILURES]
    if failed:
        text = [
            aligned(names, rows, numeric=[5]),
            f"logs: {store.log_path('RUN')}; `python -m stableft logs RUN{store.option}` shows one, by the first digits of RUN too",
            *(f"retry: {command}" for command in again),
        ]
    return View(text, {"schema": VIEW_SCHEMA, "failures": [failure_data(failure, store) for failure in failed]})


def failure_data(failure: Failure, store: Store) -> dict[str, Any]:
    """Returns a failure and the path of its log, for ``--json``."""
    return {**failure.model_dump(), "log": str(store.log_path(failure.run_id))}
