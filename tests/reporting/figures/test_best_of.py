"""Expected scores against every draw counted out, and what is drawn where."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest

from experiments.published import PUBLISHED
from stableft.core.errors import MissingInput, NotLogged
from stableft.reporting import run_scores
from stableft.reporting.figures import best_of, draw
from stableft.storage.records import Results
from tests.helpers import synthetic


def with_test_split(results: Results) -> Results:
    """The same runs, rte scored on a test split whose scores are in another order than those of validation."""
    own = (results.metrics["metric"] == "score") & (results.metrics["task"] == "rte")
    test = results.metrics[own].assign(split="test", value=lambda frame: 1.2 - frame["value"])
    runs = results.runs.assign(score_split=np.where(results.runs["task"] == "rte", "test", "validation"))
    return replace(synthetic.with_rows(results, results.metrics, test), runs=runs)


def test_a_point_is_the_mean_over_every_draw() -> None:
    results = with_test_split(synthetic.grid(4))
    frame, runs = best_of.data(results), run_scores.both_splits(results)
    assert runs["diverged"].sum() == 1
    for split in ("validation", "test"):
        scores = runs.query("task == 'rte' and arm == 'corrected'")[["validation", split]].to_numpy()
        for n in (1, 2, 3):
            chosen = np.array([max(draw, key=lambda run: run[0])[1] for draw in product(scores, repeat=n)])
            point = frame.query("task == 'rte' and arm == 'corrected' and split == @split and n == @n").iloc[0]
            assert point["value"] == pytest.approx(chosen.mean())
            assert point["low"] == pytest.approx(max(chosen.mean() - chosen.std(), scores[:, 1].min()))
            assert point["high"] == pytest.approx(min(chosen.mean() + chosen.std(), scores[:, 1].max()))


def test_a_task_scored_on_validation_shows_that_alone() -> None:
    results = with_test_split(synthetic.grid(2))
    figure, frame = draw(best_of, results)
    assert frame.groupby("task", sort=False)["split"].unique().map(list).to_dict() == {
        "rte": ["validation", "test"], "tnews_1k": ["validation"],
    }  # fmt: skip
    assert [axes.get_ylabel() for axes in figure.axes] == ["validation accuracy", "test accuracy", "validation accuracy"]
    lines = {line.get_label(): line for line in figure.axes[1].lines}
    here = frame.query("task == 'rte' and split == 'test' and arm == 'uncorrected'")
    np.testing.assert_array_equal(np.asarray(lines["uncorrected"].get_xydata()), here[["n", "value"]])


def test_published_numbers_are_drawn_beside_the_same_arm() -> None:
    results = with_test_split(synthetic.grid(6))
    frame = best_of.data(results, published=PUBLISHED)
    rows = frame[frame["series"] == "published"]
    assert set(rows["task"]) == {"rte"}
    assert rows.query("arm == 'corrected'")[["n", "value"]].to_numpy().tolist() == [
        [1, 0.69], [5, 0.7], [10, 0.702], [20, 0.705], [50, 0.714],
    ]  # fmt: skip
    assert set(rows["label"]) == {
        f"{arm}: independent replication of Zhang et al., bert-large-uncased" for arm in ("corrected", "uncorrected")
    }
    _, axes, _ = synthetic.figure(best_of, results, published=PUBLISHED).axes
    (points,) = [line for line in axes.lines if str(line.get_label()).startswith("corrected: ")]
    assert np.asarray(points.get_xydata()).tolist() == [[1, 0.69], [5, 0.7]], "as far as our own runs reach"
    assert points.get_markerfacecolor() == "white"
    pd.testing.assert_frame_equal(best_of.data(results), frame[frame["series"] == "ours"])


def test_odd_grids() -> None:
    one = synthetic.grid(1)
    assert set(best_of.data(one)["n"]) == {1}
    assert len(synthetic.figure(best_of, one).axes) == 2
    lost = replace(one, runs=one.runs.assign(outcome="diverged"))
    assert set(best_of.data(lost)["value"]) == {0.527, 0.091}
    with pytest.raises(MissingInput, match="no runs"):
        best_of.data(replace(one, runs=one.runs.iloc[:0]))
    only_test = one.metrics.assign(split=one.metrics["split"].replace("validation", "test"))
    with pytest.raises(NotLogged, match="no final validation score"):
        best_of.data(replace(one, metrics=only_test, runs=one.runs.assign(score_split="test")))
