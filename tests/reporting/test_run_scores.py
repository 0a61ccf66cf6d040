"""What a run counts as."""

from dataclasses import replace

import numpy as np
import pytest

from stableft.core.errors import MissingInput, NotLogged
from stableft.reporting import run_scores
from stableft.reporting.tables import score_summary
from tests.helpers import synthetic


def test_final_scores_are_those_of_the_last_step_on_the_whole_split() -> None:
    results = synthetic.grid()
    scores = run_scores.final_scores(results)
    assert scores["run_id"].tolist() == results.runs["run_id"].tolist()
    metrics = results.metrics.query("metric == 'score' and scope == '' and step == 234").set_index("run_id")["value"]
    here = scores[scores["task"] == "tnews_1k"].set_index("run_id")["score"]
    assert here.equals(metrics.loc[here.index].rename("score"))


def test_a_diverged_run_fails_at_the_majority_score_whatever_it_scored_before() -> None:
    row = run_scores.final_scores(synthetic.grid()).query("task == 'rte' and arm == 'uncorrected' and seed == 3").iloc[0]
    assert (row["score"], row["failed"], row["diverged"]) == (0.527, True, True)


def test_a_score_at_the_majority_fails_and_one_above_does_not() -> None:
    results = synthetic.grid(diverged=False)
    for value, failed in ((0.527, True), (np.nextafter(0.527, 1), False), (float("nan"), True), (-float("inf"), True)):
        metrics = results.metrics.assign(value=results.metrics["value"].mask(results.metrics["metric"] == "score", value))
        scores = run_scores.final_scores(replace(results, metrics=metrics)).query("task == 'rte'")
        assert set(scores["failed"]) == {failed}
        assert set(scores["score"]) == {value if np.isfinite(value) else 0.527}
        assert not scores["diverged"].any()


def test_the_rule_holds_for_scores_below_zero() -> None:
    """A score such as the negative error of a regression: the best constant's is -0.5, and what lies closer to 0 is better."""
    results = synthetic.grid(2, diverged=False)
    runs = results.runs.assign(score_name="negative_rmse", majority_score=-0.5)
    for value, failed in ((-0.7, True), (-0.5, True), (-0.3, False)):
        metrics = results.metrics.assign(value=results.metrics["value"].mask(results.metrics["metric"] == "score", value))
        scores = run_scores.final_scores(replace(results, runs=runs, metrics=metrics))
        assert set(scores["failed"]) == {failed}
    lost = runs.assign(outcome="diverged")
    assert set(run_scores.final_scores(replace(results, runs=lost))["score"]) == {-0.5}


def test_missing_input_is_named() -> None:
    results = synthetic.grid(2)
    with pytest.raises(MissingInput, match="no runs"):
        score_summary.table(replace(results, runs=results.runs.iloc[:0]))
    unfinished = replace(results, metrics=results.metrics[results.metrics["run_id"] != "rte-corrected-1"])
    with pytest.raises(MissingInput, match="rte/corrected/seed 1"):
        run_scores.final_scores(unfinished)
    with pytest.raises(MissingInput, match="majority score for task rte, tnews_1k"):
        run_scores.final_scores(replace(results, runs=results.runs.assign(majority_score=float("nan"))))


def test_arms_are_chosen_by_name_or_pattern() -> None:
    results = synthetic.lr_grid(1)
    kept = run_scores.of_arms(results, ["corrected lr=1e-05", "uncorrected *"]).runs["arm"].unique()
    assert sorted(kept) == ["corrected lr=1e-05", *(f"uncorrected lr={lr}" for lr in ("1e-04", "1e-05", "2e-04", "2e-05", "5e-05"))]
    assert run_scores.of_arms(results, None) is results
    with pytest.raises(NotLogged, match="no run of reinit, pooler"):
        run_scores.of_arms(results, ["reinit", "pooler"])


def test_validation_points_are_on_the_same_examples_and_at_the_majority_score_where_undefined() -> None:
    points = {(task, arm): grid for task, arm, grid in run_scores.validation_points(synthetic.grid())}
    assert points["tnews_1k", "corrected"].columns.tolist() == list(range(23, 231, 23)), "not the last, on all examples"
    grid = points["rte", "uncorrected"]
    lost = grid.loc[grid.index == 3].to_numpy()[0]
    assert (lost[grid.columns.to_numpy(dtype=np.int64) > 60] == 0.527).all()
    assert np.isfinite(lost).all()
