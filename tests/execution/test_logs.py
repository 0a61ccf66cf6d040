"""Logs of runs: found by a few digits, shown whole or as they grow."""

from pathlib import Path

import pytest

from stableft.core.errors import MissingInput, UsageError
from stableft.execution import logs
from stableft.storage import run_state as states
from stableft.storage.store import Store
from tests.storage.test_run_state import RUN, failure
from tests.storage.test_store import record


def test_a_run_is_found_by_its_first_digits(tmp_path: Path):
    store = Store(tmp_path)
    for run_id in ("a" * 16, "ab" * 8):
        states.note(store, failure(run_id))
    assert logs.find(store, "ab") == "ab" * 8
    with pytest.raises(UsageError, match="2 runs with a log begin with a: aaaaaaaaaaaaaaaa, abababababababab"):
        logs.find(store, "a")
    with pytest.raises(MissingInput, match="no experiment is called xyz, and no run with a log"):
        logs.find(store, "xyz")
    store.write(record("c" * 16))
    with pytest.raises(MissingInput, match="run cccccccccccccccc is done; logs of done runs are not kept"):
        logs.find(store, "cc")


def test_a_log_is_followed_until_its_run_is_over(tmp_path: Path):
    store = Store(tmp_path)
    log = store.log_path(RUN)
    log.parent.mkdir()
    log.write_bytes(b"first\n\xff\n")
    assert list(logs.follow(store, RUN, until_over=False)) == ["first\n\ufffd\n"]
    claim = store.claimed(RUN)
    claim.__enter__()
    looks = 0

    def sleep(_: float) -> None:
        nonlocal looks
        looks += 1
        with open(log, "a") as file:
            file.write(f"look {looks}\n")
        if looks == 3:
            claim.__exit__(None, None, None)

    assert "".join(logs.follow(store, RUN, until_over=True, sleep=sleep)) == "first\n\ufffd\nlook 1\nlook 2\nlook 3\n"
    assert looks == 3


def test_of_many_logs_the_ends_are_shown(tmp_path: Path):
    store = Store(tmp_path)
    store.log_path(RUN).parent.mkdir()
    store.log_path(RUN).write_text("".join(f"line {number}\n" for number in range(30)))
    states.note(store, failure())
    view = logs.of_failures([*states.failures(store), failure("b" * 16, "oom")], store)
    assert view.text[:3] == [f"== toy / corrected / 0 ({RUN}): failed", "(11 lines before)", "line 11"]
    assert view.text[-3:] == ["crashed: RuntimeError: boom", f"== toy / corrected / 0 ({'b' * 16}): oom", "RuntimeError: boom"]
    assert len(view.data["logs"][0]["lines"]) == 31
