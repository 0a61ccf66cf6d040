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
