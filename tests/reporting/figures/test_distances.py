"""Means and extremes over the runs that finished, and which blocks are shown."""

import numpy as np
import pytest

from stableft.core.errors import MissingInput, NotLogged
from stableft.reporting.figures import distances, draw
from tests.helpers import synthetic


def test_a_point_is_the_mean_and_the_extremes_of_the_runs_that_finished() -> None:
    results = synthetic.with_blocks(synthetic.grid(), 6)
    frame = distances.data(results).query("task == 'rte' and arm == 'uncorrected' and depth == 4")
    rows = results.metrics.query("metric == 'distance' and task == 'rte' and arm == 'uncorrected' and scope == 'layer.04'")
    for step in (10, 60, 190):
        values = rows.loc[(rows["step"] == step) & (rows["seed"] != 3), "value"].tolist()  # seed 3 diverged after 60
        point = frame[frame["step"] == step].iloc[0]
        assert len(values) == point["n"] == 4
        assert point["value"] == pytest.approx(sum(values) / 4)
        assert (point["low"], point["high"]) == (min(values), max(values))
    assert frame["step"].tolist() == list(range(10, 191, 10))


@pytest.mark.parametrize(
    ("num_blocks", "shown"),
    [(1, [1]), (2, [1, 2]), (6, [1, 3, 4, 6]), (12, [3, 6, 9, 12]), (24, [6, 12, 18, 24]), (7, [1, 3, 5, 7])],
)
def test_the_sources_quarters_are_shown(num_blocks: int, shown: list[int]) -> None:
    results = synthetic.with_blocks(synthetic.grid(1), num_blocks)
    assert sorted(set(distances.data(results)["depth"])) == shown
    assert len(synthetic.figure(distances, results).axes) == 2 * len(shown)


@pytest.mark.parametrize(("num_blocks", "columns"), [(1, 1), (6, 3), (12, 4), pytest.param(24, 4, marks=pytest.mark.slow), (7, 4)])
def test_every_block_can_be_shown(num_blocks: int, columns: int) -> None:
    results = synthetic.with_blocks(synthetic.grid(1), num_blocks)
    axes = synthetic.figure(distances, results, every=True).axes
    assert [panel.get_title() for panel in axes[:num_blocks]] == [f"rte, block {depth}" for depth in range(1, num_blocks + 1)]
    assert len(axes) == 2 * num_blocks
    assert len({panel.get_position().x0 for panel in axes}) == columns
    assert axes[0].get_ylim() == axes[num_blocks - 1].get_ylim()


def test_arms_can_be_chosen_and_keep_their_look() -> None:
    results = synthetic.with_blocks(synthetic.grid(2), 2)
    (line,) = synthetic.figure(distances, results, arms=["uncorr*"]).axes[0].lines
    whole = {line.get_label(): line for line in synthetic.figure(distances, results).axes[0].lines}
    assert (line.get_label(), line.get_color()) == ("uncorrected", whole["uncorrected"].get_color())
    with pytest.raises(NotLogged, match="no run of other"):
        distances.data(results, arms=["other"])


def test_plot_draws_exactly_the_data() -> None:
    results = synthetic.with_blocks(synthetic.grid(3), 2)
    figure, frame = draw(distances, results)
    names = [f"{task}, block {depth}" for task in ("rte", "tnews_1k") for depth in (1, 2)]
    assert [axes.get_title() for axes in figure.axes] == names
    for axes in figure.axes:
        task, depth = axes.get_title().split(", block ")
        here = frame[(frame["task"] == task) & (frame["depth"] == int(depth))]
        assert [line.get_label() for line in axes.lines] == ["corrected", "uncorrected"]
        for line in axes.lines:
            np.testing.assert_array_equal(line.get_ydata(), here.loc[here["arm"] == line.get_label(), "value"])
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()


def test_tasks_of_encoders_of_other_depth_leave_places_empty() -> None:
    deep, flat = (synthetic.with_blocks(synthetic.grid(1), depth) for depth in (24, 2))
    metrics = deep.metrics[(deep.metrics["task"] == "rte") | ~deep.metrics["scope"].str.startswith("layer.")]
    blocks = flat.metrics[(flat.metrics["task"] != "rte") & flat.metrics["scope"].str.startswith("layer.")]
    mixed = synthetic.with_rows(deep, metrics, blocks)
    assert [axes.get_title() for axes in synthetic.figure(distances, mixed).axes] == [
        "rte, block 6", "rte, block 12", "rte, block 18", "rte, block 24", "tnews_1k, block 1", "tnews_1k, block 2",
    ]  # fmt: skip


def test_runs_without_distances_are_said_to_lack_them() -> None:
    with pytest.raises(MissingInput, match="'distance' of single blocks"):
        distances.data(synthetic.grid(1))
