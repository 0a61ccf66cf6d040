"""The majority score of each split, from what is stored."""

import math

import numpy as np
import pandas as pd

from stableft.reporting import majority_scores, run_scores
from stableft.storage.records import Results
from tests.helpers import synthetic


def labelled(results: Results) -> Results:
    """The same runs, rte scored on test; three in five of its validation labels are ones."""
    whole = synthetic.with_predictions(synthetic.scored_on_test(results))
    own = whole.predictions[whole.predictions["task"] == "rte"]
    label = np.tile([1.0, 1.0, 1.0, 0.0, 0.0], len(own) // 5)
    predictions = pd.concat([whole.predictions, own.assign(split="validation", label=label)], ignore_index=True)
    return Results(whole.runs, whole.metrics, predictions)


def test_the_scored_split_is_as_recorded_and_the_other_from_its_labels() -> None:
    results = labelled(synthetic.grid())
    assert majority_scores.on_split(results, "validation") == {"rte": 0.6, "tnews_1k": 0.091}
    tested = majority_scores.on_split(results, "test")
    assert tested["rte"] == 0.527
    assert math.isnan(tested["tnews_1k"])


def test_without_predictions_or_bounds_of_sentences_it_is_unknown() -> None:
    results = labelled(synthetic.grid())
    none = Results(results.runs, results.metrics, results.predictions.iloc[:0])
    tags = Results(results.runs.assign(score_name="entity_f1"), results.metrics, results.predictions)
    for unknown in (none, tags):
        assert math.isnan(majority_scores.on_split(unknown, "validation")["rte"])


def test_a_run_that_diverged_counts_at_the_majority_of_each_split() -> None:
    runs = run_scores.both_splits(labelled(synthetic.grid()))
    lost = runs[runs["diverged"]].iloc[0]
    assert (lost["task"], lost["validation"], lost["test"]) == ("rte", 0.6, 0.527)
