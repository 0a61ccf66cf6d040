"""Which GPU each training process gets."""

import pytest

from stableft.core.errors import NoDevice, UsageError
from stableft.execution.gpus import parse_gpus, slots


@pytest.mark.parametrize(("text", "numbers"), [("0", [0]), ("0,1", [0, 1]), (" 3, 1 ", [3, 1])])
def test_numbers_are_parsed(text: str, numbers: list[int]):
    assert parse_gpus(text) == numbers


@pytest.mark.parametrize("text", ["", "x", "0,", "-1", "0,0", "0,00", "0-1", "cuda:0"])
def test_anything_else_is_refused(text: str):
    with pytest.raises(UsageError, match="write the numbers of GPUs"):
        parse_gpus(text)


def test_few_runs_are_spread_over_the_gpus(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert slots([0, 2], 3, count=4) == ["0", "2", "0", "2", "0", "2"]


def test_numbers_count_those_that_a_scheduler_gave(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5, GPU-abc")
    assert slots([1, 0], 1, count=2) == ["GPU-abc", "5"]
    with pytest.raises(NoDevice, match="no GPU 2: torch finds 2 here, numbered from 0 to 1"):
        slots([0, 2], 1, count=2)


def test_a_machine_without_gpus_says_so():
    with pytest.raises(NoDevice, match=r"no GPU 0, 1: torch finds 0 here$"):
        slots([0, 1], 1, count=0)
