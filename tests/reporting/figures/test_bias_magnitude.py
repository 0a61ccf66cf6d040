"""The closed form, the measurement beside it, and the lines at the last steps."""

from dataclasses import replace

import numpy as np
import pytest

from stableft.core.adam_bias import bias_ratio
from stableft.core.errors import MissingInput
from stableft.reporting.figures import bias_magnitude
from tests.helpers import synthetic


def test_closed_form_and_measurement() -> None:
    results = synthetic.grid()
    frame = bias_magnitude.data(results)
    curve = frame[frame["series"] == "closed form"]
    assert (curve["step"].min(), curve["step"].max()) == (1, 1_000_000)
    np.testing.assert_allclose(curve["value"].astype(float), bias_ratio(curve["step"]))
    assert curve["value"].max() == pytest.approx(6.57, abs=0.005)
    measured = frame[frame["series"] == "measured"]
    np.testing.assert_allclose(measured["value"], bias_ratio(measured["step"]), rtol=0.03)
    by_hand = results.metrics.query("metric == 'update_bias' and arm == 'uncorrected' and task == 'rte' and step == 10")
    shown = measured.query("task == 'rte' and step == 10")
    assert (shown["n"].item(), shown["value"].item()) == (5, pytest.approx(by_hand["value"].mean()))
    assert measured.query("task == 'rte'")["n"].min() == 4  # after step 60, where one run diverged


def test_a_published_line_gives_way_to_the_same_task_here() -> None:
    results = synthetic.grid()
    ends = bias_magnitude.data(results).query("series != 'closed form' and series != 'measured'")
    assert ends.loc[ends["series"] == "last step", ["task", "step"]].to_numpy().tolist() == [["rte", 190], ["tnews_1k", 234]]
    assert dict(ends.query("series != 'last step'")[["task", "step"]].to_numpy()) == bias_magnitude.PUBLISHED_STEPS
    paper = replace(results, runs=results.runs.assign(num_steps=234))
    assert "RTE" not in set(bias_magnitude.data(paper)["task"])


def test_without_uncorrected_runs_only_the_closed_form_remains() -> None:
    results = synthetic.without(synthetic.grid(2), "uncorrected", {0, 1})
    assert "measured" not in set(bias_magnitude.data(results)["series"])
    assert len(synthetic.figure(bias_magnitude, results).axes) == 1


def test_plot_draws_the_measured_points() -> None:
    results = synthetic.grid()
    frame = bias_magnitude.data(results)
    (axes,) = synthetic.figure(bias_magnitude, results).axes
    (line,) = [line for line in axes.lines if line.get_label() == "measured, rte"]
    np.testing.assert_array_equal(line.get_ydata(), frame.query("series == 'measured' and task == 'rte'")["value"])
    assert {text.get_text() for text in axes.texts} >= {"rte 190", "MNLI 36,816"}


def test_labels_are_moved_apart() -> None:
    moved = bias_magnitude.spread(np.array([1.0, 1.05, 1.1, 3.0]), 0.2)
    np.testing.assert_allclose(moved, [1.0, 1.2, 1.4, 3.0])


def test_no_runs() -> None:
    results = synthetic.grid(1)
    with pytest.raises(MissingInput, match="no runs"):
        bias_magnitude.data(replace(results, runs=results.runs.iloc[:0]))
