"""`stableft trace` and `report`: from results to a page, and from a figure back to its runs."""

import json
import os
from pathlib import Path

import pytest

from experiments import adam
from stableft.storage.store import Store
from tests.conftest import Quick


@pytest.fixture
def shown(finished: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two figures and a table of these runs, as if the report had no others."""
    monkeypatch.setattr(adam, "REPORT", {name: adam.REPORT[name] for name in ("train_loss", "score", "arms")})
    for verb in ("figures", "tables"):
        assert quick(finished, verb, "--results", "out", "--figures", "shown")[0] == 0
    return finished / "shown"


def test_from_results_to_a_page_and_from_a_figure_back_to_its_runs(finished: Path, shown: Path, quick: Quick):
    code, _, err = quick(finished, "report", "--results", "out", "--figures", "none")
    assert code == 4
    assert "none/smoke/adam/train_loss is neither drawn nor written yet: type `make figures tables`" in " ".join(err.split())
    pages = []
    for moment in (10**9, 2 * 10**9):  # when the figures were drawn is not in the page
        for path in shown.rglob("*"):
            os.utime(path, (moment, moment))
        assert quick(finished, "report", "--results", "out", "--figures", "shown")[0] == 0
        pages.append((shown / "smoke" / "report.html").read_bytes())
    assert pages[0] == pages[1]
    ids = sorted(Store(finished / "out").load("smoke", "adam").runs["run_id"])
    for name in ("train_loss.pdf", "arms.md", "arms.csv", "arms.tex"):
        code, out, _ = quick(finished, "trace", f"shown/smoke/adam/{name}", "--results", "out", "--json")
        said = json.loads(out)
        assert code == 0
        assert (said["experiment"], said["protocol"], said["entry"]) == ("adam", "smoke", name.split(".")[0])
        assert said["current"]
        assert said["run_ids"] == ids
    code, out, _ = quick(finished, "trace", "shown/smoke/adam/score.svg", "--results", "out")
    assert code == 0
    for part in ("that of the collected results", "4 runs; arms: corrected, uncorrected; tasks: toy; seeds: 0-1", ids[0]):
        assert part in out
    assert out.splitlines()[-1] == "to run them: python -m stableft run adam --protocol smoke"
    code, _, err = quick(finished, "trace", "shown/smoke/adam/score.svg", "--results", "elsewhere")
    assert (code, "no results are collected" in " ".join(err.split())) == (4, True)
