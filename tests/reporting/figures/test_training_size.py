"""Scores and failed runs by the number of training examples."""

import json

import numpy as np
import pandas as pd
import pytest

from stableft.core.errors import NotLogged
from stableft.reporting import grid_axes
from stableft.reporting.figures import training_size
from stableft.storage.records import Results
from tests.helpers import synthetic

SIZES = {"10": 10, "100": 100, "all": 190}
MAJORITY = 0.527


def results(draws: int = 2, seeds: int = 3) -> Results:
    """Two methods of rte at three sizes; every run on 10 examples fails, and so does one of 100 without correction."""
    given = synthetic.grid(draws * seeds, subset=False, diverged=False)
    runs = given.runs[given.runs["task"] == "rte"]
    parts, metrics = [], []
    for name, size in SIZES.items():
        for row in runs.to_dict("records"):
            config = json.loads(row["config"])
            if name != "all":
                config |= {"num_train": size, "sample_seed": row["seed"] // seeds}
            arm = f"{row['arm']} {name}"
            parts.append({**row, "arm": arm, "run_id": f"{arm}-{row['seed']}", "num_train": size, "config": json.dumps(config)})
            lost = name == "10" or (arm == "uncorrected 100" and row["seed"] == 0)
            score = 0.5 if lost else 0.6 + 0.01 * row["seed"] + (0.05 if name == "all" else 0)
            cell = {column: parts[-1][column] for column in ("experiment", "arm", "task", "seed", "run_id")}
            metrics.append(
                {**cell, "step": row["num_steps"], "split": "validation", "metric": "score", "scope": "", "value": score}
            )
    return Results(pd.DataFrame(parts), pd.DataFrame(metrics), given.predictions)


def test_sizes_methods_and_draws_are_those_of_the_runs() -> None:
    frame = grid_axes.training_sizes(results())
    assert set(frame["method"]) == {"corrected", "uncorrected"}
    assert frame.groupby("arm")["examples"].first().to_dict() == {
        f"{method} {name}": size for method in ("corrected", "uncorrected") for name, size in SIZES.items()
    }
    by_size = frame.groupby("examples")["draw"].agg(lambda draws: sorted(set(draws)))
    assert by_size.to_dict() == {10: [0, 1], 100: [0, 1], 190: [-1]}
    own = results()
    runs = own.runs.assign(config=[json.dumps({**json.loads(text), "sample_seed": None}) for text in own.runs["config"]])
    own = grid_axes.training_sizes(Results(runs, own.metrics, own.predictions))
    assert set(own.loc[own["examples"] == 10, "draw"]) == set(range(6)), "a run without a seed for its subset draws by its own"


def test_a_mean_is_that_of_its_runs_and_spreads_are_told_apart() -> None:
    frame = training_size.data(results())
    row = frame.query("series == 'mean' and method == 'corrected' and examples == 100").iloc[0]
    scores = np.array([[0.60, 0.61, 0.62], [0.63, 0.64, 0.65]])  # draws x seeds
    assert (row["n"], row["draws"], row["failed"]) == (6, 2, 0)
    assert row["score"] == pytest.approx(scores.mean())
    assert row["std_draws"] == pytest.approx(scores.mean(axis=1).std(ddof=1))
    assert row["std_seeds"] == pytest.approx(np.sqrt(scores.var(axis=1, ddof=1).mean()))
    whole = frame.query("series == 'mean' and method == 'corrected' and examples == 190").iloc[0]
    assert np.isnan(whole["std_draws"])
    assert whole["std_seeds"] == pytest.approx((scores + 0.05).std(ddof=1))
    alone = training_size.data(results(draws=6, seeds=1)).query("series == 'mean' and examples == 100")
    assert alone["std_seeds"].isna().all()


def test_failed_runs_are_counted_with_wilsons_interval() -> None:
    frame = training_size.data(results()).query("series == 'mean'").set_index(["method", "examples"])
    failed = {("corrected", 10): 6, ("corrected", 100): 0, ("uncorrected", 10): 6, ("uncorrected", 100): 1}
    assert frame.loc[list(failed), "failed"].to_dict() == failed
    assert frame.loc[("uncorrected", 100), "rate"] == pytest.approx(1 / 6)
    n, z, p = 6, 1.959964, 1 / 6
    centre, half = (p + z**2 / (2 * n)) / (1 + z**2 / n), z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert frame.loc[("uncorrected", 100), ["rate_low", "rate_high"]].tolist() == pytest.approx(
        [centre - half, centre + half], abs=1e-6
    )


def test_every_run_is_listed_once() -> None:
    given = results()
    runs = training_size.data(given).query("series == 'run'")
    assert len(runs) == len(given.runs)
    assert sorted(runs["score"]) == pytest.approx(sorted(given.metrics["value"]))
    assert runs["failed"].sum() == 13


def test_runs_that_do_not_know_their_number_of_examples_are_not_drawn() -> None:
    given = results()
    for runs in (given.runs.drop(columns="num_train"), given.runs.assign(num_train=np.nan)):
        with pytest.raises(NotLogged, match="its number of training examples is not known"):
            training_size.data(Results(runs, given.metrics, given.predictions))


def test_plot_draws_exactly_the_data() -> None:
    given = results()
    frame = training_size.data(given)
    scores, failed = synthetic.figure(training_size, given).axes
    labels = [text.get_text() for text in scores.get_xticklabels()]
    assert labels == ["10\nn = 6", "100\nn = 6", "190\nn = 6"]
    for panel, column in ((scores, "score"), (failed, "rate")):
        for method in ("corrected", "uncorrected"):
            line = next(line for line in panel.lines if line.get_label() == method)
            mean = frame.query("series == 'mean' and method == @method")
            assert np.asarray(line.get_ydata()).tolist() == mean[column].tolist()
            assert np.round(np.asarray(line.get_xdata())).tolist() == [0, 1, 2]
    points = np.concatenate([np.asarray(line.get_ydata(), float) for line in scores.lines if line.get_linestyle() == "None"])
    assert sorted(points) == pytest.approx(sorted(given.metrics["value"]))
    assert [line.get_ydata()[0] for line in scores.lines if line.get_label() == "majority score"] == [MAJORITY]
