"""Every run is in its place, and the margins are means."""

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh

from stableft.reporting import run_scores
from stableft.reporting.figures import draw, seed_map
from stableft.reporting.tables import seed_spread, variance
from stableft.storage.records import Results
from tests.helpers import synthetic

SIDE = 3


@pytest.fixture
def results() -> Results:
    """The synthetic grid with its nine seeds read as 3 x 3 init and order seeds; the uncorrected arm read as a technique."""
    whole = synthetic.grid(seeds=SIDE**2)

    def config(text: str, seed: int, arm: str) -> str:
        techniques = [{"name": "reinit", "num_layers": 1}] if arm == "uncorrected" else None
        return json.dumps({**json.loads(text), "init_seed": seed // SIDE, "order_seed": seed % SIDE, "techniques": techniques})

    runs = whole.runs.assign(
        config=[config(*row) for row in whole.runs[["config", "seed", "arm"]].itertuples(index=False)],
    )
    return Results(runs, whole.metrics, whole.predictions)


@pytest.mark.parametrize("margin", seed_map.MARGINS)
def test_margins_are_of_what_is_beside_them(margin: str, results: Results) -> None:
    frame = seed_map.data(results)
    scores = run_scores.final_scores(results).query("task == 'rte' and arm == 'corrected'")["score"].to_numpy().reshape(SIDE, SIDE)
    rows = frame.query("task == 'rte' and method == 'standard'").pivot(index="init", columns="order", values="score")
    sides = ["0", "1", "2"]
    np.testing.assert_array_equal(rows.loc[sides, sides], scores)
    of = partial(np.std, ddof=1) if margin == "std" else getattr(np, margin)
    np.testing.assert_allclose(rows.loc[sides, margin].astype(float), of(scores, axis=1))
    np.testing.assert_allclose(rows.loc[margin, sides].astype(float), of(scores, axis=0))
    assert rows.loc[margin, margin] == pytest.approx(of(scores))
    assert set(rows.columns) == {*sides, *seed_map.MARGINS}
    assert rows.loc[["min", "max"], ["mean", "std"]].isna().all(axis=None), "nothing stands where two margins cross"
    failed = frame.query("task == 'rte' and method == 'reinit' and init == @margin and order == @margin")["failed"].item()
    assert failed == run_scores.final_scores(results).query("task == 'rte' and arm == 'uncorrected'")["failed"].sum() > 0


def test_every_number_is_written_once(results: Results) -> None:
    figure, frame = draw(seed_map, results)
    assert [axes.get_title().split(":")[0] for axes in figure.axes] == [
        "rte, standard", "rte, reinit", "tnews_1k, standard", "tnews_1k, reinit",
    ]  # fmt: skip
    for axes, (_, rows) in zip(figure.axes, frame.groupby(["task", "method"], sort=False), strict=True):
        written = sorted(text.get_text().removeprefix("\u00d7 ") for text in axes.texts)
        assert written == sorted(f"{value:.3f}".replace("0.", ".", 1) for value in rows["score"])
        crosses = [text for text in axes.texts if text.get_text().startswith("\u00d7")]
        assert len(crosses) == rows.query("init not in @seed_map.MARGINS and order not in @seed_map.MARGINS")["failed"].sum()


def test_a_run_that_is_not_done_leaves_its_place_empty(results: Results) -> None:
    part = synthetic.without(results, "corrected", {4})
    axes = synthetic.figure(seed_map, part).axes[0]
    assert np.ma.count(np.ma.asarray(cells(axes).get_array())) == SIDE**2 - 1
    assert not any("nan" in text.get_text() for text in axes.texts)


def test_the_spreads_by_hand(results: Results) -> None:
    row = seed_spread.table(results).query("task == 'rte' and method == 'standard'").iloc[0]
    scores = run_scores.final_scores(results).query("task == 'rte' and arm == 'corrected'")["score"].to_numpy().reshape(SIDE, SIDE)
    assert row["std_over_order"] == pytest.approx(scores.std(axis=1, ddof=1).mean())
    assert row["std_over_init"] == pytest.approx(scores.std(axis=0, ddof=1).mean())
    assert row["std"] == pytest.approx(scores.std(ddof=1))
    assert (row["n"], row["max"]) == (SIDE**2, scores.max())


def test_colours_reach_from_the_lowest_run_of_a_task_to_its_highest(results: Results) -> None:
    figure = synthetic.figure(seed_map, results)
    figure.draw_without_rendering()
    drawn = {tuple(color) for axes in figure.axes[:2] for color in np.asarray(cells(axes).get_facecolor())}
    assert {colormaps[seed_map.MAP](0.0), colormaps[seed_map.MAP](1.0)} <= drawn


def cells(axes: Axes) -> QuadMesh:
    (mesh,) = [drawn for drawn in axes.collections if isinstance(drawn, QuadMesh)]
    return mesh


def test_repeated_runs_of_a_pair_of_seeds_count_once(results: Results) -> None:
    """Earlier versions ran the same pair again for every further seed."""
    again = [frame.assign(seed=frame["seed"] + 100) for frame in (results.runs, results.metrics)]
    twice = Results(pd.concat([results.runs, again[0]]), pd.concat([results.metrics, again[1]]), results.predictions)
    pd.testing.assert_frame_equal(seed_map.data(twice), seed_map.data(results))
    for table in (seed_spread, variance):
        pd.testing.assert_frame_equal(table.table(twice), table.table(results))
    synthetic.figure(seed_map, twice)
