"""Runs are grouped by their own configuration, and the chosen rate is the corrected arm's best."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection

from stableft.reporting.figures import learning_rates
from stableft.storage.records import Results
from tests.helpers import synthetic


def test_runs_are_grouped_by_their_configuration() -> None:
    frame = learning_rates.data(synthetic.lr_grid())
    runs, means = frame[frame["series"] == "run"], frame[frame["series"] == "mean"]
    assert set(frame["arm"]) == {"corrected", "uncorrected"}
    assert (len(runs), len(means)) == (60, 20)
    keys = ["task", "arm", "lr"]
    expected = runs.groupby(keys)["score"].mean()
    np.testing.assert_allclose(means.set_index(keys)["score"].loc[expected.index], expected)
    assert means["failed"].sum() == runs["failed"].sum() > 0
    assert set(means["n"]) == {3}


def test_the_chosen_rate_is_the_best_of_the_corrected_arm() -> None:
    frame = learning_rates.data(synthetic.lr_grid())
    chosen = frame[frame["chosen"]]
    assert chosen[["task", "arm", "series"]].to_numpy().tolist() == [[t, "corrected", "mean"] for t in ("rte", "tnews_1k")]
    best = frame.query("series == 'mean' and arm == 'corrected'").groupby("task")["score"].max()
    assert chosen["score"].tolist() == best.loc[chosen["task"]].tolist()


def test_of_a_single_rate_nothing_is_chosen() -> None:
    results = synthetic.lr_grid()
    one = {f"{arm} lr=2e-05" for arm in ("corrected", "uncorrected")}
    alone = Results(*(frame[frame["arm"].isin(one)] for frame in vars(results).values()))
    assert not learning_rates.data(alone)["chosen"].any()
    assert "chosen learning rate" not in [line.get_label() for line in synthetic.figure(learning_rates, alone).axes[0].lines]


@pytest.mark.parametrize("missing", [set(), {0, 1}])
def test_plot_draws_means_runs_and_failures(missing: set[int]) -> None:
    results = synthetic.without(synthetic.lr_grid(), "corrected lr=2e-05", missing)
    frame = learning_rates.data(results)
    figure = synthetic.figure(learning_rates, results)
    for axes in figure.axes:
        here = frame[frame["task"] == axes.get_title()]
        drawn = [line for line in axes.lines if line.get_label() not in ("majority score", "chosen learning rate")]
        values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in drawn])
        np.testing.assert_array_equal(np.sort(values), np.sort(here["score"]))
        assert [label.get_text() for label in axes.get_xticklabels()] == ["1e-05", "2e-05", "5e-05", "1e-04", "2e-04"]


def test_settings_of_a_task_share_their_scale() -> None:
    """Named as in experiments/lr_grid.py: all rates, and two of them with more epochs."""
    results = synthetic.lr_grid()
    some = {f"{arm} lr={lr}" for arm in ("corrected", "uncorrected") for lr in ("2e-05", "2e-04")}
    longer = [frame[frame["arm"].isin(some)] for frame in (results.runs, results.metrics)]
    longer = [frame.assign(arm=frame["arm"] + " epochs=10", run_id=frame["run_id"] + "-10") for frame in longer]
    runs, metrics = (pd.concat(pair, ignore_index=True) for pair in zip((results.runs, results.metrics), longer, strict=True))
    axes = synthetic.figure(learning_rates, Results(runs, metrics, results.predictions)).axes
    assert [panel.get_title() for panel in axes] == ["rte", "rte, epochs 10", "tnews_1k", "tnews_1k, epochs 10"]
    assert [[label.get_text() for label in panel.get_xticklabels()] for panel in axes[:2]] == [
        ["1e-05", "2e-05", "5e-05", "1e-04", "2e-04"], ["2e-05", "2e-04"],
    ]  # fmt: skip
    assert axes[0].get_ylim() == axes[1].get_ylim() != axes[2].get_ylim() == axes[3].get_ylim()


def test_boxes_and_intervals_are_of_five_runs_or_more() -> None:
    for seeds in (4, 5):
        results = synthetic.lr_grid(seeds)
        axes = synthetic.figure(learning_rates, results).axes[0]
        runs = learning_rates.data(results).query("task == 'rte' and series == 'run' and arm == 'corrected' and lr == 2e-05")[
            "score"
        ]
        medians = [np.asarray(line.get_ydata()) for line in axes.lines if line.get_linewidth() == 1.8]
        mixed = learning_rates.data(results).query("task == 'rte' and series == 'mean'")["failed"].between(1, 4).sum()
        assert len(medians) == (10 - mixed if seeds == 5 else 0)
        assert not medians or [runs.median()] * 2 in [list(ends) for ends in medians]
        bars = [segment for drawn in axes.collections if isinstance(drawn, LineCollection) for segment in drawn.get_segments()]
        assert len(bars) == (10 if seeds == 5 else 0)


def test_the_rate_is_chosen_by_the_seeds_that_all_rates_have() -> None:
    """A rate with further, worse seeds would lose the choice by them."""
    results = synthetic.lr_grid(3)
    frame = learning_rates.data(results).query("series == 'mean' and task == 'rte' and arm == 'corrected'")
    best = frame.loc[frame["chosen"], "lr"].item()
    own = (results.runs["arm"] == f"corrected lr={best:.0e}") & (results.runs["task"] == "rte")
    more = [results.runs[own].assign(seed=results.runs["seed"] + 3, run_id=results.runs["run_id"] + "-more")]
    rows = results.metrics[results.metrics["run_id"].isin(results.runs.loc[own, "run_id"])]
    worse = rows.assign(seed=rows["seed"] + 3, run_id=rows["run_id"] + "-more", value=rows["value"] - 0.2)
    pooled = Results(pd.concat([results.runs, *more]), pd.concat([results.metrics, worse]), results.predictions)
    pooled_frame = learning_rates.data(pooled).query("series == 'mean' and task == 'rte' and arm == 'corrected'")
    assert pooled_frame.loc[pooled_frame["chosen"], ["lr", "n"]].to_numpy().tolist() == [[best, 6]]


def test_a_setting_of_one_rate_has_a_column_apart_and_failed_runs_are_counted_below_their_rate() -> None:
    results = synthetic.lr_grid(3)
    some = {f"{arm} lr=2e-05" for arm in ("corrected", "uncorrected")}
    longer = [frame[frame["arm"].isin(some)] for frame in (results.runs, results.metrics)]
    longer = [frame.assign(arm=frame["arm"] + " epochs=10", run_id=frame["run_id"] + "-10") for frame in longer]
    runs, metrics = (pd.concat(pair, ignore_index=True) for pair in zip((results.runs, results.metrics), longer, strict=True))
    whole = Results(runs, metrics, results.predictions)
    first, _ = synthetic.figure(learning_rates, whole).axes
    assert [label.get_text() for label in first.get_xticklabels()][-2:] == ["2e-04", "2e-05\nepochs 10"]
    gaps = np.diff(first.get_xticks())
    assert gaps[-1] > gaps[0] == gaps[-2]
    means = learning_rates.data(whole).query("task == 'rte' and series == 'mean'").sort_values(["setting", "lr"])
    counts = [text.get_text() for text in first.texts if "/" in text.get_text()]
    assert sorted(counts) == sorted(f"{failed}/{n}" for failed, n in zip(means["failed"], means["n"], strict=True))


def test_every_run_lies_in_the_column_of_its_rate() -> None:
    """On a scale of rates a run beside its own one would read as another."""
    results = synthetic.lr_grid(9)
    frame = learning_rates.data(results).query("task == 'rte' and series == 'run'")
    axes = synthetic.figure(learning_rates, results).axes[0]
    rates = sorted(frame["lr"].unique())
    found = {lr: [] for lr in rates}
    for line in axes.lines:
        if line.get_linestyle() == "None" and line.get_marker() not in ("_", "v"):
            for x, y in zip(np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float), strict=True):
                found[rates[round(x)]].append(y)
                assert abs(x - round(x)) < 0.5
    for lr, scores in found.items():
        np.testing.assert_array_equal(np.sort(scores), np.sort(frame.loc[frame["lr"] == lr, "score"]))
