"""What a row contains."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from stableft.reporting import run_scores
from stableft.reporting.tables import score_summary
from tests.helpers import synthetic


def test_score_table_against_numpy_and_scipy() -> None:
    results = synthetic.grid()
    table = score_summary.table(results)
    assert table[["task", "arm"]].to_numpy().tolist() == [
        [task, arm] for task in ("rte", "tnews_1k") for arm in ("corrected", "uncorrected")
    ]
    scores = run_scores.final_scores(results).query("task == 'tnews_1k'")
    corrected, uncorrected = (scores.query("arm == @arm")["score"].to_numpy() for arm in ("corrected", "uncorrected"))
    row = table.iloc[3]
    assert row["mean"] == pytest.approx(uncorrected.mean())
    assert row["std"] == pytest.approx(uncorrected.std(ddof=1))
    assert (row["n"], row["failed"], row["pairs"]) == (5, 2, 5)
    assert row["difference"] == pytest.approx((uncorrected - corrected).mean())
    expected = stats.permutation_test((uncorrected - corrected,), np.sum, permutation_type="samples", n_resamples=2**5)
    assert row["p"] == pytest.approx(expected.pvalue)
    assert row["low"] < row["difference"] < row["high"]
    assert table.iloc[2][["pairs", "difference", "low", "high", "p"]].isna().all()


def test_only_shared_seeds_are_paired() -> None:
    table = score_summary.table(synthetic.without(synthetic.grid(), "uncorrected", {0, 1})).query("task == 'rte'")
    assert table["n"].tolist() == [5, 3]
    assert table["pairs"].tolist() == [pd.NA, 3]
    alone = synthetic.without(synthetic.without(synthetic.grid(), "corrected", {0, 1, 2}), "uncorrected", {3, 4})
    row = score_summary.table(alone).query("arm == 'uncorrected'").iloc[0]
    assert row["pairs"] == 0
    assert pd.isna(row["difference"])
