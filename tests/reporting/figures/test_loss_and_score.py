"""Every run that finished is a point, at its own last losses."""

from dataclasses import replace

import numpy as np
import pytest

from stableft.core.errors import MissingInput, NotLogged
from stableft.reporting import run_scores
from stableft.reporting.figures import draw, loss_and_score
from tests.helpers import synthetic


def test_a_point_is_the_score_at_the_mean_loss_of_the_last_tenth() -> None:
    results = synthetic.grid()
    frame = loss_and_score.data(results)
    losses = results.metrics.query("task == 'rte' and arm == 'uncorrected' and seed == 2 and metric == 'loss' and step > 171")
    row = frame.query("task == 'rte' and arm == 'uncorrected' and seed == 2").iloc[0]
    assert len(losses) == 19
    assert row["train_loss"] == pytest.approx(losses["value"].mean())
    scores = run_scores.final_scores(results).query("not diverged")
    assert frame["score"].tolist() == scores["score"].tolist()
    assert frame["failed"].sum() == scores["failed"].sum() == 3
    assert len(frame) == 19, "one run diverged and has no final loss"


def test_arms_of_a_grid_of_rates_are_drawn_by_their_optimizer() -> None:
    frame = loss_and_score.data(synthetic.lr_grid())
    assert list(dict.fromkeys(frame["method"])) == ["corrected", "uncorrected"]
    assert frame["arm"].nunique() == 10


def test_plot_draws_every_run_and_crosses_for_failed_ones() -> None:
    results = synthetic.lr_grid()
    figure, frame = draw(loss_and_score, results)
    for axes, (task, here) in zip(figure.axes, frame.groupby("task", sort=False), strict=True):
        assert axes.get_title() == f"{task}: {here['failed'].sum()} of 30 runs failed"
        assert axes.get_xscale() == "log"
        for failed, runs in here.groupby("failed"):
            lines = [line for line in axes.lines if line.get_linestyle() == "None" and (line.get_marker() == "x") == failed]
            drawn = np.concatenate([np.asarray(line.get_xydata(), dtype=float) for line in lines])
            expected = runs[["train_loss", "score"]].to_numpy()
            np.testing.assert_array_equal(drawn[np.lexsort(drawn.T)], expected[np.lexsort(expected.T)])


@pytest.mark.parametrize(("scale", "labels"), [(1.0, {"0.3", "0.5"}), (1e-5, {"3e-06", "5e-06"})])
def test_losses_of_one_decade_are_labelled(scale: float, labels: set[str]) -> None:
    results = synthetic.grid(3)
    metrics = results.metrics.assign(value=results.metrics["value"].mask(results.metrics["metric"] == "loss", lambda v: v * scale))
    figure = synthetic.figure(loss_and_score, replace(results, metrics=metrics))
    figure.draw_without_rendering()
    assert labels <= {label.get_text() for label in figure.axes[0].get_xticklabels()}


def test_odd_grids() -> None:
    one = synthetic.grid(1)
    assert len(synthetic.figure(loss_and_score, one).axes) == 2
    with pytest.raises(MissingInput, match="every run diverged"):
        loss_and_score.data(replace(one, runs=one.runs.assign(outcome="diverged")))
    with pytest.raises(NotLogged, match="'loss' on split 'train'"):
        loss_and_score.data(replace(one, metrics=one.metrics[one.metrics["metric"] != "loss"]))
    with pytest.raises(MissingInput, match="no runs"):
        loss_and_score.data(replace(one, runs=one.runs.iloc[:0]))
