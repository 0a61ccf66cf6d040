"""Reinit: exactly the tensors of protocol section 2.3, from the right distribution, and nothing else moves."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import trials
from conftest import ConfigFactory
from safetensors.torch import load_file, save_file
from scipy import stats
from transformers import AlbertConfig, AlbertModel

from experiments import adam, reinit
from experiments.protocol import LAPTOP, PROTOCOLS, SMOKE
from stableft import discover
from stableft.config import RunConfig, run_id
from stableft.encoders import Encoder, resolve
from stableft.errors import UsageError
from stableft.finetune import Setup
from stableft.grid import select
from stableft.packing import Data
from stableft.records import Store
from stableft.runner import Execution, Inputs, collect, plan, run_grid
from stableft.seeds import stream_entropy
from stableft.techniques.reinit import Reinit

EXAMPLE = Reinit(pooler=True, num_layers=1)
STREAMS = ("sample", "init", "order", "dropout")

POOLER = {"encoder.pooler.dense.weight", "encoder.pooler.dense.bias"}
HEAD = {"head.weight", "head.bias"}
# Written out from protocol section 2.3, not derived from the code under test.
LINEAR = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)
LAYER_NORM = ("attention.output.LayerNorm", "output.LayerNorm")


def block(index: int) -> set[str]:
    return {f"encoder.encoder.layer.{index}.{part}.{leaf}" for part in LINEAR + LAYER_NORM for leaf in ("weight", "bias")}


Built = Callable[..., Setup]


@pytest.fixture(scope="module")
def built(toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> Built:
    """The setup with these techniques; the lively encoder has 2 blocks, no zero bias and no LayerNorm weight of 1."""

    def built(*techniques: Reinit, encoder: Encoder = lively_encoder, packed: bool = True, **seeds: int) -> Setup:
        return trials.prepare(toy_config(techniques=techniques, **seeds), encoder, toy_data, packed=packed)

    return built


@pytest.fixture
def bare_encoder(lively_encoder: Encoder, tmp_path: Path) -> Encoder:
    """A checkpoint that lacks the pooler."""
    folder = tmp_path / "bare"
    shutil.copytree(lively_encoder.folder, folder)
    weights = {name: w for name, w in load_file(folder / "model.safetensors").items() if not name.startswith("pooler.")}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return Encoder("bare", folder, "f")


# --- which tensors -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("technique", "expected"),
    [
        (Reinit.null(), set()),
        (Reinit(num_layers=0), POOLER),
        (Reinit(num_layers=1), POOLER | block(1)),
        (Reinit(num_layers=2), POOLER | block(1) | block(0)),
        (Reinit(pooler=False, num_layers=1), block(1)),
    ],
    ids=["nothing", "pooler", "pooler+1", "pooler+2", "1"],  # the text of a set differs between processes
)
@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
def test_exactly_these_tensors_change(built: Built, technique: Reinit, expected: set[str], packed: bool) -> None:
    before, setup = trials.state(built(packed=packed)), built(technique, packed=packed)
    after = trials.state(setup)
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"encoder.pooler.weight"}  # its bias was 0 already
