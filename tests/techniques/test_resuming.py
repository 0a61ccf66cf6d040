"""A run that was interrupted and resumed is the run that nobody disturbed, bit by bit: with every technique, on both engines."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from stableft.core.config import RunConfig
from stableft.core.technique import all_techniques
from stableft.models.encoders import Encoder
from stableft.models.tokens import Data, encode
from stableft.storage.frames import metrics_frame, predictions_frame, trajectory_sha256, typed
from stableft.tasks.catalog import get_task
from stableft.training.checkpointing import Checkpointer, TrainingState
from stableft.training.evaluation import MetricRow, Predictions, Scorer
from stableft.training.loop import train
from stableft.training.runtime import Runtime
from tests.conftest import ConfigFactory
from tests.helpers import trials
from tests.techniques.test_contract import example
from tests.techniques.test_shared_blocks import albert as albert

# Epochs of three steps, the last batch smaller; points in the middle of epochs.
SHORT = {"num_train": 20, "schedule.num_epochs": None, "schedule.num_steps": 8, "evaluation.every": 2}
STOPS = (1, 4, 7)


class Stopped(Exception):
    pass


class Stopping(Checkpointer):
    """Writes one checkpoint, at its n-th chance, and with it the process dies."""

    def __init__(self, path: Path, chance: int) -> None:
        super().__init__(path, {}, 1.0)
        self.chances = chance

    def maybe_save(self, done: int, state: TrainingState) -> None:
        self.chances -= 1
        if not self.chances:
            self.save(done, state)
            raise Stopped


def once(config: RunConfig, encoder: Encoder, data: Data, checkpointer: Checkpointer, packed: bool) -> None:
    """One attempt, as a fresh process has it: nothing is left of the attempt before but its file."""
    torch.manual_seed(int(np.random.default_rng().integers(1000)))
    setup = trials.prepare(config, encoder, data, packed=packed)
    checkpointer.load()
    for item in train(setup, data, Runtime(packed=packed), checkpointer):
        if isinstance(item, Predictions):
            checkpointer.predictions.append(item)
        else:
            checkpointer.rows.append(item)


def trajectory(checkpointer: Checkpointer) -> str:
    parts = [
        metrics_frame(checkpointer.rows).assign(kind="metric"),
        predictions_frame(checkpointer.predictions).assign(kind="prediction"),
    ]
    return trajectory_sha256(pa.concat_tables([typed(part) for part in parts if len(part)]))


def undisturbed_and_resumed(
    config: RunConfig, encoder: Encoder, data: Data, path: Path, stops: Sequence[int] = STOPS, *, packed: bool = True
) -> tuple[Checkpointer, Checkpointer]:
    whole = Checkpointer(path, {}, None)
    once(config, encoder, data, whole, packed)
    for before, stop in itertools.pairwise([0, *stops]):
        checkpointer = Stopping(path, stop - before)
        with pytest.raises(Stopped):
            once(config, encoder, data, checkpointer, packed)
    last = Checkpointer(path, {}, 1e9)
    once(config, encoder, data, last, packed)
    assert len(last.cost().resumed_at) == len(stops)
    return whole, last


CASES: Mapping[str, Any] = {"plain": None, "uncorrected": None, **all_techniques()}


def with_technique(name: str, config: ConfigFactory, precision: str = "fp32") -> RunConfig:
    techniques = (example(CASES[name]),) if CASES[name] else ()
    return config({**SHORT, "adam.bias_correction": name != "uncorrected"}, precision=precision, techniques=techniques)


STATELESS = ("bitfit", "lora", "lr_shape")  # nothing of theirs could be lost; the slow test below has them too


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] if name in STATELESS else []) for name in CASES])
def test_with_every_technique(
    name: str, toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data, tmp_path: Path
) -> None:
    config = with_technique(name, toy_config)
    whole, resumed = undisturbed_and_resumed(config, lively_encoder, toy_data, tmp_path / "x", [5])
    assert trajectory(resumed) == trajectory(whole)
    assert resumed.cost().resumed_at == (5,)


@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "name", ["plain", pytest.param("mixout", marks=pytest.mark.slow), pytest.param("swa", marks=pytest.mark.slow)]
)
def test_padded(
    name: str, precision: str, toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data, tmp_path: Path
) -> None:
    config = with_technique(name, toy_config, precision)
    whole, resumed = undisturbed_and_resumed(config, lively_encoder, toy_data, tmp_path / "x", [5], packed=False)
    assert trajectory(resumed) == trajectory(whole)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
@pytest.mark.parametrize("name", CASES)
def test_interrupted_three_times_with_every_technique_on_both_engines(
    name: str, packed: bool, precision: str, toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data, tmp_path: Path
) -> None:
    config = with_technique(name, toy_config, precision)
    whole, resumed = undisturbed_and_resumed(config, lively_encoder, toy_data, tmp_path / "x", packed=packed)
    assert trajectory(resumed) == trajectory(whole)
    assert resumed.cost().resumed_at == STOPS


@pytest.mark.slow
@pytest.mark.parametrize("stop", range(1, 8))
def test_at_every_step(stop: int, toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data, tmp_path: Path) -> None:
    techniques = tuple(example(all_techniques()[name]) for name in ("mixout", "pretrained_weight_decay", "swa"))
    config = toy_config({**SHORT, "evaluation.num_examples": 10, "adam.eps_placement": "v"}, techniques=techniques)
    whole, resumed = undisturbed_and_resumed(config, lively_encoder, toy_data, tmp_path / "run.safetensors", [stop])
    assert trajectory(resumed) == trajectory(whole)


@pytest.mark.parametrize("packed", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["packed", "padded"])
def test_tagging_with_a_crf(
    packed: bool, toy_config: ConfigFactory, lively_encoder: Encoder, tagged_data: Data, tmp_path: Path
) -> None:
    config = toy_config(SHORT, task="toytags", head="bilstm_crf")
    whole, resumed = undisturbed_and_resumed(config, lively_encoder, tagged_data, tmp_path / "x", [5], packed=packed)
    assert trajectory(resumed) == trajectory(whole)


def test_regression(toy_config: ConfigFactory, lively_encoder: Encoder, tmp_path: Path) -> None:
    config = toy_config(SHORT, task="toyscore")
    task = get_task("toyscore")
    data = encode(task, task.load(), lively_encoder, config.max_length)
    whole, resumed = undisturbed_and_resumed(config, lively_encoder, data, tmp_path / "x", [5])
    assert trajectory(resumed) == trajectory(whole)


def test_the_best_checkpoint_outlives_its_process(
    toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = Scorer.point

    def best_at_2(*args: Any, step: int, of: str = "", **options: Any) -> Any:
        for item in point(*args, step=step, of=of, **options):
            if isinstance(item, MetricRow) and (item.split, item.metric, of) == ("validation", "score", ""):
                item = item._replace(value=float(step == 2))
            yield item

    monkeypatch.setattr(Scorer, "point", best_at_2)
    whole, resumed = undisturbed_and_resumed(toy_config(SHORT), lively_encoder, toy_data, tmp_path / "x", [5])
    assert [row.value for row in resumed.rows if row.metric == "best_step"] == [2]
    assert trajectory(resumed) == trajectory(whole)


def test_a_surface_goes_on_from_the_point_that_was_next(
    toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data, tmp_path: Path
) -> None:
    """Stopped while training, at its end, and twice between points: neither steps nor points are done again."""
    surface = {"bias_correction": False, "resolution": 1, "margin": 0, "num_examples": 10}
    config = toy_config({**SHORT, "surface": surface})
    whole, resumed = undisturbed_and_resumed(config, lively_encoder, toy_data, tmp_path / "x", [3, 8, 9, 11])
    assert sum(row.metric == "surface_loss" for row in resumed.rows) == 4
    assert trajectory(resumed) == trajectory(whole)


def test_blocks_that_share_their_weights(toy_config: ConfigFactory, toy_data: Data, albert: Encoder, tmp_path: Path) -> None:
    swa = example(all_techniques()["swa"])
    whole, resumed = undisturbed_and_resumed(toy_config(SHORT, techniques=(swa,)), albert, toy_data, tmp_path / "x", [5])
    assert trajectory(resumed) == trajectory(whole)
