"""A run is a value: identities that stay for ever, and overrides that say what is wrong."""

import hashlib
import json
import pickle
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from experiments.protocol import PROTOCOLS
from stableft.core.config import RunConfig, canonical_json, field_names, run_id, with_overrides
from stableft.core.errors import UsageError
from stableft.core.technique import Stage, Technique
from stableft.techniques.reinit import Reinit
from tests.conftest import BASE, ConfigFactory

# The baselines of all protocols at one rate (the protocols' own rates follow experiments/lr_grid.py), on made-up content.
# If one of these changes, every result recorded so far is orphaned.
GOLDEN_LR = 1e-4
GOLDEN = {
    ("smoke", "toy"): "8085ef1faa93b109",
    ("smoke", "toyscore"): "36be7dbbbcc568c2",
    ("smoke", "toytag"): "793c15cc7d1f04fb",
    ("laptop", "docs15"): "55247850cf361171",
    ("laptop", "docpair"): "ac46b07359831e71",
    ("laptop", "docread"): "e37170b0cb94eb35",
    ("laptop", "doccode"): "ef0afb6e85ca6a14",
    ("small", "rte"): "92b8737aa53c2361",
    ("small", "tnews"): "fd44afba824c0d1c",
    ("small", "commonlit0"): "f972209217f4555b",
    ("small", "resume_ner"): "55a77e06af69e566",
    ("paper", "rte"): "92b8737aa53c2361",
    ("paper", "mrpc"): "9f1ee911ccbaff08",
    ("paper", "stsb"): "783058dff36c521e",
    ("paper", "cola"): "8dca9aaf6719d967",
    ("paper", "rte_1k"): "108248713075fa70",
    ("paper", "mrpc_1k"): "dd2d461afb851b40",
    ("paper", "stsb_1k"): "30ab56c587f7dd7f",
    ("paper", "cola_1k"): "bfb42ee4e9e1a45c",
    ("paper", "sst2_1k"): "60085316e891be2b",
    ("paper", "qnli_1k"): "b808dbd17c331657",
    ("paper", "qqp_1k"): "e9a70e3cced58a14",
    ("paper", "mnli_1k"): "98a0618d3f873cee",
    ("paper", "tnews50k"): "f49911f48384544e",
    ("paper", "commonlit0"): "ee0cf9ccef04cd9a",
    ("paper", "commonlit1"): "1f76f1a0b7406962",
    ("paper", "commonlit2"): "a908e3148ce7a557",
    ("paper", "commonlit3"): "789cf9c53b4f65c7",
    ("paper", "commonlit4"): "24e00a6571ff78fb",
    ("paper", "cluener"): "ba4dc5bbe7e7fe32",
    ("paper", "resume_ner"): "5bd87e78a18687c1",
    ("small", "rte_1k"): "108248713075fa70",
    ("small", "rte_dev"): "6eb4f395e7a52d08",
    ("paper", "rte_dev"): "6eb4f395e7a52d08",
    ("paper", "mrpc_dev"): "7a51299a4583da4c",
    ("paper", "cola_dev"): "e8f651af1a725b03",
}

# For every field of a run another value than in ``base``; fields that exclude each other change together.
CHANGES: dict[str, Mapping[str, Any]] = {
    "task": {"task": "other"},
    "encoder": {"encoder": "other"},
    "head": {"head": "bilstm_crf"},
    "num_train": {"num_train": 10},
    "seed": {"seed": 1},
    "sample_seed": {"sample_seed": 1},
    "init_seed": {"init_seed": 1},
    "order_seed": {"order_seed": 1},
    "dropout_seed": {"dropout_seed": 1},
    "reinit_seed": {"reinit_seed": 1},
    "batch_size": {"batch_size": 9},
    "max_length": {"max_length": 33},
    "max_grad_norm": {"max_grad_norm": None},
    "dropout": {"dropout": 0.2},
    "adam.lr": {"adam.lr": 1e-3},
    "adam.betas": {"adam.betas": (0.9, 0.99)},
    "adam.eps": {"adam.eps": 1e-6},
    "adam.weight_decay": {"adam.weight_decay": 0.01},
    "adam.bias_correction": {"adam.bias_correction": False},
    "adam.eps_placement": {"adam.eps_placement": "v"},
    "adam.lr_bias": {"adam.lr_bias": "divided"},
    "schedule.num_epochs": {"schedule.num_epochs": 4},
    "schedule.num_steps": {"schedule.num_epochs": None, "schedule.num_steps": 24},
    "schedule.warmup_ratio": {"schedule.warmup_ratio": 0.2},
    "schedule.warmup_steps": {"schedule.warmup_ratio": None, "schedule.warmup_steps": 2},
    "evaluation.every": {"evaluation.every": 9},
    "evaluation.num_points": {"evaluation.every": None, "evaluation.num_points": 3},
    "evaluation.num_examples": {"evaluation.num_examples": 10},
    "evaluation.test_points": {"evaluation.test_points": "last"},
    "evaluation.start_epoch": {"evaluation.start_epoch": 1},
    "precision": {"precision": "bf16"},
    "techniques": {"techniques": [{"name": "reinit", "num_layers": 1}]},
    "surface": {"surface": {"bias_correction": False}},
    "own_data": {"own_data": {"source": "csv:my.csv", "like": "toy"}},
}


@pytest.fixture(scope="module")
def base(toy_config: ConfigFactory) -> RunConfig:
    return toy_config()


def identity(config: RunConfig) -> str:
    return run_id(config, data="d", weights="w")


# --- identity ------------------------------------------------------------------------------------------------------------------


def test_golden_covers_every_protocol() -> None:
    assert set(GOLDEN) == {(name, task) for name, protocol in PROTOCOLS.items() for task in protocol.configs}


@pytest.mark.parametrize(("protocol", "task"), list(GOLDEN))
def test_identities_never_change(protocol: str, task: str) -> None:
    config = with_overrides(PROTOCOLS[protocol].configs[task], {"adam.lr": GOLDEN_LR})
    assert identity(config) == GOLDEN[protocol, task]


def test_the_hashed_text_by_hand(base: RunConfig) -> None:
    """All set fields, no unset one, no encoder; keys sorted, no spaces."""
    text = (
        '{"config":{"adam":{"betas":[0.9,0.999],"bias_correction":true,"eps":1e-08,"eps_placement":"v_hat","lr":0.003,'
        '"weight_decay":0.0},"batch_size":8,"dropout":0.1,"evaluation":{"every":8,"test_points":"all"},"head":"linear",'
        '"max_grad_norm":1.0,"max_length":32,"precision":"fp32","schedule":{"num_epochs":3,"warmup_ratio":0.1},"seed":0,'
        '"task":"toy"},"data":"d","schema":3,"weights":"w"}'
    )
    assert identity(base) == hashlib.sha256(text.encode()).hexdigest()[:16]


BY_CONTENT = ("encoder", "own_data")  # what they name is hashed by its content


def test_changes_cover_every_field() -> None:
    assert list(CHANGES) == field_names()


@pytest.mark.parametrize("field", [name for name in CHANGES if name not in BY_CONTENT])
def test_every_scientific_field_changes_the_identity(base: RunConfig, field: str) -> None:
    changed = with_overrides(base, CHANGES[field])
    assert changed != base
    assert identity(changed) != identity(base)


def test_no_two_changes_collide(base: RunConfig) -> None:
    identities = [identity(with_overrides(base, change)) for field, change in CHANGES.items() if field not in BY_CONTENT]
    assert len(set(identities)) == len(identities)


def test_the_encoder_counts_by_content_not_by_name(base: RunConfig) -> None:
    renamed = with_overrides(base, {"encoder": "/elsewhere/the/same"})
    assert identity(renamed) == identity(base)
    assert run_id(base, data="d", weights="w2") != identity(base)
    assert run_id(base, data="d2", weights="w") != identity(base)
    assert run_id(base, data="w", weights="d") != identity(base)


def test_an_unset_field_is_as_if_it_did_not_exist(base: RunConfig) -> None:
    """So a new optional field leaves old identities as they are."""

    class Later(RunConfig):
        new_field: int | None = None

    later = Later.model_validate(base.model_dump())
    assert identity(later) == identity(base)
    assert identity(later.model_copy(update={"new_field": 1})) != identity(base)


def test_a_default_written_out_is_the_same_run(base: RunConfig) -> None:
    spelt = with_overrides(base, {"adam.eps": 0.00000001, "seed": 0, "adam.betas": [0.9, 0.999], "schedule.num_epochs": 3.0})
    assert identity(spelt) == identity(base)


def test_a_config_survives_json(base: RunConfig) -> None:
    again = RunConfig.model_validate(json.loads(json.dumps(base.model_dump(mode="json"))))
    assert again == base
    assert identity(again) == identity(base)


def test_a_stored_config_with_an_unset_draft_can_be_read(base: RunConfig) -> None:
    """Earlier versions had this field, which was unset in every committed run; a set one is refused."""
    fields = base.model_dump(mode="json")
    unset, drafted = (json.dumps({**fields, "evaluation": {**fields["evaluation"], "draft": draft}}) for draft in (None, "bf16"))
    assert RunConfig.model_validate_json(unset) == base
    with pytest.raises(ValidationError, match=r"evaluation\.draft"):
        RunConfig.model_validate_json(drafted)


@given(st.dictionaries(st.text(max_size=5), st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5), max_size=6))
def test_canonical_json_ignores_the_order_of_keys(value: dict[str, Any]) -> None:
    text = canonical_json(value)
    assert canonical_json(dict(reversed(value.items()))) == text
    assert json.loads(text) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("nan")]}])
def test_canonical_json_refuses_what_has_no_json(value: object) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(value)


# --- validation ----------------------------------------------------------------------------------------------------------------


def test_a_config_can_not_be_changed(base: RunConfig) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        base.seed = 1
    with pytest.raises(ValidationError, match="frozen"):
        base.adam.lr = 1.0


def test_overrides_leave_the_base_alone(base: RunConfig) -> None:
    changed = with_overrides(base, {"adam.lr": 1e-5, "seed": 3})
    assert (changed.adam.lr, changed.seed) == (1e-5, 3)
    assert (base.adam.lr, base.seed) == (BASE["adam"]["lr"], 0)
    assert with_overrides(base, {}) == base


@pytest.mark.parametrize("name", ["lr", "adam.lrr", "adam.lr.x", "optimizer.lr", "", "adam."])
def test_an_unknown_field_is_named_with_the_known_ones(base: RunConfig, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        with_overrides(base, {name: 1})
    assert f"unknown configuration field {name!r}" in str(caught.value)
    assert "adam.bias_correction" in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"adam.lr": 0}, "adam.lr:"),
        ({"adam.lr": float("nan")}, "adam.lr:"),
        ({"adam.lr": float("inf")}, "adam.lr:"),
        ({"adam.lr": "fast"}, "adam.lr:"),
        ({"adam.betas": (0.9, 1.0)}, "adam.betas.1:"),
        ({"adam.eps": -1e-8}, "adam.eps:"),
        ({"adam.weight_decay": -1}, "adam.weight_decay:"),
        ({"adam.eps_placement": "hat"}, "adam.eps_placement:"),
        ({"batch_size": 0}, "batch_size:"),
        ({"batch_size": 1.5}, "batch_size:"),
        ({"max_length": 2}, "max_length:"),
        ({"max_grad_norm": 0}, "max_grad_norm:"),
        ({"dropout": 1}, "dropout:"),
        ({"seed": -1}, "seed:"),
        ({"order_seed": -1}, "order_seed:"),
        ({"num_train": 0}, "num_train:"),
        ({"precision": "fp16"}, "precision:"),
        ({"head": "crf"}, "head:"),
        ({"schedule.warmup_ratio": 1.1}, "schedule.warmup_ratio:"),
        ({"schedule.num_steps": 10}, "schedule: Value error, set exactly one of num_epochs and num_steps"),
        ({"schedule.num_epochs": None}, "schedule: Value error, set exactly one of num_epochs and num_steps"),
        ({"schedule.warmup_steps": 3}, "schedule: Value error, set exactly one of warmup_ratio and warmup_steps"),
        ({"evaluation.num_points": 3}, "evaluation: Value error, set exactly one of every and num_points"),
        ({"adam": {"lr": 1e-4, "amsgrad": True}}, "adam.amsgrad:"),
    ],
    ids=str,
)
def test_an_impossible_configuration_names_the_field(base: RunConfig, overrides: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match="impossible configuration") as caught:
        with_overrides(base, overrides)
    assert named in str(caught.value)


def test_all_reasons_are_given(base: RunConfig) -> None:
    with pytest.raises(UsageError) as caught:
        with_overrides(base, {"batch_size": 0, "dropout": 2})
    assert "batch_size:" in str(caught.value)
    assert "dropout:" in str(caught.value)


def test_stream_seeds_follow_the_seed_unless_set(base: RunConfig) -> None:
    config = with_overrides(base, {"seed": 4, "order_seed": 0})
    assert [config.stream_seed(name) for name in ("sample", "init", "order", "dropout", "reinit")] == [4, 4, 0, 4, 4]


# --- techniques ----------------------------------------------------------------------------------------------------------------


class Made(Technique):
    """A technique that does nothing; the tests make some of other names and stages."""

    name: ClassVar[str] = "made"
    stage: ClassVar[Stage] = Stage.AVERAGE
    strength: float = 0.0
    later: int | None = None

    @classmethod
    def null(cls) -> Self:
        return cls()

    def apply(self, setup: Any) -> Any:
        return setup


class Bent(Made):
    name: ClassVar[str] = "bent"


class Early(Made):
    name: ClassVar[str] = "zz"
    stage: ClassVar[Stage] = Stage.MODULES


class Torn(Made):
    name: ClassVar[str] = "torn"
    excludes: ClassVar[Mapping[str, str]] = {"bent": "both bend", "absent": "no matter"}


def test_techniques_stand_in_order_of_stage_then_name(base: RunConfig) -> None:
    old = [Stage.WEIGHTS, Stage.MODULES, Stage.GROUPS, Stage.DECAY, Stage.AVERAGE]
    assert old == sorted(old), "identities hold techniques in this order"
    assert [stage.name for stage in Stage] == [
        *("WEIGHTS", "MODULES", "ADAPTERS", "GROUPS", "DECAY", "LOSS", "GRADIENT", "OPTIMIZER", "SCHEDULE", "AVERAGE")
    ]
    techniques = (Reinit(num_layers=1), Early(), Bent(), Made())
    configs = [with_overrides(base, {"techniques": order}) for order in (techniques, techniques[::-1])]
    assert [config.techniques for config in configs] == [techniques, techniques]
    assert identity(configs[0]) == identity(configs[1]) != identity(base)


@pytest.mark.parametrize("empty", [(), [], None])
def test_no_techniques_is_the_baseline(base: RunConfig, empty: Any) -> None:
    config = with_overrides(base, {"techniques": empty})
    assert config == base
    assert config.techniques is None
    assert identity(config) == identity(base)


def test_the_hashed_text_of_a_technique(base: RunConfig) -> None:
    """Its name and set fields; an unset field of a technique is as if it did not exist."""
    config = with_overrides(base, {"techniques": (Made(strength=1), Reinit(num_layers=2))})
    fields = config.model_dump(mode="json", exclude_none=True)["techniques"]
    expected = '[{"name":"reinit","num_layers":2,"pooler":true},{"name":"made","strength":1.0}]'
    assert canonical_json(fields) == expected
    assert identity(config) != identity(with_overrides(config, {"techniques": (Made(strength=2), Reinit(num_layers=2))}))


def test_objects_and_plain_values_are_the_same_setting(base: RunConfig) -> None:
    plain = with_overrides(base, {"techniques": [{"name": "reinit", "pooler": True, "num_layers": 2}]})
    assert plain == with_overrides(base, {"techniques": (Reinit(pooler=True, num_layers=2),)})
    assert plain.techniques == (Reinit(num_layers=2),)
    assert pickle.loads(pickle.dumps(plain)) == plain
    assert hash(Reinit(num_layers=2)) == hash(Reinit(pooler=True, num_layers=2)) != hash(Reinit(num_layers=1))


def test_a_technique_can_not_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Reinit(num_layers=1).num_layers = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("techniques", "message"),
    [
        ([{"name": "reinit", "num_layers": 1}] * 2, "each technique at most once; more often: reinit"),
        ((Made(), Made(strength=1)), "each technique at most once; more often: made"),
        ((Torn(), Bent()), "techniques: Value error, torn and bent exclude each other: both bend"),
        ((Bent(), Made(), Torn()), "torn and bent exclude each other: both bend"),
        ([{"name": "rienit"}], "unknown technique 'rienit'; known: "),
        ([{"num_layers": 1}], 'techniques.0: Value error, write a technique as {"name": ...'),
        (["reinit"], 'techniques.0: Value error, write a technique as {"name": ...'),
        ([{"name": "reinit", "layers": 1}], "reinit: num_layers: Field required; layers: Extra inputs are not permitted"),
        ("reinit", "techniques: Input should be a valid tuple"),
    ],
    ids=str,
)
def test_impossible_techniques(base: RunConfig, techniques: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        with_overrides(base, {"techniques": techniques})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 2**63}, {"batch_size": 10**400}, {"schedule.num_epochs": 2**31}, {"schedule.warmup_steps": 10**400},
        {"surface": {"lr": 1.0, "resolution": 10**9}}, {"surface": {"lr": 1.0, "margin": 85}},
    ],
)  # fmt: skip
def test_numbers_that_no_result_can_hold_are_refused(change: dict[str, Any], toy_config: ConfigFactory) -> None:
    with pytest.raises(UsageError, match=r"less than|180 at most"):
        toy_config(change)
