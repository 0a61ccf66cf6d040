"""Against numpy and scipy on the scores themselves."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from stableft.reporting import run_scores
from stableft.reporting.tables import arm_summary
from stableft.storage.records import Results
from tests.helpers import synthetic


def test_rows_of_a_task_stand_together_and_say_what_numpy_says() -> None:
    results = synthetic.grid(8)
    table = arm_summary.table(results)
    assert table["task"].tolist() == ["rte", "rte", "tnews_1k", "tnews_1k"]
    scores = run_scores.final_scores(results).query("task == 'rte' and arm == 'uncorrected'")["score"].to_numpy()
    row = table.iloc[1]
    names = ["n", "mean", "std", "median", "iqm", "min", "max"]
    expected = [8, scores.mean(), scores.std(ddof=1), np.median(scores), np.sort(scores)[2:6].mean(), scores.min(), scores.max()]
    assert row[names].tolist() == pytest.approx(expected)
    assert row["min"] <= row["low"] < row["mean"] < row["high"] <= row["max"]
    wilson = stats.binomtest(4, 8).proportion_ci(method="wilson")
    assert row[["failed", "failed_low", "failed_high"]].tolist() == pytest.approx([4, wilson.low, wilson.high])


def test_rows_are_grouped_by_task_where_runs_are_not() -> None:
    results = synthetic.grid(2)
    mixed = synthetic.Results(results.runs.sort_values("seed", kind="stable"), results.metrics, results.predictions)
    assert arm_summary.table(mixed)["task"].tolist() == ["rte", "rte", "tnews_1k", "tnews_1k"]


def test_one_seed_has_no_interval_of_the_mean() -> None:
    row = arm_summary.table(synthetic.grid(1)).iloc[0]
    assert row[["low", "high", "std"]].isna().all()
    assert row["failed_low"] < row["failed_high"]


def test_names_that_are_categories_stand_in_the_order_of_the_runs_too() -> None:
    results = synthetic.grid(3)
    turned = results.runs.iloc[::-1].reset_index(drop=True)
    names = dict.fromkeys(("experiment", "arm", "task", "run_id"), "category")
    plain = arm_summary.table(replace(results, runs=turned))
    loaded = arm_summary.table(Results(turned.astype(names), results.metrics.astype(names), results.predictions))
    pd.testing.assert_frame_equal(loaded, plain, check_dtype=False)
