"""Measures of a run's training, against the same by hand on synthetic runs."""

import numpy as np
import pandas as pd
import pytest

from stableft.core.errors import NotLogged
from stableft.reporting.claims import run_measures
from stableft.reporting.claims.run_measures import BlockDistance, FailedPairs
from stableft.reporting.run_scores import final_scores
from stableft.storage.records import Results
from tests.helpers import synthetic


def of(frame: pd.DataFrame, arm: str, seed: int) -> float:
    return frame.query("task == 'rte' and arm == @arm and seed == @seed")["value"].item()


def series(results: Results, metric: str, arm: str, seed: int, scope: str = "") -> pd.DataFrame:
    return results.metrics.query("task == 'rte' and arm == @arm and seed == @seed and metric == @metric and scope == @scope")


def losses(results: Results, seed: int) -> np.ndarray:
    return series(results, "loss", "corrected", seed).sort_values("step")["value"].to_numpy()


def test_a_loss_is_as_rough_as_its_rises_between_tens_of_steps() -> None:
    results = synthetic.grid()
    means = losses(results, 0).reshape(-1, 10).mean(axis=1)
    assert len(means) == 19
    assert of(run_measures.roughness(results), "corrected", 0) == pytest.approx(np.diff(means).clip(min=0).sum())


def test_a_loss_falls_from_the_first_tenth_to_the_last() -> None:
    results = synthetic.grid()
    tenths = losses(results, 1).reshape(10, -1).mean(axis=1)
    frame = run_measures.loss_fall(results)
    assert of(frame, "corrected", 1) == pytest.approx(tenths[0] - tenths[-1])
    assert frame.query("task == 'rte' and seed == 3")["arm"].tolist() == ["corrected"], "a diverged run has no last tenth"


def test_distances_are_of_the_block_at_a_share_of_the_depth() -> None:
    results = synthetic.with_blocks(synthetic.grid(), 6)
    for depth, scope in ((1.0, "layer.06"), (0.25, "layer.02"), (0.01, "layer.01")):
        last = series(results, "distance", "corrected", 2, scope).sort_values("step")["value"].iloc[-1]
        assert of(BlockDistance(depth)(results), "corrected", 2) == last


def test_low_gradients_are_geometric_means_of_the_lowest_quarter_over_the_last_tenth() -> None:
    results = synthetic.with_blocks(synthetic.grid(), 8)
    rows = pd.concat([series(results, "block_grad_norm", "uncorrected", 1, f"layer.{block:02d}") for block in (1, 2)])
    late = rows[rows["step"] > 0.9 * 190]["value"]
    assert of(run_measures.low_gradients(results), "uncorrected", 1) == pytest.approx(np.log10(late).mean())


def test_only_pairs_of_a_failed_and_a_successful_run_count() -> None:
    results = synthetic.grid(diverged=False)
    frame = FailedPairs(run_measures.loss_fall, "uncorrected", "corrected")(results)
    failed = final_scores(results).query("arm == 'uncorrected' and failed")
    assert set(frame["seed"]) == set(failed["seed"]) == {1, 3}
    assert len(frame) == 2 * len(failed)
    with pytest.raises(NotLogged, match="no seed at which corrected failed"):
        FailedPairs(run_measures.loss_fall, "corrected", "uncorrected")(results)
