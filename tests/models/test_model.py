"""Loading: where each parameter stands, what is drawn afresh and from what, and what is refused."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from stableft.core.errors import MissingInput, UsageError
from stableft.models.encoders import Encoder
from stableft.models.loading import load_tokenizer
from stableft.models.model import Model, ParamPlace, load_model
from tests.conftest import ConfigFactory

PIECES = np.arange(45)
Edit = Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]


@pytest.fixture
def load(toy_config: ConfigFactory) -> Callable[..., tuple[Model, frozenset[str]]]:
    def load(encoder: Encoder, *, seed: int = 0, labels: int = 2, packed: bool = True, **changes: Any) -> Any:
        init = torch.Generator().manual_seed(seed)
        return load_model(encoder, toy_config(**changes), labels, init, pieces=PIECES, packed=packed)

    return load


Load = Callable[..., tuple[Model, frozenset[str]]]


@pytest.fixture
def edited(tiny_encoder: Encoder, tmp_path: Path) -> Callable[[Edit], Encoder]:
    """A copy of the tiny encoder with other weights."""

    def make(edit: Edit) -> Encoder:
        folder = tmp_path / "edited"
        shutil.copytree(tiny_encoder.folder, folder)
        weights = edit(load_file(folder / "model.safetensors"))
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        return Encoder("edited", folder, "f")

    return make


def without(*parts: str) -> Edit:
    return lambda weights: {name: w for name, w in weights.items() if not any(part in name for part in parts)}


# --- places --------------------------------------------------------------------------------------------------------------------


def test_every_parameter_of_bert_has_its_place(load: Load, lively_encoder: Encoder) -> None:
    model, _ = load(lively_encoder)
    places = {name: model.place(name) for name, _ in model.named_parameters()}
    assert len(places) == 5 + 2 * 16 + 2 + 2
    for name, place in places.items():
        bias_or_norm = name.endswith(".bias") or ".LayerNorm." in name
        assert place.decays != bias_or_norm, name
        if name.startswith("head."):
            assert (place.role, place.depth) == ("head", 3)
        elif "pooler" in name:
            assert (place.role, place.depth) == ("pooler", 3)
        elif "embeddings" in name:
            assert (place.role, place.depth) == ("embeddings", 0)
        else:
            assert place.role == "encoder"
            assert place.depth == (1 if ".layer.0." in name else 2)
    assert Counter((place.role, place.depth, place.decays) for place in places.values()) == {
        ("embeddings", 0, True): 3,
        ("embeddings", 0, False): 2,
        ("encoder", 1, True): 6,
        ("encoder", 1, False): 10,
        ("encoder", 2, True): 6,
        ("encoder", 2, False): 10,
        ("pooler", 3, True): 1,
        ("pooler", 3, False): 1,
        ("head", 3, True): 1,
        ("head", 3, False): 1,
    }


def test_places_by_hand(load: Load, tiny_encoder: Encoder) -> None:
    model, _ = load(tiny_encoder)
    assert model.place("encoder.encoder.layer.1.output.LayerNorm.weight") == ParamPlace("encoder", 2, decays=False)
    assert model.place("encoder.encoder.layer.10.output.dense.weight") == ParamPlace("encoder", 11, decays=True)
    assert model.place("encoder.embeddings.word_embeddings.weight") == ParamPlace("embeddings", 0, decays=True)


@pytest.mark.parametrize("name", ["encoder.lm_head.weight", "classifier.weight", "encoder.encoder.layer.x.weight"])
def test_an_unknown_parameter_is_an_error(load: Load, tiny_encoder: Encoder, name: str) -> None:
    model, _ = load(tiny_encoder)
    with pytest.raises(UsageError, match=r"architectures\.py does not know where"):
        model.place(name)


# --- weights -------------------------------------------------------------------------------------------------------------------


def test_weights_are_those_of_the_file(load: Load, lively_encoder: Encoder) -> None:
    model, fresh = load(lively_encoder)
    stored = load_file(lively_encoder.folder / "model.safetensors")
    loaded = {name.removeprefix("encoder."): p for name, p in model.named_parameters() if name.startswith("encoder.")}
    assert loaded.keys() == stored.keys()
    assert all(torch.equal(loaded[name], stored[name]) for name in stored)
    assert all(p.requires_grad and p.dtype == torch.float32 for p in model.parameters())
    assert fresh == {"head.weight", "head.bias"}


def test_only_the_asked_embeddings_are_kept(toy_config: ConfigFactory, lively_encoder: Encoder) -> None:
    pieces = np.array([3, 8, 44])
    model, _ = load_model(lively_encoder, toy_config(), 2, torch.Generator(), pieces=pieces, packed=True)
    stored = load_file(lively_encoder.folder / "model.safetensors")["embeddings.word_embeddings.weight"]
    assert torch.equal(model.encoder.get_input_embeddings().weight, stored[pieces])


@pytest.mark.parametrize("labels", [1, 2, 15])
def test_the_head_is_drawn_from_the_init_stream_alone(load: Load, tiny_encoder: Encoder, labels: int) -> None:
    torch.manual_seed(123)  # the global generator plays no part
    model, _ = load(tiny_encoder, seed=9, labels=labels)
    expected = torch.empty(labels, 32).normal_(0.0, 0.02, generator=torch.Generator().manual_seed(9))
    assert torch.equal(model.head.weight, expected)
    assert torch.equal(model.head.bias, torch.zeros(labels))


def test_the_head_follows_the_init_seed_and_nothing_else(load: Load, tiny_encoder: Encoder) -> None:
    reference = load(tiny_encoder, seed=1)[0].head.weight
    for changes in ({"packed": False}, {"adam": {"lr": 1e-5, "bias_correction": False}}, {"dropout": 0.3}, {"batch_size": 3}):
        assert torch.equal(load(tiny_encoder, seed=1, **changes)[0].head.weight, reference)
    assert not torch.equal(load(tiny_encoder, seed=2)[0].head.weight, reference)


def test_the_head_has_berts_scale(load: Load, tiny_encoder: Encoder) -> None:
    weights = load(tiny_encoder, labels=500)[0].head.weight
    assert float(weights.detach().std()) == pytest.approx(0.02, rel=0.03)
    assert float(weights.detach().mean()) == pytest.approx(0, abs=0.001)


def test_dropout_is_the_configurations(load: Load, tiny_encoder: Encoder) -> None:
    model, _ = load(tiny_encoder, dropout=0.25)
    rates = [module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)]
    assert len(rates) >= 1 + 1 + 2 * 2
    assert set(rates) == {0.25}
    assert model.encoder.config.attention_probs_dropout_prob == 0.25


# --- what a checkpoint lacks ---------------------------------------------------------------------------------------------------


def test_a_missing_pooler_is_fresh_and_the_head_the_same(load: Load, tiny_encoder: Encoder, edited: Any) -> None:
    encoder = edited(without("pooler"))
    torch.manual_seed(1)
    model, fresh = load(encoder, seed=5)
    torch.manual_seed(2)
    again, _ = load(encoder, seed=5)
    whole, _ = load(tiny_encoder, seed=5)
    pooler = model.encoder.pooler.dense
    assert fresh == {"head.weight", "head.bias", "encoder.pooler.dense.weight", "encoder.pooler.dense.bias"}
    assert torch.equal(model.head.weight, whole.head.weight)
    assert torch.equal(pooler.weight, again.encoder.pooler.dense.weight)
    init = torch.Generator().manual_seed(5)
    torch.empty(2, 32).normal_(generator=init)  # the head comes first
    assert torch.equal(pooler.weight, torch.empty(32, 32).normal_(0.0, 0.02, generator=init))
    assert torch.equal(pooler.bias, torch.zeros(32))


@pytest.mark.parametrize("part", ["encoder.layer.1.", "layer.0.output.dense.bias", "position_embeddings", "embeddings.LayerNorm"])
def test_a_checkpoint_that_lacks_more_is_refused(load: Load, edited: Any, part: str) -> None:
    with pytest.raises(MissingInput, match="not a whole encoder") as caught:
        load(edited(without(part)))
    assert part.strip(".") in str(caught.value)
    assert "edited" in str(caught.value)


def one_line(error: pytest.ExceptionInfo[MissingInput]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("damage", ["garbage", "truncated", "empty"])
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_damaged_weights_are_one_clear_line(load: Load, edited: Any, name: str, damage: str) -> None:
    encoder = edited(lambda weights: weights)
    file = encoder.folder / name
    if name == "pytorch_model.bin":
        safe = encoder.folder / "model.safetensors"
        torch.save(load_file(safe), file)
        safe.unlink()
        assert load(encoder)[1] == {"head.weight", "head.bias"}
    content = file.read_bytes()
    file.write_bytes({"garbage": b"not a tensor" * 100, "truncated": content[: len(content) // 2], "empty": b""}[damage])
    with pytest.raises(MissingInput, match=f"weights in {encoder.folder} can't be read") as caught:
        load(encoder)
    one_line(caught)


def test_weights_of_another_shape_are_one_clear_line(load: Load, edited: Any) -> None:
    encoder = edited(lambda weights: {**weights, "pooler.dense.bias": torch.zeros(7)})
    with pytest.raises(MissingInput, match="can't be read") as caught:
        load(encoder)
    one_line(caught)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"model_type": "no-such-model"}'])
def test_a_damaged_configuration_is_one_clear_line(load: Load, edited: Any, content: str) -> None:
    encoder = edited(lambda weights: weights)
    (encoder.folder / "config.json").write_text(content)
    with pytest.raises(MissingInput, match=f"no model configuration can be read from {encoder.folder}") as caught:
        load(encoder)
    one_line(caught)


def test_a_folder_without_tokenizer(tmp_path: Path, tiny_encoder: Encoder) -> None:
    for name in ("config.json", "model.safetensors"):
        shutil.copy(tiny_encoder.folder / name, tmp_path / name)
    with pytest.raises(MissingInput, match=f"no tokenizer can be read from {tmp_path}") as caught:
        load_tokenizer(Encoder("bare", tmp_path, "f"))
    one_line(caught)


def test_code_in_the_folder_is_never_run(load: Load, edited: Any, tmp_path: Path) -> None:
    encoder = edited(lambda weights: weights)
    trap = tmp_path / "ran"
    (encoder.folder / "modeling_trap.py").write_text(f"open({str(trap)!r}, 'w')\n")
    settings = json.loads((encoder.folder / "config.json").read_text())
    settings["auto_map"] = {"AutoModel": "modeling_trap.Trap", "AutoConfig": "modeling_trap.TrapConfig"}
    (encoder.folder / "config.json").write_text(json.dumps(settings))
    model, _ = load(encoder)
    assert type(model.encoder).__name__ == "BertModel"
    assert not trap.exists()


def test_inputs_longer_than_the_encoder_are_refused(tiny_encoder: Encoder, toy_config: ConfigFactory):
    with pytest.raises(UsageError, match="max_length 65 is more than the 64 positions"):
        load_model(tiny_encoder, toy_config({"max_length": 65}), 2, torch.Generator(), pieces=np.arange(10), packed=True)


def test_a_tokenizer_that_does_not_fit_the_weights_is_refused(tiny_encoder: Encoder, toy_config: ConfigFactory):
    with pytest.raises(MissingInput, match="knows piece 999"):
        load_model(tiny_encoder, toy_config(), 2, torch.Generator(), pieces=np.array([1, 999]), packed=True)
