"""`--until-decided`: runs are added batch by batch until nothing is open; the runs are invented."""

import json
from pathlib import Path

import pytest

from experiments import adam
from experiments.protocol import LAPTOP
from stableft.cli import run
from stableft.core.grid import select
from stableft.reporting import pooling
from stableft.reporting.claims import repeated_looks, thresholds
from stableft.storage.records import Results
from stableft.storage.store import Store
from tests.conftest import Quick
from tests.helpers.worlds import World, results

CLAIMS = [claim for claim in adam.CLAIMS if claim.name in ("uncorrected_fails", "fewer_trials", "faster")]
Performed = list[tuple[str, tuple[int, ...]]]
COMMAND = ("adam", "--protocol", "laptop", "--results", "out", "--until-decided", "--tasks", "docs15")


@pytest.fixture
def performed(monkeypatch: pytest.MonkeyPatch) -> Performed:
    """Task and seeds of each batch that was run. All seeds up to the last one have runs, in which the uncorrected arm fails."""
    done: Performed = []
    grid = select(adam.grid(LAPTOP), tasks=["docs15"])

    def load(*_: object, **__: object) -> Results:
        return results(grid, World(seeds=1 + max((max(seeds) for _, seeds in done), default=9), failing=1, noise=0.01))

    def perform(context, selected, *_: object) -> None:
        print("outcome of a batch")
        done.extend((task, tuple(selected.grid.seeds)) for task in selected.grid.tasks)

    monkeypatch.setattr(pooling, "load_pooled", load)
    monkeypatch.setattr(Store, "collected", lambda self: [("laptop", "adam")])
    monkeypatch.setattr(run, "perform", perform)
    monkeypatch.setattr(adam, "CLAIMS", CLAIMS)
    monkeypatch.setattr(repeated_looks, "COURSES", 5)
    line = ("2026-11-30", "1234567", "yes", "laptop 0-9", "first written")
    listed = [thresholds.Threshold("adam", claim.name, thresholds.digest(claim), *line) for claim in CLAIMS]
    monkeypatch.setattr(thresholds, "read_thresholds", lambda path: listed)
    return done


def test_seeds_are_added_until_nothing_is_open(tmp_path: Path, quick: Quick, performed: Performed) -> None:
    before = json.loads(quick(tmp_path, "plan", *COMMAND, "--json")[1])
    states = {one["claim"]: one["state"] for one in before["claims"]}
    assert states["uncorrected_fails"] == "open"
    assert states["fewer_trials"] == "no rule"
    assert before["next"][0] == {"task": "docs15", "arms": ["corrected", "uncorrected"], "seeds": [10, 11, 12, 13, 14]}
    assert 0 < before["expected_hours"] < before["expected_runs"]
    assert not performed
    code, out, err = quick(tmp_path, "run", *COMMAND, "--json")
    assert code == 0, err
    after = json.loads(out)
    assert err.count("outcome of a batch") == len(performed)
    assert performed[0] == ("docs15", (10, 11, 12, 13, 14))
    assert after["next"] == []
    assert {one["state"] for one in after["claims"]} <= {"decided", "hopeless", "maximum", "no rule", "not applicable"}
    (fails,) = (one for one in after["claims"] if one["claim"] == "uncorrected_fails")
    assert (fails["verdict"], fails["seen"]) == ("confirmed", list(range(10)))
    assert "on fresh seeds confirmed (docs15 confirmed at n = 10 of seeds 10-" in fails["found"]
    shown = quick(tmp_path, "plan", *COMMAND)[1]
    assert "uncorrected_fails: on fresh seeds confirmed" in shown


def test_the_most_seeds_and_the_batch_are_limits(tmp_path: Path, quick: Quick, performed: Performed) -> None:
    code, _, err = quick(tmp_path, "run", *COMMAND, "--max-seeds", "8", "--batch", "4")
    assert code == 0, err
    assert {seeds for _, seeds in performed} == {(10, 11, 12, 13), (14, 15, 16, 17)}


def test_a_dry_run_adds_nothing(tmp_path: Path, quick: Quick, performed: Performed) -> None:
    code, out, _ = quick(tmp_path, "run", *COMMAND, "--dry-run")
    assert (code, performed) == (0, [])
    assert "next: docs15: corrected, uncorrected, seeds 10-14" in out


@pytest.mark.parametrize("options", [("--seeds", "0-3"), ("--set", "adam.lr=1e-3"), ("--encoder", "x"), ("--max-seeds", "61")])
def test_options_that_contradict_it_are_refused(tmp_path: Path, quick: Quick, options: tuple[str, str]) -> None:
    for verb in ("run", "plan"):
        code, _, err = quick(tmp_path, verb, *COMMAND, *options)
        assert code == 2
        assert options[0] in err
    assert list(tmp_path.iterdir()) == []
