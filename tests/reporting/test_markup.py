"""How a frame is written."""

import io

import numpy as np
import pandas as pd

from stableft.reporting import markup
from stableft.reporting.tables import score_summary
from tests.helpers import synthetic

ODD = pd.DataFrame({"task": ["a|b_c & 50 %"], "lr": [1.5e-5], "p": [2e-5], "low": [-0.25], "high": [0.5], "n": [5]})


def test_markdown() -> None:
    assert markup.to_markdown(ODD, "Note.") == (
        "| task | lr | p | 95 % interval | n |\n| --- | ---: | ---: | ---: | ---: |\n"
        "| a\\|b_c & 50 % | 1.5e-05 | <0.001 | [-0.250, 0.500] | 5 |\n\nNote.\n"
    )


def test_latex_is_escaped() -> None:
    text = markup.to_latex(ODD, "All 5 % of {x}_y ~ #1 \\ ^.")
    assert r"a|b\_c \& 50 \% & 1.5e-05 & $<$0.001 & [$-$0.250, 0.500] & 5 \\" in text
    assert r"\caption{All 5 \% of \{x\}\_y \textasciitilde{} \#1 \textbackslash{} \textasciicircum{}.}" in text
    assert r"\begin{tabular}{lrrrr}" in text


def test_csv_keeps_all_digits() -> None:
    table = score_summary.table(synthetic.grid())
    back = pd.read_csv(io.StringIO(markup.to_csv(table)))
    np.testing.assert_array_equal(back["mean"], table["mean"])
    np.testing.assert_array_equal(back["low"], table["low"])


def test_learning_rates_read_as_people_write_them() -> None:
    assert [markup.FORMATS["lr"](lr) for lr in (1e-5, 2e-4, 1.5e-5, 1e-3)] == ["1e-05", "2e-04", "1.5e-05", "1e-03"]


def test_durations() -> None:
    assert [markup.duration(seconds) for seconds in (0.4, 61, 3900, float("nan"))] == [
        "0 min 00 s",
        "1 min 01 s",
        "1 h 05 min",
        "unknown",
    ]


def test_every_interval_stands_in_one_column_and_every_p_is_written_as_one() -> None:
    frame = pd.DataFrame({"arm": ["a"], "low": [0.1], "high": [0.2], "share_low": [0.3], "share_high": [0.4], "p_rank": [1e-5]})
    shown = markup.display(frame.assign(slow=1.0, below_low=2.0))
    assert list(shown) == ["arm", "95 % interval", "share 95 % interval", "p_rank", "slow", "below_low"]
    assert shown.iloc[0].tolist() == ["a", "[0.100, 0.200]", "[0.300, 0.400]", "<0.001", "1.000", "2.000"]
