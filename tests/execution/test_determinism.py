"""The levels, each from runs that deserve it; and the whole check, with processes that die."""

import dataclasses
import itertools
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments import adam
from experiments.protocol import SMOKE
from stableft.cli.app import app
from stableft.core.errors import StableftError
from stableft.execution import determinism
from stableft.execution.determinism import LEVELS, REPEATED, RepeatCheck, Rows, compare, first_difference, level
from stableft.execution.inputs import Inputs
from stableft.execution.runner import ExecutionOptions
from stableft.storage.frames import metrics_frame


def rows(trajectory: str, value: float = 0.5) -> Rows:
    return Rows(trajectory, metrics_frame([(1, "train", "loss", "", 0.7), (2, "train", "loss", "", value)]))


@pytest.mark.parametrize(
    ("repeated", "resumed", "threads", "expected"),
    [
        ("a", "a", "a", "bit-exact"),
        ("a", "b", "a", "same-hardware"),
        ("a", "a", "b", "same-hardware"),
        ("b", "a", "a", "statistical"),
        ("b", "b", "b", "statistical"),
    ],
)
def test_every_level(repeated: str, resumed: str, threads: str, expected: str, tmp_path: Path) -> None:
    gave = {"first": "a", REPEATED: repeated, "resumed": resumed, "threads": threads}
    comparisons = list(compare({name: lambda _, t=t: rows(t, len(t)) for name, t in gave.items()}, tmp_path))
    assert [c.way for c in comparisons if not c.equal] == [name for name, t in gave.items() if t != "a"]
    assert level(comparisons) == expected
    assert set(LEVELS) >= {expected}


def test_the_first_row_that_differs_is_named() -> None:
    assert first_difference(rows("a"), rows("a")) == ""
    assert first_difference(rows("a"), rows("b", 0.25)) == "step 2 train loss: 0.5, 0.25"
    assert first_difference(rows("a"), rows("b")) == "a prediction, or the number of rows"


def test_a_run_that_differs_each_time_is_statistical(monkeypatch: pytest.MonkeyPatch) -> None:
    """Injected in place of a real run: what it gives depends on how often it was asked."""
    asked = itertools.count()
    monkeypatch.setattr(determinism, "_run", lambda *_: rows(str(n := next(asked)), float(n)))
    monkeypatch.setattr(determinism, "_resumed", lambda *_: rows("0", 0.0))
    result = CliRunner().invoke(app, ["doctor", "--determinism", "--json"])
    said = json.loads(result.stdout)
    assert (result.exit_code, said["level"]) == (0, "statistical")
    assert said["comparisons"][0] == {"way": REPEATED, "equal": False, "difference": "step 2 train loss: 0.0, 1.0"}
    assert said["comparisons"][1]["equal"]


@pytest.mark.slow
def test_the_whole_check() -> None:
    """Processes are started, one is killed and resumed; on one thread of a CPU every way gives the same bits."""
    result = CliRunner().invoke(app, ["doctor", "--determinism"])
    assert result.exit_code == 0, result.output
    assert "killed and resumed" in result.stdout
    assert "local, two processes" in result.stdout
    assert result.stdout.strip().endswith(f"bit-exact: {LEVELS['bit-exact']}")


def test_a_run_that_fails_is_an_error_not_a_level(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = dataclasses.replace(adam.grid(SMOKE), seeds=[0])
    way = determinism.ways(broken, Inputs())["killed and resumed"]
    # Without checkpoints it begins from the start, and dies again.
    monkeypatch.setattr(determinism, "ExecutionOptions", lambda **_: ExecutionOptions(checkpoint_minutes=0))
    with pytest.raises(StableftError, match=r"run [0-9a-f]{16} killed: .*signal 9"):
        way(tmp_path)


def test_text_shows_what_differs() -> None:
    from stableft.cli.doctor import determinism_view

    view = determinism_view("smoke", [RepeatCheck(REPEATED, ""), RepeatCheck("other", "step 1 train loss: 1.0, 2.0")])
    assert view.data["level"] == "same-hardware"
    assert view.text[-1] == f"same-hardware: {LEVELS['same-hardware']}"
