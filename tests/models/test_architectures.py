"""Every architecture says what transformers' own classification model says: packed, padded, trimmed, trained, saved, read again."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import nn
from transformers import CONFIG_MAPPING, AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from stableft.core.errors import MissingInput, UsageError
from stableft.models.architectures import ARCHITECTURES
from stableft.models.encoders import Encoder, resolve
from stableft.models.introspection import first_position, num_positions
from stableft.models.layers import DropoutStream
from stableft.models.loading import load_tokenizer
from stableft.models.model import Model, load_model
from stableft.models.tokens import Batch, Data, tokenise
from stableft.models.weights import decay_factor, save_pretrained
from stableft.tasks import Example, TaggedExample
from stableft.training.evaluation import MetricRow
from stableft.training.loop import train
from stableft.training.runtime import Runtime
from stableft.training.setup import build
from tests.conftest import ConfigFactory

VOCABULARY = 45
COMMON: dict[str, Any] = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64,
    "max_position_embeddings": 64, "initializer_range": 0.2, "bos_token_id": 2, "eos_token_id": 3,
}  # fmt: skip
# The names in transformers' ForSequenceClassification classes, written out here a second time on purpose.
ROBERTA = {"pooler.dense": "classifier.dense", "head": "classifier.out_proj"}
PACKABLE: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "bert": ({"pad_token_id": 0}, {"head": "classifier"}),
    "roberta": ({"pad_token_id": 1, "type_vocab_size": 1, "max_position_embeddings": 66}, ROBERTA),
    "xlm-roberta": ({"pad_token_id": 1, "type_vocab_size": 1}, ROBERTA),
    "camembert": ({"pad_token_id": 1, "type_vocab_size": 1}, ROBERTA),
    "electra": ({"pad_token_id": 0, "embedding_size": 16}, ROBERTA),
    "electra of one size": ({"pad_token_id": 0, "embedding_size": 32}, ROBERTA),
    "distilbert": ({"pad_token_id": 0}, {"pooler.dense": "pre_classifier", "head": "classifier"}),
}
PADDED: dict[str, dict[str, Any]] = {
    "albert": {"pad_token_id": 0, "embedding_size": 16},
    "deberta-v2": {
        "pad_token_id": 0, "relative_attention": True, "position_biased_input": False, "norm_rel_ebd": "layer_norm",
        "pos_att_type": ["p2c", "c2p"], "position_buckets": 8, "share_att_key": True,
    },
    "mpnet": {"pad_token_id": 1},
    "modernbert": {"pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3, "global_attn_every_n_layers": 2, "local_attention": 8},
    "ernie": {"pad_token_id": 0},
    "roberta-prelayernorm": {"pad_token_id": 1, "type_vocab_size": 1},
    "megatron-bert": {"pad_token_id": 0},
    "rembert": {"pad_token_id": 0, "input_embedding_size": 16},
}  # fmt: skip
LENGTHS = [[5, 17, 9, 30], [8, 8, 8], [23], [1, 40, 2, 3, 12]]
EVERY_PIECE = np.arange(VOCABULARY)


@dataclass(frozen=True, eq=False)
class Case:
    """An encoder's folder, and the transformers model with the same weights."""

    encoder: Encoder
    reference: Any
    names: dict[str, str]


def lively(model: nn.Module) -> None:
    """Biases and norms that are not 0 and 1, so that leaving one out would show."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))


def settings_of(name: str, changes: dict[str, Any]) -> Any:
    return CONFIG_MAPPING[name.split()[0]](**{**COMMON, "num_labels": 3, **changes})


def add_tokenizer(folder: Path, tiny_encoder: Encoder) -> None:
    for file in ("vocab.txt", "tokenizer_config.json"):
        shutil.copy(tiny_encoder.folder / file, folder / file)


@pytest.fixture(scope="module", params=PACKABLE)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Encoder) -> Case:
    changes, names = PACKABLE[request.param]
    torch.manual_seed(0)
    reference = AutoModelForSequenceClassification.from_config(settings_of(request.param, changes)).eval()
    lively(reference)
    folder = tmp_path_factory.mktemp("packable")
    reference.base_model.save_pretrained(folder)
    add_tokenizer(folder, tiny_encoder)
    return Case(resolve(str(folder)), reference, names)


@pytest.fixture(scope="module", params=PADDED)
def other(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Encoder) -> Case:
    torch.manual_seed(0)
    reference = AutoModel.from_config(settings_of(request.param, PADDED[request.param])).eval()
    lively(reference)
    folder = tmp_path_factory.mktemp("padded")
    reference.save_pretrained(folder)
    add_tokenizer(folder, tiny_encoder)
    return Case(resolve(str(folder)), reference, {})


Load = Callable[..., Model]


@pytest.fixture(scope="module")
def load(toy_config: ConfigFactory) -> Load:
    def load(case: Case, *, packed: bool = True, dropout: float = 0.0, pieces: np.ndarray = EVERY_PIECE) -> Model:
        """With the reference's head and, where that has one, its dense layer."""
        init = torch.Generator().manual_seed(1)
        model, _ = load_model(case.encoder, toy_config(dropout=dropout), 3, init, pieces=pieces, packed=packed)
        for ours, theirs in case.names.items():
            model.get_submodule(ours).load_state_dict(case.reference.get_submodule(theirs).state_dict())
        if not case.names:
            with torch.no_grad():
                model.head.weight.mul_(5)
        return model.eval()

    return load


@pytest.fixture(scope="module")
def still(load: Load) -> Load:
    """What `load` does; a model that is only looked at is loaded once."""
    return cache(load)


def random_batch(lengths: list[int], seed: int = 0, pieces: np.ndarray = EVERY_PIECE) -> Batch:
    """Token ids without the two that are padding somewhere."""
    rng = np.random.default_rng(seed)
    usable = np.flatnonzero(pieces > 1)
    return Batch(
        ids=torch.from_numpy(rng.choice(usable, sum(lengths))),
        segments=torch.from_numpy(np.concatenate([(np.arange(n) > n // 2).astype(np.int64) for n in lengths])),
        lengths=lengths,
        labels=torch.from_numpy(rng.integers(0, 3, len(lengths)).astype(np.float64)),
    )


def inputs(reference: Any, ids: torch.Tensor, segments: torch.Tensor) -> dict[str, torch.Tensor]:
    """As transformers' tokenizers give them: token types for the families that have them."""
    if reference.config.model_type in {"bert", "electra", "albert", "ernie", "megatron-bert", "rembert"}:
        return {"input_ids": ids, "token_type_ids": segments}
    return {"input_ids": ids}


def alone(case: Case, model: Model, batch: Batch, pieces: np.ndarray = EVERY_PIECE) -> torch.Tensor:
    """Logits of each sequence by itself, through transformers alone; for encoders of padded execution up to the pooled state."""
    rows = []
    ids = torch.from_numpy(pieces)[batch.ids]
    for sequence, segments in zip(ids.split(batch.lengths), batch.segments.split(batch.lengths), strict=True):
        output = case.reference(**inputs(case.reference, sequence[None], segments[None]))
        if case.names:
            rows.append(output.logits[0])
        elif "pooler_output" in output:
            rows.append(model.head(output.pooler_output)[0])
        else:
            assert model.pooler is not None
            dense = model.pooler.dense
            rows.append(model.head(torch.tanh(output.last_hidden_state[:, 0] @ dense.weight.T + dense.bias))[0])
    return torch.stack(rows)


# --- the same numbers ----------------------------------------------------------------------------------------------------------


def test_the_table_holds_these_families() -> None:
    assert {name.split()[0] for name in PACKABLE} == set(ARCHITECTURES)
    assert not set(PADDED) & set(ARCHITECTURES)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_logits_are_transformers_own(case: Case, still: Load, lengths: list[int], packed: bool) -> None:
    model = still(case, packed=packed)
    assert model.packed is packed
    batch = random_batch(lengths)
    with torch.no_grad():
        logits, expected = model(batch), alone(case, model, batch)
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5)
        assert (model(random_batch(lengths, seed=1)) - logits).abs().max() > 0.05


@pytest.mark.parametrize("lengths", [LENGTHS[0], LENGTHS[3]], ids=str)
def test_other_encoders_run_padded_and_say_the_same(other: Case, still: Load, lengths: list[int]) -> None:
    model = still(other, packed=True)
    assert not model.packed
    batch = random_batch(lengths)
    with torch.no_grad():
        logits, expected = model(batch), alone(other, model, batch)
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5)
        assert (model(random_batch(lengths, seed=1)) - logits).abs().max() > 0.01


def gradients(case: Case, batch: Batch) -> dict[str, torch.Tensor]:
    """Of transformers' own model on the padded batch."""

    def pad(values: torch.Tensor, value: int) -> torch.Tensor:
        return nn.utils.rnn.pad_sequence(list(values.split(batch.lengths)), batch_first=True, padding_value=value)

    case.reference.zero_grad()
    given = inputs(case.reference, pad(batch.ids, case.reference.config.pad_token_id), pad(batch.segments, 0))
    logits = case.reference(**given, attention_mask=pad(torch.ones_like(batch.ids), 0)).logits
    nn.functional.cross_entropy(logits / 10, batch.labels.long()).backward()
    gradients = {name: p.grad.clone() for name, p in case.reference.named_parameters() if p.grad is not None}
    case.reference.zero_grad()
    prefix = case.reference.base_model_prefix
    renamed = {f"encoder{name.removeprefix(prefix)}": g for name, g in gradients.items() if name.startswith(f"{prefix}.")}
    for ours, theirs in case.names.items():
        renamed |= {f"{ours}.{leaf}": gradients[f"{theirs}.{leaf}"] for leaf in ("weight", "bias")}
    assert len(renamed) == len(gradients)
    return renamed


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("lengths", [LENGTHS[0], LENGTHS[3]], ids=str)
def test_gradients_are_transformers_own(case: Case, load: Load, lengths: list[int], packed: bool) -> None:
    batch = random_batch(lengths)
    theirs = gradients(case, batch)
    model = load(case, packed=packed).train()  # dropout is 0
    nn.functional.cross_entropy(model(batch) / 10, batch.labels.long()).backward()
    ours = {name: p.grad for name, p in model.named_parameters()}
    assert ours.keys() == theirs.keys()
    whole = torch.stack([g.norm() for g in theirs.values()]).norm()
    assert whole > 0.02
    for name, gradient in ours.items():
        assert gradient is not None, name
        assert (gradient - theirs[name]).norm() <= 1e-4 * theirs[name].norm() + 1e-6 * whole, name


@pytest.mark.parametrize("packed", [True, False])
def test_a_trimmed_vocabulary_changes_nothing(case: Case, load: Load, packed: bool) -> None:
    pieces = np.array([1, 2, 3, 7, 11, 12, 30, 44])
    lengths = [6, 15, 5]
    batch = random_batch(lengths, pieces=pieces)
    outputs, tables = [], []
    for model, given in (
        (load(case, packed=packed, pieces=pieces), batch),
        (load(case, packed=packed), replace(batch, ids=torch.from_numpy(pieces)[batch.ids])),
    ):
        outputs.append(model.train()(given))
        nn.functional.cross_entropy(outputs[-1], batch.labels.long()).backward()
        tables.append(model.encoder.get_input_embeddings())
    torch.testing.assert_close(outputs[0], outputs[1], rtol=0, atol=1e-6)
    with torch.no_grad():
        torch.testing.assert_close(outputs[0], alone(case, load(case), batch, pieces), rtol=0, atol=1e-5)
    assert len(tables[0].weight) == len(pieces)
    torch.testing.assert_close(tables[0].weight.grad, tables[1].weight.grad[pieces], rtol=1e-5, atol=1e-7)


def test_other_encoders_keep_all_embeddings_and_see_real_ids(other: Case, load: Load) -> None:
    pieces = np.array([2, 3, 7, 11, 12, 30, 44])
    model = load(other, pieces=pieces)
    batch = random_batch([6, 15, 5], pieces=pieces)
    assert len(model.encoder.get_input_embeddings().weight) == VOCABULARY
    with torch.no_grad():
        torch.testing.assert_close(model(batch), alone(other, model, batch, pieces), rtol=0, atol=1e-5)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("pieces", [EVERY_PIECE, np.array([0, 1, 2, 7, 9])], ids=["whole", "trimmed"])
def test_a_padding_piece_in_a_text_never_learns(case: Case, load: Load, packed: bool, pieces: np.ndarray) -> None:
    """nn.Embedding's padding_idx keeps its gradient at 0 in transformers; so it does here, wherever it comes to stand."""
    padding = case.reference.config.pad_token_id
    ids = torch.tensor([2, padding, 3, 4, 2, 3])  # in both vocabularies, positions and pieces of padding are the same
    batch = Batch(ids, torch.zeros_like(ids), [4, 2], torch.tensor([0.0, 1.0]))
    model = load(case, packed=packed, pieces=pieces).train()
    nn.functional.cross_entropy(model(batch), batch.labels.long()).backward()
    norms = model.encoder.get_input_embeddings().weight.grad.norm(dim=1)
    assert norms[padding] == 0
    assert (norms[[2, 3, 4]] > 0).all()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("bert", "BertForPreTraining"),
        ("roberta", "RobertaForMaskedLM"),
        ("electra", "ElectraForPreTraining"),
        ("distilbert", "DistilBertForMaskedLM"),
    ],
)
def test_pre_trained_checkpoints_carry_other_heads(kind: str, name: str, toy_config: ConfigFactory, tmp_path: Path) -> None:
    """As the hub has them: weights under a prefix, beside a head of pre-training and perhaps without a pooler."""
    whole = getattr(transformers, name)(settings_of(kind, PACKABLE[kind][0]))
    whole.save_pretrained(tmp_path)
    init = torch.Generator().manual_seed(0)
    model, fresh = load_model(Encoder("mine", tmp_path, "f"), toy_config(), 3, init, pieces=EVERY_PIECE, packed=True)
    stored = whole.base_model.state_dict()
    assert all(torch.equal(p, stored[name]) for name, p in model.encoder.named_parameters())
    assert not any(name.startswith("encoder.") for name in fresh)


# --- training ------------------------------------------------------------------------------------------------------------------


def losses(case: Case, data: Data, config: Any, *, packed: bool) -> tuple[list[float], Model]:
    runtime = Runtime(packed=packed)
    setup = build(config, data, case.encoder, runtime)
    rows = [item for item in train(setup, data, runtime) if isinstance(item, MetricRow)]
    return [row.value for row in rows if (row.split, row.metric) == ("train", "loss")], setup.model


@pytest.fixture(scope="module")
def short(toy_config: ConfigFactory) -> Callable[..., Any]:
    return lambda **changes: toy_config(
        {"schedule.num_epochs": None, "schedule.num_steps": 12, "evaluation.every": 12, "adam.lr": 1e-3, **changes}, dropout=0.0
    )


def test_padded_and_packed_runs_have_the_same_curve(case: Case, toy_data: Data, short: Callable[..., Any]) -> None:
    (packed, _), (padded, _) = (losses(case, toy_data, short(), packed=packed) for packed in (True, False))
    assert len(packed) == 12
    assert np.ptp(packed) > 0.01
    np.testing.assert_allclose(packed, padded, atol=1e-4, rtol=0)


def test_other_encoders_train(other: Case, toy_data: Data, short: Callable[..., Any]) -> None:
    curve, model = losses(other, toy_data, short(), packed=True)
    stored = other.reference.state_dict()
    assert len(curve) == 12
    assert np.isfinite(curve).all()
    moved = {name for name, p in model.encoder.named_parameters() if not torch.equal(p.detach(), stored[name])}
    assert moved == {name for name, _ in model.encoder.named_parameters()}


# --- places --------------------------------------------------------------------------------------------------------------------


def check_places(model: Model, blocks: int) -> None:
    norms = {f"{name}." for name, module in model.named_modules() if isinstance(module, nn.LayerNorm)}
    depths: dict[str, set[int]] = {}
    for name, _ in model.named_parameters():
        place = model.place(name)
        depths.setdefault(place.role, set()).add(place.depth)
        assert place.decays != (name.endswith("bias") or any(name.startswith(norm) for norm in norms)), name
    assert norms
    assert model.num_blocks == blocks
    assert depths == {"embeddings": {0}, "encoder": set(range(1, blocks + 1)), "pooler": {blocks + 1}, "head": {blocks + 1}}


def test_every_parameter_has_its_place(case: Case, load: Load) -> None:
    check_places(load(case), 3)


def test_every_parameter_of_other_encoders_has_its_place(other: Case, load: Load) -> None:
    check_places(load(other), 1 if other.reference.config.model_type == "albert" else 3)


@pytest.mark.parametrize(
    ("kind", "name", "role", "depth", "decays"),
    [
        ("albert", "encoder.albert_layer_groups.0.albert_layers.0.full_layer_layer_norm.weight", "encoder", 1, False),
        ("albert", "encoder.albert_layer_groups.0.albert_layers.0.ffn.weight", "encoder", 1, True),
        ("albert", "encoder.embedding_hidden_mapping_in.weight", "embeddings", 0, True),
        ("deberta-v2", "encoder.rel_embeddings.weight", "embeddings", 0, True),
        ("deberta-v2", "encoder.LayerNorm.weight", "embeddings", 0, False),
        ("mpnet", "encoder.relative_attention_bias.weight", "embeddings", 0, True),
        ("modernbert", "final_norm.weight", "encoder", 3, False),
        ("roberta-prelayernorm", "LayerNorm.weight", "encoder", 3, False),
        ("electra", "embeddings_project.weight", "embeddings", 0, True),
        ("distilbert", "transformer.layer.2.sa_layer_norm.weight", "encoder", 3, False),
        ("distilbert", "transformer.layer.0.ffn.lin1.weight", "encoder", 1, True),
    ],
)
def test_places_by_hand(kind: str, name: str, role: str, depth: int, decays: bool) -> None:
    changes = PADDED[kind] if kind in PADDED else PACKABLE[kind][0]
    model = Model(AutoModel.from_config(settings_of(kind, changes)), 2, 0.1, packed=True)
    model.get_parameter(f"encoder.{name}")
    place = model.place(f"encoder.{name}")
    assert (place.role, place.depth, place.decays) == (role, depth, decays)


# --- fresh weights and dropout -------------------------------------------------------------------------------------------------


def test_fresh_weights_and_their_order(case: Case, toy_config: ConfigFactory) -> None:
    init = torch.Generator().manual_seed(4)
    model, fresh = load_model(case.encoder, toy_config(), 3, init, pieces=EVERY_PIECE, packed=True)
    expected = {"head.weight", "head.bias"} | (
        {"pooler.dense.weight", "pooler.dense.bias"} if "pooler.dense" in case.names else set()
    )
    assert fresh == expected
    again = torch.Generator().manual_seed(4)
    assert torch.equal(model.head.weight, torch.empty(3, 32).normal_(0, 0.2, generator=again))  # initializer_range of the tests
    if model.pooler is not None:
        assert torch.equal(model.pooler.dense.weight, torch.empty(32, 32).normal_(0, 0.2, generator=again))
        assert not model.pooler.dense.bias.any()
    stored = case.reference.base_model.state_dict()
    assert all(torch.equal(p, stored[name]) for name, p in model.encoder.named_parameters())


def test_dropout_sits_where_transformers_has_it(case: Case, toy_config: ConfigFactory) -> None:
    """As many dropout layers as transformers' model has, all of the configuration's rate (its class uses one of them twice)."""
    model, _ = load_model(case.encoder, toy_config(dropout=0.25), 3, torch.Generator(), pieces=EVERY_PIECE, packed=True)
    rates = [module.p for module in model.modules() if isinstance(module, nn.Dropout)]
    theirs = [module for module in case.reference.modules() if isinstance(module, nn.Dropout)]
    twice = case.names.get("pooler.dense") == "classifier.dense"
    assert len(rates) == len(theirs) + twice
    assert set(rates) == {0.25}


def test_dropout_reaches_everything_in_training_and_draws_from_the_stream_alone(
    case: Case, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[tuple[int, ...], float]] = []
    mask = DropoutStream.mask

    def spy(self: DropoutStream, shape: Any, p: float) -> torch.Tensor:
        drawn.append((tuple(shape), p))
        return mask(self, shape, p)

    monkeypatch.setattr(DropoutStream, "mask", spy)
    model = load(case, dropout=0.25)
    model.draw_dropout_from(DropoutStream(0))
    batch = random_batch([4, 19])
    model(batch)
    assert drawn == [], "outside training"
    before = torch.get_rng_state()
    model.train()(batch)
    assert torch.equal(torch.get_rng_state(), before), "something draws from torch's generator"
    assert {p for _, p in drawn} == {0.25}
    heads = case.reference.config.num_attention_heads
    blocks = model.num_blocks
    attention = [shape for shape, _ in drawn if len(shape) == 3 and shape[0] == 2 * heads and shape[2] == 19]
    assert attention == [(2 * heads, 19, 19)] * (blocks - 1) + [(2 * heads, 1, 19)]
    # Beside the weights: every other place once (the sublayer outputs of the last block for the first tokens only).
    others = [module for name, module in model.named_modules() if isinstance(module, nn.Dropout) and module.p]
    assert len(drawn) == len(others)


def test_other_encoders_take_the_configurations_dropout(other: Case, toy_config: ConfigFactory) -> None:
    model, _ = load_model(other.encoder, toy_config(dropout=0.25), 3, torch.Generator(), pieces=EVERY_PIECE, packed=True)
    rates = {module.p for module in model.modules() if isinstance(module, nn.Dropout)}
    assert rates == {0.25}


# --- out to a folder, and in again ---------------------------------------------------------------------------------------------


@pytest.fixture
def saved(case: Case, load: Load, tmp_path: Path) -> tuple[Model, Path, np.ndarray]:
    pieces = np.array([2, 3, 7, 11, 12, 30, 44])
    model = load(case, pieces=pieces, dropout=0.3)
    with torch.no_grad():  # as if trained
        for parameter in model.parameters():
            parameter.mul_(1.1)
    folder = tmp_path / "trained" / "model"
    save_pretrained(model, case.encoder, folder, labels=("no", "maybe", "yes"), unread_decay=0.75)
    return model, folder, pieces


def test_transformers_loads_what_was_saved(case: Case, saved: tuple[Model, Path, np.ndarray]) -> None:
    model, folder, pieces = saved
    loaded, info = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert type(loaded) is type(case.reference)
    batch = random_batch(LENGTHS[0], pieces=pieces)
    with torch.no_grad():
        expected = alone(replace(case, reference=loaded.eval()), model, batch, pieces)
        torch.testing.assert_close(model(batch), expected, rtol=0, atol=1e-5)
        model.packed = False
        model.encoder.set_attn_implementation("sdpa")
        torch.testing.assert_close(model(batch), expected, rtol=0, atol=1e-5)
    table, original = (m.base_model.get_input_embeddings().weight for m in (loaded, case.reference))
    unread = np.setdiff1d(EVERY_PIECE, pieces)
    assert torch.equal(table[pieces], model.encoder.get_input_embeddings().weight)
    assert torch.equal(table[unread], original[unread] * 0.75)
    settings = json.loads((folder / "config.json").read_text())
    assert loaded.config.id2label == {0: "no", 1: "maybe", 2: "yes"}
    assert loaded.config.num_labels == 3
    assert "stableft" not in json.dumps(settings)
    assert {v for k, v in settings.items() if "dropout" in k and v is not None} == {0.3}
    assert list(folder.parent.iterdir()) == [folder]
    mine, theirs = (AutoTokenizer.from_pretrained(where)("Bral nope dorn")["input_ids"] for where in (folder, case.encoder.folder))
    assert mine == theirs


def test_what_was_saved_is_an_encoder(case: Case, load: Load, saved: tuple[Model, Path, np.ndarray]) -> None:
    model, folder, pieces = saved
    trained = replace(case, encoder=resolve(str(folder)))
    batch = random_batch(LENGTHS[0], pieces=pieces)
    for packed in (True, False):
        again = load(trained, packed=packed, pieces=pieces)
        for (name, ours), theirs in zip(again.encoder.named_parameters(), model.encoder.parameters(), strict=True):
            assert torch.equal(ours, theirs), name
        again.head.load_state_dict(model.head.state_dict())
        if again.pooler is not None and model.pooler is not None:
            again.pooler.load_state_dict(model.pooler.state_dict())
        with torch.no_grad():
            torch.testing.assert_close(again(batch), model(batch), rtol=0, atol=0 if packed else 1e-5)


def test_a_folder_is_written_whole_or_not_at_all(load: Load, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(case)
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine").write_text("precious")
    with pytest.raises(UsageError, match="already exists"):
        save_pretrained(model, case.encoder, taken)
    assert [path.name for path in taken.iterdir()] == ["mine"]

    def fail(*args: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("shutil.copyfile", fail)
    with pytest.raises(OSError, match="disk full"):
        save_pretrained(model, case.encoder, tmp_path / "new")
    assert list(tmp_path.iterdir()) == [taken]


def test_saving_a_regression(load: Load, case: Case, toy_config: ConfigFactory, tmp_path: Path) -> None:
    model, _ = load_model(case.encoder, toy_config(), 1, torch.Generator(), pieces=EVERY_PIECE, packed=True)
    save_pretrained(model, case.encoder, tmp_path / "it")
    settings = AutoModelForSequenceClassification.from_pretrained(tmp_path / "it").config
    assert (settings.num_labels, settings.problem_type) == (1, "regression")


def test_saving_refuses_other_encoders(other: Case, load: Load, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be saved"):
        save_pretrained(load(other), other.encoder, tmp_path / "it")
    assert not list(tmp_path.iterdir())


def test_saving_refuses_another_encoders_embeddings(lively_encoder: Encoder, load: Load, tmp_path: Path) -> None:
    model = load(Case(lively_encoder, None, {}))
    torch.manual_seed(0)
    AutoModel.from_config(settings_of("bert", {"pad_token_id": 0, "vocab_size": 20})).save_pretrained(tmp_path / "small")
    with pytest.raises(MissingInput, match="is not what the model was loaded from"):
        save_pretrained(model, Encoder("small", tmp_path / "small", "f"), tmp_path / "it")


def test_a_lower_casing_that_the_tokenizer_forgets_is_saved(tiny_encoder: Encoder, load: Load, tmp_path: Path) -> None:
    cased = tmp_path / "cased"
    shutil.copytree(tiny_encoder.folder, cased)
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": False}
    (cased / "tokenizer_config.json").write_text(json.dumps(settings))
    encoder = Encoder("cased", cased, "f", lower_case=True)
    save_pretrained(load(Case(encoder, None, {})), encoder, tmp_path / "it")
    before, after = (AutoTokenizer.from_pretrained(where) for where in (cased, tmp_path / "it"))
    text = "BRAL Dorn brál"
    assert after(text)["input_ids"] == before(text.lower())["input_ids"] != before(text)["input_ids"]


def test_the_decay_of_unread_embeddings_is_adamws(short: Callable[..., Any], toy_data: Data, case: Case) -> None:
    """Put back decayed, left-out embeddings are what a run with the whole table makes of them."""
    config = short(**{"adam.weight_decay": 0.1})
    pieces = toy_data.pieces
    runtime = Runtime()
    whole = Data(
        toy_data.task,
        {name: replace(tokens, ids=pieces[tokens.ids]) for name, tokens in toy_data.splits.items()},
        np.arange(VOCABULARY),
    )
    setup = build(config, whole, case.encoder, runtime)
    before = setup.model.encoder.get_input_embeddings().weight.detach().clone()
    lrs = [item.value for item in train(setup, whole, runtime) if isinstance(item, MetricRow) and item.metric == "lr"]
    after = setup.model.encoder.get_input_embeddings().weight.detach()
    unread = np.setdiff1d(EVERY_PIECE, pieces)
    assert len(unread)
    factor = decay_factor(lrs, 0.1)
    assert factor < 0.9995
    torch.testing.assert_close(after[unread], before[unread] * factor, rtol=2e-6, atol=0)


def test_decay_factor_by_hand() -> None:
    assert decay_factor([0.1, 0.2], 0.5) == pytest.approx(0.95 * 0.9)
    assert decay_factor([1e-3] * 1000, 0.0) == 1.0
    assert decay_factor([], 0.1) == 1.0


# --- what is refused -----------------------------------------------------------------------------------------------------------


def folder_of(kind: str, tmp_path: Path, **changes: Any) -> Encoder:
    torch.manual_seed(0)
    settings = {"vocab_size": VOCABULARY, "bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0, **changes}
    AutoModel.from_config(CONFIG_MAPPING[kind](**settings)).save_pretrained(tmp_path)
    return Encoder("mine", tmp_path, "f")


TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "gpt2": ({"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}, "does not see the following ones"),
    "llama": ({**TINY, "num_key_value_heads": 4}, "does not see the following ones"),
    "t5": ({"d_model": 32, "d_ff": 64, "num_layers": 1, "num_heads": 4, "d_kv": 8}, "needs an encoder alone"),
    "fnet": (TINY, "can't be masked"),
    "vit": ({**TINY, "image_size": 32}, "can't be masked"),
    "convbert": ({**COMMON, "head_ratio": 2, "embedding_size": 32}, "sees masked padding too"),
    "canine": ({**TINY, "num_hash_buckets": 32}, "can't be run as an encoder of text"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_bidirectional_encoder_of_text_is_refused(kind: str, toy_config: ConfigFactory, tmp_path: Path) -> None:
    changes, message = REFUSED[kind]
    encoder = folder_of(kind, tmp_path, **changes)
    with pytest.raises(UsageError, match=message) as caught:
        load_model(encoder, toy_config(), 2, torch.Generator(), pieces=EVERY_PIECE, packed=True)
    assert "\n" not in str(caught.value)
    assert kind in str(caught.value).lower()


def test_a_bert_that_is_a_decoder_is_refused(toy_config: ConfigFactory, tmp_path: Path) -> None:
    settings = {**COMMON, "is_decoder": True}
    with pytest.raises(UsageError, match="with a decoder"):
        load_model(folder_of("bert", tmp_path, **settings), toy_config(), 2, torch.Generator(), pieces=EVERY_PIECE, packed=True)


def test_a_tokenizer_without_a_first_token_is_refused(tmp_path: Path, tiny_encoder: Encoder) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<end>": 0, "a": 1, "b": 2}, unk_token="<end>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()  # pyright: ignore[reportAttributeAccessIssue]
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<end>", eos_token="<end>").save_pretrained(tmp_path)
    shutil.copy(tiny_encoder.folder / "config.json", tmp_path)
    with pytest.raises(UsageError, match="no special token before a text"):
        load_tokenizer(Encoder("mine", tmp_path, "f"))


def test_a_roberta_tokenizer(tmp_path: Path) -> None:
    """Its first token is <s>, and its pairs have no segments that matter."""
    characters = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "a", "b", "c", "Ġ", "ab"]
    vocabulary = {piece: i for i, piece in enumerate(characters)}
    transformers.RobertaTokenizer(vocab=vocabulary, merges=[("a", "b")]).save_pretrained(tmp_path)  # pyright: ignore[reportArgumentType]
    AutoModel.from_config(settings_of("roberta", PACKABLE["roberta"][0])).save_pretrained(tmp_path)
    tokenizer = load_tokenizer(resolve(str(tmp_path)))
    tokens = tokenise([Example("ab c", "b", 0), Example("c", "c", 0)], tokenizer, max_length=16, lower_case=False)
    assert tokens.ids[: tokens.offsets[1]].tolist() == [0, 9, 8, 7, 2, 2, 6, 2]
    assert tokens.ids[tokens.offsets[1]] == 0


def test_a_roberta_tokenizer_is_given_words_with_the_space_before_them(tmp_path: Path) -> None:
    """It tells the beginning of a word by that space; in tagging the first word would else be read as the rest of one."""
    characters = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "a", "b", "Ġ", "Ġa", "Ġab"]
    vocabulary = {piece: i for i, piece in enumerate(characters)}
    merges = [("Ġ", "a"), ("Ġa", "b")]
    transformers.RobertaTokenizer(vocab=vocabulary, merges=merges).save_pretrained(tmp_path)  # pyright: ignore[reportArgumentType]
    AutoModel.from_config(settings_of("roberta", PACKABLE["roberta"][0])).save_pretrained(tmp_path)
    tokenizer = load_tokenizer(resolve(str(tmp_path)), tagging=True)
    tokens = tokenise([TaggedExample(("a", "ab", "ba"), (0, 1, 0))], tokenizer, max_length=16, lower_case=False)
    assert tokens.ids.tolist() == [0, 8, 9, 7, 6, 5, 2]
    assert tokens.words is not None
    assert tokens.words.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("kind", "positions"),
    [("roberta", 64), ("xlm-roberta", 62), ("bert", 64), ("mpnet", 62), ("distilbert", 64), ("deberta-v2", 64)],
)
def test_usable_positions(kind: str, positions: int, toy_config: ConfigFactory, tmp_path: Path) -> None:
    changes = PADDED[kind] if kind in PADDED else PACKABLE[kind][0]
    AutoModel.from_config(settings_of(kind, changes)).save_pretrained(tmp_path)
    encoder = Encoder("mine", tmp_path, "f")

    def load(max_length: int) -> Model:
        config = toy_config(max_length=max_length, dropout=0.0)
        return load_model(encoder, config, 2, torch.Generator(), pieces=EVERY_PIECE, packed=True)[0]

    model = load(positions)
    assert num_positions(model.encoder) == positions
    assert first_position(model.encoder) == (2 if kind in {"roberta", "xlm-roberta", "mpnet"} else 0)
    with torch.no_grad():  # the last position is there
        assert model.eval()(random_batch([positions, 3])).isfinite().all()
    with pytest.raises(UsageError, match=f"max_length {positions + 1} is more than the {positions} positions of mine"):
        load(positions + 1)


def test_a_large_robertas_limit_is_512() -> None:
    settings = settings_of("roberta", {"max_position_embeddings": 514, "pad_token_id": 1})
    assert num_positions(AutoModel.from_config(settings)) == 512
