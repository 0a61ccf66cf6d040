"""Experiments and protocols are found by name."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import adam
from experiments.protocol import PROTOCOLS
from stableft.core.errors import UsageError
from stableft.core.experiments import all_experiments, all_grids, all_protocols, get_experiment, get_protocol


def test_unknown_protocols() -> None:
    assert get_protocol("smoke") is PROTOCOLS["smoke"]
    with pytest.raises(UsageError, match="unknown protocol 'big'; known: smoke, laptop, small, paper"):
        get_protocol("big")


def test_unknown_experiments() -> None:
    assert get_experiment("adam") is adam
    with pytest.raises(UsageError, match="unknown experiment 'adma'; known: adam, "):
        get_experiment("adma")
    assert "protocol" not in all_experiments(), "it declares no grid"


def test_every_experiment_has_a_grid_at_every_scale() -> None:
    found = [(grid.name, grid.protocol.name) for grid in all_grids()]
    assert sorted(found) == sorted((name, protocol) for name in all_experiments() for protocol in all_protocols())


def test_a_folder_of_the_same_name_where_the_user_is_hides_nothing(project: Path, tmp_path: Path) -> None:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "__init__.py").touch()
    words = [sys.executable, "-m", "stableft", "ls", "experiments", "--json"]
    done = subprocess.run(words, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(project)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)["experiments"]) == set(all_experiments())
