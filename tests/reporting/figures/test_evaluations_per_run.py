"""Expected best scores against every draw counted out."""

from itertools import product

import numpy as np
import pytest

from stableft.core.errors import NotLogged
from stableft.reporting.figures import draw, evaluations_per_run
from tests.helpers import synthetic


@pytest.mark.parametrize(("count", "steps"), [(1, [190]), (3, [57, 114, 190]), (10, [*range(19, 190, 19), 190])])
def test_a_point_is_the_mean_over_every_draw_of_the_best_evaluation(count: int, steps: list[int]) -> None:
    results = synthetic.grid(3)
    frame = evaluations_per_run.data(results).query("task == 'rte' and arm == 'corrected' and evaluations == @count")
    rows = results.metrics.query("task == 'rte' and arm == 'corrected' and metric == 'score' and step in @steps")
    best = rows.groupby("seed")["value"].max().to_numpy()
    assert len(rows) == 3 * count
    for n in (1, 2, 3):
        drawn = np.array([max(draw) for draw in product(best, repeat=n)])
        point = frame[frame["n"] == n].iloc[0]
        assert point["value"] == pytest.approx(drawn.mean())
        assert point["high"] == pytest.approx(min(drawn.mean() + drawn.std(), best.max()))


def test_points_of_a_task_are_on_the_same_examples() -> None:
    counts = evaluations_per_run.data(synthetic.grid(2)).groupby("task")["evaluations"].max().to_dict()
    assert counts == {"rte": 10, "tnews_1k": 10}, "the last of eleven points of tnews_1k is on all examples"


def test_a_run_that_diverged_counts_at_the_majority_score_from_then_on() -> None:
    frame = evaluations_per_run.data(synthetic.grid()).query("task == 'rte' and arm == 'uncorrected' and evaluations == 1")
    assert frame["n"].max() == 5
    assert frame["low"].min() >= 0.527 - 0.008


def test_plot_draws_exactly_the_data() -> None:
    figure, frame = draw(evaluations_per_run, synthetic.grid(3))
    assert [axes.get_title() for axes in figure.axes] == [
        "rte, corrected", "rte, uncorrected", "tnews_1k, corrected", "tnews_1k, uncorrected",
    ]  # fmt: skip
    for axes, (_, rows) in zip(figure.axes, frame.groupby(["task", "arm"], sort=False), strict=True):
        named = [line.get_label() for line in axes.lines if not str(line.get_label()).startswith("_")]
        assert named == ["1 evaluation of a run", "3 evaluations of a run", "10 evaluations of a run"]
        drawn = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.lines])
        np.testing.assert_array_equal(drawn, rows["value"])


def test_one_evaluation_is_no_choice() -> None:
    results = synthetic.grid(2)
    ends = results.metrics[(results.metrics["metric"] != "score") | (results.metrics["step"].isin([190, 234]))]
    with pytest.raises(NotLogged, match="more than once"):
        evaluations_per_run.data(synthetic.with_rows(results, ends))
