"""`stableft ls`."""

import json
from pathlib import Path

import pytest

from tests.conftest import Quick


@pytest.mark.parametrize("what", ["experiments", "techniques", "protocols", "tasks", "encoders"])
def test_listings_have_a_line_each(tmp_path: Path, quick: Quick, what: str):
    code, out, _ = quick(tmp_path, "ls", what)
    _, data, _ = quick(tmp_path, "ls", what, "--json")
    listed = json.loads(data)[what]
    assert code == 0
    assert len(out.splitlines()) >= len(listed) >= (1 if what == "techniques" else 2)
    assert all(listed.values())


def test_a_row_is_a_line_in_a_pipe_and_in_a_narrow_terminal(tmp_path: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    for what in ("experiments", "techniques", "protocols", "tasks", "encoders"):
        _, out, _ = quick(tmp_path, "ls", what)
        listed = json.loads(quick(tmp_path, "ls", what, "--json")[1])[what]
        rows = [line.split("  ", 1) for line in out.splitlines()]
        assert [name for name, _ in rows] == list(listed)
        assert [text.strip() for _, text in rows] == list(listed.values())
