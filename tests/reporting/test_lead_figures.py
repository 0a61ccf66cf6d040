"""Which figure answers an experiment's question, and which shows a claim."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from stableft.core.experiments import all_experiments
from stableft.reporting.claims.hypotheses import greater, less, steadier
from stableft.reporting.claims.measures import train_loss
from stableft.reporting.claims.run_measures import FailedPairs, low_gradients
from stableft.reporting.lead_figures import SHOWN_IN, figure_of, lead
from tests.helpers.pages import judgement

CLAIM = judgement("one", "confirmed", "").claim


@pytest.mark.parametrize(
    ("named", "figures", "expected"),
    [
        ({"LEAD": "b"}, ["a", "b"], "b"), ({"LEAD": "b"}, ["a", "score_distribution"], "score_distribution"),
        ({}, ["a", "score_distribution"], "score_distribution"), ({}, ["a", "b"], "a"), ({}, [], ""),
    ],
)  # fmt: skip
def test_the_lead_is_the_named_figure_or_the_scores_or_the_first(named: Any, figures: list[str], expected: str) -> None:
    module: Any = SimpleNamespace(**named)
    assert lead(module, iter(figures)) == expected


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        (greater("a", "b"), "score_distribution"), (steadier("a", "b"), "score_distribution"),
        (less("a", "b", train_loss(1, 10)), "train_loss"),
        (less("a", "b", FailedPairs(low_gradients, "a", "b")), "block_gradients"), (lambda results: None, "lead"),
    ],
)  # fmt: skip
def test_a_claim_is_shown_by_a_figure_of_its_measure(test: Any, expected: str) -> None:
    names = ("lead", "score_distribution", "train_loss", "block_gradients")
    assert figure_of(replace(CLAIM, test=test), names, "lead") == expected


def test_no_figure_is_named_for_what_none_shows() -> None:
    claim = replace(CLAIM, test=less("a", "b", FailedPairs(low_gradients, "a", "b")))
    assert figure_of(claim, ("lead", "score_distribution"), "lead") == ""


def test_every_experiment_names_a_figure_of_its_report() -> None:
    for name, module in all_experiments().items():
        assert getattr(module, "LEAD", "score_distribution") in module.REPORT, name


def test_the_named_figures_are_in_reports() -> None:
    known = {entry for module in all_experiments().values() for entry in module.REPORT}
    assert {name for names in SHOWN_IN.values() for name in names} <= known
