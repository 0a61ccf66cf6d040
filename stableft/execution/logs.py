"""Logs of runs: found by the first digits of their identity, shown whole or as they are written."""

import time
from collections.abc import Callable, Iterator, Sequence

from stableft.cli.views import VIEW_SCHEMA, View
from stableft.core.errors import MissingInput, UsageError
from stableft.storage import run_state as states
from stableft.storage.run_state import Failure
from stableft.storage.store import Store

SECONDS = 0.5  # between looks at a log that grows
LAST_LINES = 20  # of each log, where there are several


def find(store: Store, digits: str) -> str:
    """The run whose identity begins so.

    Raises:
        MissingInput: there is no log of such a run.
        UsageError: there are several.
    """
    found = sorted(path.stem for path in store.log_path("").parent.glob("*.log") if path.stem.startswith(digits))
    if len(found) > 1:
        raise UsageError(f"{len(found)} runs with a log begin with {digits}: {', '.join(found)}")
    if found:
        return found[0]
    done = sorted(path.stem for path in store.path("").parent.glob("*.parquet") if path.stem.startswith(digits))
    if done:
        raise MissingInput(f"run {done[0]} is done; logs of done runs are not kept")
    raise MissingInput(
        f"no experiment is called {digits}, and no run with a log in {store.root} begins so; see `stableft failures`"
    )


def follow(store: Store, run_id: str, until_over: bool, sleep: Callable[[float], None] = time.sleep) -> Iterator[str]:
    """The text of a log; then, if asked to, what is added until the run is over."""
    with open(store.log_path(run_id), encoding="utf-8", errors="replace") as file:
        while True:
            running = states.look(store, run_id).state == "running"  # before reading: what it wrote last is not missed
            if text := file.read():
                yield text
            if not until_over or not running:
                return
            sleep(SECONDS)


def of_failures(failures: Sequence[Failure], store: Store) -> View:
    """The ends of the logs of failed runs."""
    text, data = [], []
    for failure in failures:
        try:
            lines = store.log_path(failure.run_id).read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            lines = [failure.why]
        left_out = [f"({len(lines) - LAST_LINES} lines before)"] if len(lines) > LAST_LINES else []
        text += [f"== {failure.name} ({failure.run_id}): {failure.state}", *left_out, *lines[-LAST_LINES:]]
        data.append({**failure.model_dump(), "lines": lines})
    return View(text or ["no run has failed, of those that are not done since"], {"schema": VIEW_SCHEMA, "logs": data})
