"""Against the statistics themselves on differences taken by hand."""

import numpy as np
import pytest

from stableft import statistics
from stableft.reporting import run_scores
from stableft.reporting.tables import seeds_needed
from tests.helpers import synthetic


def test_a_row_for_each_number_of_seeds_and_the_present_one() -> None:
    results = synthetic.grid(8)
    table = seeds_needed.table(results).query("task == 'tnews_1k'")
    assert table["seeds"].tolist() == [5, 8, 10, 20, 50]
    scores = run_scores.final_scores(results).query("task == 'tnews_1k'").pivot(index="seed", columns="arm", values="score")
    difference = (scores["uncorrected"] - scores["corrected"]).to_numpy()
    effect, std = difference.mean(), difference.std(ddof=1)
    assert table["difference"].tolist() == pytest.approx([effect] * 5)
    assert set(table["needed"]) == {statistics.seeds_needed(effect, std)}
    for _, row in table.iterrows():
        assert row["power"] == pytest.approx(statistics.power(effect, std, row["seeds"]))
        assert row["detectable"] == pytest.approx(statistics.minimum_detectable(std, row["seeds"]))
    assert table["power"].is_monotonic_increasing
    assert table["detectable"].iloc[0] == np.inf
    now = table[table["seeds"] == 8].iloc[0]
    significant = statistics.sign_flip_p(difference, np.random.default_rng(0)) <= 0.05
    assert (now["better"], now["worse"]) == (0, float(significant))
    assert table["worse"].iloc[0] == 0
    assert table["worse"].iloc[-1] > 0.9


def test_present_seeds_are_not_listed_twice_and_one_pair_says_little() -> None:
    assert seeds_needed.table(synthetic.grid(5)).query("task == 'rte'")["seeds"].tolist() == [5, 10, 20, 50]
    one = seeds_needed.table(synthetic.grid(1))
    assert one["pairs"].tolist() == [1, 1]
    assert one["difference"].notna().all()
    assert one[["std", "needed", "seeds", "power", "better"]].isna().all(axis=None)
    none = synthetic.without(synthetic.without(synthetic.grid(2), "corrected", {0}), "uncorrected", {1})
    assert seeds_needed.table(none)["difference"].isna().all()


def test_equal_arms_need_no_number_of_seeds() -> None:
    results = synthetic.grid(6, diverged=False)
    metrics = results.metrics.assign(value=results.metrics["value"].mask(results.metrics["metric"] == "score", 0.6))
    table = seeds_needed.table(synthetic.with_rows(results, metrics))
    assert table["needed"].isna().all()
    assert set(table["power"]) == {0}
    assert set(table["better"]) == set(table["worse"]) == {0}
