"""Against the statistic on scores laid out by hand."""

import json
from dataclasses import replace

import numpy as np
import pytest

from stableft import statistics
from stableft.reporting import run_scores
from stableft.reporting.tables import variance
from stableft.storage.records import Results
from tests.helpers import synthetic

SIDE = 3


def seeds(side: int = SIDE) -> Results:
    """The synthetic grid with its nine seeds read as 3 x 3 init and order seeds; the uncorrected arm read as a technique."""
    whole = synthetic.grid(side**2)

    def config(text: str, seed: int, arm: str) -> str:
        techniques = [{"name": "reinit", "num_layers": 1}] if arm == "uncorrected" else None
        return json.dumps({**json.loads(text), "init_seed": seed // side, "order_seed": seed % side, "techniques": techniques})

    return replace(
        whole,
        runs=whole.runs.assign(config=[config(*row) for row in whole.runs[["config", "seed", "arm"]].itertuples(index=False)]),
    )


def test_components_are_those_of_the_scores_by_init_and_order() -> None:
    results = seeds()
    table = variance.table(results)
    assert table[["task", "method"]].to_numpy().tolist()[:2] == [["rte", "standard"], ["rte", "reinit"]]
    scores = (
        run_scores.final_scores(results).query("task == 'rte' and arm == 'uncorrected'")["score"].to_numpy().reshape(SIDE, SIDE)
    )
    found, row = statistics.variance_components(scores), table.iloc[1]
    assert (row["inits"], row["orders"], row["mean"]) == (3, 3, pytest.approx(scores.mean()))
    assert row[["std_init", "std_order", "std_rest"]].tolist() == pytest.approx(np.sqrt(found[:3]))
    assert row[["share_init", "share_order", "share_rest"]].tolist() == pytest.approx(np.divide(found[:3], sum(found[:3])))
    assert (row["p_init"], row["p_order"]) == (found.p_rows, found.p_columns)
    ends = np.sqrt(statistics.component_intervals(scores)).ravel()
    assert row[[f"{end}_{name}" for name in ("init", "order", "rest") for end in ("low", "high")]].tolist() == pytest.approx(ends)


def test_a_grid_with_a_hole_or_one_seed_has_no_components() -> None:
    table = variance.table(synthetic.without(seeds(), "uncorrected", {4}))
    assert table["std_rest"].isna().tolist() == [False, True, False, True]
    assert table["inits"].tolist() == [3, 3, 3, 3]
    assert variance.table(seeds(1))["std_init"].isna().all()
