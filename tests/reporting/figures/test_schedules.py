"""Arms of one schedule share a panel, parts of one rate a line, and lines are the rates of `stableft.core.schedule`."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from stableft.core import schedule
from stableft.core.config import RunConfig, with_overrides
from stableft.core.errors import MissingInput, NotLogged
from stableft.reporting.figures import draw, schedules
from stableft.storage.records import Results
from stableft.techniques.grouped_llrd import GroupedLLRD
from stableft.techniques.head_lr import HeadLR
from stableft.techniques.llrd import LLRD
from stableft.techniques.mixout import Mixout
from stableft.techniques.swa import SWA
from tests.conftest import BASE
from tests.helpers import synthetic

STEPS = 190  # of rte in the synthetic grid; its schedule has 10 epochs of 19
CONFIG = with_overrides(RunConfig.model_validate(BASE), {"schedule.num_epochs": 10})


def results_of(arms: dict[str, dict[str, object]], num_blocks: int = 6) -> Results:
    """One run of rte for each arm, and what says how many blocks there are."""
    whole = synthetic.with_blocks(synthetic.grid(1), num_blocks, every=95)
    run = whole.runs.iloc[0]
    configs = {arm: with_overrides(CONFIG, changes).model_dump_json() for arm, changes in arms.items()}
    runs = [run.to_dict() | {"arm": arm, "config": config, "run_id": arm} for arm, config in configs.items()]
    metrics = whole.metrics[(whole.metrics["task"] == "rte") & (whole.metrics["arm"] == "corrected")]
    parts = [metrics.assign(arm=arm, run_id=arm) for arm in arms]
    return synthetic.with_rows(replace(whole, runs=pd.DataFrame(runs)), *parts)


def drawn(frame: pd.DataFrame, arms: str, parts: str) -> np.ndarray:
    """The rates of a line at every step."""
    line = frame[(frame["arms"] == arms) & (frame["parts"] == parts)]
    assert len(line), (arms, parts)
    return np.interp(np.arange(1, STEPS + 1), line["step"], line["lr"])


def test_lines_are_the_rates_of_each_part() -> None:
    changes = {"schedule.warmup_ratio": None, "schedule.warmup_steps": 8}
    llrd, swa = LLRD(decay=0.9, top=0.97), SWA(start_epoch=3, scale=0.5)
    arms: dict[str, dict[str, object]] = {
        "plain": {},
        "mixout": {"techniques": (Mixout(p=0.1),)},
        "llrd": {"techniques": (llrd,)},
        "swa": {"techniques": (llrd, swa), **changes},
        "grouped": {"techniques": (GroupedLLRD(), HeadLR(scale=2.0))},
    }
    frame = schedules.data(results_of(arms))
    assert list(dict.fromkeys(frame["arms"])) == ["plain, mixout", "llrd", "swa", "grouped"]
    assert set(frame.loc[frame["arms"] == "plain, mixout", "parts"]) == {"all parts"}
    assert list(dict.fromkeys(frame.loc[frame["arms"] == "grouped", "parts"])) == [
        "embeddings, blocks 1 to 2", "blocks 3 to 4", "blocks 5 to 6", "head",
    ]  # fmt: skip
    config = with_overrides(CONFIG, arms["swa"])
    rates = schedule.learning_rates(config, STEPS, 19)
    for parts, scale in (("embeddings", 0.97 * 0.9**6), ("block 4", 0.97 * 0.9**2), ("head", 1.0)):
        np.testing.assert_allclose(drawn(frame, "swa", parts), rates * scale, rtol=1e-9, atol=1e-15)
    assert rates[8] == config.adam.lr
    assert rates[-1] == pytest.approx(0.5 * config.adam.lr)
    assert len(frame) < 250, "corners, not steps"


def test_plot_draws_the_data_a_panel_for_each_schedule() -> None:
    results = results_of({"plain": {}, "llrd": {"techniques": (LLRD(decay=0.9),)}}, num_blocks=24)
    figure, frame = draw(schedules, results)
    assert [axes.get_title() for axes in figure.axes] == ["rte: plain", "rte: llrd"]
    first, second = figure.axes
    assert [line.get_label() for line in first.lines] == ["all parts"]
    assert len(second.lines) == 26
    assert [text.get_text() for text in second.get_legend().get_texts()] == ["head", "block 24", "block 13", "embeddings"]  # type: ignore[union-attr]
    for line, (_, rows) in zip(reversed(second.lines), frame[frame["arms"] == "llrd"].groupby("parts", sort=False), strict=True):
        np.testing.assert_array_equal(np.asarray(line.get_xydata()), rows[["step", "lr"]])


def test_schedules_with_one_rate_for_all_parts_share_a_panel() -> None:
    results = results_of({"plain": {}, "mixout": {}, "llrd": {"techniques": (LLRD(decay=0.9),)}, "flat": {"adam.lr": 1e-5}})
    figure, frame = draw(schedules, results)
    assert [axes.get_title() for axes in figure.axes] == ["rte: one rate for all parts", "rte: llrd"]
    lines = {str(line.get_label()): line for line in figure.axes[0].lines}
    assert list(lines) == ["plain and 1 more", "flat"]
    for line, arms in zip(lines.values(), ("plain, mixout", "flat"), strict=True):
        rows = frame[frame["arms"] == arms]
        np.testing.assert_array_equal(np.asarray(line.get_xydata()), rows[["step", "lr"]])


def test_of_many_arms_a_title_names_a_few() -> None:
    figure = synthetic.figure(schedules, results_of({f"an arm called {place}": {} for place in range(9)}))
    (title,) = [axes.get_title() for axes in figure.axes]
    assert title == "rte: an arm called 0, an arm called 1 and 7 more"


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0, 1, 2, 3], [0, 3]), ([0, 1, 2, 1, 0], [0, 2, 4]), ([1], [0]), ([1, 2], [0, 1]), ([0, 0, 0], [0, 2])],
)
def test_corners(values: list[float], expected: list[int]) -> None:
    assert schedules.corners(np.array(values, dtype=float)).tolist() == expected


def test_what_is_missing_is_said() -> None:
    results = results_of({"plain": {}})
    with pytest.raises(NotLogged, match="'block_grad_norm'"):
        schedules.data(synthetic.with_rows(results, results.metrics[results.metrics["metric"] != "block_grad_norm"]))
    with pytest.raises(MissingInput, match="no runs"):
        schedules.data(replace(results, runs=results.runs.iloc[:0]))
    length = {"schedule.num_epochs": None, "schedule.num_steps": STEPS}
    assert len(schedules.data(results_of({"plain": length}))) == 3
    with pytest.raises(MissingInput, match="how many steps an epoch has"):
        schedules.data(results_of({"swa": {**length, "techniques": (SWA(start_epoch=1, scale=0.5),)}}))
