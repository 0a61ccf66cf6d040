"""Logs of runs: found by a few digits, read whole or as they grow."""

from pathlib import Path

import pytest

from stableft.core.errors import MissingInput, UsageError
from stableft.execution import run_logs
from stableft.storage import run_state
from stableft.storage.store import Store
from tests.storage.test_run_state import RUN, failure
from tests.storage.test_store import record


def test_a_run_is_found_by_its_first_digits(tmp_path: Path):
    store = Store(tmp_path)
    for run_id in ("a" * 16, "ab" * 8):
        run_state.note(store, failure(run_id))
    assert run_logs.find(store, "ab") == "ab" * 8
    with pytest.raises(UsageError, match="2 runs with a log begin with a: aaaaaaaaaaaaaaaa, abababababababab"):
        run_logs.find(store, "a")
    with pytest.raises(MissingInput, match="no experiment is called xyz, and no run with a log"):
        run_logs.find(store, "xyz")
    store.write(record("c" * 16))
    with pytest.raises(MissingInput, match="run cccccccccccccccc is done; logs of done runs are not kept"):
        run_logs.find(store, "cc")


def test_a_log_is_followed_until_its_run_is_over(tmp_path: Path):
    store = Store(tmp_path)
    log = store.log_path(RUN)
    log.parent.mkdir()
    log.write_bytes(b"first\n\xff\n")
    assert list(run_logs.follow(store, RUN, until_over=False)) == ["first\n\ufffd\n"]
    lock = store.try_lock(RUN)
    lock.__enter__()
    looks = 0

    def sleep(_: float) -> None:
        nonlocal looks
        looks += 1
        with open(log, "a") as file:
            file.write(f"look {looks}\n")
        if looks == 3:
            lock.__exit__(None, None, None)

    assert "".join(run_logs.follow(store, RUN, until_over=True, sleep=sleep)) == "first\n\ufffd\nlook 1\nlook 2\nlook 3\n"
    assert looks == 3
