"""What is said of a run before it starts is what building it finds; what can't be is refused then."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AlbertConfig, AutoModel, BertConfig, DistilBertConfig, ElectraConfig, PreTrainedConfig, RobertaConfig

from experiments.protocol import SMOKE
from stableft.core.errors import MissingInput, UsageError
from stableft.core.feasibility import check, outline
from stableft.core.grid import Grid
from stableft.core.outline import Outline
from stableft.core.schedule import evaluation_steps
from stableft.core.technique import Technique
from stableft.execution import planning
from stableft.execution.inputs import Inputs
from stableft.models import introspection
from stableft.models.encoders import Encoder
from stableft.models.model import Model
from stableft.models.tokens import Data
from stableft.storage.store import Store
from stableft.techniques.grouped_llrd import GroupedLLRD
from stableft.techniques.intermediate import Intermediate
from stableft.techniques.llrd import LLRD
from stableft.techniques.reinit import Reinit
from stableft.techniques.swa import SWA
from stableft.training.runtime import Runtime
from stableft.training.setup import build
from tests.conftest import ConfigFactory

SMALL: dict[str, Any] = {"vocab_size": 20, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8}
ENCODERS: list[PreTrainedConfig] = [
    BertConfig(**SMALL, num_hidden_layers=3, max_position_embeddings=40),
    ElectraConfig(**SMALL, embedding_size=8, num_hidden_layers=4, max_position_embeddings=40),
    RobertaConfig(**SMALL, num_hidden_layers=2, max_position_embeddings=42, pad_token_id=1),
    DistilBertConfig(vocab_size=20, dim=8, n_layers=5, n_heads=2, hidden_dim=8, max_position_embeddings=40),
    AlbertConfig(**SMALL, embedding_size=8, num_hidden_layers=6, max_position_embeddings=40),
    AlbertConfig(**SMALL, embedding_size=8, num_hidden_layers=6, num_hidden_groups=2, max_position_embeddings=40),
]


@pytest.mark.parametrize("settings", ENCODERS, ids=lambda settings: f"{settings.model_type}-{settings.num_hidden_layers}")
def test_what_config_json_says_is_what_the_model_has(settings: PreTrainedConfig, toy_config: ConfigFactory) -> None:
    known = outline(toy_config(), 64, json.loads(settings.to_json_string()))
    body = AutoModel.from_config(settings)
    model = Model(body, 2, 0.1, packed=False)
    assert (known.architecture, known.num_blocks, known.shares_blocks) == (
        settings.model_type,
        model.num_blocks,
        model.shares_blocks,
    )
    limit = introspection.num_positions(body)
    assert limit is not None
    assert known.num_positions is not None
    assert limit <= known.num_positions <= limit + 2


def test_of_an_unknown_encoder_nothing_is_said(toy_config: ConfigFactory) -> None:
    known = outline(toy_config(), 64, {"model_type": "new", "depth": 4})
    assert (known.num_blocks, known.shares_blocks, known.num_positions) == (None, False, None)
    check(toy_config(techniques=(Reinit(num_layers=99), LLRD(decay=0.9))), known)


@pytest.mark.parametrize(("num_train", "expected"), [(None, (24, 8)), (20, (9, 3)), (1000, (24, 8))])
def test_the_length_is_what_build_finds(
    num_train: int | None, expected: tuple[int, int], toy_config: ConfigFactory, tiny_encoder: Encoder, toy_data: Data
) -> None:
    config = toy_config(num_train=num_train)
    known = outline(config, 64, tiny_encoder.settings)
    assert (known.num_steps, known.steps_per_epoch) == expected
    setup = build(config, toy_data, tiny_encoder, Runtime())
    assert (setup.num_steps, setup.evaluation_steps) == (
        expected[0],
        evaluation_steps(config, expected[0], len(setup.train_indices)),
    )


def test_building_knows_how_long_an_epoch_is(toy_config: ConfigFactory, tiny_encoder: Encoder, toy_data: Data) -> None:
    config = toy_config({"evaluation.every": 2, "evaluation.start_epoch": 1}, num_train=20)  # 3 epochs of 3 steps
    assert build(config, toy_data, tiny_encoder, Runtime()).evaluation_steps == (3, 5, 7, 9)


# --- what can't be -------------------------------------------------------------------------------------------------------------

PLAIN = Outline(num_steps=24, steps_per_epoch=8, architecture="bert", num_blocks=2, shares_blocks=False, num_positions=64)
ALBERT = dataclasses.replace(PLAIN, architecture="albert", num_blocks=1, shares_blocks=True)


@pytest.mark.parametrize(
    ("settings", "techniques", "known", "reason"),
    [
        ({"max_length": 65}, (), PLAIN, "max_length 65 is more than the 64 positions of tiny-random"),
        ({"evaluation.start_epoch": 3}, (), PLAIN, "frequent points start after 24 steps, not before the run's end after 24"),
        ({}, (Reinit(num_layers=3),), PLAIN, "reinit: num_layers 3 is more than the 2 blocks of this encoder"),
        ({}, (SWA(start_epoch=3),), PLAIN, "swa: the start, after 24 steps, is not before the run's end after 24"),
        ({}, (SWA(start_step=30),), PLAIN, "swa: the start, after 30 steps, is not before the run's end after 24"),
        ({}, (Reinit(num_layers=1),), ALBERT, "reinit with num_layers > 0 treats blocks by depth, but all layers"),
        ({}, (LLRD(decay=0.9),), ALBERT, "llrd treats blocks by depth, but all layers of this encoder (albert) share"),
        ({}, (GroupedLLRD(),), ALBERT, "grouped_llrd treats blocks by depth"),
    ],
    ids=str,
)
def test_what_is_refused(
    settings: dict[str, Any], techniques: tuple[Technique, ...], known: Outline, reason: str, toy_config: ConfigFactory
) -> None:
    with pytest.raises(UsageError) as caught:
        check(toy_config(settings, techniques=techniques), known)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "techniques", "known"),
    [
        ({"max_length": 64, "evaluation.start_epoch": 2}, (Reinit(num_layers=2), SWA(start_step=23)), PLAIN),
        ({}, (Reinit(num_layers=0), LLRD.null()), ALBERT),
        ({}, (GroupedLLRD.null(),), ALBERT),
    ],
    ids=str,
)
def test_what_is_not(
    settings: dict[str, Any], techniques: tuple[Technique, ...], known: Outline, toy_config: ConfigFactory
) -> None:
    check(toy_config(settings, techniques=techniques), known)


def grid(**arms: dict[str, Any]) -> Grid:
    return Grid("adam", SMOKE, arms, ["toy"], [0, 1])


def test_a_plan_names_every_arm_that_cant_be_once(tmp_path: Path) -> None:
    wanted = grid(
        fine={},
        deep={"techniques": (Reinit(num_layers=9),)},
        late={"techniques": (SWA(start_epoch=99),)},
        crf={"head": "bilstm_crf"},
        first={"techniques": (Intermediate(task="toyscore", num_steps=5), SWA(start_step=1))},
    )
    with pytest.raises(UsageError) as caught:
        planning.plan(wanted, Store(tmp_path), Inputs())
    refused = dict(line.split(": ", 1) for line in str(caught.value).splitlines())
    assert list(refused) == ["toy / deep", "toy / late", "toy / crf", "to run the others"]
    assert refused["to run the others"] == "--arms fine,first"
    assert refused["toy / deep"] == "reinit: num_layers 9 is more than the 2 blocks of this encoder"


def test_a_first_run_that_cant_be_is_refused_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = {"techniques": (SWA(start_step=99),), "task": "toyscore"}
    monkeypatch.setattr(Intermediate, "source_overrides", lambda self: first)
    with pytest.raises(UsageError, match=r"toy / a: the run on toyscore that intermediate starts from: swa: the start, after 99"):
        planning.plan(grid(a={"techniques": (Intermediate(task="toyscore"),)}), Store(tmp_path), Inputs())


def test_where_inputs_are_missing_the_plan_says_so_and_nothing_is_refused(tmp_path: Path) -> None:
    planned = planning.plan(
        grid(a={"encoder": str(tmp_path / "absent"), "techniques": (Reinit(num_layers=9),)}), Store(tmp_path), Inputs()
    )
    assert len(planned.problems) == 1
    assert "does not exist" in planned.problems[0]


def test_a_damaged_config_json_is_missing_input(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(MissingInput, match="no model configuration can be read from"):
        _ = Encoder("x", tmp_path, "f").settings


@pytest.mark.parametrize("content", ["[]", "null", "3", "[" * 100_000])
def test_a_config_json_that_is_no_object_is_missing_input(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(MissingInput, match="no model configuration can be read from"):
        _ = Encoder("mine", tmp_path, "f").settings


def test_a_number_of_groups_that_is_none_is_not_known(toy_config: ConfigFactory) -> None:
    found = outline(toy_config(), 64, {"num_hidden_layers": 2, "num_hidden_groups": None})
    assert (found.num_blocks, found.shares_blocks) == (2, False)
