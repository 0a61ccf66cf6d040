"""Every run is one line on the side of its outcome."""

from dataclasses import replace

import numpy as np
import pytest

from stableft.core.errors import MissingInput
from stableft.reporting import run_scores
from stableft.reporting.figures import draw, loss_by_outcome
from tests.helpers import synthetic


def test_a_line_is_a_runs_loss_over_ten_steps_on_the_side_of_its_outcome() -> None:
    results = synthetic.grid()
    figure, frame = draw(loss_by_outcome, results)
    titles = [
        "rte, failed runs: 2", "rte, successful runs: 8", "tnews_1k, failed runs: 2", "tnews_1k, successful runs: 8",
    ]  # fmt: skip
    assert [panel.get_title() for panel in figure.axes] == titles
    failed = run_scores.final_scores(results).query("task == 'rte' and failed")
    for panel, outcome in zip(figure.axes[:2], ("failed", "successful"), strict=True):
        runs = frame.query("task == 'rte' and outcome == @outcome").groupby(["arm", "seed"], sort=False)
        assert (set(runs.groups) == set(zip(failed["arm"], failed["seed"], strict=True))) == (outcome == "failed")
        for line, (_, run) in zip(panel.lines, runs, strict=True):
            np.testing.assert_array_equal(line.get_ydata(), run["value"])
    diverged = frame.query("task == 'rte' and arm == 'uncorrected' and seed == 3")
    assert diverged["step"].max() == 60
    own = results.metrics.query("task == 'rte' and arm == 'uncorrected' and seed == 1 and metric == 'loss' and 30 < step <= 40")
    point = frame.query("task == 'rte' and arm == 'uncorrected' and seed == 1 and step == 40")["value"].item()
    assert point == pytest.approx(own["value"].mean())


def test_arms_of_several_rates_have_one_look_and_one_entry() -> None:
    figure = synthetic.figure(loss_by_outcome, synthetic.lr_grid())
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["uncorrected", "corrected"]
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()


def test_without_a_failed_run_the_panel_says_so() -> None:
    results = synthetic.grid(1)
    figure = synthetic.figure(loss_by_outcome, results)
    assert [[text.get_text() for text in panel.texts] for panel in figure.axes] == [["no failed run"], []] * 2
    with pytest.raises(MissingInput, match="no run holds a training loss"):
        loss_by_outcome.data(replace(results, metrics=results.metrics[results.metrics["metric"] != "loss"]))
