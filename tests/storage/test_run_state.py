"""The state of a run: from its record, its lock file and its failure note."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stableft.core.errors import MissingInput, UsageError
from stableft.storage import run_state
from stableft.storage.run_state import Failure, RunProgress, run_status
from stableft.storage.store import Store
from tests.storage.test_store import record

RUN = "a" * 16


def failure(run_id: str = RUN, kind: str = "crashed", **changed: object) -> Failure:
    facts = {
        "run_id": run_id, "state": run_state.STATE_OF[kind], "kind": kind, "detail": "RuntimeError: boom", "attempts": 2,
        "seconds": 3.5, "when": "2026-01-02T03:04:05+00:00", "experiment": "adam", "protocol": "smoke", "task": "toy",
        "arm": "corrected", "seed": 0, "retry": "python -m stableft retry adam",
    }  # fmt: skip
    return Failure.model_validate({**facts, **changed})


@contextmanager
def at_work(store: Store, run_id: str) -> Iterator[None]:
    """Another process does the run, and says so as training processes do."""
    program = f"""
import time
from pathlib import Path
from stableft.storage import run_state
from stableft.storage.store import Store
run_state.HEARTBEAT_SECONDS = 0
with Store(Path({str(store.root)!r})).try_lock({run_id!r}) as lock:
    tell = run_state.with_heartbeat(lock, lambda *_: None)
    tell(30, 100, 1234.5)
    tell(4, 10, 0.5)
    print(flush=True)
    time.sleep(600)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield
    finally:
        process.kill()
        process.communicate()


def test_a_run_is_in_one_state_at_a_time(tmp_path: Path):
    store = Store(tmp_path)
    assert run_status(store, RUN).state == "pending"
    assert run_status(store, RUN, collected=True).state == "done"
    run_state.note(store, failure())
    assert run_status(store, RUN) == run_state.RunStatus("failed", failure())
    assert run_status(store, RUN, collected=True).state == "failed"
    with at_work(store, RUN):
        seen = run_status(store, RUN)
        assert (seen.state, seen.failure) == ("running", None)
        assert seen.progress is not None
        assert (seen.progress.step, seen.progress.total, seen.progress.loss) == (4, 10, 0.5)
    assert run_status(store, RUN).state == "failed", "whoever was at it is dead"
    store.write(record())
    assert run_status(store, RUN) == run_state.RunStatus("done")


@pytest.mark.parametrize("content", [b"", b"{", b'{"pid": 1}', b"\xff"])
def test_a_lock_whose_owner_has_written_nothing_yet_is_running(tmp_path: Path, content: bytes):
    store = Store(tmp_path)
    with store.try_lock(RUN) as lock:
        assert lock is not None
        lock.write(content)
        assert run_status(store, RUN) == run_state.RunStatus("running")
    assert run_status(store, RUN).state == "pending"


def test_progress_reaches_both_but_the_lock_file_only_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    clock = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    store, told = Store(tmp_path), []

    def progress() -> RunProgress | None:
        return run_status(store, RUN).progress

    with store.try_lock(RUN) as lock:
        assert lock is not None
        tell = run_state.with_heartbeat(lock, lambda *event: told.append(event))
        assert progress() == RunProgress(pid=progress().pid, updated=progress().updated)  # pyright: ignore[reportOptionalMemberAccess]
        for step in range(1, 6):
            clock += 0.9
            tell(step, 5, float("nan") if step == 3 else 1 / step)
        assert [event[0] for event in told] == [1, 2, 3, 4, 5]
        found = progress()
        assert found is not None
        assert (found.step, found.total, found.loss, found.seconds) == (3, 5, None, 2.7)


def test_a_note_adds_up_tries_and_ends_the_log(tmp_path: Path):
    store = Store(tmp_path)
    for kind in ("oom", "crashed"):
        run_state.note(store, failure(kind=kind, detail=f"{kind}: first\nsecond"))
    noted = json.loads(store.failure_path(RUN).read_text())
    assert (noted["state"], noted["kind"], noted["attempts"]) == ("failed", "crashed", 4)
    assert noted["when"].endswith("+00:00")
    assert store.log_path(RUN).read_text() == "oom: oom: first\nsecond\ncrashed: crashed: first\nsecond\n"
    (found,) = run_state.failures(store)
    assert found.why == "crashed: crashed: first"
    store.write(record())
    assert list(run_state.failures(store)) == []


def test_where_nothing_can_be_written_nothing_is_noted(tmp_path: Path):
    (tmp_path / "out").write_text("a file where the folder should be")
    run_state.note(Store(tmp_path / "out"), failure())
    assert (tmp_path / "out").read_text() == "a file where the folder should be"


def test_a_spoilt_note_is_named(tmp_path: Path):
    store = Store(tmp_path)
    run_state.note(store, failure())
    store.failure_path(RUN).write_text("{}")
    with pytest.raises(MissingInput, match=rf"{RUN}\.json is no note of a failed run"):
        run_status(store, RUN)
    run_state.note(store, failure())
    assert run_status(store, RUN).failure == failure()


def test_a_spoilt_note_before_it_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("socket.gethostname", lambda: "lab-machine-7")
    store = Store(tmp_path)
    run_state.note(store, failure())
    store.failure_path(RUN).write_text("{}")
    run_state.note(store, failure(detail="no lab-machine-7"))
    assert run_status(store, RUN).failure == failure(detail="no <host>")


def test_kinds_of_failure_are_parsed():
    assert run_state.parse_failures("oom, device") == {"oom", "device"}
    assert run_state.parse_failures(None) == {"failed", "oom", "timeout", "killed"}
    with pytest.raises(UsageError, match=r"'diverged'; there are: failed, oom, timeout, killed, refused, device, io, crashed"):
        run_state.parse_failures("oom,diverged")


def test_no_state_depends_on_the_wall_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A note and a lock from next year, and a clock that was set back to 1970."""
    store = Store(tmp_path)
    run_state.note(store, failure(when="2099-01-01T00:00:00+00:00"))
    assert run_status(store, RUN).state == "failed"
    monkeypatch.setattr(time, "time", lambda: 0.0)
    with at_work(store, RUN):
        assert run_status(store, RUN).state == "running"
    assert run_status(store, RUN).state == "failed"


def test_notes_and_logs_name_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setattr("socket.gethostname", lambda: "lab-machine-7")
    store = Store(tmp_path)
    store.log_path("x").parent.mkdir()
    store.log_path("x").write_bytes(b'File "/home/somebody/stableft/worker.py", line 1\n\xff\n')
    run_state.note(store, failure("x", detail="no lab-machine-7"))
    assert store.log_path("x").read_text(encoding="utf-8") == 'File "~/stableft/worker.py", line 1\n\ufffd\ncrashed: no <host>\n'
    assert "lab-machine-7" not in store.failure_path("x").read_text(encoding="utf-8")
