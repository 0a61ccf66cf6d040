"""Logs of runs: finds them by the first digits of an identity, and reads them as they grow."""

import time
from collections.abc import Callable, Iterator

from stableft.core.errors import MissingInput, UsageError
from stableft.storage.run_state import run_status
from stableft.storage.store import Store

SECONDS = 0.5  # between reads of a growing log


def find(store: Store, digits: str) -> str:
    """Returns the identity of the run with a log that begins with these digits.

    Raises:
        MissingInput: There is no log of such a run.
        UsageError: There are several such runs.
    """
    matching = sorted(path.stem for path in store.log_path("").parent.glob("*.log") if path.stem.startswith(digits))
    if len(matching) > 1:
        raise UsageError(f"{len(matching)} runs with a log begin with {digits}: {', '.join(matching)}")
    if matching:
        return matching[0]
    done = sorted(path.stem for path in store.path("").parent.glob("*.parquet") if path.stem.startswith(digits))
    if done:
        raise MissingInput(f"run {done[0]} is done; logs of done runs are not kept")
    raise MissingInput(
        f"no experiment is called {digits}, and no run with a log in {store.root} begins so; see `stableft failures`"
    )


def follow(store: Store, run_id: str, until_over: bool, sleep: Callable[[float], None] = time.sleep) -> Iterator[str]:
    """Yields the text of a log; with ``until_over`` also further text until the run ends."""
    with open(store.log_path(run_id), encoding="utf-8", errors="replace") as file:
        while True:
            running = run_status(store, run_id).state == "running"  # asked before reading, so that no text is missed
            if text := file.read():
                yield text
            if not until_over or not running:
                return
            sleep(SECONDS)
