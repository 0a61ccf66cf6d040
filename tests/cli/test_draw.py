"""`stableft figures` and `tables`."""

import os
from pathlib import Path

import pytest

from tests.conftest import Quick
from tests.helpers.commands import call, contents


@pytest.mark.slow
def test_reporting_twice_gives_the_same_bytes_without_torch(finished: Path, quick: Quick):
    # A torch that can't be imported stands in for a machine without it.
    (finished / "poison").mkdir(exist_ok=True)
    (finished / "poison" / "torch.py").write_text("raise ImportError('torch is not needed for reports')")
    paths = os.pathsep.join([str(finished / "poison"), os.environ.get("PYTHONPATH", "")])
    for verb in ("figures", "tables"):
        assert quick(finished, verb, "--results", "out", "--figures", "shown")[0] == 0
        code, _, err = call(finished, verb, "--results", "out", "--figures", "again", PYTHONPATH=paths)
        assert code == 0, err
    again = contents(finished / "again")
    assert again == contents(finished / "shown")
    names = {path.name for path in again}
    for stem in ("train_loss", "score", "score_distribution", "bias_magnitude"):
        assert {f"{stem}.{kind}" for kind in ("pdf", "png", "svg", "csv", "txt")} <= names
    assert {"arms.md", "arms.tex", "arms.csv"} <= names
