"""The arithmetic of expected time: the work of a run, its seconds, and those of a grid."""

import dataclasses
from pathlib import Path

import pytest

from stableft.core.config import RunConfig, with_overrides
from stableft.execution.pace import Pace, Workload, grid_seconds, guessed_seconds, run_seconds, workload
from stableft.models.encoders import Encoder
from stableft.tasks import Example, TaskData
from tests.conftest import TOY, ConfigFactory

EXAMPLE = Example("ten characters each, eight words in all", None, 0)


def data(train: int, validation: int, test: int = 0) -> TaskData:
    return TaskData((EXAMPLE,) * train, (EXAMPLE,) * validation, (EXAMPLE,) * test)


@pytest.mark.parametrize(
    ("overrides", "sizes", "expected"),
    [
        # 3 epochs of 63 steps, every 18: ten points on the subset, then everything, and the best once more.
        ({"evaluation": {"num_points": 10, "num_examples": 200}}, (1000, 2625), Workload(189, 10 * 200 + 2 * 2625)),
        # Cut to 1,000 examples; the test split at the last point only.
        (
            {"num_train": 1000, "batch_size": 32, "evaluation": {"num_points": 10, "num_examples": 100, "test_points": "last"}},
            (2490, 277, 1000),
            Workload(96, 10 * 100 + 2 * 1277),
        ),
        ({"evaluation": {"num_points": 2}}, (160, 50, 10), Workload(30, 60 + 2 * 60)),
        # An average of the weights is evaluated at every point too.
        (
            {"evaluation": {"num_points": 2}, "techniques": [{"name": "swa", "start_epoch": 1}]},
            (160, 50, 10),
            Workload(30, 2 * (60 + 60) + 60),
        ),
        # A plane of 3 x 3 points.
        (
            {"evaluation": {"num_points": 1}, "surface": {"lr": 1e-5, "resolution": 2, "margin": 0, "num_examples": 7}},
            (160, 50),
            Workload(30, 2 * 50 + 9 * 7),
        ),
    ],
)
def test_the_work_of_a_run(overrides: dict, sizes: tuple[int, ...], expected: Workload, tiny_encoder: Encoder):
    base = {
        "task": "toy", "encoder": "tiny-random", "batch_size": 16, "adam": {"lr": 1e-3}, "evaluation": {"every": 1},
        "schedule": {"num_epochs": 3, "warmup_steps": 0},
    }  # fmt: skip
    assert workload(RunConfig.model_validate({**base, **overrides}), data(*sizes), tiny_encoder) == expected


def test_seconds_of_a_run():
    assert run_seconds(Pace(start=0.5, step=0.1, example=0.002), Workload(steps=189, examples=7000)) == pytest.approx(
        0.5 + 18.9 + 14
    )


@pytest.mark.parametrize(
    ("seconds", "workers", "expected"),
    [
        ([], 2, 0.0),
        ([3.0, 1.0, 1.0, 1.0], 1, 6.0),
        ([3.0, 1.0, 1.0, 1.0], 2, 3.0),  # three short ones beside the long one
        ([1.0, 1.0, 1.0, 3.0], 2, 4.0),  # the long one begins last
        ([2.0] * 5, 2, 6.0),  # three rounds
        ([2.0, 1.0], 64, 2.0),
    ],
)
def test_seconds_of_a_grid(seconds: list[float], workers: int, expected: float):
    assert grid_seconds(seconds, workers) == expected


def test_a_guess_tells_a_smoke_test_from_real_work(toy_config: ConfigFactory, tiny_encoder: Encoder, tmp_path: Path):
    toy, config = TOY.load(), toy_config()
    assert guessed_seconds(config, toy, tiny_encoder) < 1
    assert guessed_seconds(with_overrides(config, {"schedule.num_epochs": 1000}), toy, tiny_encoder) > 20
    encoder, settings = dataclasses.replace(tiny_encoder, folder=tmp_path), tmp_path / "config.json"
    settings.write_text('{"hidden_size": 384, "num_hidden_layers": 6}')
    few = toy_config({"evaluation": {"num_points": 1}})  # 3,000 steps of 8, 200 examples; 9.75 tokens each
    operations = 12 * 6 * 384**2 * 9.75 * (6 * 3000 * 8 + 2 * 200)
    assert guessed_seconds(few, data(8000, 100), encoder) == pytest.approx(operations / 1e11 + 3000 * 0.01)
    settings.write_text('{"model_type": "unknown"}')
    assert guessed_seconds(config, toy, encoder) == float("inf")
