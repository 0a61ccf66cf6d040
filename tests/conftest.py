"""Shared by all tests: a tiny encoder, the toy task, a small configuration; offline and on one thread."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Before anything imports transformers or datasets: no test may go online, and a fork after tokenising shall not be warned of.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np
import pytest
import torch

from stableft.config import RunConfig, with_overrides
from stableft.encoders import Encoder, resolve
from stableft.finetune import encode
from stableft.packing import Data
from stableft.tasks import TaggedExample, Task, TaskData
from stableft.tasks.toy import FILLERS, MARKERS, TASKS, VOCABULARY

torch.set_num_threads(1)

TOY = TASKS[0]
BASE: dict[str, Any] = {
    "task": "toy",
    "encoder": "tiny-random",
    "batch_size": 8,
    "max_length": 32,
    "adam": {"lr": 3e-3},
    "schedule": {"num_epochs": 3, "warmup_ratio": 0.1},
    "evaluation": {"every": 8},
}

ConfigFactory = Callable[..., RunConfig]


@pytest.fixture(scope="session")
def toy_config() -> ConfigFactory:
    """A small configuration of the toy task (24 steps of 8), with dotted fields replaced: ``toy_config({"adam.lr": 1e-4})``."""
    base = RunConfig.model_validate(BASE)
    return lambda overrides=None, /, **top: with_overrides(base, {**(overrides or {}), **top})


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """``tiny-random`` with the toy task's words, written to a folder of the test session, not to the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return resolve("tiny-random", tiny_vocabulary=VOCABULARY)


@pytest.fixture(scope="session")
def lively_encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """A BERT of 2 x 32 that transformers itself made, with weights of std 0.2, so that attention is far from uniform."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("lively")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *VOCABULARY]
    torch.manual_seed(0)
    model = BertModel(
        BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=64,
            initializer_range=0.2,
        )
    )
    with torch.no_grad():  # biases and LayerNorm weights that are not 0 and 1, so that leaving one out would show
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 64}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return resolve(str(folder))


@pytest.fixture(scope="session")
def toy_data(tiny_encoder: Encoder) -> Data:
    """The toy task, tokenised for ``tiny_encoder`` (and for ``lively_encoder``, which has the same vocabulary)."""
    return encode(TOY, TOY.load(), tiny_encoder, max_length=32)


@pytest.fixture(scope="session")
def project() -> Path:
    """The repository's root."""
    return Path(__file__).parents[1]


def _tagged(rng: np.random.Generator) -> TaggedExample:
    """Fillers, and one or two entities: runs of up to three harsh or soft words."""
    words, tags = [], []
    for _ in range(int(rng.integers(1, 3))):
        for filler in rng.choice(FILLERS, int(rng.integers(1, 4))):
            words.append(str(filler))
            tags.append(0)
        kind = int(rng.integers(2))
        for place, marker in enumerate(rng.choice(MARKERS[kind], int(rng.integers(1, 4)))):
            words.append(str(marker))
            tags.append(1 + 2 * kind + min(place, 1))
    return TaggedExample(tuple(words), tuple(tags))


def load_tagged() -> TaskData[TaggedExample]:
    examples = [_tagged(rng) for rng in [np.random.default_rng(0)] for _ in range(96)]
    return TaskData(tuple(examples[:64]), tuple(examples[64:80]), tuple(examples[80:]))


TAGGED = Task(
    name="toytags",
    kind="tagging",
    labels=("O", "B-harsh", "I-harsh", "B-soft", "I-soft"),
    score="entity_f1",
    language="en",
    summary="Synthetic: runs of harsh and of soft words; 64 train, 16 validation, 16 test",
    load=load_tagged,
    metrics=("entity_precision", "entity_recall", "accuracy"),
)


@pytest.fixture(scope="session")
def tagged_data(tiny_encoder: Encoder) -> Data:
    """An invented tagging task, tokenised for ``tiny_encoder`` and ``lively_encoder``."""
    return encode(TAGGED, load_tagged(), tiny_encoder, max_length=32)
