"""Geometric means over failed and over successful runs."""

from dataclasses import replace

import numpy as np
import pytest

from stableft.core.errors import MissingInput
from stableft.reporting import run_scores
from stableft.reporting.figures import block_gradients
from stableft.storage.records import Results
from tests.helpers import synthetic


@pytest.fixture(scope="module")
def results() -> Results:
    return synthetic.with_blocks(synthetic.grid(), 6)


@pytest.mark.parametrize(("outcome", "n"), [("failed", 2), ("successful", 8)])
def test_a_point_is_the_geometric_mean_of_the_runs_of_one_outcome(results: Results, outcome: str, n: int) -> None:
    frame = block_gradients.data(results).query("task == 'tnews_1k' and depth == 3 and step == 50 and outcome == @outcome")
    failed = set(run_scores.final_scores(results).query("task == 'tnews_1k' and failed")["run_id"])
    rows = results.metrics.query("metric == 'block_grad_norm' and task == 'tnews_1k' and scope == 'layer.03' and step == 50")
    values = rows.loc[rows["run_id"].isin(failed) == (outcome == "failed"), "value"].tolist()
    assert frame["n"].item() == len(values) == n
    assert frame["value"].item() == pytest.approx(np.prod(values) ** (1 / n))


def test_runs_that_diverged_have_no_part_but_are_counted(results: Results) -> None:
    frame = block_gradients.data(results).query("task == 'rte' and outcome == 'failed'")
    assert set(frame["n"]) == {1}  # of two failed runs one diverged
    assert frame["step"].max() == 190
    titles = [axes.get_title() for axes in synthetic.figure(block_gradients, results).axes]
    assert titles == [
        "rte, failed runs: 1 and 1 diverged", "rte, successful runs: 8", "tnews_1k, failed runs: 2", "tnews_1k, successful runs: 8",
    ]  # fmt: skip


def test_only_the_arms_that_are_asked_for(results: Results) -> None:
    frame = block_gradients.data(results, arms=["uncorrected"])
    assert set(frame.query("outcome == 'successful'")["n"]) == {3}
    axes = synthetic.figure(block_gradients, results, arms=["corrected"]).axes
    assert [panel.get_title() for panel in axes][:2] == ["rte, failed runs: 0", "rte, successful runs: 5"]
    assert [[text.get_text() for text in panel.texts] for panel in axes] == [["no failed run"], []] * 2
    with pytest.raises(MissingInput, match="no finished run of other"):
        block_gradients.data(results, arms=["other"])


def test_longer_runs_have_no_part(results: Results) -> None:
    """Their steps are at other points of the schedule."""
    runs = results.runs
    longer = (runs["seed"] == 1) & (runs["task"] == "tnews_1k")
    changed = replace(results, runs=runs.assign(num_steps=runs["num_steps"].mask(longer, 2 * runs["num_steps"])))
    frame, before = (block_gradients.data(of).query("task == 'tnews_1k'") for of in (changed, results))
    assert frame.groupby("outcome")["n"].max().sum() == before.groupby("outcome")["n"].max().sum() - 2


def test_a_gradient_of_zero_is_left_out(results: Results) -> None:
    dead = (results.metrics["metric"] == "block_grad_norm") & (results.metrics["seed"] == 0)
    frame = block_gradients.data(replace(results, metrics=results.metrics.assign(value=results.metrics["value"].mask(dead, 0.0))))
    assert set(frame.query("task == 'tnews_1k' and outcome == 'successful'")["n"]) == {6}
    assert (frame["value"] > 0).all()


def test_plot_draws_a_line_per_block_from_dark_to_light(results: Results) -> None:
    frame = block_gradients.data(results).query("task == 'rte' and outcome == 'successful'")
    axes = synthetic.figure(block_gradients, results).axes[1]
    assert [line.get_label() for line in axes.lines] == [f"block {depth}" for depth in range(1, 7)]
    for depth, line in enumerate(axes.lines, start=1):
        np.testing.assert_array_equal(line.get_ydata(), frame.loc[frame["depth"] == depth, "value"])
    light = [sum(np.asarray(line.get_color())[:3]) for line in axes.lines]
    assert light == sorted(light)
    assert axes.get_yscale() == "log"


def test_of_many_blocks_the_legend_names_few() -> None:
    figure = synthetic.figure(block_gradients, synthetic.with_blocks(synthetic.grid(2), 24))
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["block 1", "block 6", "block 12", "block 18", "block 24"]
    assert len(figure.axes[1].lines) == 24
