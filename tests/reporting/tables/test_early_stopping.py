"""Against every draw counted out."""

from itertools import combinations

import numpy as np
import pytest

from stableft.core.errors import NotLogged
from stableft.reporting.tables import early_stopping
from tests.helpers import synthetic


def test_a_row_is_the_mean_over_every_draw() -> None:
    results = synthetic.grid(6, diverged=False)
    table = early_stopping.table(results)
    row = table.query("task == 'rte' and arm == 'uncorrected' and stop_at == 0.5 and continued == 2").iloc[0]
    assert (row["n"], row["started"], row["cost"]) == (6, 4, 3.0)
    scores = results.metrics.query("task == 'rte' and arm == 'uncorrected' and metric == 'score'")
    early, end = (scores[scores["step"] == step].sort_values("seed")["value"].to_numpy() for step in (95, 190))
    assert row["whole"] == pytest.approx(np.mean([end[list(drawn)].max() for drawn in combinations(range(6), 3)]))
    kept = [sorted(drawn, key=lambda run: early[run])[-2:] for drawn in combinations(range(6), 4)]
    assert row["expected"] == pytest.approx(np.mean([end[runs].max() for runs in kept]), abs=0.002)
    assert (table["cost"] <= early_stopping.BUDGET + 1e-9).all()
    assert (table["difference"] == table["expected"] - table["whole"]).all()


def test_three_runs_leave_nothing_to_stop() -> None:
    with pytest.raises(NotLogged, match="more than 3 runs"):
        early_stopping.table(synthetic.grid(3))
