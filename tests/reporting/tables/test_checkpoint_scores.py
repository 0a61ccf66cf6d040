"""Scores of the last, the best and the averaged weights."""

from dataclasses import replace

import pytest

from stableft.reporting import run_scores
from stableft.reporting.tables import checkpoint_scores
from stableft.storage.records import Results
from tests.helpers import synthetic


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
    table = checkpoint_scores.table(results)
    row = table.query("task == 'tnews_1k' and arm == 'corrected'").iloc[0]
    mean = run_scores.final_scores(results).query("task == 'tnews_1k' and arm == 'corrected'")["score"].mean()
    assert (row["n"], row["measure"], row["best_step"]) == (5, "accuracy", 102.0)
    assert [row["last"], row["best"], row["average"], row["maximum"]] == pytest.approx([mean, mean + 0.03, mean + 0.01, 0.9])
    # One of five runs of rte diverged: 0.527 in every column.
    row = table.query("task == 'rte' and arm == 'uncorrected'").iloc[0]
    assert row["best"] == pytest.approx(row["last"] + 0.03 * 4 / 5)
    assert row["best_step"] == (100 + 101 + 102 + 104) / 4


def test_checkpoints_are_shown_on_validation_too_where_scores_are_of_test() -> None:
    results = synthetic.grid(2, diverged=False)
    scored = run_scores.final_scores(results).drop_duplicates("task").set_index("task")["split"].to_dict()
    table = checkpoint_scores.table(results)
    for task, split in scored.items():
        assert set(table.loc[table["task"] == task, "split"]) == {split, "validation"}
    rows = table[(table["split"] == "validation") & table["task"].isin([t for t, split in scored.items() if split == "test"])]
    for row in rows.itertuples():
        at_end = results.metrics.query(
            "task == @row.task and arm == @row.arm and split == 'validation' and metric == 'score' and scope == '' and step == 190"
        )
        assert row.last == pytest.approx(at_end["value"].mean())


def test_what_was_not_logged_is_missing() -> None:
    table = checkpoint_scores.table(synthetic.grid(2))
    assert table[["best", "best_step", "average"]].isna().all(axis=None)
    assert table.query("task == 'tnews_1k'")["maximum"].isna().all()  # its points before the end are of a part of the split
    assert table.query("task == 'rte'")["maximum"].notna().all()


def test_an_error_is_shown_as_an_error() -> None:
    results = synthetic.grid(2, subset=False, diverged=False)
    turned = results.metrics.assign(value=results.metrics["value"] - 2)
    runs = results.runs.assign(score_name="negative_rmse", majority_score=-1.9)
    table = (
        checkpoint_scores.table(Results(runs, turned, results.predictions)).query("task == 'rte' and arm == 'corrected'").iloc[0]
    )
    points = turned.query("task == 'rte' and arm == 'corrected' and metric == 'score'")
    assert table["measure"] == "rmse"
    assert table["last"] == pytest.approx(-points.query("step == 190")["value"].mean())
    assert table["maximum"] == pytest.approx(points.groupby("seed")["value"].max().mul(-1).mean())
