"""Finished runs of the smoke grid, and training processes that fail on request."""

import functools
import re
from pathlib import Path

import pytest

from stableft.execution import runner
from stableft.execution.supervisor import Supervisor
from tests.conftest import Quick
from tests.helpers.commands import SMOKE
from tests.helpers.misbehaving import by_seed


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, quick: Quick) -> Path:
    folder = tmp_path_factory.mktemp("work")
    code, out, err = quick(folder, "run", *SMOKE, "--seeds", "0-1", "--results", "out", "--jobs", "2")
    assert code == 0, err
    assert "4 runs collected in out/smoke/adam" in out
    assert "next: `python -m stableft figures --results out` draws them" in out
    assert err.count("done toy / ") == 4
    quality, _, announced = err.partition("\n")
    assert quality.startswith("toy: tiny-random: none of the pieces unknown")
    assert announced.startswith("adam at protocol smoke: 4 runs, 0 cached, 4 will run\ntime: under a minute\n")
    draws = "`python -m stableft figures --results out` draws them"
    assert re.search(rf"seed 0 has ended. [23] runs are collected: {draws}; the grid continues\.", err)
    return folder


@pytest.fixture
def obedient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training processes that fail as their run's seed says: 1 is killed, 2 crashes, 3 is refused, 4 has too little memory."""
    monkeypatch.setattr(runner, "Supervisor", functools.partial(Supervisor, target=by_seed))
