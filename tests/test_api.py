"""The Python interface: the same runs, numbers, figures and verdicts as the commands."""

import json
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from stableft import api
from stableft.core.errors import MissingInput, UsageError
from stableft.execution.runner import ExecutionOptions
from tests.conftest import Quick

SERIAL = ExecutionOptions(backend="serial")
ARMS = {"corrected": {"adam.bias_correction": True}, "uncorrected": {"adam.bias_correction": False}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of two seeds of a grid that is adam's by another name."""
    folder = tmp_path_factory.mktemp("api")
    api.run(api.grid(ARMS, name="mine", protocol="smoke", seeds=range(2)), folder / "out", options=SERIAL)
    return folder


def test_a_grid_runs_once_and_as_the_command_would(folder: Path, quick: Quick):
    ended = []
    again = api.run(
        api.grid(ARMS, name="mine", protocol="smoke", seeds=range(2)), folder / "out", options=SERIAL, ended=ended.append
    )
    assert ended == []
    assert len(again.runs) == 4
    plan = json.loads(quick(folder, "plan", "adam", "--protocol", "smoke", "--seeds", "0-1", "--results", "out", "--json")[1])
    assert (plan["cached"], plan["will_run"]) == (4, 0)
    pd.testing.assert_frame_equal(api.load("mine", "smoke", folder / "out").metrics, again.metrics)


def test_a_truncated_record_is_done_again(folder: Path):
    record = sorted((folder / "out" / "runs").iterdir())[0]
    record.write_bytes(record.read_bytes()[:-9])
    ended = []
    grid = api.grid(ARMS, name="mine", protocol="smoke", seeds=range(2))
    assert len(api.run(grid, folder / "out", options=SERIAL, ended=ended.append).runs) == 4
    assert [status.job.run_id for status in ended] == [record.stem]


def test_numbers_figures_and_verdicts(folder: Path):
    results = api.load("mine", "smoke", folder / "out")
    scores = api.scores(results)
    (row,) = api.compare(results).to_dict("records")
    means = scores.groupby("arm", observed=True)["score"].mean()
    assert (row["pairs"], row["mean"], row["reference"]) == (2, means["uncorrected"], means["corrected"])
    assert isinstance(api.draw("curves", results, split="train", metric="loss"), Figure)
    assert list(api.table("score_summary", results)["arm"]) == ["corrected", "uncorrected"]
    adam = api.run(api.experiment("adam", "smoke", seeds=[0, 1]), folder / "out", options=SERIAL)
    verdicts = api.verdicts("adam", adam, "smoke")
    assert list(verdicts) == ["claim", "statement", "verdict", "found", "n"]
    assert set(verdicts["verdict"]) <= {"confirmed", "contradicted", "inconclusive", "not applicable", "not run"}


def test_errors_are_the_commands(tmp_path: Path):
    with pytest.raises(UsageError, match="unknown protocol 'large'"):
        api.grid(ARMS, protocol="large")
    with pytest.raises(UsageError, match=r"unknown figure 'curve'; known: .*curves"):
        api.draw("curve", api.load("adam", "laptop"))
    with pytest.raises(MissingInput):
        api.load("adam", "smoke", tmp_path)
