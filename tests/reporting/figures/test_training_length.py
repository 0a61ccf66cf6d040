"""Scores of runs of different lengths, by method."""

import numpy as np
import pytest

from experiments.published import PUBLISHED
from stableft.reporting.figures import training_length
from stableft.storage.records import Results
from tests.helpers import synthetic

STEPS = (96, 200, 400, 800)


def test_a_point_is_the_mean_of_the_last_validation_scores() -> None:
    results = synthetic.lengths()
    frame = training_length.data(results)
    assert [(task, method) for task, method, _ in frame[["task", "method", "steps"]].to_numpy()].count(("rte", "reinit")) == 4
    row = frame.query("task == 'tnews_1k' and method == 'reinit' and steps == 400").iloc[0]
    rows = results.metrics.query("task == 'tnews_1k' and arm == 'reinit 400' and metric == 'score' and step == 400")
    for split, names in (("validation", ("value", "low", "high")), ("test", ("test_value", "test_low", "test_high"))):
        values = rows.loc[rows["split"] == split, "value"].to_numpy()
        assert len(values) == row["n"] == 3
        assert [row[name] for name in names] == pytest.approx([values.mean(), values.min(), values.max()])


def test_a_run_that_diverged_counts_at_the_majority_score_on_either_split() -> None:
    row = training_length.data(synthetic.lengths()).query("task == 'rte' and method == 'standard' and steps == 96").iloc[0]
    assert (row["n"], row["failed"], row["low"], row["test_low"]) == (3, 1, 0.527, 0.527)


def test_steps_are_those_of_the_run_whatever_its_arm_is_called() -> None:
    results = synthetic.lengths(1)
    renamed = {f"{name} {steps}": f"{name} long" for name in ("standard",) for steps in STEPS}
    runs, metrics = (frame.assign(arm=frame["arm"].replace(renamed)) for frame in (results.runs, results.metrics))
    frame = training_length.data(Results(runs, metrics, results.predictions))
    assert frame.query("task == 'rte'").groupby("method")["steps"].agg(list).to_dict() == {
        "reinit": list(STEPS), "standard long": list(STEPS),
    }  # fmt: skip


def test_a_split_that_was_not_evaluated_is_missing() -> None:
    results = synthetic.lengths(2)
    frame = training_length.data(synthetic.with_rows(results, results.metrics[results.metrics["split"] != "test"]))
    assert frame[["test_value", "test_low", "test_high"]].isna().all(axis=None)
    assert frame["value"].notna().all()


def test_the_majority_line_is_that_of_the_split_shown() -> None:
    results = synthetic.lengths(1)
    assert set(training_length.data(results)["majority_score"]) == {0.527, 0.091}
    tested = Results(results.runs.assign(score_split="test"), results.metrics, results.predictions)
    assert training_length.data(tested)["majority_score"].isna().all()


def test_plot_draws_exactly_the_data() -> None:
    results = synthetic.lengths()
    frame = training_length.data(results)
    for axes in synthetic.figure(training_length, results).axes:
        here = frame[frame["task"] == axes.get_title()]
        for line in axes.lines[:2]:
            of_method = here[here["method"] == line.get_label()]
            np.testing.assert_array_equal(np.asarray(line.get_xydata()), of_method[["steps", "value"]])
        assert [label.get_text() for label in axes.get_xticklabels()] == ["96", "200", "400", "800"]
        assert axes.get_xscale() == "log"


def test_published_numbers_of_the_same_arms_are_drawn_at_their_steps() -> None:
    plain = synthetic.lengths()
    names = {"rte": "rte_1k"}
    runs, metrics = (f.assign(experiment="longer", task=f["task"].replace(names)) for f in (plain.runs, plain.metrics))
    results = Results(runs, metrics, plain.predictions)
    frame = training_length.data(results, published=PUBLISHED)
    rows = frame[frame["series"] == "published"]
    assert set(rows["label"]) == {"Zhang et al. (2021), Figure 8, bert-large-uncased, n = 8: mean"}
    assert rows.query("method == 'standard'")[["steps", "value"]].to_numpy().tolist() == [
        [96, 0.637], [200, 0.693], [400, 0.698], [800, 0.706],
    ]  # fmt: skip
    axes = synthetic.figure(training_length, results, published=PUBLISHED).axes
    drawn = [line for line in axes[0].lines if str(line.get_label()).startswith("standard: Zhang")]
    np.testing.assert_array_equal(np.asarray(drawn[0].get_ydata()), [0.637, 0.693, 0.698, 0.706])
    assert not any("Zhang" in str(line.get_label()) for line in axes[1].lines)
    assert set(training_length.data(plain, published=PUBLISHED)["series"]) == {"ours"}
