"""Against the score table, scipy, and arrays made by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from stableft import statistics
from stableft.reporting import run_scores
from stableft.reporting.tables import score_summary, stability
from stableft.storage.records import Results
from tests.helpers import synthetic


def test_differences_are_those_of_the_score_table() -> None:
    results = synthetic.grid()
    table, known = stability.table(results), score_summary.table(results).query("arm == 'uncorrected'")
    assert table[["task", "arm"]].to_numpy().tolist() == [["rte", "uncorrected"], ["tnews_1k", "uncorrected"]]
    for name in ("pairs", "difference", "low", "high", "p"):
        assert table[name].tolist() == known[name].tolist()
    assert table["p_holm"].tolist() == [0.125, 0.125]  # twice the smallest of 1/16 and 1/16


def test_spread_failures_and_improvement_by_hand() -> None:
    results = synthetic.grid()
    row = stability.table(results).iloc[0]
    scores = run_scores.final_scores(results).query("task == 'rte'")
    corrected, uncorrected = (scores.query("arm == @arm")["score"].to_numpy() for arm in ("corrected", "uncorrected"))
    assert row["std_ratio"] == pytest.approx(uncorrected.std() / corrected.std())
    assert row["std_ratio_low"] < row["std_ratio"] < row["std_ratio_high"]
    assert row["p_brown_forsythe"] == pytest.approx(stats.levene(uncorrected, corrected, center="median").pvalue)
    assert (row["alone_failed"], row["first_failed"], row["p_mcnemar"]) == (2, 0, 0.5)  # seeds 1 and 3
    assert row["better"] == np.mean(uncorrected > corrected)
    assert row["aso"] == 1
    assert row[["items_low", "items_high"]].isna().all()  # no predictions here


def test_the_interval_over_items_counts_a_lost_run_as_the_most_common_class() -> None:
    results = synthetic.with_predictions(synthetic.grid())
    row = stability.table(results).iloc[0]
    said = results.predictions.query("task == 'rte'")
    right = dict(list((said["prediction"] == said["label"]).groupby([said["arm"], said["seed"]])))
    labels = said["label"].to_numpy()[:60]
    commonest = labels == np.bincount(labels.astype(int)).argmax()
    treated = np.stack([np.asarray(right.get(("uncorrected", seed), commonest)) for seed in range(5)])
    reference = np.stack([np.asarray(right["corrected", seed]) for seed in range(5)])
    expected = statistics.multi_bootstrap(treated, reference, np.random.default_rng(statistics.RESAMPLING_SEED))
    assert row[["items_low", "items_high"]].tolist() == list(expected)
    assert expected.high - expected.low > 0.1


def test_no_interval_over_items_of_other_scores_or_where_predictions_are_missing() -> None:
    results = synthetic.with_predictions(synthetic.grid(3, diverged=False))
    other = Results(results.runs.assign(score_name="mcc"), results.metrics, results.predictions)
    assert stability.table(other)["items_low"].isna().all()
    fewer = results.predictions[~((results.predictions["task"] == "rte") & (results.predictions["seed"] == 2))]
    table = stability.table(Results(results.runs, results.metrics, fewer))
    assert table["items_low"].isna().tolist() == [True, False]


def test_only_shared_seeds_count_and_arms_that_share_none_have_a_row() -> None:
    half = synthetic.without(synthetic.grid(), "uncorrected", {0, 1})
    assert stability.table(half)["pairs"].tolist() == [3, 3]
    none = synthetic.without(synthetic.without(synthetic.grid(), "corrected", {0, 1, 2}), "uncorrected", {3, 4})
    table = stability.table(none)
    assert table["pairs"].tolist() == [0, 0]
    assert table.drop(columns=["task", "arm", "pairs"]).isna().all(axis=None)


def test_a_single_arm_and_single_seeds() -> None:
    one = synthetic.grid(1)
    assert stability.table(one)["p"].tolist() == [1, 1]
    alone = synthetic.without(synthetic.grid(2), "uncorrected", {0, 1})
    table = stability.table(alone)
    assert table.empty
    assert isinstance(table, pd.DataFrame)
    assert list(table) == stability.COLUMNS


def test_the_note_says_that_pairs_are_resampled_which_makes_aso_smaller() -> None:
    """The thresholds of the source are for arms resampled independently."""
    assert "from resampled pairs" in stability.NOTE
    rng = np.random.default_rng(0)
    shared = rng.normal(size=10)
    treated, reference = shared + 0.5 + rng.normal(0, 0.3, 10), shared + rng.normal(0, 0.3, 10)
    ours = statistics.almost_stochastic_order(treated, reference, np.random.default_rng(1))
    drawn = [rng.integers(0, 10, (1000, 10)) for _ in range(2)]
    ratios = [statistics.violation_ratio(treated[one], reference[other]) for one, other in zip(*drawn, strict=True)]
    independent = statistics.violation_ratio(treated, reference) + 1.645 * np.std(ratios)
    assert ours < 0.2 < independent
