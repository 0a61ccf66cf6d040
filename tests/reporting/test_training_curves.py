"""Intervals and blocks; what the loop calls a block is what is read as one."""

from dataclasses import replace

import pytest

from stableft.core.errors import MissingInput
from stableft.models.model import ParamPlace
from stableft.reporting import training_curves
from stableft.training.meters import scope_of
from tests.helpers import synthetic


def test_an_interval_is_the_mean_of_its_steps_and_the_rest_is_left_out() -> None:
    results = synthetic.grid(1)
    means = training_curves.interval_means(results, "loss", interval=50).query("task == 'tnews_1k' and arm == 'corrected'")
    losses = results.metrics.query("task == 'tnews_1k' and arm == 'corrected' and metric == 'loss'").set_index("step")["value"]
    assert means["step"].tolist() == [50, 100, 150, 200]  # of 234
    assert means["value"].tolist() == pytest.approx([losses.loc[end - 49 : end].mean() for end in (50, 100, 150, 200)])


def test_an_interval_is_a_tenth_of_each_run_and_at_least_a_step() -> None:
    results = synthetic.grid(1)
    assert training_curves.interval_means(results, "loss").groupby("task")["step"].agg(["min", "max"]).to_numpy().tolist() == [
        [19, 190], [23, 230],
    ]  # fmt: skip
    short = replace(results, runs=results.runs.assign(num_steps=4), metrics=results.metrics[results.metrics["step"] <= 4])
    assert set(training_curves.interval_means(short, "loss")["step"]) == {1, 2, 3, 4}


def test_values_that_were_logged_less_often_than_an_interval_are_not_moved_to_its_end() -> None:
    """Imported losses are means over 23 steps, for instance: they make no points of 10."""
    results = synthetic.grid(1)
    seldom = results.metrics["metric"].ne("loss") | results.metrics["step"].mod(23).eq(0) | results.metrics["arm"].ne("corrected")
    imported = replace(results, metrics=results.metrics[seldom])
    assert set(training_curves.interval_means(imported, "loss", interval=10)["arm"]) == {"uncorrected"}
    tenths = training_curves.interval_means(imported, "loss").query("task == 'tnews_1k' and arm == 'corrected'")
    assert tenths["step"].tolist() == list(range(23, 231, 23))  # its tenths, as they were logged


@pytest.mark.parametrize("depth", [1, 9, 24])
def test_blocks_are_read_by_the_names_that_the_loop_gives_them(depth: int) -> None:
    assert scope_of(ParamPlace("encoder", depth, True)) == f"{training_curves.BLOCK}{depth:02d}"
    assert not any(
        scope_of(ParamPlace(role, 0, True)).startswith(training_curves.BLOCK) for role in ("embeddings", "pooler", "head")
    )


def test_a_block_series_is_of_the_blocks_of_the_runs_that_finished() -> None:
    rows = training_curves.by_block(synthetic.with_blocks(synthetic.grid(), 12), "distance")
    assert sorted(set(rows["depth"])) == list(range(1, 13))
    assert "rte-uncorrected-3" not in set(rows["run_id"])  # it diverged
    assert rows["run_id"].nunique() == 19
    with pytest.raises(MissingInput, match="'other' of single blocks"):
        training_curves.by_block(synthetic.grid(1), "other")
