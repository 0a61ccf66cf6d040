"""A trained model goes to a folder and comes back, with every kind of head and encoder."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from transformers import AutoModel, AutoModelForSequenceClassification, AutoModelForTokenClassification

from stableft.core.errors import MissingInput, UsageError
from stableft.core.model_facts import ModelFacts
from stableft.models.encoders import Encoder, resolve
from stableft.models.exported import open_model, write_model
from stableft.models.model import Model, load_model
from stableft.models.tokens import Batch
from stableft.models.weights import read_weights, save_weights
from tests.conftest import ConfigFactory
from tests.models.test_architectures import EVERY_PIECE, PACKABLE, PADDED, add_tokenizer, inputs, lively, random_batch, settings_of

TAGS = ("O", "B-x", "I-x")
LENGTHS = [5, 9, 7]
HEADS = [
    ("distilbert", "classification", "linear"),
    *((kind, "tagging", "linear") for kind in ("bert", "roberta", "electra", "distilbert")),
    ("bert", "tagging", "bilstm_crf"),
    ("roberta", "tagging", "bilstm_crf"),
    ("bert", "regression", "linear"),
    ("albert", "classification", "linear"),
    ("mpnet", "tagging", "linear"),
]


def facts_of(kind: str, head: str) -> ModelFacts:
    labels = {"classification": ("no", "maybe", "yes"), "tagging": TAGS}.get(kind, ())
    facts: dict[str, Any] = {"run_id": "a" * 16, "task": "x", "kind": kind, "labels": labels, "score": "accuracy", "pairs": False}
    return ModelFacts.model_validate({**facts, "head": head, "max_length": 32})


def made(kind: str, task: str, head: str, folder: Path, tiny_encoder: Encoder, toy_config: ConfigFactory) -> tuple[Model, Encoder]:
    """A model as if it had been trained."""
    torch.manual_seed(0)
    body = AutoModel.from_config(settings_of(kind, {**PACKABLE, **{k: (v, {}) for k, v in PADDED.items()}}[kind][0]))
    lively(body)
    body.save_pretrained(folder)
    add_tokenizer(folder, tiny_encoder)
    encoder = resolve(str(folder))
    outputs, init = 1 if task == "regression" else 3, torch.Generator().manual_seed(1)
    config = toy_config(head=head)
    model, _ = load_model(encoder, config, outputs, init, pieces=EVERY_PIECE, packed=True, tagging=task == "tagging")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.1)
    return model.eval(), encoder


def batch_for(task: str) -> Batch:
    batch = random_batch(LENGTHS)
    if task != "tagging":
        return batch
    starts = [0, 5, 14]
    words = torch.tensor([start + i for start, n in zip(starts, LENGTHS, strict=True) for i in range(1, n - 1)])
    return Batch(batch.ids, batch.segments, batch.lengths, torch.zeros(len(words)), words, [n - 2 for n in LENGTHS])


@pytest.mark.parametrize(("kind", "task", "head"), HEADS)
def test_what_was_written_is_read_again(
    kind: str, task: str, head: str, tmp_path: Path, tiny_encoder: Encoder, toy_config: ConfigFactory
):
    model, encoder = made(kind, task, head, tmp_path / "start", tiny_encoder, toy_config)
    save_weights(model, encoder, tmp_path / "kept.safetensors")
    folder = tmp_path / "model"
    facts = write_model(facts_of(task, head), encoder, tmp_path / "kept.safetensors", folder, lambda written: f"# {written.task}\n")
    own = kind.split()[0] in {name.split()[0] for name in PACKABLE} and head == "linear"
    assert facts.layout == ("transformers" if own else "encoder")
    opened = open_model(folder)
    batch = batch_for(task)
    with torch.no_grad():
        expected = model(batch)
        assert torch.equal(opened.model(batch), expected)
    assert opened.facts == facts
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in folder.iterdir()} == dict.fromkeys(os.listdir(folder), "0o644")
    settings = json.loads((folder / "config.json").read_text())
    if task != "regression":
        assert settings["id2label"] == {str(i): label for i, label in enumerate(facts.labels)}
        assert settings["label2id"] == {label: i for i, label in enumerate(facts.labels)}
    assert json.loads((folder / "tokenizer_config.json").read_text())["model_max_length"] == 32
    assert resolve(str(folder)).fingerprint == opened.encoder.fingerprint, "and it is an encoder for other runs"
    if own:
        auto = AutoModelForTokenClassification if task == "tagging" else AutoModelForSequenceClassification
        theirs, info = auto.from_pretrained(folder, output_loading_info=True)
        assert not info["missing_keys"]
        assert not info["unexpected_keys"]
        if task == "tagging":  # one sentence by itself, without its first and last piece
            first = inputs(theirs, batch.ids[None, :5], batch.segments[None, :5])
            with torch.no_grad():
                torch.testing.assert_close(theirs.eval()(**first).logits[0, 1:4], expected[:3], rtol=0, atol=1e-5)
    else:
        with safe_open(folder / "model.safetensors", "np") as file:
            names = [name for name in file.keys() if name.startswith("stableft.")]  # noqa: SIM118
        assert any(name.startswith("stableft.head.") for name in names)
        _, info = AutoModel.from_pretrained(folder, output_loading_info=True)
        assert set(info["unexpected_keys"]) == set(names)


def test_nothing_is_overwritten_and_nothing_half_written(tmp_path: Path, tiny_encoder: Encoder, toy_config: ConfigFactory):
    model, encoder = made("bert", "tagging", "linear", tmp_path / "start", tiny_encoder, toy_config)
    save_weights(model, encoder, tmp_path / "kept.safetensors")
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine").write_text("precious")

    def fail(facts: ModelFacts) -> str:
        raise OSError("disk full")

    facts = facts_of("tagging", "linear")
    with pytest.raises(UsageError, match="already exists"):
        write_model(facts, encoder, tmp_path / "kept.safetensors", taken, lambda _: "")
    with pytest.raises(OSError, match="disk full"):
        write_model(facts, encoder, tmp_path / "kept.safetensors", tmp_path / "new", fail)
    assert os.listdir(taken) == ["mine"]
    assert not (tmp_path / "new").exists()


def foreign(folder: Path, tiny_encoder: Encoder, kind: str = "bert", **changes: Any) -> Any:
    """A classifier that somebody else has trained and saved."""
    torch.manual_seed(0)
    settings = PADDED.get(kind) or PACKABLE[kind][0]
    theirs = AutoModelForSequenceClassification.from_config(settings_of(kind, {**settings, **changes})).eval()
    theirs.save_pretrained(folder)
    add_tokenizer(folder, tiny_encoder)
    return theirs


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert"])
def test_a_classifier_from_elsewhere_is_read(kind: str, tmp_path: Path, tiny_encoder: Encoder):
    theirs = foreign(tmp_path / "it", tiny_encoder, kind, id2label={0: "a", 1: "b", 2: "c"})
    facts, _, model = open_model(tmp_path / "it")
    assert (facts.kind, facts.labels, facts.run_id, facts.max_length) == ("classification", ("a", "b", "c"), "", 64)
    batch = random_batch([6])
    with torch.no_grad():
        logits = theirs(**inputs(theirs, batch.ids[None], batch.segments[None])).logits
        torch.testing.assert_close(model(batch), logits, rtol=0, atol=1e-5)


def test_what_can_not_be_read_is_named(tmp_path: Path, tiny_encoder: Encoder):
    foreign(tmp_path / "albert", tiny_encoder, "albert")
    foreign(tmp_path / "several", tiny_encoder, problem_type="multi_label_classification")
    foreign(tmp_path / "broken", tiny_encoder)
    (tmp_path / "broken" / "stableft.json").write_text('{"format": 2}')
    (tmp_path / "empty").mkdir()
    for name, said in {
        "none": "no such folder; `stableft export",
        "albert": "holds AlbertForSequenceClassification: predict reads",
        "several": "several labels",
        "broken": "stableft.json can't be read",
        "empty": "is no encoder",
    }.items():
        with pytest.raises(MissingInput, match=said):
            open_model(tmp_path / name)


def test_embeddings_left_out_are_those_of_the_run_before(tmp_path: Path, tiny_encoder: Encoder, toy_config: ConfigFactory):
    _, encoder = made("bert", "tagging", "linear", tmp_path / "start", tiny_encoder, toy_config)
    pieces = np.array([2, 3, 7])

    def trained(pieces: np.ndarray, factor: float) -> Model:
        model, _ = load_model(encoder, toy_config(), 3, torch.Generator(), pieces=pieces, packed=True)
        with torch.no_grad():
            model.encoder.get_input_embeddings().weight.mul_(factor)
        return model

    save_weights(trained(EVERY_PIECE, 3.0), encoder, tmp_path / "first")
    save_weights(trained(pieces, 5.0), encoder, tmp_path / "second", start=tmp_path / "first", unread_decay=0.5)
    name = "encoder.embeddings.word_embeddings.weight"
    ratio = read_weights(tmp_path / "second")[name] / trained(EVERY_PIECE, 1.0).get_parameter(name).detach()
    torch.testing.assert_close(ratio[pieces], torch.full_like(ratio[pieces], 5.0))
    others = np.setdiff1d(EVERY_PIECE, [0, *pieces])
    torch.testing.assert_close(ratio[others], torch.full_like(ratio[others], 1.5))
