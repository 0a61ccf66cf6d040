"""The numbers drawn, against sums done by hand; never pixels."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from stableft.core.errors import MissingInput
from stableft.reporting import treatments
from stableft.reporting.figures import curves
from stableft.reporting.tables import score_summary
from tests.helpers import synthetic


def test_training_curve_is_the_mean_per_interval_over_runs_that_finished() -> None:
    results = synthetic.grid()
    frame = curves.data(results, split="train", metric="loss")
    mean = frame.query("task == 'rte' and arm == 'uncorrected' and series == 'mean'")
    assert mean["step"].tolist() == list(range(19, 191, 19))
    assert set(mean["n"]) == {4}  # seed 3 diverged
    losses = results.metrics.query("task == 'rte' and arm == 'uncorrected' and metric == 'loss' and seed != 3")
    second = losses.query("19 < step <= 38").groupby("seed")["value"].mean()
    assert mean["value"].iloc[1] == pytest.approx(second.mean(), abs=1e-12)
    assert (mean["low"] <= mean["value"]).all()
    assert (mean["value"] <= mean["high"]).all()


def test_the_band_can_be_the_range_of_the_runs() -> None:
    results = synthetic.grid()
    frame, usual = (curves.data(results, split="validation", metric="score", band=band) for band in ("range", "interval"))
    scores = results.metrics.query("task == 'rte' and arm == 'corrected' and metric == 'score' and step == 190")["value"]
    point = frame.query("task == 'rte' and arm == 'corrected' and series == 'mean' and step == 190").iloc[0]
    assert (point["low"], point["high"]) == (scores.min(), scores.max())
    assert frame["value"].equals(usual["value"])
    for band, name in (("range", "least to greatest run"), ("interval", "95 % interval")):
        figure = synthetic.figure(curves, results, split="validation", metric="score", band=band)
        assert name in [text.get_text() for text in figure.legends[0].get_texts()]


def test_intervals_are_zhangs_tenths_unless_given() -> None:
    results = synthetic.grid()
    steps = curves.data(results, split="train", metric="loss").query("task == 'tnews_1k' and series == 'mean'")["step"]
    assert sorted(set(steps)) == list(range(23, 231, 23))  # as for RTE in Zhang et al., whose last four steps are left out too
    every = curves.data(results, split="train", metric="loss", interval=1).query("task == 'tnews_1k' and series == 'mean'")
    raw = results.metrics.query("task == 'tnews_1k' and arm == 'corrected' and metric == 'loss' and step == 234")["value"]
    assert every.query("arm == 'corrected' and step == 234")["value"].item() == pytest.approx(raw.mean())


def test_failed_runs_are_single_lines_as_far_as_they_got() -> None:
    frame = curves.data(synthetic.grid(), split="train", metric="loss")
    failed = frame[frame["series"] == "failed run"]
    assert set(zip(failed["task"], failed["arm"], failed["seed"], strict=True)) == {
        (task, "uncorrected", seed) for task in ("rte", "tnews_1k") for seed in (1, 3)
    }
    assert failed.query("task == 'rte' and seed == 3")["step"].max() == 76  # the interval in which step 60 lies


def test_score_curves_end_at_the_mean_of_the_score_table() -> None:
    results = synthetic.grid()
    frame = curves.data(results, split="validation", metric="score")
    ends = frame[frame["series"] == "mean"].groupby(["task", "arm"], sort=False)["value"].last()
    table = score_summary.table(results).set_index(["task", "arm"])["mean"]
    np.testing.assert_allclose(ends, table.loc[ends.index])
    assert set(frame["majority_score"]) == {0.527, 0.091}


def test_a_point_evaluated_on_the_subset_is_taken_from_it() -> None:
    results = synthetic.grid(subset=True)
    end = results.metrics.query("task == 'tnews_1k' and split == 'validation' and step == 234")
    both = replace(results, metrics=pd.concat([results.metrics, end.assign(scope="subset", value=0.25)]))
    frame = curves.data(both, split="validation", metric="score").query("task == 'tnews_1k' and step == 234")
    assert frame["value"].to_numpy() == pytest.approx(0.25)


def test_a_run_without_scores_counts_at_the_majority_score() -> None:
    results = synthetic.grid()
    frame = curves.data(results, split="validation", metric="score")
    end = frame.query("task == 'rte' and arm == 'uncorrected' and series == 'mean' and step == 190")
    assert end["n"].item() == 5
    finished = results.metrics.query("task == 'rte' and arm == 'uncorrected' and metric == 'score' and step == 190")["value"]
    assert end["value"].item() == pytest.approx((finished.sum() + 0.527) / 5)


def test_plot_draws_exactly_the_data() -> None:
    results = synthetic.grid()
    frame = curves.data(results, split="validation", metric="score")
    figure = synthetic.figure(curves, results, split="validation", metric="score")
    assert [axes.get_title() for axes in figure.axes] == ["rte", "tnews_1k"]
    for axes in figure.axes:
        drawn = [line for line in axes.lines if line.get_label() != "majority score"]
        here = frame[frame["task"] == axes.get_title()]
        values = np.concatenate([np.asarray(line.get_ydata()) for line in drawn])
        np.testing.assert_array_equal(np.sort(values), np.sort(here["value"]))
        assert axes.get_ylabel() == "validation accuracy"


def test_where_every_run_diverged_there_is_no_mean() -> None:
    results = synthetic.grid(2)
    results = replace(results, runs=results.runs.assign(outcome="diverged"))
    assert set(curves.data(results, split="train", metric="loss")["series"]) == {"failed run"}


@pytest.mark.parametrize("case", ["one seed", "all diverged", "missing seeds"])
def test_odd_grids_are_drawn(case: str) -> None:
    results = synthetic.grid(1 if case == "one seed" else 3)
    if case == "all diverged":
        results = replace(results, runs=results.runs.assign(outcome="diverged"))
    if case == "missing seeds":
        results = synthetic.without(results, "uncorrected", {0, 1})
    for split, metric in (("train", "loss"), ("validation", "score")):
        assert len(synthetic.figure(curves, results, split=split, metric=metric).axes) == 2


def test_missing_input_is_named() -> None:
    results = synthetic.grid(2)
    with pytest.raises(MissingInput, match="'f1' on split 'test'"):
        curves.data(results, split="test", metric="f1")
    with pytest.raises(MissingInput, match="no runs"):
        curves.data(replace(results, runs=results.runs.iloc[:0]), split="train", metric="loss")


def test_what_a_source_logged_is_drawn_where_its_points_are_at_the_same_steps() -> None:
    results = synthetic.grid()
    ours = curves.data(results, split="train", metric="loss")
    about = {"source": "replication", "place": "curves", "encoder": "big", "experiment": results.runs["experiment"].iloc[0]}
    line = ours.query("task == 'rte' and arm == 'corrected' and series == 'mean'")[["task", "arm", "step"]]
    same = line.assign(**about, split="train", metric="loss", n=50, value=np.linspace(0.9, 0.1, len(line)))
    shifted = same.assign(task="tnews_1k")  # whose intervals are longer
    other = same.assign(arm="uncorrected", metric="lr")
    published = pd.concat([same, shifted, other], ignore_index=True)
    frame = curves.data(results, split="train", metric="loss", published=published)
    name = "independent replication of Zhang et al., curves, big"
    drawn = frame[frame["series"] == name]
    assert set(zip(drawn["task"], drawn["arm"], strict=True)) == {("rte", "corrected")}
    assert drawn["value"].tolist() == same["value"].tolist()
    assert set(drawn["n"]) == {50}
    pd.testing.assert_frame_equal(frame[frame["series"] != name].reset_index(drop=True), ours)
    figure = curves.plot(frame, results, split="train", metric="loss", published=published)
    assert f"corrected: {name}" in [text.get_text().replace("\n", " ") for text in figure.legends[0].get_texts()]


def test_arms_can_be_chosen_and_keep_their_look() -> None:
    results = synthetic.lr_grid(2)
    options = {"split": "validation", "metric": "score"}
    chosen = synthetic.figure(curves, results, **options, arms=["uncorrected lr=5e-05"]).axes[0].lines
    (line,) = [line for line in chosen if line.get_label() == "uncorrected lr=5e-05"]
    panels = {axes.get_title(): axes for axes in reversed(synthetic.figure(curves, results, **options).axes)}
    same = [other for other in panels["uncorrected lr=5e-05"].lines if other.get_color() == line.get_color()]
    assert any(np.array_equal(other.get_ydata(), line.get_ydata()) for other in same)
    assert not [line for line in chosen if str(line.get_label()).startswith("corrected")]


def _means(axes: Axes) -> list[np.ndarray]:
    return [np.asarray(line.get_ydata()) for line in axes.lines if line.get_linewidth() > 1.2 and len(np.asarray(line.get_ydata()))]


def test_each_of_many_arms_has_a_panel_with_the_first_arm_below_it() -> None:
    results = synthetic.lr_grid(2)
    frame = curves.data(results, split="train", metric="loss").query("task == 'rte' and series == 'mean'")
    names = list(frame["arm"].unique())
    shown = synthetic.figure(curves, results, split="train", metric="loss").axes
    panels = [axes for axes in shown if axes.get_title() in names][: len(names) - 1]
    assert [axes.get_title() for axes in panels] == names[1:]
    assert shown[0].get_title() == "all arms", "nine panels leave one of ten free"
    curve = {arm: frame.loc[frame["arm"] == arm, "value"].to_numpy() for arm in names}
    for axes in panels:
        for drawn, arm in zip(_means(axes), (names[0], axes.get_title()), strict=True):
            np.testing.assert_array_equal(drawn, curve[arm])
    assert len({axes.get_ylim() for axes in panels}) == 1
    assert [line.get_linewidth() for line in panels[0].lines][:2] == [4, 1.3], "an equal curve leaves the wide one visible"


def test_arms_that_end_in_numbers_share_a_panel_per_number_and_look_like_their_treatment() -> None:
    results = synthetic.lengths(2)
    frame = curves.data(results, split="train", metric="loss")
    lengths = list(dict.fromkeys(arm.split(" ")[1] for arm in frame["arm"]))
    assert len(lengths) > 2
    axes = synthetic.figure(curves, results, split="train", metric="loss").axes
    assert [panel.get_title() for panel in axes][: len(lengths)] == [f"{length} steps" for length in lengths]
    known = treatments.known_arms()
    colors = {line.get_label(): line.get_color() for line in axes[0].lines}
    assert (colors["standard"], colors["reinit"]) == (known["corrected"].color, known["reinit"].color)


def test_pairs_of_arms_share_a_panel() -> None:
    results = synthetic.grid(3)
    figure = synthetic.figure(curves, results, split="train", metric="loss", pairs=[("corrected",), ("uncorrected", "corrected")])
    assert [axes.get_title() for axes in figure.axes] == ["corrected", "uncorrected and corrected"] * 2
    assert [axes.get_ylabel() for axes in figure.axes] == ["rte\ntrain loss", "", "tnews_1k\ntrain loss", ""]


def test_an_interval_needs_five_runs_and_a_range_two() -> None:
    for seeds, band, drawn in ((4, "interval", False), (5, "interval", True), (2, "range", True), (1, "range", False)):
        results = synthetic.grid(seeds, diverged=False)
        figure = synthetic.figure(curves, results, split="validation", metric="score", band=band)
        assert bool(figure.axes[0].collections) == drawn, (seeds, band)
        names = [text.get_text() for text in figure.legends[0].get_texts()]
        assert bool({"95 % interval", "least to greatest run"} & set(names)) == drawn


def test_the_axis_says_how_many_examples_are_scored() -> None:
    results = synthetic.grid(2)
    configs = [json.dumps({**json.loads(text), "evaluation": {"num_examples": 200}}) for text in results.runs["config"]]
    limited = replace(results, runs=results.runs.assign(config=configs))
    figure = synthetic.figure(curves, limited, split="validation", metric="score")  # rte is scored on all of them
    assert [axes.get_ylabel() for axes in figure.axes] == ["validation accuracy", "validation accuracy\n(200 examples)"]
