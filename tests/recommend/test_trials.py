"""Trials: real runs of the toy task, done once, and found again by a second command."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.protocol import SMOKE
from stableft.core.errors import MissingInput
from stableft.core.grid import Grid
from stableft.execution.inputs import Inputs
from stableft.execution.planning import Plan
from stableft.execution.runner import ExecutionOptions
from stableft.recommend.parts import labelled
from stableft.recommend.trials import ProgressSink, Trials
from stableft.storage.store import Store
from stableft.tasks.catalog import get_task


@contextlib.contextmanager
def silent(planned: Plan) -> Iterator[ProgressSink]:
    yield ProgressSink(lambda *_: None, lambda status: None)


def trials(folder: Path, **options) -> Trials:
    task = get_task("toy")
    parts = {split: labelled(task, task.load(), split) for split in ("validation", "test")}
    grid = Grid("recommend", SMOKE, {"default": {}}, ["toy"], [0])
    return Trials(grid, parts, Store(folder), Inputs(), ExecutionOptions(workers=1, **options), silent)


def test_a_second_command_finds_the_runs_and_their_time(tmp_path: Path) -> None:
    first = trials(tmp_path)
    first.run({"default": {}}, [0, 1])
    again = trials(tmp_path)
    assert 0 < again.forecast() < 60
    again.run({"default": {}}, [0, 1])
    assert [trial.score for trial in again.of("default")] == [trial.score for trial in first.of("default")]
    assert [trial.seed for trial in again.of("default")] == [0, 1]
    with pytest.raises(MissingInput, match="a run of default could not be done"):
        trials(tmp_path / "other", timeout=0.01, max_retries=0).run({"default": {}}, [0])
