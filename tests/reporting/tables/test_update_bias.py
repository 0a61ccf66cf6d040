"""The measured ratio beside the closed form."""

import numpy as np
import pandas as pd
import pytest

from stableft.core.adam_bias import bias_ratio
from stableft.reporting.tables import update_bias
from stableft.storage.records import Results
from tests.helpers import synthetic


def test_the_measured_bias_against_the_closed_form() -> None:
    results = synthetic.grid()
    closed = results.metrics[results.metrics["metric"] == "update_bias"]
    closed = closed.assign(
        metric="update_bias_closed_form", value=np.where(closed["arm"] == "corrected", 1.0, bias_ratio(closed["step"]))
    )
    metered = results.metrics["metric"].ne("update_bias") | results.metrics["step"].isin([1, 12, 60, 190, 234])
    table = update_bias.table(Results(results.runs, pd.concat([results.metrics[metered], closed]), results.predictions))
    row = table.query("task == 'rte' and arm == 'uncorrected'").iloc[0]
    assert (row["runs"], row["steps"], row["at_step"]) == (5, 4, 12)
    measured = results.metrics.query("metric == 'update_bias' and task == 'rte' and arm == 'uncorrected'")
    assert row["largest"] == measured.query("step == 12")["value"].max()
    assert row["last"] == pytest.approx(measured.query("step == 190")["value"].mean())
    used = measured[measured["step"].isin([1, 12, 60, 190])]
    assert row["deviation"] == pytest.approx((used["value"] / bias_ratio(used["step"]) - 1).abs().max())
