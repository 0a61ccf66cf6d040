"""What the tests of techniques share: runs to compare bit for bit, rates to compare with numbers, and a deep encoder."""

import atexit
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from stableft.core.config import RunConfig, run_id
from stableft.core.technique import Technique
from stableft.models.encoders import TOKENIZER_FILES, Encoder, resolve
from stableft.models.tokens import Data, encode
from stableft.models.weights import save_weights
from stableft.tasks.catalog import get_task
from stableft.training.evaluation import MetricRow, Predictions
from stableft.training.loop import train
from stableft.training.runtime import Runtime
from stableft.training.setup import Setup, build
from stableft.training.step import RandomState, Step


class Trial(NamedTuple):
    """A whole run."""

    rows: list[MetricRow]
    predictions: list[Predictions]

    @property
    def losses(self) -> list[float]:
        return [row.value for row in self.rows if (row.split, row.metric) == ("train", "loss")]


WEIGHTS = Path(tempfile.mkdtemp())
atexit.register(shutil.rmtree, WEIGHTS, ignore_errors=True)


def prepare(config: RunConfig, encoder: Encoder, data: Data, *, packed: bool = True) -> Setup:
    return build(config, data, encoder, Runtime(packed=packed), sources(config, encoder))


def sources(config: RunConfig, encoder: Encoder) -> dict[str, Path]:
    """What the runs that this one starts from ended with; each is done once, packed whoever asks."""
    return {name: _weights(source, encoder) for name, source in config.sources().items()}


def _weights(config: RunConfig, encoder: Encoder) -> Path:
    path = WEIGHTS / f"{run_id(config, data='', weights=encoder.fingerprint)}.safetensors"
    if not path.is_file():
        task = get_task(config.task)
        data = encode(task, task.load(), encoder, config.max_length)
        setup = prepare(config, encoder, data)
        run(setup, data)
        save_weights(setup.model, encoder, path)
    return path


def run(setup: Setup, data: Data, *, packed: bool = True) -> Trial:
    items = list(train(setup, data, Runtime(packed=packed)))
    return Trial([item for item in items if isinstance(item, MetricRow)], [item for item in items if isinstance(item, Predictions)])


def same(one: Trial, other: Trial) -> bool:
    """Bit for bit."""
    return repr(one.rows) == repr(other.rows) and all(
        np.array_equal(a.predictions, b.predictions) and np.array_equal(a.probabilities, b.probabilities)
        for a, b in zip(one.predictions, other.predictions, strict=True)
    )


def state(setup: Setup) -> dict[str, Tensor]:
    """A copy of all parameters by name."""
    return {name: parameter.detach().clone() for name, parameter in setup.model.named_parameters()}


def deep_encoder(like: Encoder, folder: Path, num_layers: int) -> Encoder:
    """A BERT of that many blocks, 8 wide, with the vocabulary of another."""
    from transformers import BertConfig, BertModel

    size = len((like.folder / "vocab.txt").read_text(encoding="utf-8").split())
    config = BertConfig(vocab_size=size, hidden_size=8, num_hidden_layers=num_layers, num_attention_heads=2, intermediate_size=8)
    config.max_position_embeddings = 64
    BertModel(config).save_pretrained(folder)
    for name in TOKENIZER_FILES:
        if (like.folder / name).is_file():
            shutil.copyfile(like.folder / name, folder / name)
    return resolve(str(folder))


def rates(technique: Technique, config: RunConfig, encoder: Encoder, data: Data) -> dict[str | int, float]:
    """Peak learning rates of the embeddings, of the blocks 1 to L, of pooler and head; each must be one."""
    setup = prepare(config.model_copy(update={"techniques": (technique,)}), encoder, data)
    found: dict[str | int, set[float]] = {}
    for group in setup.groups:
        key = group.place.depth if group.place.role == "encoder" else group.place.role
        found.setdefault(key, set()).add(config.adam.lr * group.lr_scale)
    assert all(len(values) == 1 for values in found.values()), found
    return {key: values.pop() for key, values in found.items()}


def first_step(setup: Setup, data: Data, *, packed: bool = True, size: int = 8) -> Step:
    """The first ``size`` training examples as a step, with the model in training mode and torch's generator seeded."""
    torch.manual_seed(0)
    runtime = Runtime(packed=packed)
    batch = data.splits["train"].batch(setup.train_indices[:size])
    random = RandomState(setup.model, setup.streams, "cpu")
    setup.model.train()
    return Step(0, setup.model, batch, data.task.kind, setup.config.precision, runtime, random, setup.objective)


def moved(setup: Setup, start: dict[str, Tensor]) -> set[str]:
    """The names of the parameters that differ from a copy."""
    return {name for name, parameter in setup.model.named_parameters() if not torch.equal(parameter, start[name])}
