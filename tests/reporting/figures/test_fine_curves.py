"""Both series of a run as finely as they are logged."""

import numpy as np
import pandas as pd
import pytest

from stableft.core.errors import NotLogged
from stableft.reporting.figures import curves, draw, fine_curves
from tests.helpers import synthetic


def test_a_point_of_the_loss_is_the_mean_over_ten_steps() -> None:
    results = synthetic.grid(2)
    frame = fine_curves.data(results)
    mean = frame.query("task == 'rte' and arm == 'corrected' and series == 'mean' and panel == 'train loss'")
    assert mean["step"].tolist() == list(range(10, 191, 10))
    losses = results.metrics.query("task == 'rte' and arm == 'corrected' and metric == 'loss' and 10 < step <= 20")["value"]
    assert mean["value"].iloc[1] == pytest.approx(losses.mean())
    scores = frame[frame["panel"] == "validation score"].drop(columns="panel").reset_index(drop=True)
    expected = curves.data(results, split="validation", metric="score", band="range")
    pd.testing.assert_frame_equal(scores, expected)


def test_titles_count_the_points_and_the_lines_are_the_data() -> None:
    figure, frame = draw(fine_curves, synthetic.grid(3))
    titles = ["rte, 19 points", "rte, 10 points", "tnews_1k, 23 points", "tnews_1k, 11 points"]
    assert [panel.get_title() for panel in figure.axes] == titles
    groups = frame.groupby(["task", "panel"], sort=False)
    places = [(task, series) for task in ("rte", "tnews_1k") for series in ("train loss", "validation score")]
    for panel, place in zip(figure.axes, places, strict=True):
        lines = [line for line in panel.lines if line.get_label() != "majority score"]
        drawn = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in lines])
        np.testing.assert_array_equal(np.sort(drawn), np.sort(groups.get_group(place)["value"]))


def test_only_the_arms_that_are_asked_for() -> None:
    results = synthetic.lr_grid(2)
    assert set(fine_curves.data(results, arms=["* lr=2e-05"])["arm"]) == {"corrected lr=2e-05", "uncorrected lr=2e-05"}
    with pytest.raises(NotLogged, match="no run of reinit"):
        fine_curves.data(results, arms=["reinit"])
