"""Artists that several kinds share."""

import numpy as np
import pandas as pd

from stableft.reporting import mean_curves, panel_parts, treatments
from stableft.reporting.figures import style
from tests.helpers import synthetic


def test_an_arm_is_its_mean_and_a_thin_line_per_failed_run() -> None:
    frame = mean_curves.mean_curves(synthetic.grid(6, diverged=False), split="train", metric="loss")
    rows = frame.query("task == 'rte' and arm == 'uncorrected'")
    with style.context():
        _, (panel,) = style.panels(1)
        panel_parts.arm_curves(panel, rows, "uncorrected", treatments.arm_styles(["uncorrected"])["uncorrected"])
        panel_parts.band_names(panel, rows, mean_curves.INTERVAL)
    named = [str(line.get_label()) for line in panel.lines]
    assert named == ["uncorrected", "_failed", "_failed", "_failed", "failed run"]
    np.testing.assert_array_equal(panel.lines[0].get_ydata(), rows.loc[rows["series"] == "mean", "value"])
    assert [area.get_label() for area in panel.collections][-1] == "95 % interval"


def test_near_rates_share_a_label() -> None:
    _, (panel,) = style.panels(1)
    gap = panel_parts.rate_axis(panel, np.array([1e-5, 1.1e-5, 1e-4]))
    assert [label.get_text() for label in panel.get_xticklabels()] == ["1e-05", "", "1e-04"]
    np.testing.assert_allclose(gap, np.log10(1.1))


def test_of_many_blocks_the_legend_names_few() -> None:
    _, (panel,) = style.panels(1)
    rows = pd.DataFrame({"depth": np.repeat(np.arange(1, 25), 2), "step": [1, 2] * 24, "value": 1.0})
    panel_parts.block_lines(panel, rows, 24)
    named = [str(line.get_label()) for line in panel.lines if not str(line.get_label()).startswith("_")]
    assert named == ["block 1", "block 6", "block 12", "block 18", "block 24"]
