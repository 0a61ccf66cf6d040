"""What a run counts as, and what a row says."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from stableft.core.adam_bias import bias_ratio
from stableft.core.errors import MissingInput
from stableft.reporting import markup, tables
from stableft.storage.records import Results
from tests.helpers import synthetic


def test_final_scores_are_those_of_the_last_step_on_the_whole_split() -> None:
    results = synthetic.grid()
    scores = tables.final_scores(results)
    assert scores["run_id"].tolist() == results.runs["run_id"].tolist()
    metrics = results.metrics.query("metric == 'score' and scope == '' and step == 234").set_index("run_id")["value"]
    here = scores[scores["task"] == "tnews_1k"].set_index("run_id")["score"]
    assert here.equals(metrics.loc[here.index].rename("score"))


def test_a_diverged_run_fails_at_the_majority_score_whatever_it_scored_before() -> None:
    row = tables.final_scores(synthetic.grid()).query("task == 'rte' and arm == 'uncorrected' and seed == 3").iloc[0]
    assert (row["score"], row["failed"], row["diverged"]) == (0.527, True, True)


def test_a_score_at_the_majority_fails_and_one_above_does_not() -> None:
    results = synthetic.grid(diverged=False)
    for value, failed in ((0.527, True), (np.nextafter(0.527, 1), False), (float("nan"), True), (-float("inf"), True)):
        metrics = results.metrics.assign(value=results.metrics["value"].mask(results.metrics["metric"] == "score", value))
        scores = tables.final_scores(replace(results, metrics=metrics)).query("task == 'rte'")
        assert set(scores["failed"]) == {failed}
        assert set(scores["score"]) == {value if np.isfinite(value) else 0.527}
        assert not scores["diverged"].any()


def test_the_rule_holds_for_scores_below_zero() -> None:
    """A score such as the negative error of a regression: the best constant's is -0.5, and what lies closer to 0 is better."""
    results = synthetic.grid(2, diverged=False)
    runs = results.runs.assign(score_name="negative_rmse", majority_score=-0.5)
    for value, failed in ((-0.7, True), (-0.5, True), (-0.3, False)):
        metrics = results.metrics.assign(value=results.metrics["value"].mask(results.metrics["metric"] == "score", value))
        scores = tables.final_scores(replace(results, runs=runs, metrics=metrics))
        assert set(scores["failed"]) == {failed}
    lost = runs.assign(outcome="diverged")
    assert set(tables.final_scores(replace(results, runs=lost))["score"]) == {-0.5}


def test_missing_input_is_named() -> None:
    results = synthetic.grid(2)
    with pytest.raises(MissingInput, match="no runs"):
        tables.score_table(replace(results, runs=results.runs.iloc[:0]))
    unfinished = replace(results, metrics=results.metrics[results.metrics["run_id"] != "rte-corrected-1"])
    with pytest.raises(MissingInput, match="rte/corrected/seed 1"):
        tables.final_scores(unfinished)
    with pytest.raises(MissingInput, match="majority score for task rte, tnews_1k"):
        tables.final_scores(replace(results, runs=results.runs.assign(majority_score=float("nan"))))


def test_score_table_against_numpy_and_scipy() -> None:
    results = synthetic.grid()
    table = tables.score_table(results)
    assert table[["task", "arm"]].to_numpy().tolist() == [
        [task, arm] for task in ("rte", "tnews_1k") for arm in ("corrected", "uncorrected")
    ]
    scores = tables.final_scores(results).query("task == 'tnews_1k'")
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
    table = tables.score_table(synthetic.without(synthetic.grid(), "uncorrected", {0, 1})).query("task == 'rte'")
    assert table["n"].tolist() == [5, 3]
    assert table["pairs"].tolist() == [pd.NA, 3]
    alone = synthetic.without(synthetic.without(synthetic.grid(), "corrected", {0, 1, 2}), "uncorrected", {3, 4})
    row = tables.score_table(alone).query("arm == 'uncorrected'").iloc[0]
    assert row["pairs"] == 0
    assert pd.isna(row["difference"])


def test_learning_rate_table() -> None:
    results = synthetic.lr_grid()
    table = tables.learning_rate_table(results)
    assert len(table) == 20
    assert table["task"].unique().tolist() == ["rte", "tnews_1k"]
    assert table.query("task == 'rte' and arm == 'corrected'")["lr"].is_monotonic_increasing
    row = table.query("task == 'tnews_1k' and arm == 'corrected' and lr == 5e-5").iloc[0]
    losses = results.metrics.query("task == 'tnews_1k' and arm == 'corrected lr=5e-05' and metric == 'loss' and step > 234 - 23")
    assert row["train_loss"] == pytest.approx(losses["value"].mean())
    assert table["failed"].sum() == tables.final_scores(results)["failed"].sum()


def test_a_learning_rate_at_which_all_diverge_has_no_training_loss() -> None:
    results = synthetic.lr_grid(2)
    lost = results.runs["arm"] == "uncorrected lr=2e-04"
    table = tables.learning_rate_table(replace(results, runs=results.runs.assign(outcome=np.where(lost, "diverged", "ok"))))
    assert table.loc[table["train_loss"].isna(), ["arm", "lr"]].to_numpy().tolist() == [["uncorrected", 2e-4]] * 2
    assert "\u2013" in markup.to_markdown(table)


def test_the_measured_bias_against_the_closed_form() -> None:
    results = synthetic.grid()
    closed = results.metrics[results.metrics["metric"] == "update_bias"]
    closed = closed.assign(
        metric="update_bias_closed_form", value=np.where(closed["arm"] == "corrected", 1.0, bias_ratio(closed["step"]))
    )
    metered = results.metrics["metric"].ne("update_bias") | results.metrics["step"].isin([1, 12, 60, 190, 234])
    table = tables.bias_table(Results(results.runs, pd.concat([results.metrics[metered], closed]), results.predictions))
    row = table.query("task == 'rte' and arm == 'uncorrected'").iloc[0]
    assert (row["runs"], row["steps"], row["at_step"]) == (5, 4, 12)
    measured = results.metrics.query("metric == 'update_bias' and task == 'rte' and arm == 'uncorrected'")
    assert row["largest"] == measured.query("step == 12")["value"].max()
    assert row["last"] == pytest.approx(measured.query("step == 190")["value"].mean())
    used = measured[measured["step"].isin([1, 12, 60, 190])]
    assert row["deviation"] == pytest.approx((used["value"] / bias_ratio(used["step"]) - 1).abs().max())


def test_the_losses_of_the_curves_in_numbers() -> None:
    results = synthetic.grid()
    row = tables.convergence_table(results).query("task == 'rte' and arm == 'uncorrected'").iloc[0]
    losses = results.metrics.query("task == 'rte' and arm == 'uncorrected' and metric == 'loss' and seed != 3")  # seed 3 diverged
    tenths = {end: losses.query("@end - 19 < step <= @end").groupby("seed")["value"].mean() for end in range(19, 191, 19)}
    assert row["runs"] == 4
    assert [row[name] for name in ("first", "middle", "last")] == pytest.approx([tenths[end].mean() for end in (19, 95, 190)])
    reached = [min([end for end in tenths if tenths[end][seed] <= tenths[19][seed] / 2], default=None) for seed in (0, 1, 2, 4)]
    steps = [step for step in reached if step is not None]
    assert row["reached"] == len(steps) < 4
    assert row["half_step"] == pytest.approx(sum(steps) / len(steps))


def test_where_no_loss_halves_and_where_no_run_finishes() -> None:
    results = synthetic.grid(2, diverged=False)
    flat = results.metrics.assign(value=results.metrics["value"].mask(results.metrics["metric"] == "loss", 0.7))
    lost = results.runs.assign(outcome=np.where(results.runs["arm"] == "corrected", "diverged", "ok"))
    table = tables.convergence_table(Results(lost, flat, results.predictions))
    assert table["runs"].tolist() == [0, 2, 0, 2]
    assert table["reached"].tolist() == [0, 0, 0, 0]
    assert table["half_step"].isna().all()
    assert table["last"].tolist() == pytest.approx([np.nan, 0.7, np.nan, 0.7], nan_ok=True)


def checkpoints(results: Results, scopes: dict[str, float]) -> Results:
    """The same runs with a score of these scopes at the last step, that much above the last one, and the best one's step."""
    ends = results.metrics.merge(results.runs[["run_id", "num_steps"]], on="run_id").query("step == num_steps and scope == ''")
    ends = ends[ends["metric"] == "score"].drop(columns="num_steps")
    more = [ends.assign(scope=scope, value=ends["value"] + above) for scope, above in scopes.items()]
    steps = ends.assign(metric="best_step", value=100.0 + ends["seed"])
    return synthetic.with_rows(results, results.metrics, *more, steps)


def test_scores_of_other_weights_beside_the_last() -> None:
    results = checkpoints(synthetic.grid(subset=False), {"best": 0.03, "best.subset": 0.5, "average": 0.01})
    peak = (results.metrics["metric"] == "score") & (results.metrics["step"] == 138) & (results.metrics["scope"] == "")
    results = replace(results, metrics=results.metrics.assign(value=results.metrics["value"].mask(peak, 0.9)))
    table = tables.checkpoint_table(results)
    row = table.query("task == 'tnews_1k' and arm == 'corrected'").iloc[0]
    mean = tables.final_scores(results).query("task == 'tnews_1k' and arm == 'corrected'")["score"].mean()
    assert (row["n"], row["measure"], row["best_step"]) == (5, "accuracy", 102.0)
    assert [row["last"], row["best"], row["average"], row["maximum"]] == pytest.approx([mean, mean + 0.03, mean + 0.01, 0.9])
    # One of five runs of rte diverged: 0.527 in every column.
    row = table.query("task == 'rte' and arm == 'uncorrected'").iloc[0]
    assert row["best"] == pytest.approx(row["last"] + 0.03 * 4 / 5)
    assert row["best_step"] == (100 + 101 + 102 + 104) / 4


def test_checkpoints_are_shown_on_validation_too_where_scores_are_of_test() -> None:
    results = synthetic.grid(2, diverged=False)
    scored = tables.final_scores(results).drop_duplicates("task").set_index("task")["split"].to_dict()
    table = tables.checkpoint_table(results)
    for task, split in scored.items():
        assert set(table.loc[table["task"] == task, "split"]) == {split, "validation"}
    rows = table[(table["split"] == "validation") & table["task"].isin([t for t, split in scored.items() if split == "test"])]
    for row in rows.itertuples():
        at_end = results.metrics.query(
            "task == @row.task and arm == @row.arm and split == 'validation' and metric == 'score' and scope == '' and step == 190"
        )
        assert row.last == pytest.approx(at_end["value"].mean())


def test_what_was_not_logged_is_missing() -> None:
    table = tables.checkpoint_table(synthetic.grid(2))
    assert table[["best", "best_step", "average"]].isna().all(axis=None)
    assert table.query("task == 'tnews_1k'")["maximum"].isna().all()  # its points before the end are of a part of the split
    assert table.query("task == 'rte'")["maximum"].notna().all()


def test_an_error_is_shown_as_an_error() -> None:
    results = synthetic.grid(2, subset=False, diverged=False)
    turned = results.metrics.assign(value=results.metrics["value"] - 2)
    runs = results.runs.assign(score_name="negative_rmse", majority_score=-1.9)
    table = (
        tables.checkpoint_table(Results(runs, turned, results.predictions)).query("task == 'rte' and arm == 'corrected'").iloc[0]
    )
    points = turned.query("task == 'rte' and arm == 'corrected' and metric == 'score'")
    assert table["measure"] == "rmse"
    assert table["last"] == pytest.approx(-points.query("step == 190")["value"].mean())
    assert table["maximum"] == pytest.approx(points.groupby("seed")["value"].max().mul(-1).mean())


def test_every_interval_stands_in_one_column_and_every_p_is_written_as_one() -> None:
    frame = pd.DataFrame({"arm": ["a"], "low": [0.1], "high": [0.2], "share_low": [0.3], "share_high": [0.4], "p_rank": [1e-5]})
    shown = markup.display(frame.assign(slow=1.0, below_low=2.0))
    assert list(shown) == ["arm", "95 % interval", "share 95 % interval", "p_rank", "slow", "below_low"]
    assert shown.iloc[0].tolist() == ["a", "[0.100, 0.200]", "[0.300, 0.400]", "<0.001", "1.000", "2.000"]
