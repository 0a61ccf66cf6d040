"""The plane goes through the start and both ends exactly, what lies between is what is said, and nothing else of a run changes."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn
from typer.testing import CliRunner

from experiments import surface as experiment
from experiments.protocol import PROTOCOLS, SMOKE
from stableft.cli.app import app
from stableft.core.config import RunConfig, SurfaceConfig, with_overrides
from stableft.core.errors import MissingInput, UsageError
from stableft.core.experiments import get_experiment
from stableft.execution import collect, planning, runner
from stableft.execution.inputs import Inputs
from stableft.models.encoders import Encoder
from stableft.models.tokens import Data, encode
from stableft.models.weights import save_weights
from stableft.reporting import report
from stableft.reporting.figures import loss_surface
from stableft.storage.store import Store
from stableft.tasks.catalog import get_task
from stableft.training.evaluation import MetricRow, Predictions, Scorer
from stableft.training.loop import train
from stableft.training.runtime import Runtime
from stableft.training.setup import Setup, build
from stableft.training.surface import Surface
from tests.conftest import ConfigFactory

POINTS = {"resolution": 2, "margin": 1, "num_examples": 20}
OTHER = {"bias_correction": False, **POINTS}
TASKS: dict[str, Mapping[str, Any]] = {
    "toy": {},
    "toyscore": {"task": "toyscore"},
    "toytag": {"task": "toytag", "head": "bilstm_crf"},
}


class Trained:
    """A run by hand: its setup, its parameters before and after, and everything it logged."""

    def __init__(self, config: RunConfig, encoder: Encoder, sources: Mapping[str, Path] | None = None) -> None:
        task = get_task(config.task)
        self.config = config
        self.data: Data = encode(task, task.load(), encoder, config.max_length)
        self.setup: Setup = build(config, self.data, encoder, Runtime(), sources)
        self.start = self.parameters()
        items = list(train(self.setup, self.data, Runtime()))
        self.rows = [item for item in items if isinstance(item, MetricRow)]
        self.predictions = [item for item in items if isinstance(item, Predictions)]

    def parameters(self) -> dict[str, Tensor]:
        return {name: parameter.detach().clone() for name, parameter in self.setup.model.named_parameters()}

    @property
    def surface(self) -> dict[str, float]:
        return {row.scope: row.value for row in self.rows if row.metric == "surface_loss"}

    @property
    def plain_rows(self) -> list[MetricRow]:
        return [row for row in self.rows if not row.metric.startswith("surface")]

    def loss_and_score_at(self, weights: Mapping[str, Tensor], examples: np.ndarray) -> tuple[float, float]:
        with torch.no_grad():
            for name, parameter in self.setup.model.named_parameters():
                parameter.copy_(weights[name])
        return Scorer(self.config, self.data, Runtime()).loss_and_score(self.setup.model, "train", examples)


Pair = tuple[Trained, Trained]


@pytest.fixture(scope="module")
def pair(toy_config: ConfigFactory, lively_encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Pair]:
    """A run with a surface and the other one, which was trained by itself and saved."""
    known: dict[str, Pair] = {}

    def pair(task: str = "toy", swapped: bool = False) -> Pair:
        if (key := f"{task} {swapped}") not in known:
            base = toy_config({"adam.lr": 1e-2, "adam.bias_correction": not swapped, "schedule.num_epochs": 1}, **TASKS[task])
            config = with_overrides(base, {"surface": {**POINTS, "bias_correction": swapped}})
            other = Trained(config.sources()["surface"], lively_encoder)
            path = tmp_path_factory.mktemp("weights") / "other.safetensors"
            save_weights(other.setup.model, lively_encoder, path)
            known[key] = Trained(config, lively_encoder, {"surface": path}), other
        return known[key]

    return pair


# --- the plane -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_at_the_three_points_the_loss_is_bit_for_bit_that_of_the_three_models(pair: Callable[..., Pair], task: str) -> None:
    run, other = pair(task)
    examples = Surface(run.setup.model, SurfaceConfig(**OTHER), run.setup.train_indices, run.setup.sources["surface"]).examples
    assert len(set(examples)) == 20
    ends = {"a=0 b=0": run.start, "a=1 b=0": other.parameters(), "a=0 b=1": run.parameters()}
    scores = {row.scope: row.value for row in run.rows if row.metric == "surface_score"}
    for scope, weights in ends.items():
        assert (run.surface[scope], scores[scope]) == other.loss_and_score_at(weights, examples), scope
    other.loss_and_score_at(ends["a=1 b=0"], examples)
    assert len({run.surface[scope] for scope in ends}) == 3


def test_in_between_it_is_the_formula_of_the_source_with_torch_alone(pair: Callable[..., Pair]) -> None:
    """Weights by start + a (other - start) + b (own - start) in double precision; losses one example at a time."""
    run, other = pair()
    start, theirs, own = (
        {n: p.double() for n, p in weights.items()} for weights in (run.start, other.parameters(), run.parameters())
    )
    a, b = -0.5, 1.5
    with torch.no_grad():
        for name, parameter in run.setup.model.named_parameters():
            moved = start[name] + a * (theirs[name] - start[name]) + b * (own[name] - start[name])
            parameter.copy_(moved.float())
        model, tokens = run.setup.model.eval(), run.data.splits["train"]
        settings, path = SurfaceConfig(**OTHER), run.setup.sources["surface"]
        losses = [
            nn.functional.cross_entropy(model(batch := tokens.batch(np.array([i]), "cpu")), batch.labels.long()).item()
            for i in Surface(model, settings, run.setup.train_indices, path).examples
        ]
        for name, parameter in model.named_parameters():
            parameter.copy_(own[name].float())
    assert run.surface["a=-0.5 b=1.5"] == pytest.approx(np.mean(losses), rel=1e-5)


def test_seen_from_the_other_run_it_is_the_same_plane(pair: Callable[..., Pair]) -> None:
    run, swapped = pair()[0], pair(swapped=True)[0]
    for scope, loss in run.surface.items():
        a, b = (part[2:] for part in scope.split())
        assert swapped.surface[f"a={b} b={a}"] == pytest.approx(loss, rel=1e-5)


def test_nothing_else_of_the_run_changes(pair: Callable[..., Pair], lively_encoder: Encoder) -> None:
    run, _ = pair()
    plain = Trained(with_overrides(run.config, {"surface": None}), lively_encoder)
    assert repr(plain.rows) == repr(run.plain_rows)
    assert np.array_equal(plain.predictions[0].probabilities, run.predictions[0].probabilities)
    assert all(torch.equal(value, run.parameters()[name]) for name, value in plain.parameters().items()), "own weights are put back"
    assert len(run.surface) == 5 * 5
    assert {row.step for row in run.rows if row.metric.startswith("surface")} == {run.setup.num_steps}


def test_weights_that_are_not_finite_spoil_only_the_points_that_have_a_part_in_them(pair: Callable[..., Pair]) -> None:
    run, _ = pair()
    surface = Surface(run.setup.model, SurfaceConfig(**OTHER), run.setup.train_indices, run.setup.sources["surface"])
    for tensor in surface._other:
        tensor.fill_(torch.inf)
    rows = [row for row in surface.rows(1, Scorer(run.config, run.data, Runtime())) if row.metric == "surface_loss"]
    assert {row.scope.split()[0] for row in rows if np.isfinite(row.value)} == {"a=0"}
    assert len(rows) == 25


def test_build_without_the_other_weights_says_so(pair: Callable[..., Pair], lively_encoder: Encoder) -> None:
    with pytest.raises(UsageError, match=r"surface: build.. needs the weights that the other run ended with"):
        Trained(pair()[0].config, lively_encoder)


def test_weights_of_another_model_are_refused(pair: Callable[..., Pair], lively_encoder: Encoder) -> None:
    """Encoder and file fit, the head does not: another task's."""
    run, scores = pair()[0], pair("toyscore")[0]
    with pytest.raises(MissingInput, match=r"another model: head\..* is .* there and .* here"):
        Trained(run.config, lively_encoder, scores.setup.sources)


# --- settings ------------------------------------------------------------------------------------------------------------------


@given(st.integers(1, 79), st.integers(0, 50))  # at most 180 points on an axis
def test_the_three_points_are_on_every_grid(resolution: int, margin: int) -> None:
    points = SurfaceConfig(bias_correction=False, resolution=resolution, margin=margin).coordinates()
    assert {0.0, 1.0} <= set(points)
    assert len(points) == resolution + 2 * margin + 1
    np.testing.assert_allclose(points, np.linspace(-margin / resolution, 1 + margin / resolution, len(points)), atol=1e-12)


def test_the_other_run_differs_in_what_is_named_alone(toy_config: ConfigFactory) -> None:
    config = toy_config({"seed": 3}, surface={"lr": 1e-4, "bias_correction": False})
    assert config.sources() == {"surface": toy_config({"seed": 3, "adam.lr": 1e-4, "adam.bias_correction": False})}
    assert toy_config({"adam.lr": 1e-3}, surface={"bias_correction": False}).sources()["surface"].adam.lr == 1e-3
    assert RunConfig.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"surface": {}}, "the other run is this one"),
        ({"surface": {"bias_correction": True, "lr": 3e-3}}, "the other run is this one"),
        ({"surface": {"bias_correction": False, "resolution": 0}}, "greater than 0"),
        ({"surface": {"bias_correction": False, "margin": -1}}, "greater than or equal to 0"),
        ({"surface": {"bias_correction": False, "num_examples": 0}}, "greater than 0"),
        (
            {"surface": {"bias_correction": False}, "techniques": [{"name": "intermediate", "task": "toyscore"}]},
            r"not of a run that itself starts from another \(intermediate\)",
        ),
    ],
)
def test_impossible_settings_are_refused_with_the_reason(toy_config: ConfigFactory, settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        toy_config(settings)


def test_a_plan_refuses_with_exit_code_2(tmp_path: Path) -> None:
    techniques = 'techniques=[{"name":"intermediate","task":"toyscore"}]'
    asked = ["plan", "surface", "--protocol", "smoke", "--results", str(tmp_path)]
    result = CliRunner().invoke(app, [*asked, "--set", techniques])
    assert result.exit_code == 2
    assert "surface: not of a run that itself starts from another (intermediate)" in result.stderr
    assert CliRunner().invoke(app, asked).exit_code == 0


def test_a_config_that_is_read_is_checked_too() -> None:
    config = SMOKE.configs["toy"].model_dump(mode="json")
    with pytest.raises(ValidationError, match="the other run is this one"):
        RunConfig.model_validate({**config, "surface": {"lr": config["adam"]["lr"]}})


# --- the experiment ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=lambda protocol: protocol.name)
def test_the_other_run_is_an_arm_and_adams(protocol: Any) -> None:
    arms: dict[str, dict[str, RunConfig]] = {}
    for cell in experiment.grid(protocol).cells():
        arms.setdefault(cell.arm, {})[cell.task] = cell.config
    adam = {cell.task: cell.config for cell in get_experiment("adam").grid(protocol).cells() if cell.arm == "uncorrected"}
    for task, config in arms["corrected"].items():
        assert config.sources() == {"surface": arms["uncorrected"][task]}
        assert config.adam == arms["uncorrected"][task].adam.model_copy(update={"bias_correction": True})
        assert task not in adam or adam[task].model_copy(update={"seed": config.seed}) == arms["uncorrected"][task]


def test_from_the_plan_to_the_figure(tmp_path: Path) -> None:
    """Two cells, one job: the other run is done by the one that needs it, in a process of its own."""
    grid, store, inputs = experiment.grid(SMOKE), Store(tmp_path / "results"), Inputs()
    planned = planning.plan(grid, store, inputs)
    corrected, uncorrected = (cell.run_id for cell in planned.cells)
    assert list(planned.sources) == [uncorrected]
    assert list(planned.jobs) == [corrected]
    (status,) = runner.run_grid(planned, store, inputs, runner.ExecutionOptions(workers=2))
    assert (status.state, status.job.run_id) == ("done", corrected)
    after = planning.plan(grid, store, inputs)
    assert after.missing == []
    assert after.jobs == {}
    results = collect.collect(grid, store, inputs)
    assert results is not None
    assert results.runs.set_index("arm")["sources"].dropna().to_dict() == {"corrected": uncorrected}
    loaded = store.load("smoke", "surface")
    frame = loss_surface.data(loaded)
    assert len(frame) == 25
    points = frame[frame["point"] != ""].set_index("point")
    assert points[["a", "b"]].apply(tuple, axis=1).to_dict() == {"start": (0, 0), "uncorrected": (1, 0), "corrected": (0, 1)}
    once, again = (report.render("x", experiment.REPORT["loss_surface"], loaded, tmp_path / name) for name in ("once", "again"))
    assert [path.read_bytes() for path in once] == [path.read_bytes() for path in again]
    # A record without its weights: needed again, the other run is done again by whoever needs it, and is still one job.
    store.path(corrected or "").unlink()
    store.weights_path(uncorrected or "").unlink()
    planned = planning.plan(grid, store, inputs)
    assert (list(planned.sources), list(planned.jobs)) == ([uncorrected], [corrected])
    # Without that one in the selection it is a job like any other.
    store.path(uncorrected or "").unlink()
    alone = dataclasses.replace(grid, arms={"uncorrected": grid.arms["uncorrected"]})
    assert list(planning.plan(alone, store, inputs).jobs) == [uncorrected]
