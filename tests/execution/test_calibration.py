"""Calibration: real steps of a run, measured; it writes nothing and ends with its command."""

import dataclasses
import os
import signal
import threading
from pathlib import Path

import pytest

from stableft.execution import calibration
from stableft.execution.calibration import calibrate, measure
from stableft.execution.job import Job
from stableft.execution.pace import Pace
from stableft.models.encoders import Encoder
from tests.conftest import TOY, ConfigFactory


@pytest.fixture
def job(toy_config: ConfigFactory, tiny_encoder: Encoder, tmp_path: Path) -> Job:
    return Job("shape", toy_config(), tiny_encoder, TOY.load(), tmp_path / "results")


@pytest.mark.parametrize("overrides", [{}, {"schedule": {"num_steps": 1, "warmup_steps": 0}}, {"num_train": 8}])
def test_a_pace_is_measured_and_nothing_is_written(overrides: dict, job: Job, toy_config: ConfigFactory, tmp_path: Path):
    pace = measure(dataclasses.replace(job, config=toy_config(overrides)))
    assert 0 < pace.start < 10
    assert 0 < pace.step < 1
    assert 0 < pace.example < 0.1
    assert not list(tmp_path.iterdir())


def test_steps_end_with_the_time_for_them(job: Job, monkeypatch: pytest.MonkeyPatch):
    """On a slow machine one step must do."""
    clock = iter(range(0, 10_000, 100))
    monkeypatch.setattr(calibration.time, "perf_counter", lambda: float(next(clock)))
    assert measure(job) == Pace(start=100.0, step=100.0, example=100.0 / 32)


@pytest.mark.slow
def test_jobs_are_measured_beside_each_other_and_a_failure_is_a_reason(job: Job, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    broken = dataclasses.replace(job, run_id="broken", encoder=dataclasses.replace(job.encoder, folder=tmp_path / "none"))
    found = calibrate([job, broken], 3)
    assert isinstance(found["shape"], Pace)
    assert str(found["broken"]).startswith("crashed: ")
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_an_interrupt_ends_it(job: Job):
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        calibrate([job], 2)
