"""What a plan refuses, and how to go on."""

from pathlib import Path

import pytest

from experiments import reinit
from experiments.protocol import SMOKE
from stableft.core.config import RunConfig
from stableft.core.errors import UsageError
from stableft.execution import planning
from stableft.execution.inputs import Inputs
from stableft.storage.store import Store


class Albert(Inputs):
    """Inputs of an encoder whose blocks share their weights: some arms can't be run."""

    def check(self, config: RunConfig) -> None:
        if config.techniques:
            raise UsageError("the blocks of albert share their weights")


def test_a_refusal_names_the_arms_that_would_go_on(tmp_path: Path) -> None:
    grid = reinit.grid(SMOKE)
    with pytest.raises(UsageError) as caught:
        planning.plan(grid, Store(tmp_path), Albert())
    *reasons, way_on = str(caught.value).splitlines()
    assert len(reasons) == len(grid.arms) - 1
    assert all("share their weights" in line for line in reasons)
    assert way_on == "to run the others: --arms standard"


def test_a_refusal_of_every_arm_names_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Inputs, config: RunConfig) -> None:
        raise UsageError("no")

    monkeypatch.setattr(Inputs, "check", refuse)
    with pytest.raises(UsageError) as caught:
        planning.plan(reinit.grid(SMOKE), Store(tmp_path), Inputs())
    assert "--arms" not in str(caught.value)
