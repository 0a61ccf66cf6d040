"""The mean of an arm's runs; what figures of curves draw is tested with them."""

import pytest

from stableft.core.errors import MissingInput, NotLogged
from stableft.reporting import mean_curves
from tests.helpers import synthetic


def test_an_arm_alone_is_the_same_as_among_others() -> None:
    results = synthetic.grid(3)
    whole = mean_curves.mean_curves(results, split="train", metric="loss", interval=10)
    alone = mean_curves.mean_curves(results, split="train", metric="loss", interval=10, arms=["uncorrected"])
    assert alone.equals(whole[whole["arm"] == "uncorrected"].reset_index(drop=True))


def test_absent_arms_and_series_are_named() -> None:
    results = synthetic.grid(1)
    with pytest.raises(NotLogged, match="no run of other"):
        mean_curves.mean_curves(results, split="train", metric="loss", arms=["other"])
    with pytest.raises(MissingInput, match="'f1' on split 'test'"):
        mean_curves.mean_curves(results, split="test", metric="f1")
