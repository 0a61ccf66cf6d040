"""Freezing: which part begins at which step, and that a frozen part stays where it is."""

from pathlib import Path
from typing import Any

import pytest

from stableft.core.errors import UsageError
from stableft.models.encoders import Encoder
from stableft.models.tokens import Data
from stableft.techniques.bitfit import BitFit
from stableft.techniques.freeze import Freeze
from stableft.training.loop import train
from stableft.training.meters import scope_of
from stableft.training.runtime import Runtime
from tests.conftest import ConfigFactory
from tests.helpers import trials
from tests.techniques.test_shared_blocks import albert as albert

EXAMPLE = Freeze(embeddings=True, thaw_steps=2)
ALWAYS = {"pooler": 0, "head": 0}


def starts(technique: Freeze, config: ConfigFactory, encoder: Encoder, data: Data) -> dict[str, int | None]:
    groups = trials.prepare(config(techniques=(technique,)), encoder, data).groups
    found = {scope_of(group.place): group.trained_from for group in groups}
    assert all(found[scope_of(group.place)] == group.trained_from for group in groups)
    return found


@pytest.mark.parametrize(
    ("technique", "embeddings", "blocks"),
    [
        (Freeze(num_blocks=2), 0, [None, None, 0, 0]),
        (Freeze(num_blocks=4, embeddings=True), None, [None] * 4),
        (Freeze(embeddings=True), None, [0, 0, 0, 0]),
        (Freeze(thaw_steps=3), 15, [12, 9, 6, 3]),
        (Freeze(thaw_epochs=1), 40, [32, 24, 16, 8]),
        (Freeze(num_blocks=1, embeddings=True, thaw_steps=5), None, [None, 15, 10, 5]),
    ],
    ids=str,
)
def test_when_each_part_begins(
    technique: Freeze,
    embeddings: int | None,
    blocks: list[int | None],
    toy_config: ConfigFactory,
    lively_encoder: Encoder,
    toy_data: Data,
    tmp_path: Path,
) -> None:
    """Howard & Ruder: the last layer first, then the next lower one, an epoch (here of 8 steps) each."""
    encoder = trials.deep_encoder(lively_encoder, tmp_path, 4)
    expected = {"embeddings": embeddings, **{f"layer.{k:02d}": start for k, start in enumerate(blocks, start=1)}, **ALWAYS}
    assert starts(technique, toy_config, encoder, toy_data) == expected


@pytest.mark.parametrize("packed", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["packed", "padded"])
def test_a_part_moves_from_its_step_on_and_not_by_decay(
    packed: bool, toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data
) -> None:
    settings = {"adam.weight_decay": 1.0, "schedule.warmup_ratio": 0.0, "schedule.num_epochs": None, "schedule.num_steps": 8}
    setup = trials.prepare(toy_config(settings, techniques=(Freeze(thaw_steps=2),)), lively_encoder, toy_data, packed=packed)
    start, first = trials.state(setup), dict[str, int]()
    for row in train(setup, toy_data, Runtime(packed=packed)):
        if getattr(row, "metric", "") == "lr":  # the first row after an update
            for name in trials.moved(setup, start):
                place = setup.model.place(name)
                first.setdefault(scope_of(place), row.step)  # pyright: ignore[reportAttributeAccessIssue]
    assert first == {"head": 1, "pooler": 1, "layer.02": 3, "layer.01": 5, "embeddings": 7}


def test_with_bitfit_both_must_allow_it(toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> None:
    setup = trials.prepare(toy_config(techniques=(BitFit(), Freeze(num_blocks=1, embeddings=True))), lively_encoder, toy_data)
    start = trials.state(setup)
    trials.run(setup, toy_data)
    assert {setup.model.place(name).role for name in trials.moved(setup, start)} == {"encoder", "pooler", "head"}
    blocks = [name for name in trials.moved(setup, start) if "layer" in name]
    assert len(blocks) == 8
    assert all("layer.1." in name and name.endswith("bias") for name in blocks)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_blocks": 3}, "num_blocks 3 is more than the 2 blocks"),
        ({"thaw_steps": 24}, "begins after 24 steps, not before the end after 24"),
        ({"thaw_epochs": 3}, "begins after 24 steps"),
    ],
    ids=str,
)
def test_what_is_refused(
    fields: dict[str, Any], message: str, toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data
) -> None:
    with pytest.raises(UsageError, match=message):
        trials.prepare(toy_config(techniques=(Freeze(**fields),)), lively_encoder, toy_data)


def test_shared_blocks_are_refused_but_not_their_embeddings(albert: Encoder, toy_config: ConfigFactory, toy_data: Data) -> None:
    for technique in (Freeze(num_blocks=1), Freeze(thaw_steps=2)):
        with pytest.raises(UsageError, match="treats blocks by depth"):
            trials.prepare(toy_config(techniques=(technique,)), albert, toy_data)
    assert starts(Freeze(embeddings=True), toy_config, albert, toy_data)["embeddings"] is None


def test_one_interval(toy_config: ConfigFactory) -> None:
    with pytest.raises(UsageError, match="at most one of thaw_epochs and thaw_steps"):
        toy_config(techniques=[{"name": "freeze", "thaw_epochs": 1, "thaw_steps": 2}])
