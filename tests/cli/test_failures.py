"""`stableft failures`: which failures a scale has, and where results of a user's own files lie."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from stableft.cli.common import folder
from stableft.cli.failures import select_failures
from stableft.storage import run_state
from stableft.storage.store import Store
from tests.conftest import Quick
from tests.storage.test_run_state import failure


def test_a_scale_has_those_of_own_files_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["smoke", "smoke+my.csv", "small"]
    failed = [SimpleNamespace(experiment="adam", protocol=name) for name in names]
    monkeypatch.setattr(run_state, "failures", lambda store, unread: failed)

    def found(protocol: str | None) -> list[str]:
        return [failure.protocol for failure in select_failures(Store(tmp_path), "adam", protocol)]

    assert (found(None), found("smoke"), found("smoke+my.csv")) == (names, names[:2], names[1:2])
    assert select_failures(Store(tmp_path), "other", "smoke") == []


def test_a_folder_may_begin_with_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell leaves it in --results=~/out."""
    monkeypatch.setenv("HOME", "/home/x")
    assert (folder("~/out"), folder("out")) == (Path("/home/x/out"), Path("out"))


def test_a_damaged_note_is_named_and_costs_no_other(tmp_path: Path, quick: Quick) -> None:
    store = Store(tmp_path / "out")
    run_state.note(store, failure("a" * 16))
    run_state.note(store, failure("b" * 16))
    store.failure_path("b" * 16).write_text("{}")
    code, out, err = quick(tmp_path, "failures", "--results", "out")
    assert code == 4
    assert "a" * 16 in out
    assert f"not listed: out/failures/{'b' * 16}.json is no note of a failed run; delete it" in err
