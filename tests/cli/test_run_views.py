"""Views of runs: the logs of failed ones."""

from pathlib import Path

from stableft.cli import run_views
from stableft.storage import run_state as states
from stableft.storage.store import Store
from tests.storage.test_run_state import RUN, failure


def test_of_many_logs_the_ends_are_shown(tmp_path: Path):
    store = Store(tmp_path)
    store.log_path(RUN).parent.mkdir()
    store.log_path(RUN).write_text("".join(f"line {number}\n" for number in range(30)))
    states.note(store, failure())
    view = run_views.failure_logs([*states.failures(store), failure("b" * 16, "oom")], store)
    assert view.text[:3] == [f"== toy / corrected / 0 ({RUN}): failed", "(11 lines before)", "line 11"]
    assert view.text[-3:] == ["crashed: RuntimeError: boom", f"== toy / corrected / 0 ({'b' * 16}): oom", "RuntimeError: boom"]
    assert len(view.data["logs"][0]["lines"]) == 31
