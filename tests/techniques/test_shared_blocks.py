"""ALBERT has one set of weights for all its layers: what treats blocks by their depth refuses it."""

import shutil

import pytest
import torch
from transformers import AlbertConfig, AlbertModel

from stableft.core.errors import UsageError
from stableft.core.technique import Technique
from stableft.models.encoders import Encoder, resolve
from stableft.models.tokens import Data
from stableft.techniques.grouped_llrd import GroupedLLRD
from stableft.techniques.llrd import LLRD
from stableft.techniques.reinit import Reinit
from tests.conftest import ConfigFactory
from tests.helpers import trials


@pytest.fixture(scope="module")
def albert(tiny_encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    folder = tmp_path_factory.mktemp("albert")
    settings = AlbertConfig(
        vocab_size=64, embedding_size=16, hidden_size=32, num_hidden_layers=6, num_attention_heads=4, intermediate_size=64
    )
    AlbertModel(settings).save_pretrained(folder)
    for file in ("vocab.txt", "tokenizer_config.json"):
        shutil.copy(tiny_encoder.folder / file, folder / file)
    return resolve(str(folder))


@pytest.mark.parametrize("technique", [Reinit(num_layers=1), LLRD(decay=0.9), GroupedLLRD()], ids=lambda t: t.name)
def test_blocks_by_depth_are_refused(technique: Technique, albert: Encoder, toy_config: ConfigFactory, toy_data: Data) -> None:
    with pytest.raises(UsageError, match=rf"{technique.name}.* treats blocks by depth, but all layers .*albert"):
        trials.prepare(toy_config(techniques=(technique,)), albert, toy_data)


@pytest.mark.parametrize("kind", [Reinit, LLRD, GroupedLLRD], ids=lambda kind: kind.name)
def test_their_null_settings_are_not(kind: type[Technique], albert: Encoder, toy_config: ConfigFactory, toy_data: Data) -> None:
    before = trials.state(trials.prepare(toy_config(), albert, toy_data))
    after = trials.state(trials.prepare(toy_config(techniques=(kind.null(),)), albert, toy_data))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_pooler_alone_can_be_redrawn(albert: Encoder, toy_config: ConfigFactory, toy_data: Data) -> None:
    before = trials.state(trials.prepare(toy_config(), albert, toy_data))
    after = trials.state(trials.prepare(toy_config(techniques=(Reinit(num_layers=0),)), albert, toy_data))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"encoder.pooler.weight"}  # its bias was 0 already
