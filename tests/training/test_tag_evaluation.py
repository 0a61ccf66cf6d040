"""Tagging end to end: words to tokens, states, losses, tags, scores, records; packed as padded, and the same twice."""

import dataclasses
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pytest
import torch
from torch import nn
from transformers import BertModel

from stableft.core.config import RunConfig, run_id, with_overrides
from stableft.core.errors import UsageError
from stableft.execution.job import Job
from stableft.execution.run_job import run_one
from stableft.models import token_cache
from stableft.models.encoders import Encoder
from stableft.models.heads import BiLSTMCRF
from stableft.models.loading import load_tokenizer
from stableft.models.tokens import Data, Tokens, tokenise
from stableft.storage.store import Store
from stableft.tasks import Example, TaggedExample, scores
from stableft.training.evaluation import MetricRow, Predictions, Scorer, evaluation_subset
from stableft.training.loop import train
from stableft.training.runtime import Runtime
from stableft.training.setup import Setup, build
from stableft.training.tag_evaluation import tag_losses
from tests.conftest import TAGGED, TOY, ConfigFactory, load_tagged

Head = Literal["linear", "bilstm_crf"]


@pytest.fixture(params=["linear", "bilstm_crf"])
def config(request: pytest.FixtureRequest, toy_config: ConfigFactory) -> RunConfig:
    return toy_config(head=request.param, task="toytags")


def whole(setup: Setup, data: Data, *, packed: bool = True) -> list[MetricRow | Predictions]:
    return list(train(setup, data, Runtime(packed=packed)))


# --- words to tokens -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder: Encoder) -> Any:
    return load_tokenizer(tiny_encoder, tagging=True)


def tokens_of(tokenizer: Any, *sentences: str, max_length: int = 32) -> Tokens:
    examples = [TaggedExample(tuple(s.split("|")), tuple(range(len(s.split("|"))))) for s in sentences]
    return tokenise(examples, tokenizer, max_length=max_length, lower_case=False)


def test_each_word_has_the_place_of_its_first_piece(tokenizer: Any) -> None:
    tokens = tokens_of(tokenizer, "bral|bap-cug|dep", "lumi")
    assert tokenizer.convert_ids_to_tokens(tokens.ids.tolist()) == (
        ["[CLS]", "bral", "bap", "[UNK]", "cug", "dep", "[SEP]", "[CLS]", "lumi", "[SEP]"]
    )
    assert tokens.words is not None
    assert tokens.word_offsets is not None
    assert tokens.words.tolist() == [1, 2, 5, 1]
    assert tokens.word_offsets.tolist() == [0, 3, 4]
    assert tokens.labels.tolist() == [0, 1, 2, 0]
    assert len(tokens) == 2


def test_words_without_a_piece_are_read_as_the_unknown_token(tokenizer: Any) -> None:
    tokens = tokens_of(tokenizer, "bral| |\u200b|dep")
    assert tokens.words is not None
    assert tokens.words.tolist() == [1, 2, 3, 4]
    assert tokenizer.convert_ids_to_tokens(tokens.ids.tolist()) == ["[CLS]", "bral", "[UNK]", "[UNK]", "dep", "[SEP]"]


def test_chinese_is_read_character_by_character(tmp_path: Path, tiny_encoder: Encoder) -> None:
    from transformers import BertTokenizer

    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "\u5c71", "\u6c34", "a", "##b"]))
    tokens = tokens_of(BertTokenizer.from_pretrained(tmp_path), "\u5c71|\u6c34|\u3000|\u6c34|ab")
    assert tokens.words is not None
    assert tokens.ids.tolist() == [2, 5, 6, 1, 6, 7, 8, 3]
    assert tokens.words.tolist() == [1, 2, 3, 4, 5]


def test_words_beyond_max_length_are_cut_off(tokenizer: Any) -> None:
    tokens = tokens_of(tokenizer, "bral|bap|cug|dep", "lumi|bap", max_length=4)
    assert tokens.words is not None
    assert tokens.words.tolist() == [1, 2, -1, -1, 1, 2]
    batch = tokens.batch([1, 0])
    assert batch.words is not None
    assert batch.ids[batch.words].tolist() == [*tokens.ids[[5, 6]], *tokens.ids[[1, 2]]]
    assert batch.word_lengths == [2, 2]
    assert batch.labels.tolist() == [0, 1, 0, 1]


def test_a_tokenizer_that_knows_no_words_is_refused(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(tokenizer), "is_fast", False)
    with pytest.raises(UsageError, match="tokenizer that maps pieces to words"):
        tokens_of(tokenizer, "bral")


def test_equal_pieces_of_other_words_are_not_alike(tokenizer: Any) -> None:
    tokens = tokens_of(tokenizer, "bap-cug", "bap|-|cug", "bap|-|cug")
    assert tokens.first_alike.tolist() == [0, 1, 1]


def test_words_survive_the_cache(tmp_path: Path, tagged_data: Data) -> None:
    def make() -> tuple[dict[str, Tokens], np.ndarray]:
        return tagged_data.splits, tagged_data.pieces

    token_cache.load_or_make(tmp_path / "k", make)
    splits, _ = token_cache.load_or_make(tmp_path / "k", lambda: pytest.fail("made again"))
    for name, tokens in tagged_data.splits.items():
        for field in dataclasses.fields(Tokens):
            np.testing.assert_array_equal(getattr(splits[name], field.name), getattr(tokens, field.name))
    for file in (tmp_path / "k").glob("*words.npy"):
        file.unlink()
    again, _ = token_cache.load_or_make(tmp_path / "k", make)
    np.testing.assert_array_equal(again["train"].words, tagged_data.splits["train"].words)


# --- the model -----------------------------------------------------------------------------------------------------------------


def test_a_crf_is_for_words_alone(toy_config: ConfigFactory, toy_data: Data, tiny_encoder: Encoder) -> None:
    with pytest.raises(UsageError, match="bilstm_crf tags words, and toy is a classification task"):
        build(toy_config(head="bilstm_crf"), toy_data, tiny_encoder, Runtime())
    TAGGED.refuse_head("bilstm_crf")
    TOY.refuse_head("linear")


def test_there_is_no_pooler(config: RunConfig, tagged_data: Data, lively_encoder: Encoder) -> None:
    setup = build(config, tagged_data, lively_encoder, Runtime())
    names = {name for name, _ in setup.model.named_parameters()}
    assert not any("pooler" in name for name in names)
    assert {group.place.role for group in setup.groups} == {"embeddings", "encoder", "head"}
    assert setup.fresh == {name for name in names if name.startswith("head.")}
    for name in setup.fresh:
        assert setup.model.place(name).role == "head"
        assert setup.model.place(name).decays == ("bias" not in name)


@pytest.mark.parametrize("packed", [True, False])
def test_words_are_read_by_the_state_of_their_first_piece(
    packed: bool, toy_config: ConfigFactory, tagged_data: Data, lively_encoder: Encoder
) -> None:
    reference = BertModel.from_pretrained(lively_encoder.folder, attn_implementation="eager").eval()
    model = build(toy_config(task="toytags"), tagged_data, lively_encoder, Runtime(packed=packed)).model.eval()
    tokens = tagged_data.splits["train"]
    assert tokens.words is not None
    assert tokens.word_offsets is not None
    batch = tokens.batch(np.arange(7))
    with torch.no_grad():
        outputs = model(batch)
        expected = []
        for i in range(7):
            ids = torch.from_numpy(tagged_data.pieces[tokens.ids[tokens.offsets[i] : tokens.offsets[i + 1]]])
            states = reference(input_ids=ids[None]).last_hidden_state[0]
            expected.append(model.head(states[tokens.words[tokens.word_offsets[i] : tokens.word_offsets[i + 1]]]))
    torch.testing.assert_close(outputs, torch.cat(expected), rtol=0, atol=1e-5)
    assert outputs.std() > 0.01


def test_packed_and_padded_are_the_same_function(config: RunConfig, tagged_data: Data, lively_encoder: Encoder) -> None:
    config = config.model_copy(update={"dropout": 0.0})
    batch = tagged_data.splits["train"].batch(np.arange(9))
    losses, gradients = [], []
    for packed in (True, False):
        model = build(config, tagged_data, lively_encoder, Runtime(packed=packed)).model.train()
        loss = tag_losses(model, model(batch), batch).mean()
        loss.backward()
        losses.append(loss.item())
        gradients.append({name: cast(torch.Tensor, p.grad) for name, p in model.named_parameters()})
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    norm = torch.stack([g.norm() for g in gradients[1].values()]).norm()
    for name, ours in gradients[0].items():
        assert (ours - gradients[1][name]).norm() <= 1e-4 * gradients[1][name].norm() + 1e-6 * norm, name


def test_bf16_leaves_the_head_in_float32(toy_config: ConfigFactory, tagged_data: Data, lively_encoder: Encoder) -> None:
    config = toy_config(head="bilstm_crf", task="toytags", precision="bf16")
    items = whole(build(config, tagged_data, lively_encoder, Runtime()), tagged_data)
    assert np.isfinite([item.value for item in items if isinstance(item, MetricRow)]).all()


# --- losses, tags and scores ---------------------------------------------------------------------------------------------------


def test_evaluation_is_that_of_each_example_alone(config: RunConfig, tiny_encoder: Encoder, lively_encoder: Encoder) -> None:
    from stableft.models.tokens import encode

    data = encode(TAGGED, load_tagged(), tiny_encoder, max_length=8)  # some words are cut off
    model = build(config, data, lively_encoder, Runtime()).model
    tokens = data.splits["validation"]
    assert tokens.words is not None
    assert (tokens.words < 0).any()
    indices = np.array([5, 2, 11, 3])
    sums, counts, tags = Scorer(config, data, Runtime()).evaluate_words(model, "validation", indices)
    ends = tokens.word_offsets_of(indices)
    for i, index in enumerate(indices):
        batch = tokens.batch([index])
        with torch.no_grad():
            outputs = model(batch)
            losses = tag_losses(model, outputs, batch)
        assert sums[i] == pytest.approx(losses.sum().item(), rel=1e-5)
        assert counts[i] == len(losses) == (1 if config.head == "bilstm_crf" else len(batch.labels))
        best = model.head.decode(outputs, [len(outputs)]) if isinstance(model.head, BiLSTMCRF) else outputs.argmax(1)
        mine = tags[ends[i] : ends[i + 1]]
        assert mine[: len(outputs)].tolist() == best.tolist()
        assert (mine[len(outputs) :] == 0).all(), "cut off, so O"


def test_a_linear_heads_loss_is_the_mean_over_words(toy_config: ConfigFactory, tagged_data: Data, lively_encoder: Encoder) -> None:
    config = toy_config(task="toytags", dropout=0.0)
    setup = build(config, tagged_data, lively_encoder, Runtime())
    tokens = tagged_data.splits["validation"]
    batch = tokens.batch(np.arange(len(tokens)))
    with torch.no_grad():
        expected = nn.functional.cross_entropy(setup.model.eval()(batch), batch.labels.long()).item()
    point = Scorer(config, tagged_data, Runtime()).point(setup.model, step=24, last=True)
    (loss,) = (r.value for r in point if isinstance(r, MetricRow) and (r.split, r.metric) == ("validation", "loss"))
    assert loss == pytest.approx(expected, rel=1e-5)


def test_scores_and_predictions_are_of_all_words(config: RunConfig, tagged_data: Data, lively_encoder: Encoder) -> None:
    setup = build(config, tagged_data, lively_encoder, Runtime())
    scorer = Scorer(with_overrides(config, {"evaluation.num_examples": 6}), tagged_data, Runtime())
    subset = evaluation_subset(tagged_data, 6)
    assert subset is not None
    assert len(subset) == 6
    items = list(scorer.point(setup.model, step=24, last=True))
    rows = {(r.metric, r.scope): r.value for r in items if isinstance(r, MetricRow) and r.split == "validation"}
    predicted = next(item for item in items if isinstance(item, Predictions))
    tokens = tagged_data.splits["validation"]
    assert predicted.labels.tolist() == tokens.labels.tolist()
    assert predicted.offsets is not None
    assert predicted.probabilities.shape == (len(predicted.labels), 0)
    for name in ("entity_f1", "entity_precision", "entity_recall", "accuracy"):
        assert rows[name, ""] == scores.evaluate(
            name, predicted.labels, predicted.predictions, offsets=predicted.offsets, names=TAGGED.labels
        )
    where = tokens.labels_of(subset)
    of_subset = scores.evaluate(
        "entity_f1",
        predicted.labels[where],
        predicted.predictions[where],
        offsets=tokens.word_offsets_of(subset),
        names=TAGGED.labels,
    )
    assert rows["score", "subset"] == of_subset
    frequent = list(scorer.point(setup.model, step=8, last=False))
    again = {(r.metric, r.scope): r.value for r in frequent if isinstance(r, MetricRow) and r.split == "validation"}
    assert again["score", "subset"] == rows["score", "subset"]
    assert again["loss", "subset"] == pytest.approx(rows["loss", "subset"], rel=1e-5)


# --- runs ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", ["linear", pytest.param("bilstm_crf", marks=pytest.mark.slow)], indirect=True)
def test_it_is_the_same_twice(config: RunConfig, tagged_data: Data, lively_encoder: Encoder) -> None:
    first, second = (whole(build(config, tagged_data, lively_encoder, Runtime()), tagged_data) for _ in range(2))
    assert repr([item for item in first if isinstance(item, MetricRow)]) == repr(
        [item for item in second if isinstance(item, MetricRow)]
    )
    predicted = [[item.predictions for item in items if isinstance(item, Predictions)] for items in (first, second)]
    assert all(np.array_equal(one, two) for one, two in zip(*predicted, strict=True))


@pytest.mark.parametrize("config", ["linear", pytest.param("bilstm_crf", marks=pytest.mark.slow)], indirect=True)
def test_it_learns(config: RunConfig, tagged_data: Data, lively_encoder: Encoder) -> None:
    config = with_overrides(config, {"schedule.num_epochs": 12, "evaluation.every": 96, "adam.lr": 1e-2, "dropout": 0.0})
    rows = [r for r in whole(build(config, tagged_data, lively_encoder, Runtime()), tagged_data) if isinstance(r, MetricRow)]
    losses = [r.value for r in rows if (r.split, r.metric) == ("train", "loss")]
    assert np.mean(losses[-8:]) < 0.5 * np.mean(losses[:8])
    final = {r.metric: r.value for r in rows if (r.split, r.scope, r.step) == ("test", "", 96)}
    assert final["score"] == final["entity_f1"] > 0.3


@pytest.mark.parametrize("config", ["linear", pytest.param("bilstm_crf", marks=pytest.mark.slow)], indirect=True)
def test_packed_and_padded_runs_agree_without_dropout(config: RunConfig, tagged_data: Data, lively_encoder: Encoder) -> None:
    config = config.model_copy(update={"dropout": 0.0})
    losses = []
    for packed in (True, False):
        items = whole(build(config, tagged_data, lively_encoder, Runtime(packed=packed)), tagged_data, packed=packed)
        losses.append([r.value for r in items if isinstance(r, MetricRow) and (r.split, r.metric) == ("train", "loss")])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3, atol=1e-4)


def test_a_record_has_a_row_for_each_word(config: RunConfig, tiny_encoder: Encoder, tmp_path: Path) -> None:
    data = load_tagged()
    identity = run_id(config, data=data.fingerprint, weights=tiny_encoder.fingerprint)
    record = run_one(Job(identity, config, tiny_encoder, data, tmp_path, task=TAGGED))
    store = Store(tmp_path)
    store.write(record)
    stored = store.read(identity)
    labels = [tag for example in data.test for tag in example.tags]
    offsets = np.cumsum([0, *(len(example.words) for example in data.test)])
    assert stored.facts["majority_score"] == scores.constant("entity_f1", labels, offsets=offsets, names=TAGGED.labels) < 0.2
    assert stored.facts["score_name"] == "entity_f1"
    test = stored.predictions.query("split == 'test'")
    assert test["example"].tolist() == [i for i, example in enumerate(data.test) for _ in example.words]
    assert test["label"].tolist() == labels
    assert all(len(row) == 0 for row in test["probabilities"])


def test_texts_have_no_words(tokenizer: Any) -> None:
    tokens = tokenise([Example("bral dorn", None, 1)], tokenizer, max_length=8, lower_case=False)
    assert tokens.words is tokens.word_offsets is None
    assert tokens.batch([0]).words is None
