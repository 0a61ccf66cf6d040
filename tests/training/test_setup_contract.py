"""The contract of a technique's result: who breaks it is named before the first step."""

import dataclasses
from typing import Any, ClassVar, Self

import pytest
import torch
from torch import nn

from stableft.core.errors import UsageError
from stableft.core.technique import Stage, Technique
from stableft.models.encoders import Encoder
from stableft.models.tokens import Data
from stableft.training.runtime import Runtime
from stableft.training.setup import build
from stableft.training.setup_contract import check_setup
from tests.conftest import ConfigFactory


class Faulty(Technique):
    """A technique that breaks the contract in one of several ways."""

    name: ClassVar[str] = "faulty"
    stage: ClassVar[Stage] = Stage.GROUPS
    way: str = "not at all"

    @classmethod
    def null(cls) -> Self:
        return cls()

    def apply(self, setup: Any) -> Any:
        first, *rest = setup.groups
        if self.way == "none":
            return None
        if self.way == "lost":
            return dataclasses.replace(setup, groups=tuple(rest))
        if self.way == "twice":
            return dataclasses.replace(setup, groups=(first, first, *rest))
        if self.way == "added":
            setup.model.added = nn.Parameter(torch.zeros(1))
        if self.way == "foreign":
            foreign = dataclasses.replace(first, params=(nn.Parameter(torch.zeros(1)),))
            return dataclasses.replace(setup, groups=(*setup.groups, foreign))
        return setup


ONCE = "faulty: each parameter is in exactly one group of a Setup, but not "
FAULTS = {
    "none": r"faulty: apply\(\) returned NoneType, not the changed Setup",
    "lost": f"{ONCE}encoder.embeddings",
    "twice": f"{ONCE}encoder.embeddings",
    "added": f"{ONCE}added",
    "foreign": f"{ONCE}one of no module",
}


@pytest.mark.parametrize("way", FAULTS)
def test_who_breaks_it_is_named(toy_config: ConfigFactory, toy_data: Data, lively_encoder: Encoder, way: str) -> None:
    config = toy_config(techniques=[Faulty(way=way)])
    setup = build(config, toy_data, lively_encoder, Runtime())
    with pytest.raises(UsageError, match=FAULTS[way]):
        check_setup(setup, config)


def test_who_keeps_it_passes(toy_config: ConfigFactory, toy_data: Data, lively_encoder: Encoder) -> None:
    for techniques in (None, [Faulty()], [{"name": "lora"}, {"name": "llrd", "decay": 0.9}]):
        config = toy_config(techniques=techniques)
        check_setup(build(config, toy_data, lively_encoder, Runtime()), config)
