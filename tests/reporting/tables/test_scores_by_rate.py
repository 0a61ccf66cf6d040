"""What a row contains."""

from dataclasses import replace

import numpy as np
import pytest

from stableft.reporting import markup, run_scores
from stableft.reporting.tables import scores_by_rate
from tests.helpers import synthetic


def test_learning_rate_table() -> None:
    results = synthetic.lr_grid()
    table = scores_by_rate.table(results)
    assert len(table) == 20
    assert table["task"].unique().tolist() == ["rte", "tnews_1k"]
    assert table.query("task == 'rte' and arm == 'corrected'")["lr"].is_monotonic_increasing
    row = table.query("task == 'tnews_1k' and arm == 'corrected' and lr == 5e-5").iloc[0]
    losses = results.metrics.query("task == 'tnews_1k' and arm == 'corrected lr=5e-05' and metric == 'loss' and step > 234 - 23")
    assert row["train_loss"] == pytest.approx(losses["value"].mean())
    assert table["failed"].sum() == run_scores.final_scores(results)["failed"].sum()


def test_a_learning_rate_at_which_all_diverge_has_no_training_loss() -> None:
    results = synthetic.lr_grid(2)
    lost = results.runs["arm"] == "uncorrected lr=2e-04"
    table = scores_by_rate.table(replace(results, runs=results.runs.assign(outcome=np.where(lost, "diverged", "ok"))))
    assert table.loc[table["train_loss"].isna(), ["arm", "lr"]].to_numpy().tolist() == [["uncorrected", 2e-4]] * 2
    assert "\u2013" in markup.to_markdown(table)
