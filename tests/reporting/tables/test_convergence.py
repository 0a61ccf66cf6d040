"""The losses of the curves in numbers."""

import numpy as np
import pytest

from stableft.reporting.tables import convergence
from stableft.storage.records import Results
from tests.helpers import synthetic


def test_the_losses_of_the_curves_in_numbers() -> None:
    results = synthetic.grid()
    row = convergence.table(results).query("task == 'rte' and arm == 'uncorrected'").iloc[0]
    losses = results.metrics.query("task == 'rte' and arm == 'uncorrected' and metric == 'loss' and seed != 3")  # seed 3 diverged
    tenths = {end: losses.query("@end - 19 < step <= @end").groupby("seed")["value"].mean() for end in range(19, 191, 19)}
    assert row["runs"] == 4
    assert [row[name] for name in ("first", "middle", "last")] == pytest.approx([tenths[end].mean() for end in (19, 95, 190)])
    reached = [min([end for end in tenths if tenths[end][seed] <= tenths[19][seed] / 2], default=None) for seed in (0, 1, 2, 4)]
    steps = [step for step in reached if step is not None]
    assert row["reached"] == len(steps) < 4
    assert row["half_step"] == pytest.approx(sum(steps) / len(steps))


def test_where_no_loss_halves_and_where_no_run_finishes() -> None:
    results = synthetic.grid(2, diverged=False)
    flat = results.metrics.assign(value=results.metrics["value"].mask(results.metrics["metric"] == "loss", 0.7))
    lost = results.runs.assign(outcome=np.where(results.runs["arm"] == "corrected", "diverged", "ok"))
    table = convergence.table(Results(lost, flat, results.predictions))
    assert table["runs"].tolist() == [0, 2, 0, 2]
    assert table["reached"].tolist() == [0, 0, 0, 0]
    assert table["half_step"].isna().all()
    assert table["last"].tolist() == pytest.approx([np.nan, 0.7, np.nan, 0.7], nan_ok=True)
