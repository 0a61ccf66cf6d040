"""The numbers drawn are those logged; the three points carry the runs' own scores, whatever their arms are called."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.contour import ContourSet

from stableft.core.errors import MissingInput, NotLogged
from stableft.reporting import report, run_scores
from stableft.reporting.figures import loss_surface
from stableft.storage.records import CELL, Results
from tests.helpers import synthetic

AXIS = np.arange(-2, 7) / 4


def height(a: float, b: float) -> float:
    """A plateau about (1, 0), a valley about (0, 1)."""
    return 0.01 + 0.7 * min(1.0, a**2 + (b - 1) ** 2)


def surfaces(results: Results) -> Results:
    """The same runs; each corrected one has a surface, against the uncorrected one of its seed."""
    corrected = results.runs["arm"] == "corrected"
    others = results.runs["run_id"].str.replace("-corrected", "-uncorrected")
    with_surface = [json.dumps({**json.loads(str(text)), "surface": {"num_examples": 200}}) for text in results.runs["config"]]
    runs = results.runs.assign(
        sources=others.where(corrected), config=results.runs["config"].mask(corrected, pd.Series(with_surface)), num_train=1000
    )
    points = pd.DataFrame([(f"a={a:g} b={b:g}", height(a, b)) for b in AXIS for a in AXIS], columns=["scope", "value"])
    rows = runs.loc[corrected, CELL].merge(points, how="cross").assign(step=190, split="train")
    parts = [rows.assign(metric="surface_loss"), rows.assign(metric="surface_score", value=0.5)]
    return Results(runs, pd.concat([results.metrics, *parts], ignore_index=True), results.predictions)


@pytest.fixture(scope="module")
def results() -> Results:
    """Two tasks, two seeds; the uncorrected run of seed 1 fails, that of seed 0 does not."""
    return surfaces(synthetic.grid(seeds=2))


def test_every_point_is_the_logged_one(results: Results) -> None:
    frame = loss_surface.data(results)
    assert len(frame) == 2 * 2 * len(AXIS) ** 2
    assert set(frame["arm"]) == {"corrected"}
    np.testing.assert_allclose(frame["loss"], [height(a, b) for a, b in frame[["a", "b"]].to_numpy()])
    assert set(frame["score"]) == {0.5}


def test_the_three_points_and_what_their_runs_scored(results: Results) -> None:
    frame = loss_surface.data(results)
    marked = frame[frame["point"] != ""]
    assert len(marked) == 2 * 2 * 3
    runs = run_scores.final_scores(results).to_dict("records")
    scores = {(run["task"], run["seed"], run["arm"]): (run["score"], run["failed"]) for run in runs}
    for row in marked.to_dict("records"):
        at = {"start": (0, 0), "uncorrected": (1, 0), "corrected": (0, 1)}[row["point"]]
        assert (row["a"], row["b"]) == at
        if row["point"] == "start":
            assert pd.isna(row["final_score"])
        else:
            assert (row["final_score"], row["failed"]) == scores[row["task"], row["seed"], row["point"]]


def test_it_is_drawn_on_the_axes_of_the_plane(results: Results) -> None:
    figure = synthetic.figure(loss_surface, results)
    panels = figure.axes
    assert [axes.get_title() for axes in panels] == [f"{task}, seed {seed}" for task in synthetic.TASKS for seed in (0, 1)]
    bars = [bar for axes in panels for bar in axes.child_axes]
    assert [bar.get_ylabel() for bar in bars] == ["mean loss of 200 training examples\n(cross entropy, nats)"] * 4
    failed = panels[1]
    assert (failed.get_xlabel(), failed.get_ylabel()) == ("a (from start to uncorrected)", "b (from start to corrected)")
    assert failed.get_aspect() == 1
    score = run_scores.final_scores(results).query("task == 'rte' and arm == 'uncorrected' and seed == 1")["score"].item()
    written = {text.get_text(): text.xy for text in failed.texts}  # pyright: ignore[reportAttributeAccessIssue]
    assert written["start"] == (0, 0)
    assert written[f"uncorrected, failed:\nvalidation accuracy {score:.3f}"] == (1, 0)
    assert [text for text in written if text.startswith("corrected, successful:")]
    assert any(text.get_text().startswith("uncorrected, successful:") for text in panels[0].texts), "the runs say it, not the arms"
    drawn = levels(failed)
    ratios = np.diff(np.log(drawn))
    np.testing.assert_allclose(ratios, ratios[0])
    assert (drawn[0], drawn[-1]) == pytest.approx((0.01, 0.71))


def levels(axes: Axes) -> list[float]:
    return list(next(item for item in axes.collections if isinstance(item, ContourSet)).levels)


def test_a_loss_that_is_not_finite_is_left_out_and_a_zero_is_drawn(results: Results) -> None:
    metrics = results.metrics.copy()
    surface = metrics["metric"] == "surface_loss"
    metrics.loc[surface & metrics["scope"].isin(["a=1 b=0.5", "a=1.25 b=0.5"]), "value"] = [np.nan, np.inf] * 4
    metrics.loc[surface & (metrics["scope"] == "a=0 b=1"), "value"] = 0.0
    changed = dataclasses.replace(results, metrics=metrics)
    assert levels(synthetic.figure(loss_surface, changed).axes[0])[0] == pytest.approx(loss_surface.FLOOR)
    metrics.loc[surface, "value"] = np.nan
    with pytest.raises(MissingInput, match="no point of any surface has a finite loss"):
        synthetic.figure(loss_surface, changed)


def test_another_run_that_is_not_in_the_tables_has_no_score(results: Results) -> None:
    part = synthetic.without(results, "uncorrected", {0, 1})
    frame = loss_surface.data(part)
    ends = frame[(frame["a"] == 1) & (frame["b"] == 0)]
    assert set(ends["point"]) == {"the other run"}
    assert ends["final_score"].isna().all()
    assert "the other run" in {text.get_text() for text in synthetic.figure(loss_surface, part).axes[0].texts}


def test_results_without_a_surface_say_so() -> None:
    with pytest.raises(NotLogged, match="no run holds a surface"):
        loss_surface.data(synthetic.grid(2))


@pytest.mark.slow
def test_the_same_results_give_the_same_bytes_and_the_caption_says_what_is_drawn(results: Results, tmp_path: Path) -> None:
    item = report.figure(loss_surface)
    once, again = (report.render("loss_surface", item, results, tmp_path / name) for name in ("once", "again"))
    assert [path.suffix for path in once] == [".pdf", ".png", ".svg", ".csv", ".txt"]
    assert [path.read_bytes() for path in once] == [path.read_bytes() for path in again]
    caption = (tmp_path / "once" / "loss_surface.txt").read_text()
    assert "start + a (end of the one run - start) + b (end of the other - start)" in caption
    assert "rte: corrected 0 of 2, uncorrected 1 of 2" in caption
