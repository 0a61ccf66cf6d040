"""What every technique promises; walks the folder, so a new one is tested as soon as its file is there."""

import importlib
import inspect
import itertools
import json
import pickle
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import pytest

from stableft.cli.ls import listing
from stableft.core.config import RunConfig, run_id, with_overrides
from stableft.core.errors import UsageError
from stableft.core.registry import modules
from stableft.core.technique import CARD, Stage, Technique, all_techniques
from stableft.models.encoders import Encoder
from stableft.models.tokens import Data
from tests.conftest import ConfigFactory
from tests.helpers import trials

FEW_STEPS = {"schedule.num_epochs": None, "schedule.num_steps": 8, "evaluation.every": 4}
PAIR_STEPS = {**FEW_STEPS, "schedule.num_steps": 4}
HOOKS = {Stage.ADAPTERS, Stage.LOSS, Stage.GRADIENT, Stage.OPTIMIZER, Stage.SCHEDULE}  # of the loop; some of their tests are slow
WIDTH = 80  # of a terminal that lists names and claims


def example(kind: type[Technique]) -> Technique:
    """A setting that changes something about a run on ``lively_encoder``: ``EXAMPLE`` of the technique's own test file."""
    return importlib.import_module(f"tests.techniques.test_{kind.name}").EXAMPLE


def identity(config: RunConfig) -> str:
    return run_id(config, data="d", weights="w")


@pytest.fixture(params=all_techniques().values(), ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> type[Technique]:
    return request.param


def test_there_are_techniques() -> None:
    assert "reinit" in all_techniques()


def test_one_in_each_file_and_of_its_name() -> None:
    names = [module.__name__.removeprefix("stableft.techniques.") for module in modules("stableft.techniques")]
    assert list(all_techniques()) == names


def test_it_is_final_and_has_a_stage(kind: type[Technique]) -> None:
    assert getattr(kind, "__final__", False)
    assert not inspect.isabstract(kind)
    assert isinstance(kind.stage, Stage)
    assert kind.__mro__[1] is Technique


def test_its_card_is_complete(kind: type[Technique]) -> None:
    card = kind.card()
    assert list(card) == list(CARD)
    assert all(len(text) > 15 for text in card.values())
    for field in kind.model_fields:
        assert f"``{field}``" in card["Parameters"], field
    assert "default" in card["Parameters"]


def test_its_line_in_the_listing(kind: type[Technique]) -> None:
    claim = listing("techniques", pytest.fail).data["techniques"][kind.name]
    assert claim == kind.card()["Claim"]
    assert len(kind.name) + 2 + len(claim) <= WIDTH


@pytest.mark.parametrize("which", ["null", "example"])
def test_it_survives_json_pickle_and_overrides(kind: type[Technique], which: str, toy_config: ConfigFactory) -> None:
    technique = kind.null() if which == "null" else example(kind)
    config = toy_config(techniques=(technique,))
    written = json.loads(json.dumps(config.model_dump(mode="json")))
    assert written["techniques"] == [{"name": kind.name, **{field: getattr(technique, field) for field in kind.model_fields}}]
    for again in (
        RunConfig.model_validate(written),
        RunConfig.model_validate_json(config.model_dump_json()),
        pickle.loads(pickle.dumps(config)),
        with_overrides(config, {"seed": 0}),
        toy_config(techniques=written["techniques"]),
    ):
        assert again == config
        assert identity(again) == identity(config)
        assert [type(technique) for technique in again.techniques or ()] == [kind]
    assert kind.model_validate_json(technique.model_dump_json()) == technique


def test_it_is_part_of_the_identity(kind: type[Technique], toy_config: ConfigFactory) -> None:
    assert example(kind) != kind.null()
    settings: Sequence[tuple[Technique, ...] | None] = (None, (kind.null(),), (example(kind),))
    assert len({identity(toy_config(techniques=techniques)) for techniques in settings}) == 3


@pytest.fixture(scope="module")
def baselines(
    toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data, tagged_data: Data
) -> Callable[[bool | str], trials.Trial]:
    """A run without techniques, done once: packed (True) or padded of the toy task, or of words with a head."""

    @cache
    def baseline(which: bool | str) -> trials.Trial:
        if isinstance(which, bool):
            return trials.run(trials.prepare(toy_config(FEW_STEPS), lively_encoder, toy_data, packed=which), toy_data, packed=which)
        config = toy_config(PAIR_STEPS, task="toytags", head=which)
        return trials.run(trials.prepare(config, lively_encoder, tagged_data), tagged_data)

    return baseline


@pytest.mark.parametrize("packed", [pytest.param(True, id="packed"), pytest.param(False, id="padded", marks=pytest.mark.slow)])
def test_null_is_the_baseline_bit_for_bit_and_the_example_is_not(
    kind: type[Technique],
    packed: bool,
    toy_config: ConfigFactory,
    lively_encoder: Encoder,
    toy_data: Data,
    baselines: Callable[[bool], trials.Trial],
) -> None:
    def trial(*techniques: Technique) -> trials.Trial:
        config = toy_config(FEW_STEPS, techniques=techniques)
        return trials.run(trials.prepare(config, lively_encoder, toy_data, packed=packed), toy_data, packed=packed)

    baseline = baselines(packed)
    assert trials.same(trial(kind.null()), baseline)
    changed = trial(example(kind))
    assert not trials.same(changed, baseline)
    assert trials.same(changed, trial(example(kind))), "the same twice"
    assert len(changed.losses) == 8
    assert np.isfinite(changed.losses).all()


def tagging(kind: type[Technique], head: str) -> object:
    crf = head == "bilstm_crf"
    slow = not (kind.stage == Stage.LOSS and crf) if kind.stage in HOOKS else crf
    return pytest.param(kind, head, id=f"{kind.name}-{head}", marks=[pytest.mark.slow] if slow else [])


@pytest.mark.parametrize(
    ("of_stage", "head"), [tagging(kind, head) for kind in all_techniques().values() for head in ("linear", "bilstm_crf")]
)
def test_on_a_tagging_model_too(
    of_stage: type[Technique],
    head: str,
    toy_config: ConfigFactory,
    lively_encoder: Encoder,
    tagged_data: Data,
    baselines: Callable[[str], trials.Trial],
) -> None:
    def trial(*techniques: Technique) -> trials.Trial:
        config = toy_config(PAIR_STEPS, task="toytags", head=head, techniques=techniques)
        return trials.run(trials.prepare(config, lively_encoder, tagged_data), tagged_data)

    baseline = baselines(head)
    assert trials.same(trial(of_stage.null()), baseline)
    changed = trial(example(of_stage))
    assert not trials.same(changed, baseline)
    assert np.isfinite(changed.losses).all()


PAIRS = list(itertools.combinations(all_techniques().values(), 2))


def on(packed: bool, pair: tuple[type[Technique], type[Technique]]) -> object:
    """A pair on one engine. Fast are pairs without hooks of the loop, and packed those with neighbouring hooks."""
    one, other = pair
    hooks = {one.stage, other.stage} & HOOKS
    near = packed and {one.stage, other.stage} <= HOOKS and abs(one.stage - other.stage) <= 1
    name = "+".join(kind.name for kind in pair)
    marks = [pytest.mark.slow] if hooks and not near else []
    return pytest.param(pair, packed, id=f"{name}-{'packed' if packed else 'padded'}", marks=marks)


pairs = pytest.mark.parametrize(("pair", "packed"), [on(packed, pair) for pair in PAIRS for packed in (True, False)])


def test_what_is_excluded_exists_and_has_a_reason(kind: type[Technique]) -> None:
    assert set(kind.excludes) <= set(all_techniques()) - {kind.name}
    assert all(len(reason) > 15 for reason in kind.excludes.values())
    assert all(name in kind.card()["Interactions"] for name in kind.excludes)


@pytest.fixture(scope="module")
def alone(toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> dict[str, trials.Trial]:
    """A packed run of each technique by itself."""
    configs = {name: toy_config(PAIR_STEPS, techniques=(example(kind),)) for name, kind in all_techniques().items()}
    return {name: trials.run(trials.prepare(config, lively_encoder, toy_data), toy_data) for name, config in configs.items()}


@pairs
def test_two_work_together_in_one_order_or_are_refused_with_a_reason(
    pair: tuple[type[Technique], type[Technique]],
    packed: bool,
    alone: dict[str, trials.Trial],
    toy_config: ConfigFactory,
    lively_encoder: Encoder,
    toy_data: Data,
) -> None:
    examples = [example(kind) for kind in pair]
    reasons = {**pair[0].excludes, **pair[1].excludes}
    if pair[0].name in reasons or pair[1].name in reasons:
        for order in (examples, examples[::-1]):
            with pytest.raises(UsageError, match="exclude each other: ") as caught:
                toy_config(techniques=order)
            assert any(reason in str(caught.value) for reason in reasons.values())
        return
    config, reverse = (toy_config(PAIR_STEPS, techniques=order) for order in (examples, examples[::-1]))
    assert config == reverse
    assert identity(config) == identity(reverse)
    assert config.techniques is not None
    assert [technique.stage for technique in config.techniques] == sorted(kind.stage for kind in pair)
    setup = trials.prepare(config, lively_encoder, toy_data, packed=packed)
    assert sorted(id(p) for group in setup.groups for p in group.params) == sorted(id(p) for p in setup.model.parameters())
    trial = trials.run(setup, toy_data, packed=packed)
    assert len(trial.losses) == 4
    assert np.isfinite(trial.losses).all()
    assert len(trial.predictions) == 2
    assert not any(packed and trials.same(trial, alone[kind.name]) for kind in pair), "one undoes the other"


def test_both_engines_start_from_the_same_setup(
    kind: type[Technique], toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data
) -> None:
    config = toy_config(techniques=(example(kind),))
    packed, padded = (trials.prepare(config, lively_encoder, toy_data, packed=packed) for packed in (True, False))
    mine, other = trials.state(packed), trials.state(padded)
    assert mine.keys() == other.keys()
    assert all(mine[name].equal(other[name]) for name in mine)
    assert packed.fresh == padded.fresh
    described = [[(g.place, g.lr_scale, g.weight_decay, len(g.params)) for g in s.groups] for s in (packed, padded)]
    assert described[0] == described[1]
