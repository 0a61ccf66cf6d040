"""A claim is judged in the setting of its source, and nowhere else."""

from dataclasses import replace
from typing import Any

import pytest

from experiments import adam, lr_grid, techniques
from experiments.protocol import LAPTOP, PAPER
from stableft.core.grid import Grid, select
from stableft.reporting.claims import Claim, Setting
from stableft.reporting.claims.hypotheses import greater
from stableft.reporting.claims.judge import judge
from stableft.reporting.claims.setting import unmet
from stableft.storage.records import Results
from tests.helpers.worlds import World, results

GRID = adam.grid(LAPTOP)  # docs15 at 5e-4, batch 16, 3 epochs; docpair at 2e-4, batch 32, 3 epochs, 1,000 examples


def older(grid: Grid, world: World) -> Results:
    """Results of a version that did not record the number of training examples."""
    made = results(grid, world)
    return replace(made, runs=made.runs.drop(columns="num_train"))


FOUND = older(GRID, World(seeds=8, failing=1, trend=-0.1))
CLAIM = Claim("better", "It is.", "Table 1", "above", "bert-large-uncased", 6, greater("corrected", "uncorrected"))


SHORT = "corrected is not longer than uncorrected (20 and 20 steps)"
FEW = {
    "docs15": "training examples not recorded instead of at most 999",
    "docpair": "training examples 1000 instead of at most 999",
}
TWO = {"docs15": "epochs 3 instead of at most 2", "docpair": "epochs 3 instead of at most 2, batch size 32 instead of 16"}


def on_both(reason: str) -> dict[str, str]:
    return dict.fromkeys(GRID.tasks, reason)


@pytest.mark.parametrize(
    ("conditions", "outside"),
    [
        ({}, {}),
        ({"learning_rates": (2e-4,)}, {"docs15": "learning rate 0.0005 instead of 0.0002"}),
        ({"learning_rates": (5e-4, 2e-4)}, {}),
        ({"max_learning_rate": 3e-4}, {"docs15": "learning rate 0.0005 instead of at most 0.0003"}),
        ({"min_learning_rate": 3e-4, "max_learning_rate": 1e-3}, {"docpair": "learning rate 0.0002 instead of 0.0003 to 0.001"}),
        ({"batch_sizes": (16,)}, {"docpair": "batch size 32 instead of 16"}),
        ({"min_epochs": 10}, on_both("epochs 3 instead of at least 10")),
        ({"max_epochs": 3}, {}),
        ({"max_train_examples": 999}, FEW),
        ({"split": "validation"}, on_both("scored split test instead of validation")),
        ({"split": "test"}, {}),
        ({"some_succeed": ("corrected",)}, {}),
        ({"some_succeed": ("uncorrected",)}, on_both("all 8 runs of uncorrected failed")),
        ({"none_failed": ("corrected",)}, {}),
        ({"none_failed": ("corrected", "unc*")}, on_both("8 of 8 runs of unc* failed")),
        ({"none_failed": ({"paper": "corrected", "": "uncorrected"},)}, on_both("8 of 8 runs of uncorrected failed")),
        ({"longer": (("corrected", "uncorrected"),)}, on_both(SHORT)),
        ({"longer": (("nowhere", "uncorrected"),)}, {}),
        ({"batch_sizes": (16,), "max_epochs": 2}, TWO),
    ],
)
def test_each_condition_holds_or_says_why(conditions: dict[str, Any], outside: dict[str, str]) -> None:
    assert unmet(Setting("words", **conditions), FOUND) == outside


def test_conditions_are_about_the_arms_of_the_claim() -> None:
    grid = select(lr_grid.grid(LAPTOP), tasks=["docs15"])
    found = results(grid, World(seeds=2))
    setting = Setting("at 2e-5", learning_rates=(2e-5,))
    assert unmet(setting, found, ("corrected lr=2e-05*", "uncorrected lr=2e-05*")) == {}
    assert "docs15" in unmet(setting, found, ("corrected *",))
    assert "docs15" in unmet(setting, found, ("no such arm",)), "all arms, if a measure has other ones"
    assert unmet(replace(setting, arms=("corrected lr=2e-05",)), found, ("corrected *",)) == {}


def test_epochs_are_counted_from_steps_if_they_are_not_set() -> None:
    made = older(select(techniques.grid(PAPER), tasks=["rte"]), World(seeds=1))
    found = Results(made.runs.assign(num_train=2490.0), made.metrics, made.predictions)
    asked = Setting("longer", min_epochs=400 / 78)
    assert unmet(asked, found, ("longer",)) == {}
    assert unmet(replace(asked, min_epochs=400 / 78 + 0.01), found, ("longer",)) == {
        "rte": "epochs 5.12821 instead of at least 5.13821"
    }
    assert unmet(Setting("longer", max_epochs=9), made, ("longer",)) == {"rte": "epochs not recorded instead of at most 9"}


def judged(setting: Setting | None, grid: Grid = GRID) -> Any:
    return judge([replace(CLAIM, setting=setting)], grid, FOUND)[0]


def test_outside_of_its_setting_a_claim_is_not_applicable_and_never_contradicted() -> None:
    turned = replace(
        CLAIM, test=greater("uncorrected", "corrected"), setting=Setting("nothing fails", none_failed=("uncorrected",))
    )
    assert judge([replace(turned, setting=None)], GRID, FOUND)[0].wording == "contradicted here"
    (judgement,) = judge([turned], GRID, FOUND)
    assert (judgement.verdict, judgement.wording) == ("not applicable", "not applicable here")
    assert judgement.found.startswith("outside the source's setting: docs15: 8 of 8 runs of uncorrected failed; docpair:")
    assert (judgement.n, judgement.needs, judgement.seconds) == (0, "", None)
    assert set(judgement.outside) == {"docs15", "docpair"}


def test_tasks_in_the_setting_are_judged_and_the_others_named() -> None:
    judgement = judged(Setting("batch 32", batch_sizes=(32,)))
    assert judgement.wording == "confirmed here"
    assert judgement.found.startswith("docpair: ")
    assert judgement.found.endswith("; not applicable on docs15: batch size 16 instead of 32")
    assert judgement.outside == {"docs15": "batch size 16 instead of 32"}
    assert judgement.runs == 16
    whole = judged(None)
    assert (whole.verdict, whole.runs, whole.outside) == ("confirmed", 32, {})
