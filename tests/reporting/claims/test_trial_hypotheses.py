"""Tests on samples of runs: rates, the best of a few, and what early scores tell."""

from dataclasses import replace

import numpy as np
import pytest

from experiments import adam
from experiments.protocol import PAPER
from stableft import statistics
from stableft.core.errors import MissingInput
from stableft.core.grid import select
from stableft.reporting import run_scores
from stableft.reporting.claims.trial_hypotheses import EarlyPredictsLate, FewerTrials, ShareBelow, StoppingPays, best_of_resamples
from stableft.storage.records import Results
from tests.helpers.worlds import World, results

GRID = select(adam.grid(PAPER), tasks=["rte"])
HALF = ShareBelow("uncorrected", 0.55, 0.25, 0.75)


@pytest.mark.parametrize(
    ("world", "verdict", "below"),
    [
        (World(seeds=50, failing=1, every=2), "confirmed", 25),  # 37 to 63 %
        (World(seeds=50, failing=1), "contradicted", 50),
        (World(seeds=50), "contradicted", 0),
        (World(seeds=6, failing=1, every=2), "inconclusive", 3),
    ],
)
def test_a_share_is_the_sources_if_its_interval_is(world: World, verdict: str, below: int) -> None:
    found = HALF(results(GRID, world))
    assert (found.verdict, found.n, found.effect) == (verdict, world.seeds, f"{below} of {world.seeds}")


def test_fewer_trials_by_hand() -> None:
    given = results(GRID, World(seeds=20, failing=1, every=2, noise=0.01))
    found = FewerTrials("corrected", "uncorrected", 5)(given)
    scores = run_scores.both_splits(given)
    best = {
        arm: statistics.expected_test_of_best(of["validation"], of["test"])[4] for arm, of in scores.groupby("arm", observed=True)
    }
    assert found.effect == f"{best['corrected'] - best['uncorrected']:+.3f}"
    assert "n = 20" in found.found
    assert FewerTrials("corrected", "uncorrected", 5)(results(GRID, World(failing=1))).verdict == "confirmed"
    assert FewerTrials("uncorrected", "corrected", 5)(results(GRID, World(failing=1))).verdict == "contradicted"
    with pytest.raises(MissingInput, match="4 seeds with both arms, and 5"):
        FewerTrials("corrected", "uncorrected", 5)(results(GRID, World(seeds=4)))


def test_resamples_give_what_their_runs_give_one_by_one() -> None:
    rng = np.random.default_rng(1)
    validation, test = rng.integers(0, 4, 12) / 4, rng.normal(size=12)  # with ties
    counts = rng.multinomial(12, np.full(12, 1 / 12), size=20)
    found = best_of_resamples(validation, test, counts, 5)
    for row, value in zip(counts, found, strict=True):
        assert value == pytest.approx(statistics.expected_test_of_best(np.repeat(validation, row), np.repeat(test, row))[4])


def test_no_true_difference_is_rarely_decided() -> None:
    """Both arms are from the same distribution."""
    rng = np.random.default_rng(0)
    given = results(GRID, World(seeds=10))
    scores = given.metrics["metric"].eq("score") & given.metrics["scope"].eq("") & given.metrics["step"].eq(20)
    decided = 0
    for _ in range(8):
        metrics = given.metrics.copy()
        metrics.loc[scores, "value"] = 0.7 + rng.normal(0, 0.02, int(scores.sum()))
        decided += FewerTrials("corrected", "uncorrected", 5)(replace(given, metrics=metrics)).verdict != "inconclusive"
    assert decided <= 2


@pytest.mark.parametrize(("early", "verdict"), [(1.0, "confirmed"), (-1.0, "contradicted"), (0.0, "inconclusive")])
def test_early_scores_predict_or_not(early: float, verdict: str) -> None:
    given = results(GRID, World(seeds=20, early=early, noise=0.005))
    assert EarlyPredictsLate("uncorrected", 0.3)(given).verdict == verdict


def test_runs_that_all_score_alike_tell_nothing() -> None:
    given = results(GRID, World(seeds=20))
    scores = given.metrics["metric"].eq("score") & given.metrics["step"].eq(20)
    constant = Results(given.runs, given.metrics.assign(value=given.metrics["value"].mask(scores, 0.5)), given.predictions)
    with pytest.raises(MissingInput, match="all equal"):
        EarlyPredictsLate("uncorrected", 0.3)(constant)
    with pytest.raises(MissingInput, match="nothing to go by of arm 'other'"):
        ShareBelow("other", 0.55, 0.25, 0.75)(given)


# The early evaluation is after 6 of 20 steps: three whole runs cost as much as seven, of which one continues.
@pytest.mark.parametrize(("early", "verdict"), [(1.0, "confirmed"), (-1.0, "contradicted")])
def test_stopping_pays_where_early_scores_tell_the_best(early: float, verdict: str) -> None:
    given = results(GRID, World(seeds=20, early=early, noise=0.005))
    found = StoppingPays("uncorrected", 0.3, 3)(given)
    assert (found.verdict, found.n) == (verdict, 20)
    assert "7 runs stopped at 30% but one, against 3 whole runs" in found.found


def test_the_gain_of_stopping_by_hand() -> None:
    given = results(GRID, World(seeds=20, early=1.0, noise=0.005))
    last = run_scores.last_scores(given, "validation")
    ends = last.loc[last["arm"] == "uncorrected", "validation"]
    # Early scores are in the order of the last ones, so the best of seven continues.
    best = statistics.expected_best(ends)
    assert StoppingPays("uncorrected", 0.3, 3)(given).effect == f"{best[6] - best[2]:+.3f}"
    with pytest.raises(MissingInput, match="2 runs with an early score, and 3"):
        StoppingPays("uncorrected", 0.3, 3)(results(GRID, World(seeds=2)))


def test_runs_without_an_early_score_count_and_never_lead() -> None:
    given = results(GRID, World(seeds=20, early=1.0, noise=0.005))
    early = given.metrics["split"].eq("validation") & given.metrics["metric"].eq("score") & given.metrics["step"].lt(20)
    undefined = given.metrics.assign(value=given.metrics["value"].mask(early & given.metrics["seed"].lt(10), np.nan))
    absent = given.metrics[~(early & given.metrics["seed"].lt(10))]
    found = [StoppingPays("uncorrected", 0.3, 3)(replace(given, metrics=metrics)) for metrics in (undefined, absent)]
    assert found[0] == found[1]
    assert found[0].n == 20
