"""Reinit: exactly the tensors of protocol section 2.3, from the right distribution, and nothing else moves."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy import stats

from experiments import adam, reinit
from experiments.protocol import LAPTOP, PROTOCOLS, SMOKE
from stableft.core.config import RunConfig, run_id
from stableft.core.errors import UsageError
from stableft.core.experiments import get_experiment
from stableft.core.grid import select
from stableft.core.seeds import stream_entropy
from stableft.execution.collect import collect
from stableft.execution.inputs import Inputs
from stableft.execution.planning import plan
from stableft.execution.runner import ExecutionOptions, run_grid
from stableft.models.encoders import Encoder
from stableft.models.tokens import Data
from stableft.storage.store import Store
from stableft.techniques.reinit import Reinit
from stableft.training.setup import Setup
from tests.conftest import ConfigFactory
from tests.helpers import trials

EXAMPLE = Reinit(pooler=True, num_layers=1)
STREAMS = ("sample", "init", "order", "dropout")

POOLER = {"encoder.pooler.dense.weight", "encoder.pooler.dense.bias"}
HEAD = {"head.weight", "head.bias"}
# Written out from protocol section 2.3, not derived from the code under test.
LINEAR = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)
LAYER_NORM = ("attention.output.LayerNorm", "output.LayerNorm")


def block(index: int) -> set[str]:
    return {f"encoder.encoder.layer.{index}.{part}.{leaf}" for part in LINEAR + LAYER_NORM for leaf in ("weight", "bias")}


Built = Callable[..., Setup]


@pytest.fixture(scope="module")
def built(toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> Built:
    """The setup with these techniques; the lively encoder has 2 blocks, no zero bias and no LayerNorm weight of 1."""

    def built(*techniques: Reinit, encoder: Encoder = lively_encoder, packed: bool = True, **seeds: int) -> Setup:
        return trials.prepare(toy_config(techniques=techniques, **seeds), encoder, toy_data, packed=packed)

    return built


@pytest.fixture
def bare_encoder(lively_encoder: Encoder, tmp_path: Path) -> Encoder:
    """A checkpoint that lacks the pooler."""
    folder = tmp_path / "bare"
    shutil.copytree(lively_encoder.folder, folder)
    weights = {name: w for name, w in load_file(folder / "model.safetensors").items() if not name.startswith("pooler.")}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return Encoder("bare", folder, "f")


# --- which tensors -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("technique", "expected"),
    [
        (Reinit.null(), set()),
        (Reinit(num_layers=0), POOLER),
        (Reinit(num_layers=1), POOLER | block(1)),
        (Reinit(num_layers=2), POOLER | block(1) | block(0)),
        (Reinit(pooler=False, num_layers=1), block(1)),
    ],
    ids=["nothing", "pooler", "pooler+1", "pooler+2", "1"],  # the text of a set differs between processes
)
@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
def test_exactly_these_tensors_change(built: Built, technique: Reinit, expected: set[str], packed: bool) -> None:
    before, setup = trials.state(built(packed=packed)), built(technique, packed=packed)
    after = trials.state(setup)
    assert before.keys() == after.keys()
    assert {name for name in before if not torch.equal(before[name], after[name])} == expected
    assert setup.fresh == HEAD | expected
    for name in expected:
        if name.endswith("LayerNorm.weight"):
            assert (after[name] == 1).all(), name
        elif name.endswith("bias"):
            assert (after[name] == 0).all(), name
        else:
            assert after[name].std() > 0, name


def test_nothing_but_weights_and_fresh_names_is_touched(built: Built) -> None:
    before, after = built(), built(EXAMPLE)
    for field in ("num_steps", "warmup_steps", "evaluation_steps"):
        assert getattr(before, field) == getattr(after, field)
    assert np.array_equal(before.train_indices, after.train_indices)
    assert [(g.place, g.lr_scale, g.weight_decay, len(g.params)) for g in before.groups] == [
        (g.place, g.lr_scale, g.weight_decay, len(g.params)) for g in after.groups
    ]
    members = {id(parameter) for group in after.groups for parameter in group.params}
    assert members == {id(parameter) for parameter in after.model.parameters()}, "the same parameters, not new ones"
    assert all(parameter.requires_grad for parameter in after.model.parameters())


# --- from which distribution ---------------------------------------------------------------------------------------------------


def test_the_draws_are_normal_with_the_encoders_own_spread(built: Built) -> None:
    changed = trials.state(built(Reinit(num_layers=2)))
    draws = np.concatenate(
        [changed[name].numpy().ravel() for name in POOLER | block(0) | block(1) if changed[name].ndim == 2]
    ).astype(np.float64)
    n = 32 * 32 + 2 * (4 * 32 * 32 + 2 * 32 * 64)
    spread = 0.2  # initializer_range of the lively encoder
    assert len(draws) == n
    assert abs(draws.mean()) < 4 * spread / n**0.5
    assert abs(draws.std() - spread) < 4 * spread / (2 * n) ** 0.5
    assert stats.kstest(draws, "norm", args=(0, spread)).pvalue > 1e-3
    assert abs(stats.kurtosis(draws)) < 4 * (24 / n) ** 0.5
    assert np.mean(np.abs(draws) > 2 * spread) == pytest.approx(2 * stats.norm.sf(2), rel=0.2), "not truncated"


def test_every_matrix_has_that_spread(built: Built) -> None:
    changed = trials.state(built(Reinit(num_layers=2)))
    for name in POOLER | block(0) | block(1):
        if changed[name].ndim == 2:
            n = changed[name].numel()
            assert abs(float(changed[name].std()) - 0.2) < 5 * 0.2 / (2 * n) ** 0.5, name
            assert abs(float(changed[name].mean())) < 5 * 0.2 / n**0.5, name


def test_the_first_draws_by_hand(built: Built) -> None:
    """The pooler first, then the top block's linear layers by name."""
    generator = torch.Generator().manual_seed(stream_entropy(7, "reinit"))
    after = trials.state(built(Reinit(num_layers=2), reinit_seed=7))
    order = ["pooler.dense"]
    for index in (1, 0):
        parts = ["attention.output.dense", "attention.self.key", "attention.self.query", "attention.self.value"]
        order += [f"encoder.layer.{index}.{part}" for part in [*parts, "intermediate.dense", "output.dense"]]
    for name in order:
        redrawn = after[f"encoder.{name}.weight"]
        assert torch.equal(redrawn, torch.empty(redrawn.shape).normal_(0.0, 0.2, generator=generator)), name


# --- from which stream ---------------------------------------------------------------------------------------------------------


def test_settings_of_a_seed_share_what_they_have_in_common(built: Built) -> None:
    nested = [trials.state(built(technique)) for technique in (Reinit(num_layers=n) for n in range(3))]
    without_pooler = trials.state(built(Reinit(pooler=False, num_layers=2)))
    for name in POOLER:
        assert torch.equal(nested[0][name], nested[1][name])
        assert torch.equal(nested[1][name], nested[2][name])
    for name in block(1):
        assert torch.equal(nested[1][name], nested[2][name])
        assert torch.equal(nested[2][name], without_pooler[name])
    for name in block(0):
        assert torch.equal(nested[2][name], without_pooler[name])


def test_blocks_do_not_share_their_draws(built: Built) -> None:
    after = trials.state(built(Reinit(num_layers=2)))
    draws = [after[name] for name in sorted(POOLER | block(0) | block(1)) if after[name].shape == (32, 32)]
    assert len(draws) == 9
    assert len({tensor.numpy().tobytes() for tensor in draws}) == 9


def test_the_order_of_groups_plays_no_part(built: Built, toy_config: ConfigFactory) -> None:
    technique = Reinit(num_layers=2)
    setup = built()
    shuffled = dataclasses.replace(
        setup, groups=tuple(dataclasses.replace(g, params=g.params[::-1]) for g in reversed(setup.groups))
    )
    redrawn, expected = trials.state(technique.apply(shuffled)), trials.state(built(technique))
    assert all(torch.equal(redrawn[name], expected[name]) for name in expected)


def test_the_reinit_seed_moves_the_draws_alone(built: Built) -> None:
    technique = Reinit(num_layers=1)
    reference, by_stream = trials.state(built(technique)), trials.state(built(technique, reinit_seed=1))
    by_seed = trials.state(built(technique, seed=1, **{f"{name}_seed": 0 for name in STREAMS}))
    assert all(torch.equal(by_stream[name], by_seed[name]) for name in by_seed)
    moved = {name for name in reference if not torch.equal(reference[name], by_stream[name])}
    assert moved == {name for name in POOLER | block(1) if reference[name].ndim == 2}


def test_the_head_is_the_baselines(built: Built) -> None:
    for seed in range(3):
        baseline, after = (trials.state(built(*techniques, seed=seed)) for techniques in ((), (Reinit(num_layers=2),)))
        assert all(torch.equal(baseline[name], after[name]) for name in HEAD)


def test_global_generators_neither_matter_nor_move(built: Built, toy_config: ConfigFactory) -> None:
    reference = trials.state(built(EXAMPLE))
    setup = built()
    torch.manual_seed(99)
    before = torch.get_rng_state()
    after = trials.state(EXAMPLE.apply(setup))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(reference[name], after[name]) for name in reference)


@pytest.mark.parametrize("packed", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["packed", "padded"])
def test_order_and_dropout_are_the_baselines(built: Built, toy_config: ConfigFactory, toy_data: Data, packed: bool) -> None:
    """A baseline that is handed the redrawn weights is the same run bit for bit: nothing else of it has moved."""
    config = toy_config(techniques=(EXAMPLE,))
    setup, handed = built(EXAMPLE, packed=packed), built(packed=packed)
    handed.model.load_state_dict(setup.model.state_dict())
    run, expected = (trials.run(s, toy_data, packed=packed) for s in (setup, handed))
    assert trials.same(run, expected)
    assert config.dropout > 0


# --- encoders ------------------------------------------------------------------------------------------------------------------


def test_more_blocks_than_there_are(built: Built) -> None:
    with pytest.raises(UsageError, match="num_layers 3 is more than the 2 blocks"):
        built(Reinit(num_layers=3))


def test_a_pooler_that_the_checkpoint_lacks_is_drawn_again(built: Built, bare_encoder: Encoder) -> None:
    before, setup = built(encoder=bare_encoder), built(Reinit(num_layers=0), encoder=bare_encoder)
    assert before.fresh == setup.fresh == HEAD | POOLER
    old, new = trials.state(before), trials.state(setup)
    assert {name for name in old if not torch.equal(old[name], new[name])} == {"encoder.pooler.dense.weight"}


def test_an_encoder_without_a_pooler(built: Built, toy_config: ConfigFactory) -> None:
    def poolerless() -> Setup:
        setup = built()
        setup.model.encoder.pooler = None
        groups = tuple(group for group in setup.groups if group.place.role != "pooler")
        return dataclasses.replace(setup, groups=groups)

    before = trials.state(poolerless())
    setup = Reinit(num_layers=1).apply(poolerless())
    after = trials.state(setup)
    assert {name for name in before if not torch.equal(before[name], after[name])} == block(1)
    assert setup.fresh == HEAD | block(1)
    untouched = trials.state(Reinit(num_layers=0).apply(poolerless()))
    assert all(torch.equal(before[name], untouched[name]) for name in before)


@pytest.mark.parametrize("fields", [{"num_layers": -1}, {"num_layers": 1.5}, {}, {"num_layers": 1, "head": True}], ids=str)
def test_settings_that_can_not_be(toy_config: ConfigFactory, fields: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=r"impossible configuration: techniques\.0: Value error, reinit: "):
        toy_config(techniques=[{"name": "reinit", **fields}])


# --- the experiment ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(PROTOCOLS))
def test_arms_differ_in_the_technique_alone(name: str) -> None:
    grid = reinit.grid(PROTOCOLS[name])
    blocks = {"smoke": [1, 2], "laptop": [1, 2, 3, 4, 5, 6], "small": [1, 3, 6], "paper": [1, 2, 3, 4, 5, 6, 10]}
    assert list(grid.arms) == ["standard", "pooler", *(f"pooler+{number}" for number in blocks[name])]
    for cell in grid.cells():
        depth = {"standard": None, "pooler": 0}.get(cell.arm, int(cell.arm.partition("+")[2] or -1))
        expected = None if depth is None else (Reinit(pooler=True, num_layers=depth),)
        baseline = PROTOCOLS[name].configs[cell.task]
        assert cell.config == baseline.model_copy(update={"seed": cell.seed, "techniques": expected})


def test_standard_is_the_run_of_adams_corrected_arm() -> None:
    def identities(module: object, arm: str) -> list[str]:
        cells = select(module.grid(LAPTOP), arms=[arm]).cells()  # type: ignore[attr-defined]
        return [run_id(cell.config, data=cell.task, weights="w") for cell in cells]

    assert identities(reinit, "standard") == identities(adam, "corrected")


@pytest.mark.slow
def test_from_the_grid_to_the_file_and_back(tmp_path: Path) -> None:
    """Through a training process: the technique travels by pickle and comes back as JSON."""
    store, inputs = Store(tmp_path), Inputs()
    grid = select(reinit.grid(SMOKE), seeds=[0])
    planned = plan(grid, store, inputs)
    assert [status.state for status in run_grid(planned, store, inputs, ExecutionOptions("local", workers=1))] == ["done"] * 4
    for cell in planned.cells:
        assert cell.run_id is not None
        again = RunConfig.model_validate(store.read(cell.run_id).config)
        assert again == cell.cell.config
        assert inputs.run_id(again) == cell.run_id
    collected = collect(grid, store, inputs)
    assert collected is not None
    assert [json.loads(text)["techniques"] for text in collected.runs["config"]] == [
        None,
        *([{"name": "reinit", "pooler": True, "num_layers": n}] for n in range(3)),
    ]
    first = collected.metrics.query("split == 'train' and metric == 'loss' and step == 1")["value"]
    assert first.nunique() == 4
    shown = {"train_loss", "score_distribution", "validation_distribution", "distances", "arms", "convergence", "stability"}
    assert shown <= set(get_experiment("reinit").REPORT)
