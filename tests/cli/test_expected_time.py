"""Expected time in words, and the ways to a sooner answer."""

from pathlib import Path

import pytest

from experiments import adam
from experiments.protocol import SMOKE
from stableft.cli.expected_time import about, time_data, time_lines
from stableft.core.grid import select
from stableft.execution.forecast import Forecast, TimeSource
from stableft.execution.inputs import Inputs
from stableft.execution.planning import Plan, plan
from stableft.storage.store import Store


def planned(folder: Path, seeds: list[int]) -> Plan:
    return plan(select(adam.grid(SMOKE), seeds=seeds), Store(folder), Inputs())


def every_run(of: Plan, seconds: float, workers: int = 2, origin: TimeSource = "calibration") -> Forecast:
    seeds = {run_id: config.seed for run_id, config in of.jobs.items()}
    return Forecast(workers, dict.fromkeys(of.jobs, seconds), seeds, dict.fromkeys(of.jobs, "toy"), origin)


def test_a_long_grid_names_its_first_answer_and_what_makes_it_shorter(tmp_path: Path):
    of = planned(tmp_path, list(range(10)))
    expected = every_run(of, 120.0)
    assert time_lines(of, expected) == [
        "time: about 20 min here, 2 runs at a time (measured here just now)",
        "first: seed 0 with all arms and tasks (2 runs), after about 2 min",
        "for less: --seeds 0-2 (make: SEEDS=0-2), about 6 min; more seeds can follow",
        "runs at a time: --jobs (make: JOBS=), by default one per usable core",
    ]
    assert time_data(of, expected) == {"estimated_seconds": 1200.0, "estimated_from": "calibration", "first_seed_seconds": 120.0}


def test_a_short_grid_needs_no_advice(tmp_path: Path):
    of = planned(tmp_path, list(range(10)))
    assert time_lines(of, every_run(of, 15.0, origin="earlier runs")) == [
        "time: about 2 min here, 2 runs at a time (by earlier runs on this machine)",
        "first: seed 0 with all arms and tasks (2 runs), after about a minute",
    ]
    one = planned(tmp_path, [4])
    assert time_lines(one, every_run(one, 2.0, workers=1)) == [
        "time: about a minute here, 1 run at a time (measured here just now)"
    ]


def test_seeds_that_are_no_span_are_not_cut(tmp_path: Path):
    of = planned(tmp_path, [0, 2, 4, 9])
    lines = time_lines(of, every_run(of, 600.0))
    assert [line.split(":")[0] for line in lines] == ["time", "first", "runs at a time"]


def test_what_is_not_known_is_said(tmp_path: Path):
    of = planned(tmp_path, [0, 1])
    unknown = Forecast(2, reason="no earlier run of these settings on cuda here")
    assert time_lines(of, unknown) == ["time: not known beforehand (no earlier run of these settings on cuda here)"]
    assert time_lines(of, Forecast(2, reason="too short to be measured")) == ["time: under a minute"]
    assert time_lines(planned(tmp_path, []), unknown) == []
    assert time_data(of, unknown) == {"estimated_seconds": None, "estimated_from": None, "first_seed_seconds": None}


@pytest.mark.parametrize(
    ("seconds", "text"), [(3.0, "a minute"), (100.0, "2 min"), (3000.0, "50 min"), (3590.0, "60 min"), (4920.0, "1 h 22 min")]
)
def test_durations(seconds: float, text: str):
    assert about(seconds) == text
