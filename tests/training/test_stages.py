"""The hooks of a setup: when they are called, what they may change, and that a run without them is the same run."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stableft.core.errors import UsageError
from stableft.core.technique import Stage, Technique
from stableft.models.encoders import Encoder
from stableft.models.layers import DropoutStream
from stableft.models.tokens import Data
from stableft.training.checkpointing import Checkpointer
from stableft.training.evaluation import MetricRow
from stableft.training.loop import train
from stableft.training.runtime import Runtime
from stableft.training.setup import Setup, build
from stableft.training.step import Step
from tests.conftest import ConfigFactory
from tests.helpers import trials

SHORT = {"schedule.num_epochs": None, "schedule.num_steps": 6, "evaluation.every": 3}
Make = Callable[..., Setup]


@pytest.fixture
def make(toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> Make:
    def make(overrides: dict[str, Any] | None = None, **hooks: Any) -> Setup:
        setup = trials.prepare(toy_config({**SHORT, **(overrides or {})}), lively_encoder, toy_data)
        return dataclasses.replace(setup, **hooks)

    return make


def mean_loss(step: Step) -> Tensor:
    return step.losses(step.forward()).mean()


def test_hooks_that_do_the_usual_change_no_bit(make: Make, toy_data: Data) -> None:
    plain = trials.run(make(), toy_data)
    hooks: dict[str, Any] = {
        "objective": mean_loss,
        "gradient": lambda step: step.compute(),
        "after_clipping": (lambda: None,),
        "streams": {"mine": DropoutStream(0)},
    }
    assert trials.same(trials.run(make(**hooks), toy_data), plain)


def test_the_order_of_a_step(make: Make, toy_data: Data) -> None:
    """Gradient, in it the objective; clipping; the changes after it, one after the other; the update."""
    calls: list[Any] = []
    setup = make({"max_grad_norm": 0.5})
    weight = setup.model.head.weight

    def objective(step: Step) -> Tensor:
        calls.append(("objective", step.done))
        return mean_loss(step)

    def gradient(step: Step) -> float:
        calls.append("gradient")
        value = step.compute()
        weight.grad.mul_(1000)
        return value

    def seen(name: str) -> Callable[[], None]:
        def change() -> None:
            norm = nn.utils.get_total_norm([p.grad for p in setup.model.parameters() if p.grad is not None])
            calls.append((name, round(float(norm), 3)))
            for parameter in setup.model.parameters():
                if parameter.grad is not None:
                    parameter.grad.mul_(2)

        return change

    hooks = {"objective": objective, "gradient": gradient, "after_clipping": (seen("first"), seen("second"))}
    rows = trials.run(dataclasses.replace(setup, **hooks), toy_data).rows
    assert calls[:8] == [
        *("gradient", ("objective", 0), ("first", 0.5), ("second", 1.0)),
        *("gradient", ("objective", 1), ("first", 0.5), ("second", 1.0)),
    ]
    assert len(calls) == 6 * 4
    assert min(row.value for row in rows if row.metric == "grad_norm") > 10, "the norm before clipping is logged"


def test_a_loss_that_a_hook_calls_not_finite_ends_the_run(make: Make, toy_data: Data) -> None:
    trial = trials.run(make(gradient=lambda step: step.compute() if step.done < 3 else float("nan")), toy_data)
    assert len(trial.losses) == 4
    assert np.isnan(trial.losses[-1])
    assert trial.predictions == []


def test_the_random_numbers_of_a_pass_can_be_drawn_again(make: Make, toy_data: Data) -> None:
    for packed in (True, False):
        outputs: list[Tensor] = []

        def gradient(step: Step, outputs: list[Tensor] = outputs) -> float:
            state = step.random.tensors()
            outputs.append(step.forward().detach())
            step.random.load(state)
            value = step.compute()
            step.random.load(state)
            outputs.append(step.forward().detach())
            outputs.append(step.forward().detach())
            return value

        setup = make(gradient=gradient)
        next(iter(train(setup, toy_data, Runtime(packed=packed))))
        assert torch.equal(outputs[0], outputs[1])
        assert not torch.equal(outputs[1], outputs[2])


def test_what_is_not_trained_stays_and_has_no_state(make: Make, toy_data: Data) -> None:
    """Without decay toward zero, a gradient or moments; meters and clipping do without it; later it begins."""
    setup = make({"adam.weight_decay": 1.0, "schedule.warmup_ratio": 0.0, "max_grad_norm": 1e-3})
    starts = {"embeddings": None, "encoder": 4, "pooler": 2, "head": 0}
    changed = setup.trained_from(lambda name, place: starts[place.role])
    later = changed.trained_from(lambda name, place: 3)
    assert {(g.place.role, g.trained_from) for g in later.groups} == {
        ("embeddings", None),
        ("encoder", 4),
        ("pooler", 3),
        ("head", 3),
    }
    assert sum(len(g.params) for g in changed.groups) == len(list(setup.model.parameters()))
    start, ends = trials.state(setup), dict[str, int]()
    rows = []
    for row in train(changed, toy_data, Runtime()):
        if isinstance(row, MetricRow):
            rows.append(row)
            if row.metric == "lr":
                for name in trials.moved(setup, start):
                    ends.setdefault(setup.model.place(name).role, row.step)
    assert ends == {"head": 1, "pooler": 3, "encoder": 5}
    last = {(row.metric, row.scope): row.value for row in rows if row.step == 6}
    assert last["distance", "embeddings"] == last["block_grad_norm", "embeddings"] == 0
    assert last["distance", "layer.01"] > 0
    assert all(np.isfinite(row.value) for row in rows)


def test_another_optimizer_has_no_ratio_to_adam(make: Make, toy_data: Data) -> None:
    rates = []

    def sgd(groups: list[dict[str, Any]], adam: Any) -> torch.optim.Optimizer:
        rates.append(adam.lr)
        return torch.optim.SGD([{"params": group["params"], "weight_decay": 0.0} for group in groups], lr=adam.lr, momentum=0.9)

    trial = trials.run(make({"schedule.warmup_ratio": 0.0}, optimizer=sgd), toy_data)
    metrics = {row.metric for row in trial.rows}
    assert rates == [3e-3]
    assert "update_norm" in metrics
    assert not {"update_bias", "update_bias_closed_form"} & metrics
    assert len(trial.predictions) == 2
    (norm,) = (row.value for row in trial.rows if (row.metric, row.step) == ("update_norm", 1))
    (gradient,) = (row.value for row in trial.rows if (row.metric, row.step) == ("grad_norm", 1))
    assert norm == pytest.approx(3e-3 * min(1.0, gradient), rel=1e-4)


def test_a_stream_of_a_techniques_own_is_part_of_a_checkpoint(make: Make, toy_data: Data, tmp_path: Path) -> None:
    def noisy() -> Setup:
        setup = make()
        noise, masks = torch.Generator().manual_seed(1), DropoutStream(2)

        def change() -> None:
            for parameter in setup.model.parameters():
                if parameter.grad is not None:
                    parameter.grad.mul_(1 + torch.rand((), generator=noise) + masks.mask(torch.Size([1]), 0.5)[0])

        streams = {"noise": noise, "masks": masks}
        return (
            dataclasses.replace(setup, after_clipping=(change,), optimizer=_rmsprop)
            .with_stream("noise", noise)
            .with_stream("masks", streams["masks"])
        )

    whole = trials.run(noisy(), toy_data)
    rows: list[MetricRow] = []
    for seconds, stop in ((0.0, 3), (1e9, 99)):
        checkpointer = Checkpointer(tmp_path / "run", {}, seconds)
        checkpointer.load()
        rows = checkpointer.rows
        for item in train(noisy(), toy_data, Runtime(), checkpointer):
            if isinstance(item, MetricRow):
                if item.step > stop:
                    break
                rows.append(item)
    assert [row for row in rows if row.split == "train"] == [row for row in whole.rows if row.split == "train"]


def _rmsprop(groups: list[dict[str, Any]], adam: Any) -> torch.optim.Optimizer:
    return torch.optim.RMSprop([{"params": group["params"], "weight_decay": 0.0} for group in groups], lr=adam.lr)


class Whole(Technique):
    """Sets a hook, whatever is there."""

    name: ClassVar[str] = "whole"
    stage: ClassVar[Stage] = Stage.LOSS

    @classmethod
    def null(cls) -> Self:
        return cls()

    def apply(self, setup: Setup) -> Setup:
        return dataclasses.replace(setup, objective=lambda step: mean_loss(step) * 2)


class Other(Whole):
    name: ClassVar[str] = "other"


def test_a_technique_can_not_undo_another_ones_hook(toy_config: ConfigFactory, toy_data: Data, lively_encoder: Encoder) -> None:
    build(toy_config(techniques=(Whole(),)), toy_data, lively_encoder, Runtime())
    with pytest.raises(UsageError, match="whole: another technique of this run already set the objective; name it in `excludes`"):
        build(toy_config(techniques=(Whole(), Other())), toy_data, lively_encoder, Runtime())
