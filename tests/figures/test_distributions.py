"""Every run is drawn once, failed ones as crosses."""

import numpy as np

from stableft import tables
from stableft.figures import distributions
from stableft.records import Results
from tests.figures import test_synthetic as synthetic


def test_data_is_one_row_per_run() -> None:
    results = synthetic.grid()
    assert distributions.data(results).equals(tables.final_scores(results))


def test_plot_draws_every_run_and_crosses_for_failed_ones() -> None:
    results = synthetic.without(synthetic.grid(), "uncorrected", {4})
    frame = distributions.data(results)
    for axes in distributions.plot(results).axes:
        here = frame[frame["task"] == axes.get_title()]
        points = [line for line in axes.lines if line.get_linestyle() == "None"]
        crosses = [np.asarray(line.get_ydata()) for line in points if line.get_marker() == "x"]
        others = [np.asarray(line.get_ydata()) for line in points if line.get_marker() != "x"]
        np.testing.assert_array_equal(np.sort(np.concatenate(crosses)), np.sort(here.loc[here["failed"], "score"]))
        np.testing.assert_array_equal(np.sort(np.concatenate(others)), np.sort(here.loc[~here["failed"], "score"]))
        labels = [label.get_text() for label in axes.get_xticklabels()]
        assert labels == ["corrected\nn = 5\n0 failed", "uncorrected\nn = 4\n2 failed"]


def test_equal_scores_stay_countable() -> None:
    axes = distributions.plot(synthetic.grid(9)).axes[0]
    crosses = [line for line in axes.lines if line.get_marker() == "x" and len(np.asarray(line.get_xdata()))]
    x = np.concatenate([np.asarray(line.get_xdata()) for line in crosses])
    assert len(set(x)) == 4
    assert np.all(np.abs(x - 1) < 0.3)


def test_the_axis_is_the_runs_own_where_all_are_far_above_the_majority_score() -> None:
    """On one axis with that line the arms would look alike."""
    results = synthetic.grid(3, diverged=False)
    for far in (False, True):
        majority = distributions.data(results)["score"].min() - (5.0 if far else 0.01)
        moved = Results(results.runs.assign(majority_score=majority), results.metrics, results.predictions)
        for axes in distributions.plot(moved).axes:
            scores = distributions.data(moved).query(f"task == {axes.get_title()!r}")["score"]
            low, high = axes.get_ylim()
            assert low < scores.min() < scores.max() < high
        lowest = min(axes.get_ylim()[0] for axes in distributions.plot(moved).axes)
        assert (lowest > majority) == far
