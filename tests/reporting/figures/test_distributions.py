"""Every run is drawn once, failed ones as crosses."""

import numpy as np
import pandas as pd
import pytest

from experiments.published import PUBLISHED
from stableft.core.errors import NotLogged
from stableft.reporting import run_scores
from stableft.reporting.figures import distributions, style
from stableft.storage.records import Results
from tests.helpers import synthetic


def test_data_is_one_row_per_run() -> None:
    results = synthetic.grid()
    assert distributions.data(results).equals(run_scores.final_scores(results))


def test_plot_draws_every_run_and_crosses_for_failed_ones() -> None:
    results = synthetic.without(synthetic.grid(), "uncorrected", {4})
    frame = distributions.data(results)
    for axes in synthetic.figure(distributions, results).axes:
        here = frame[frame["task"] == axes.get_title()]
        points = [line for line in axes.lines if line.get_linestyle() == "None"]
        crosses = [np.asarray(line.get_ydata()) for line in points if line.get_marker() == "x"]
        others = [np.asarray(line.get_ydata()) for line in points if line.get_marker() != "x"]
        np.testing.assert_array_equal(np.sort(np.concatenate(crosses)), np.sort(here.loc[here["failed"], "score"]))
        np.testing.assert_array_equal(np.sort(np.concatenate(others)), np.sort(here.loc[~here["failed"], "score"]))
        labels = [label.get_text() for label in axes.get_xticklabels()]
        assert labels == ["corrected\nn = 5\n0 failed", "uncorrected\nn = 4\n2 failed"]


def test_equal_scores_stay_countable() -> None:
    axes = synthetic.figure(distributions, synthetic.grid(9)).axes[0]
    crosses = [line for line in axes.lines if line.get_marker() == "x" and len(np.asarray(line.get_xdata()))]
    x = np.concatenate([np.asarray(line.get_xdata()) for line in crosses])
    assert len(set(x)) == 4
    assert np.all(np.abs(x - 1) < 0.3)


def test_the_axis_is_the_runs_own_where_all_are_far_above_the_majority_score() -> None:
    """On one axis with that line the arms would look alike."""
    results = synthetic.grid(3, diverged=False)
    for far in (False, True):
        majority = distributions.data(results)["score"].min() - (5.0 if far else 0.01)
        moved = Results(results.runs.assign(majority_score=majority), results.metrics, results.predictions)
        for axes in synthetic.figure(distributions, moved).axes:
            scores = distributions.data(moved).query(f"task == {axes.get_title()!r}")["score"]
            low, high = axes.get_ylim()
            assert low < scores.min() < scores.max() < high
        lowest = min(axes.get_ylim()[0] for axes in synthetic.figure(distributions, moved).axes)
        assert (lowest > majority) == far


def test_on_validation_a_task_scored_elsewhere_has_no_majority_line_and_keeps_its_failed_runs() -> None:
    results = with_test_split(synthetic.grid())
    frame = distributions.data(results, split="validation")
    final = run_scores.final_scores(results)
    assert set(frame["split"]) == {"validation"}
    assert frame["failed"].tolist() == final["failed"].tolist()
    assert frame.groupby("task", sort=False)["majority_score"].first().isna().tolist() == [True, False]
    moved = frame["task"] == "rte"
    np.testing.assert_allclose(frame["score"], final["score"].where(~moved | final["diverged"], final["score"] + 0.1))
    axes = synthetic.figure(distributions, results, split="validation").axes
    assert [panel.get_ylabel() for panel in axes] == ["validation accuracy", "validation accuracy"]
    assert ["majority score" in [line.get_label() for line in panel.lines] for panel in axes] == [False, True]
    with pytest.raises(NotLogged, match="tnews_1k has no score on test"):
        distributions.data(results, split="test")


def with_test_split(results: Results) -> Results:
    """The same runs, rte scored on a test split on which each has 0.1 less."""
    own = (results.metrics["metric"] == "score") & (results.metrics["task"] == "rte")
    test = results.metrics[own].assign(split="test", value=lambda frame: frame["value"] - 0.1)
    runs = results.runs.assign(score_split=np.where(results.runs["task"] == "rte", "test", "validation"))
    runs["majority_score"] -= np.where(runs["task"] == "rte", 0.1, 0.0)
    return Results(runs, pd.concat([results.metrics, test], ignore_index=True), results.predictions)


def test_published_numbers_stand_beside_their_arm_and_look_like_no_run() -> None:
    results = with_test_split(synthetic.grid())
    frame = distributions.data(results, published=PUBLISHED)
    runs, rows = frame[frame["series"] == "run"], frame[frame["series"] == "published"]
    assert runs["score"].tolist() == distributions.data(results)["score"].tolist()
    labels = [
        "Zhang et al. (2021), Table 1, bert-large-uncased, n = 20: mean ± std",
        "Zhang et al. (2021), Figure 2, bert-large-uncased, n = 50: median",
        "independent replication of Zhang et al., results of 50 seeds, bert-large-uncased, n = 50: mean ± std",
    ]
    assert list(dict.fromkeys(rows["label"])) == labels
    assert set(zip(rows["task"], rows["split"], strict=True)) == {("rte", "test")}
    assert rows.query("label == @labels[0]")[["arm", "score", "std"]].to_numpy().tolist() == [["corrected", 0.695, 0.025]]
    axes = synthetic.figure(distributions, results, published=PUBLISHED).axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    for label in labels:
        drawn = np.asarray(lines[label].get_ydata(), dtype=float)
        np.testing.assert_array_equal(drawn, rows.loc[rows["label"] == label, "score"])
        assert (lines[label].get_color(), lines[label].get_markerfacecolor()) == (style.PUBLISHED_INK, "white")
    arms = ["corrected", "uncorrected"]
    for label in labels:
        at = np.asarray(lines[label].get_xdata(), dtype=float).astype(int)
        assert [arms[place] for place in at] == rows.loc[rows["label"] == label, "arm"].tolist()


def test_without_published_numbers_of_its_arms_a_figure_is_as_before() -> None:
    results = synthetic.grid(2)
    other = Results(results.runs.assign(experiment="mine"), results.metrics.assign(experiment="mine"), results.predictions)
    assert set(distributions.data(other, published=PUBLISHED)["series"]) == {"run"}
    assert len(synthetic.figure(distributions, other, published=PUBLISHED).axes) == 2


@pytest.mark.parametrize(("seeds", "boxes"), [(4, 0), (5, 2)])
def test_boxes_need_five_runs_and_the_legend_lists_what_is_drawn(seeds: int, boxes: int) -> None:
    results = synthetic.grid(seeds)
    axes = synthetic.figure(distributions, results).axes[0]
    medians = [line for line in axes.lines if line.get_linewidth() == 1.8]
    assert len(medians) == boxes
    far = distributions.data(results).query("not failed")["run_id"]
    good = Results(results.runs[results.runs["run_id"].isin(far)].assign(majority_score=-9.0), results.metrics, results.predictions)
    assert not synthetic.figure(distributions, good).legends


def test_arms_can_be_chosen() -> None:
    results = synthetic.grid(3)
    assert set(distributions.data(results, arms=["uncorr*"])["arm"]) == {"uncorrected"}
    (panel, _) = synthetic.figure(distributions, results, arms=["uncorr*"], published=PUBLISHED).axes
    assert [label.get_text().split("\n")[0] for label in panel.get_xticklabels()] == ["uncorrected"]
