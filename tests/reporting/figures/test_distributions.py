"""Every run is drawn once, failed ones as crosses."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from experiments.published import PUBLISHED
from stableft.core.errors import NotLogged
from stableft.reporting import run_scores
from stableft.reporting.figures import distributions, style
from stableft.storage.records import Results
from tests.helpers import synthetic


def parts(figure: Figure) -> dict[str, list[Axes]]:
    """The panels of each task: two if its axis is broken."""
    found: dict[str, list[Axes]] = {}
    for axes in figure.axes:
        found.setdefault(str(axes.get_label()), []).append(axes)
    return found


def test_data_is_one_row_per_run() -> None:
    results = synthetic.grid()
    assert distributions.data(results).equals(run_scores.final_scores(results))


def test_plot_draws_every_run_and_crosses_for_failed_ones() -> None:
    results = synthetic.without(synthetic.grid(), "uncorrected", {4})
    frame = distributions.data(results)
    for task, panels in parts(synthetic.figure(distributions, results)).items():
        here = frame[frame["task"] == task]
        points = [line for axes in panels for line in axes.lines if line.get_linestyle() == "None" and line.get_label() != "_break"]
        crosses = [np.asarray(line.get_ydata()) for line in points if line.get_marker() == "x"]
        others = [np.asarray(line.get_ydata()) for line in points if line.get_marker() != "x"]
        np.testing.assert_array_equal(np.sort(np.concatenate(crosses)), np.sort(here.loc[here["failed"], "score"]))
        np.testing.assert_array_equal(np.sort(np.concatenate(others)), np.sort(here.loc[~here["failed"], "score"]))
        labels = [label.get_text() for label in panels[-1].get_xticklabels()]
        assert labels == ["corrected\nn = 5\n0 failed", "uncorrected\nn = 4\n2 failed"]


def test_equal_scores_stay_countable() -> None:
    panels = parts(synthetic.figure(distributions, synthetic.grid(9)))["rte"]
    crosses = [line for axes in panels for line in axes.lines if line.get_marker() == "x" and len(np.asarray(line.get_xdata()))]
    x = np.concatenate([np.asarray(line.get_xdata()) for line in crosses])
    assert len(set(x)) == 4
    assert np.all(np.abs(x - 1) < 0.3)


def test_the_axis_is_the_runs_own_where_all_are_far_above_the_majority_score() -> None:
    """On one axis with that line the arms would look alike."""
    results = synthetic.grid(3, diverged=False)
    for far in (False, True):
        majority = distributions.data(results)["score"].min() - (5.0 if far else 0.01)
        moved = Results(results.runs.assign(majority_score=majority), results.metrics, results.predictions)
        shown = parts(synthetic.figure(distributions, moved))
        for task, panels in shown.items():
            scores = distributions.data(moved).query(f"task == {task!r}")["score"]
            low, high = panels[-1].get_ylim()[0], panels[0].get_ylim()[1]
            assert low < scores.min() < scores.max() < high
        lowest = min(axes.get_ylim()[0] for panels in shown.values() for axes in panels)
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
    shown = parts(synthetic.figure(distributions, results, split="validation"))
    assert [{axes.get_ylabel() for axes in panels} - {""} for panels in shown.values()] == [{"validation accuracy"}] * 2
    lines = [[line.get_label() for axes in panels for line in axes.lines] for panels in shown.values()]
    assert ["majority score" in labels for labels in lines] == [False, True]
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
    assert list(parts(synthetic.figure(distributions, other, published=PUBLISHED))) == ["rte", "tnews_1k"]


@pytest.mark.parametrize(("seeds", "boxes"), [(4, 0), (5, 1)])
def test_boxes_need_five_runs_in_one_place_and_the_legend_lists_what_is_drawn(seeds: int, boxes: int) -> None:
    """Of the uncorrected arm two runs fail: its box would span the gap between them and the others."""
    results = synthetic.grid(seeds)
    frame = distributions.data(results).query("task == 'rte'")
    for axes in parts(synthetic.figure(distributions, results))["rte"]:
        medians = [np.asarray(line.get_ydata()).tolist() for line in axes.lines if line.get_linewidth() == 1.8]
        own = frame.query("arm == 'corrected'")["score"].median()
        assert medians == [[own, own]] * boxes
        bars = [segment for drawn in axes.collections if isinstance(drawn, LineCollection) for segment in drawn.get_segments()]
        means = frame.groupby("arm", sort=False, observed=True)["score"].mean()
        assert [bar[0, 1] for bar in bars] == pytest.approx(means.tolist()[boxes:]), "the others have a line at their mean"
    far = distributions.data(results).query("not failed")["run_id"]
    good = Results(results.runs[results.runs["run_id"].isin(far)].assign(majority_score=-9.0), results.metrics, results.predictions)
    assert not synthetic.figure(distributions, good).legends


def test_arms_can_be_chosen() -> None:
    results = synthetic.grid(3)
    assert set(distributions.data(results, arms=["uncorr*"])["arm"]) == {"uncorrected"}
    panels = parts(synthetic.figure(distributions, results, arms=["uncorr*"], published=PUBLISHED))["rte"]
    assert [label.get_text().split("\n")[0] for label in panels[-1].get_xticklabels()] == ["uncorrected"]


def test_many_arms_are_rows_with_the_first_ones_mean() -> None:
    results = synthetic.lr_grid(3)
    frame = distributions.data(results)
    figure = synthetic.figure(distributions, results)
    names = list(dict.fromkeys(frame["arm"]))
    for task, panels in parts(figure).items():
        here = frame[frame["task"] == task]
        points = [line for axes in panels for line in axes.lines if line.get_linestyle() == "None" and line.get_label() != "_break"]
        drawn = np.concatenate([np.asarray(line.get_xdata(), dtype=float) for line in points])
        np.testing.assert_array_equal(np.sort(drawn), np.sort(here["score"]))
        (reference,) = [line for line in panels[0].lines if line.get_label() == f"mean of {names[0]}"]
        assert set(np.asarray(reference.get_xdata())) == {here.loc[here["arm"] == names[0], "score"].mean()}
        said = [text.get_text() for text in panels[-1].texts]
        failed = here.groupby("arm", sort=False, observed=True)["failed"].sum().loc[names]
        assert said == ["n = 3" + (f", {count} failed" if count else "") for count in failed]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == names
