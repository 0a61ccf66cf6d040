"""Against loops over pairs of runs, and what is said of tasks of other kinds."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon

from stableft.core.errors import MissingInput, NotLogged
from stableft.reporting.run_predictions import predictions
from stableft.reporting.tables import disagreement
from tests.helpers import synthetic


def test_measures_are_means_over_pairs_of_runs() -> None:
    results = synthetic.with_predictions(synthetic.grid(4))
    table = disagreement.table(results)
    assert table[["task", "arm", "n"]].to_numpy().tolist() == [
        ["rte", "corrected", 4], ["rte", "uncorrected", 3], ["tnews_1k", "corrected", 4], ["tnews_1k", "uncorrected", 4],
    ]  # fmt: skip
    said = results.predictions.query("task == 'rte' and arm == 'uncorrected'")
    runs = [(part["prediction"].to_numpy(), np.stack(part["probabilities"].tolist())) for _, part in said.groupby("seed")]
    pairs = list(itertools.combinations(runs, 2))
    row = table.iloc[1]
    assert row["disagreement"] == pytest.approx(np.mean([np.mean(a != b) for (a, _), (b, _) in pairs]))
    divergence = [np.mean([jensenshannon(*both, base=2) ** 2 for both in zip(p, q, strict=True)]) for (_, p), (_, q) in pairs]
    assert row["jensen_shannon"] == pytest.approx(np.mean(divergence), abs=1e-6)
    assert "difference" not in table
    assert table["kappa"].iloc[2] > table["kappa"].iloc[3]  # collapsed runs agree with nobody


def test_numbers_have_distances_and_tags_have_no_probabilities() -> None:
    results = synthetic.with_predictions(synthetic.grid(3, diverged=False))
    said = results.predictions.assign(probabilities=pd.Series([np.empty(0, np.float32)] * len(results.predictions)))
    numbers = disagreement.table(replace(results, predictions=said, runs=results.runs.assign(score_name="spearman")))
    assert list(numbers) == ["task", "arm", "n", "difference"]
    corrected = said.query("task == 'rte' and arm == 'corrected'")["prediction"].to_numpy().reshape(3, -1)
    pairs = [np.abs(a - b).mean() for a, b in itertools.combinations(corrected, 2)]
    assert numbers["difference"].iloc[0] == pytest.approx(np.mean(pairs))
    tags = disagreement.table(replace(results, predictions=said, runs=results.runs.assign(score_name="entity_f1")))
    assert list(tags) == ["task", "arm", "n", "disagreement", "kappa"]


def test_only_the_scored_split_counts() -> None:
    results = synthetic.with_predictions(synthetic.grid(3))
    other = results.predictions.assign(split="test", prediction=0.0)
    both = pd.concat([results.predictions, other], ignore_index=True).sort_values(["task", "arm", "seed", "split"])
    assert disagreement.table(replace(results, predictions=both)).equals(disagreement.table(results))


def test_runs_without_finite_predictions_are_left_out() -> None:
    results = synthetic.with_predictions(synthetic.grid(3))
    said = results.predictions
    lost = (said["task"] == "rte") & (said["arm"] == "corrected") & (said["seed"] == 1)
    table = disagreement.table(replace(results, predictions=said.assign(prediction=said["prediction"].mask(lost))))
    assert table["n"].tolist()[:2] == [2, 3]


def test_missing_and_unequal_predictions_are_named() -> None:
    results = synthetic.with_predictions(synthetic.grid(2))
    with pytest.raises(NotLogged, match="no predictions"):
        disagreement.table(synthetic.grid(2))
    assert predictions(synthetic.grid(2)) == {}
    with pytest.raises(MissingInput, match="rte were predicted on different items"):
        disagreement.table(replace(results, predictions=results.predictions.iloc[1:]))
    changed = results.predictions.assign(label=results.predictions["label"].where(results.predictions.index != 3, 7.0))
    with pytest.raises(MissingInput, match="different items"):
        disagreement.table(replace(results, predictions=changed))
