"""Shared by the tests of recommend: the default's configuration."""

import pytest

from stableft.core.config import RunConfig
from stableft.recommend import answer, search
from tests.conftest import ConfigFactory


@pytest.fixture
def config(toy_config: ConfigFactory) -> RunConfig:
    """The toy task's configuration at a rate in the middle of those tried."""
    return toy_config({"adam.lr": 2e-4, "schedule.num_epochs": 3, "schedule.num_steps": None})


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Saves time: no test here is about the last digits of an interval."""
    for module in (answer, search):
        monkeypatch.setattr(module, "RESAMPLES", 200)
