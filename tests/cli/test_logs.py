"""`stableft logs`: by run and by experiment."""

from pathlib import Path

import pytest

from stableft.cli.logs import logs_view
from stableft.storage import run_state
from stableft.storage.store import Store
from tests.conftest import Quick
from tests.helpers.commands import SMOKE
from tests.storage.test_run_state import RUN, failure

ONE_ARM = (*SMOKE, "--results", "out", "--arms", "corrected")


@pytest.mark.usefixtures("obedient")
def test_logs_are_shown_by_run_and_by_experiment(tmp_path: Path, quick: Quick):
    quick(tmp_path, "run", *ONE_ARM, "--seeds", "2,4", "--max-retries", "0")
    (first, second) = run_state.failures(Store(tmp_path / "out"))
    code, out, _ = quick(tmp_path, "logs", first.run_id[:5], "--results", "out", "--follow")
    assert (code, out) == (0, "crashed: crashed as asked\n")
    code, out, _ = quick(tmp_path, "logs", "adam", "--results", "out")
    assert code == 0
    assert out.splitlines() == [
        f"== toy / corrected / 2 ({first.run_id}): failed", "crashed: crashed as asked",
        f"== toy / corrected / 4 ({second.run_id}): oom", "oom: oom as asked",
    ]  # fmt: skip


def test_of_many_logs_the_ends_are_shown(tmp_path: Path):
    store = Store(tmp_path)
    store.log_path(RUN).parent.mkdir()
    store.log_path(RUN).write_text("".join(f"line {number}\n" for number in range(30)))
    run_state.note(store, failure())
    view = logs_view([*run_state.failures(store), failure("b" * 16, "oom")], store)
    assert view.text[:3] == [f"== toy / corrected / 0 ({RUN}): failed", "(11 lines before)", "line 11"]
    assert view.text[-3:] == ["crashed: RuntimeError: boom", f"== toy / corrected / 0 ({'b' * 16}): oom", "RuntimeError: boom"]
    assert len(view.data["logs"][0]["lines"]) == 31
