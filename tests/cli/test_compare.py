"""`stableft compare`: two results folders."""

import json
from pathlib import Path

from tests.conftest import Quick
from tests.helpers.commands import SMOKE


def test_two_results_folders_are_compared(finished: Path, tmp_path: Path, quick: Quick):
    code, out, _ = quick(finished, "compare", "out", "out", "--strict", "--json")
    said = json.loads(out)
    assert (code, said["counts"]) == (0, {"equal": 2})
    assert all(cell["identical"] for cell in said["cells"])
    code, out, _ = quick(finished, "compare", "out", "out")
    assert out.count("equal, bit for bit") == 2
    other = ("--seeds", "0", "--set", "adam.lr=1e-9", "--set", "schedule.num_epochs=1", "--jobs", "1")
    assert quick(finished, "run", *SMOKE, *other, "--results", str(tmp_path / "b"))[0] == 0
    code, out, _ = quick(finished, "compare", "out", str(tmp_path / "b"), "--json")
    cells = json.loads(out)["cells"]
    assert (code, [cell["identical"] for cell in cells]) == (0, [False, False])  # scores of one seed may be equal by chance
    assert [(cell["n"]["a"] > 1, cell["shared"]) for cell in cells] == [(True, 1)] * 2
