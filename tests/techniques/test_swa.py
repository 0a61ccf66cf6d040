"""SWA: the average is the mean of the weights, it is what is evaluated, its rate is torch's SWALR; and the rest is the baseline."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import SWALR, AveragedModel

from stableft.core.errors import UsageError
from stableft.core.schedule import lr_factor
from stableft.core.technique import Technique
from stableft.models.encoders import Encoder
from stableft.models.tokens import Data
from stableft.techniques.mixout import Mixout
from stableft.techniques.swa import SWA
from stableft.training import evaluator as points
from stableft.training.evaluation import MetricRow, Scorer
from stableft.training.runtime import Runtime
from tests.conftest import ConfigFactory
from tests.helpers import trials

EXAMPLE = SWA(start_step=2, scale=0.5)
# Whole runs: one engine is enough of every change, since others compare the engines.
RUNS = pytest.mark.parametrize("packed", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["packed", "padded"])
Weights = dict[str, Tensor]


class Recorder(AveragedModel):
    """torch's, and a copy of what it took in and what it became."""

    taken: list[Weights]
    averages: list[Weights]

    def update_parameters(self, model: nn.Module) -> None:
        super().update_parameters(model)
        for kept, source in ((self.taken, model), (self.averages, self.module)):
            kept.append({name: p.detach().clone() for name, p in source.named_parameters()})


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> type[Recorder]:
    Recorder.taken, Recorder.averages = [], []
    monkeypatch.setattr(points, "AveragedModel", Recorder)
    return Recorder


Run = Callable[..., trials.Trial]


@pytest.fixture
def run(toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> Run:
    """A run of 24 steps (8 to the epoch), evaluated every 8."""

    def run(*techniques: Technique, packed: bool = True, **settings: Any) -> trials.Trial:
        config = toy_config(settings, techniques=techniques)
        return trials.run(trials.prepare(config, lively_encoder, toy_data, packed=packed), toy_data, packed=packed)

    return run


def scoped(trial: trials.Trial, scope: str) -> list[MetricRow]:
    return [row for row in trial.rows if row.scope == scope]


# --- the average ---------------------------------------------------------------------------------------------------------------


@RUNS
@pytest.mark.parametrize("others", [(), (Mixout(p=0.5),)], ids=["alone", "mixout"])
def test_the_average_is_the_mean_of_the_weights(
    others: tuple[Technique, ...], packed: bool, run: Run, recorder: type[Recorder]
) -> None:
    run(SWA(start_step=5), *others, packed=packed)
    assert len(recorder.taken) == 24 - 5
    for t, average in enumerate(recorder.averages, start=1):
        for name, value in average.items():
            mean = np.mean([taken[name].double().numpy() for taken in recorder.taken[:t]], axis=0)
            np.testing.assert_allclose(value.numpy(), mean, rtol=0, atol=2e-6)
    moved = (recorder.taken[-1]["head.weight"] - recorder.averages[-1]["head.weight"]).abs().max()
    assert moved > 1e-3


def test_the_exponential_average_by_its_recurrence(run: Run, recorder: type[Recorder]) -> None:
    run(SWA(start_epoch=1, ema_decay=0.8))
    assert len(recorder.taken) == 16
    for name in recorder.taken[0]:
        expected = recorder.taken[0][name].double()
        for taken, average in zip(recorder.taken, recorder.averages, strict=True):
            expected = 0.8 * expected + 0.2 * taken[name].double() if taken is not recorder.taken[0] else expected
            torch.testing.assert_close(average[name].double(), expected, rtol=0, atol=2e-6)


def test_the_average_is_what_is_evaluated(
    run: Run, recorder: type[Recorder], toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data
) -> None:
    trial = run(SWA(start_step=5))
    config = toy_config()
    model = trials.prepare(config, lively_encoder, toy_data).model
    for step in (8, 16, 24):
        mean = {name: torch.stack([taken[name] for taken in recorder.taken[: step - 5]]).mean(0) for name in recorder.taken[0]}
        model.load_state_dict(mean)
        losses, outputs = Scorer(config, toy_data, Runtime()).evaluate(model, "test", np.arange(32))
        values = {row.metric: row.value for row in scoped(trial, "average") if (row.step, row.split) == (step, "test")}
        assert values["loss"] == pytest.approx(losses.mean(), abs=1e-4)
        assert values["score"] == (outputs.argmax(1) == toy_data.splits["test"].labels).mean()


def test_an_average_of_one_step_is_the_model_itself(run: Run) -> None:
    trial = run(SWA(start_step=23))
    last = [row for row in scoped(trial, "") if row.step == 24 and row.split != "train" and row.metric != "best_step"]
    assert [row._replace(scope="") for row in scoped(trial, "average")] == last


# --- rows ----------------------------------------------------------------------------------------------------------------------


@RUNS
def test_without_a_rate_of_its_own_the_run_is_the_baseline_and_rows_are_added(packed: bool, run: Run) -> None:
    baseline, trial = run(packed=packed), run(SWA(start_step=8), packed=packed)
    rest = [row for row in trial.rows if row.scope != "average"]
    assert trials.same(trials.Trial(rest, trial.predictions), baseline)
    added = [row for row in trial.rows if row.scope == "average"]
    assert sorted({row.step for row in added}) == [16, 24], "at step 8 nothing has been taken in"
    assert [row[:3] for row in added] == [
        row[:3] for row in scoped(baseline, "") if row.split != "train" and row.step > 8 and row.metric != "best_step"
    ]
    assert len({row[:4] for row in trial.rows}) == len(trial.rows)
    assert [row.value for row in added] != [row.value for row in baseline.rows if row.split != "train" and row.step > 8]


def test_scopes_of_a_subset(run: Run) -> None:
    trial = run(SWA(start_step=0), **{"evaluation.num_examples": 6})
    points = {scope: sorted({row.step for row in scoped(trial, scope) if row.split == "validation"}) for scope in
              ("", "subset", "average", "average.subset")}  # fmt: skip
    assert points == {"": [24], "subset": [8, 16, 24], "average": [24], "average.subset": [8, 16, 24]}
    assert len(trial.predictions) == 2


# --- rates ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("anneal_steps", [1, 10, 100])
@pytest.mark.parametrize(("start", "scale"), [(8, 0.4), (1, 2.0), (0, 1.0)])
def test_the_rate_is_that_of_torchs_swalr(anneal_steps: int, start: int, scale: float, run: Run) -> None:
    """The article's loop: the schedule's steps up to the start, then those of SWALR; 3e-3 is the run's rate."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=3e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done: lr_factor(done, 24, 2))
    expected = []
    constant: SWALR | None = None
    for done in range(24):
        if done == start:
            before = optimizer.param_groups[0]["lr"]
            constant = SWALR(optimizer, swa_lr=scale * 3e-3, anneal_epochs=anneal_steps)
            optimizer.param_groups[0]["lr"] = before
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        (constant or schedule).step()
    trial = run(SWA(start_step=start, scale=scale, anneal_steps=anneal_steps), **{"evaluation.num_examples": 1})
    assert [row.value for row in trial.rows if row.metric == "lr"] == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_the_article_in_numbers(toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> None:
    """Protocol section 7, S2: from epoch 3 on at 2e-6, here beside 3.6e-6 for the head."""
    config = toy_config(
        {"adam.lr": 3.6e-6, "schedule.num_epochs": 5}, techniques=(SWA(start_epoch=3, scale=2 / 3.6, anneal_steps=10),)
    )
    setup = trials.prepare(config, lively_encoder, toy_data)
    assert setup.average is not None
    assert setup.average.after == 24
    assert [config.adam.lr * setup.lr_factor(done) for done in range(34, 40)] == pytest.approx([2e-6] * 6)
    assert setup.lr_factor(23) == lr_factor(23, 40, 4)


# --- refused -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{"start_epoch": 3}, {"start_step": 24}], ids=str)
def test_a_start_that_never_comes(
    fields: dict[str, Any], toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data
) -> None:
    with pytest.raises(UsageError, match="swa: the start, after 24 steps, is not before the run's end after 24"):
        trials.prepare(toy_config(techniques=(SWA(**fields),)), lively_encoder, toy_data)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"start_epoch": 1, "start_step": 3}, "set at most one of start_epoch and start_step"),
        ({"scale": 0.5}, "set start_epoch or start_step: without a start nothing is averaged"),
        ({"ema_decay": 0.9}, "set start_epoch or start_step: without a start nothing is averaged"),
        ({"start_step": 1, "ema_decay": 1}, "ema_decay:"),
        ({"start_step": 1, "scale": 0}, "scale:"),
        ({"start_step": 1, "anneal_steps": 0}, "anneal_steps:"),
        ({"start_step": -1}, "start_step:"),
    ],
    ids=str,
)
def test_settings_that_can_not_be(toy_config: ConfigFactory, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=r"techniques\.0: Value error, swa: ") as caught:
        toy_config(techniques=[{"name": "swa", **fields}])
    assert message in str(caught.value)


def test_a_copied_model_is_the_same_model(toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> None:
    """Averaging copies it: pieces, streams and mixed layers come along."""
    config = toy_config(techniques=(Mixout(p=0.5),))
    setup = trials.prepare(config, lively_encoder, toy_data)
    copied = copy.deepcopy(setup.model)
    one, other = (Scorer(config, toy_data, Runtime()).evaluate(model, "test", np.arange(32))[1] for model in (setup.model, copied))
    assert np.array_equal(one, other)
