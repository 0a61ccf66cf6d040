"""Logs: shows the log of a run, whole or as it grows, and the ends of logs of failed runs."""

from collections.abc import Sequence
from typing import Annotated

import typer

from stableft.cli.common import RESULTS, Exit, ResultsFolder, err, option, out, show, verb
from stableft.cli.failures import NO_FAILURES, select_failures
from stableft.cli.formatting import VIEW_SCHEMA, View
from stableft.core.errors import UsageError
from stableft.core.experiments import all_experiments
from stableft.execution import run_logs
from stableft.storage.run_state import Failure
from stableft.storage.store import Store

LAST_LINES = 20  # lines shown of each log of an experiment


@verb
def logs(
    what: Annotated[str, typer.Argument(metavar="RUN|EXPERIMENT", help="The first digits of a run's id, or an experiment.")],
    protocol: Annotated[str | None, option("For an experiment: only this scale.")] = None,
    results: ResultsFolder = RESULTS,
    follow: Annotated[bool, option("For a run: print the log as it grows, until the run ends.", "--follow")] = False,
) -> None:
    """Show the log of a run.

    For an experiment, shows the ends of the logs of all failed runs. Logs of finished runs are
    not kept.
    """
    store = Store(results)
    if what in all_experiments():
        if follow:
            raise UsageError("--follow shows one run: type the first digits of its id, from `failures` or `status --json`")
        show(logs_view(select_failures(store, what, protocol, err.print), store), as_json=False)
        return
    try:
        for part in run_logs.follow(store, run_logs.find(store, what), follow):
            out.print(part, end="")
    except KeyboardInterrupt:
        raise typer.Exit(Exit.INTERRUPTED) from None


def logs_view(failures: Sequence[Failure], store: Store) -> View:
    """Shows the ends of the logs of failed runs."""
    text, data = [], []
    for failure in failures:
        try:
            lines = store.log_path(failure.run_id).read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            lines = [failure.why]
        left_out = [f"({len(lines) - LAST_LINES} lines before)"] if len(lines) > LAST_LINES else []
        text += [f"== {failure.name} ({failure.run_id}): {failure.state}", *left_out, *lines[-LAST_LINES:]]
        data.append({**failure.model_dump(), "lines": lines})
    return View(text or [NO_FAILURES], {"schema": VIEW_SCHEMA, "logs": data})
