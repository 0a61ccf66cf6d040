"""What arrays decide, against numbers by hand and an independent reference."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from stableft.core.errors import MissingInput
from stableft.reporting.claims import decision_rules
from stableft.reporting.claims.claim import Evidence
from stableft.reporting.claims.hypotheses import narrows, together
from stableft.storage.records import CELL, Results
from tests.helpers import synthetic

SPLITS = ("validation", "test")
PAIRS = 500  # of a simulation: rates of 5 % are found within 1 %
NOISE = np.array([0.4, -0.3, 0.1, -0.2, 0.3, -0.1, 0.2, -0.4])


@pytest.mark.parametrize(
    ("values", "margin", "sign", "verdict"),
    [
        (1 + NOISE, 0.0, 1, "confirmed"),
        (1 + NOISE, 0.0, -1, "contradicted"),
        (1 + NOISE, 0.9, 1, "inconclusive"),
        (1 + NOISE, 2.0, 1, "contradicted"),
        (-1 + NOISE, 0.5, -1, "confirmed"),
        (NOISE, 0.0, 1, "inconclusive"),
        (1 + NOISE[:5], 0.0, 1, "inconclusive"),  # five pairs: p is never below 0.06
        (np.ones(1), 0.0, 1, "inconclusive"),
    ],
)
def test_a_mean_is_above_the_margin_below_it_or_neither(values: np.ndarray, margin: float, sign: int, verdict: str) -> None:
    evidence = decision_rules.mean_above(values, margin, sign)
    assert (evidence.verdict, evidence.n) == (verdict, len(values))
    assert (evidence.seeds_needed is None) == (verdict != "inconclusive" or len(values) < 4 or abs(values.mean()) < 1e-12)


def test_what_is_found_is_said_with_interval_p_and_n() -> None:
    evidence = decision_rules.difference(1 + NOISE, np.zeros(8))
    assert evidence.found.startswith("1.000 against 0.000, difference +1.000 (+0.")
    assert evidence.found.endswith("p = 0.0078, n = 8")  # 2 of 2^8 sign patterns


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=9), st.sampled_from([0.0, 0.1]))
def test_turning_the_arms_round_turns_the_verdict_round(values: list[float], margin: float) -> None:
    treated, reference = np.array(values), np.zeros(len(values))
    there, back = (
        decision_rules.difference(treated, reference, margin),
        decision_rules.difference(reference, treated, margin, sign=-1),
    )
    assert there.verdict == back.verdict
    opposite = decision_rules.difference(treated, reference, 0.0, sign=-1).verdict
    assert {decision_rules.difference(treated, reference).verdict, opposite} in ({"confirmed", "contradicted"}, {"inconclusive"})


def test_equality_needs_the_whole_interval_within_the_margin() -> None:
    reference = np.zeros(8)
    assert decision_rules.equality(NOISE / 100, reference, 0.01).verdict == "confirmed"
    assert decision_rules.equality(1 + NOISE, reference, 0.01).verdict == "contradicted"
    assert decision_rules.equality(-1 + NOISE, reference, 0.01).verdict == "contradicted"
    assert decision_rules.equality(NOISE, reference, 0.1).verdict == "inconclusive"
    assert decision_rules.equality(np.zeros(1), np.zeros(1), 0.1).verdict == "inconclusive"


def test_spread_is_the_ratio_of_standard_deviations() -> None:
    steadier = decision_rules.spread(NOISE / 10, NOISE[::-1])
    assert steadier.verdict == "confirmed"
    assert f"ratio {0.1:.2f}" in steadier.found
    assert f"Brown-Forsythe p = {stats.levene(NOISE / 10, NOISE).pvalue:.2g}" in steadier.found
    assert decision_rules.spread(NOISE[::-1], NOISE / 10).verdict == "contradicted"
    assert decision_rules.spread(NOISE[::-1] * 0.9, NOISE).verdict == "inconclusive"


@pytest.mark.parametrize("n", [6, 10, 20, 50])
def test_equal_spread_is_decided_in_no_more_than_five_percent(n: int) -> None:
    """The rule is p <= 0.05 of the test of Brown and Forsythe; the bootstrap interval alone decided 8 to 9 %."""
    rng = np.random.default_rng(n)
    t, r = rng.normal(size=(2, n, 20_000))
    assert (stats.levene(t, r, center="median", axis=0).pvalue <= 0.05).mean() <= 0.052
    assert decision_rules.spread(t[:, 0], r[:, 0]).verdict in ("inconclusive", "confirmed", "contradicted")


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [0.0, 0.8])
@pytest.mark.parametrize("n", [6, 20])
def test_rules_decide_nothing_true_in_no_more_than_five_percent(n: int, correlation: float) -> None:
    """Whole rules on pairs of equal arms, also with seeds that affect both arms alike."""
    rng = np.random.default_rng(n)
    shared = rng.normal(size=(PAIRS, 1, n)) * correlation**0.5
    arms = shared + rng.normal(size=(PAIRS, 2, n)) * (1 - correlation) ** 0.5
    for rule in (decision_rules.spread, decision_rules.difference):
        decided = np.mean([rule(*pair).verdict != "inconclusive" for pair in arms])
        assert decided <= 0.05 + 2.5 * (0.05 * 0.95 / PAIRS) ** 0.5, rule.__name__


def test_few_seeds_estimate_no_number_and_more_have_a_range() -> None:
    values = np.array([0.02, -0.01, 0.03, 0.001, 0.012, -0.02])
    assert decision_rules.mean_above(values[:3]).seeds_needed is None
    evidence = decision_rules.mean_above(values)
    assert evidence.verdict == "inconclusive"
    assert evidence.seeds_needed is not None
    assert evidence.seeds_range is not None
    fewest, most = evidence.seeds_range
    assert 7 <= fewest < evidence.seeds_needed
    assert most is None, "the interval contains 0"
    five = np.array([0.9, 1.1, 1.0, 1.05, 0.95])  # clear, but five pairs never reach p <= 0.05
    assert decision_rules.mean_above(five).seeds_range == (6, 6)


def test_each_run_above_a_margin_says_nothing_about_others() -> None:
    one = decision_rules.each_above(np.array([0.3]), 0.1)
    assert (one.verdict, one.n, one.found) == ("confirmed", 1, "1 of 1 above 0.100: +0.300")
    assert decision_rules.each_above(np.array([0.3, 0.002]), 0.1).verdict == "inconclusive"
    assert decision_rules.each_above(np.array([0.05, 0.002]), 0.1).verdict == "contradicted"


def test_failed_runs_by_mcnemar_and_wilson() -> None:
    ones, none = np.ones(10), np.zeros(10)
    assert decision_rules.failures(ones, none, 0.12).verdict == "confirmed"
    assert decision_rules.failures(none, ones, 0.12).verdict == "contradicted"
    assert decision_rules.failures(ones, ones, 0.12).verdict == "inconclusive"
    assert decision_rules.failures(np.array([1.0] * 5 + [0.0] * 5), none, 0.12).verdict == "inconclusive"  # p = 2 / 2^5
    assert decision_rules.failures(np.array([1.0] * 6 + [0.0] * 4), none, 0.12).verdict == "confirmed"  # p = 2 / 2^6


def test_no_failed_run_is_an_answer_where_there_are_enough() -> None:
    ten = decision_rules.no_failure(np.zeros(10), 0.12)
    assert (ten.verdict, ten.seeds_needed) == ("inconclusive", 29)
    for n, verdict in ((28, "inconclusive"), (29, "confirmed")):
        high = stats.binomtest(0, n).proportion_ci(0.95, method="wilson").high
        assert (high < 0.12) == (verdict == "confirmed")
        assert decision_rules.no_failure(np.zeros(n), 0.12).verdict == verdict
        assert decision_rules.failures(np.zeros(n), np.zeros(n), 0.12).verdict == ("contradicted" if n == 29 else "inconclusive")
    assert decision_rules.no_failure(np.eye(50)[0], 0.12).verdict == "contradicted"


@pytest.mark.slow
@pytest.mark.parametrize("n", [6, 11, 50])
def test_a_gap_that_never_was_narrows_no_more_often_than_it_widens(n: int) -> None:
    """The side is the source's. Chosen by the data, 5.3 % were confirmed at n = 11, and none ever contradicted."""
    rng = np.random.default_rng(n)
    early, late = rng.normal(size=(2, PAIRS, n))
    verdicts = [decision_rules.difference(*pair).verdict for pair in zip(early, late, strict=True)]
    for verdict in ("confirmed", "contradicted"):
        assert verdicts.count(verdict) / PAIRS <= 0.025 + 2.5 * (0.025 * 0.975 / PAIRS) ** 0.5


@pytest.mark.parametrize(("lead", "verdict"), [(0.05, "confirmed"), (-0.05, "contradicted")])
def test_a_gap_has_the_side_of_the_source(lead: float, verdict: str) -> None:
    """The gap closes in both; where the reference was ahead, it does not narrow as the source has it."""
    results = synthetic.lengths(seeds=8, steps=(96, 400))
    runs = results.runs.assign(outcome="ok")
    noise = np.random.default_rng(0).normal(0, 0.002, len(runs))
    wide = runs.assign(value=0.7 + lead * (runs["arm"] == "reinit 96") + noise)
    frames = [wide[[*CELL, "value"]].assign(step=runs["num_steps"], split=split, metric="score", scope="") for split in SPLITS]
    evidence = narrows("reinit", "standard")(Results(runs, pd.concat(frames), results.predictions))
    assert evidence.verdict == verdict


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["confirmed", "confirmed"], "confirmed"),
        (["confirmed", "inconclusive"], "inconclusive"),
        (["confirmed", "contradicted"], "contradicted"),
        (["inconclusive", "contradicted"], "contradicted"),
    ],
)
def test_several_tasks_together(verdicts: list, expected: str) -> None:
    parts = {f"task{i}": Evidence(v, f"found {i}", 10 - i, 20 + i if v == "inconclusive" else None) for i, v in enumerate(verdicts)}
    whole = together(parts)
    assert (whole.verdict, whole.n, whole.found) == (expected, 9, "task0: found 0; task1: found 1")
    assert whole.seeds_needed == (21 if expected == "inconclusive" else None)


def test_no_task_is_no_evidence() -> None:
    with pytest.raises(MissingInput):
        together({})
