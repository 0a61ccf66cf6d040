"""Equal configurations are one sample, and stale runs decide nothing."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from experiments import adam, lr_grid, precision
from experiments.protocol import LAPTOP
from stableft.core.config import RunConfig, run_id
from stableft.core.errors import Stale
from stableft.core.grid import Grid, select
from stableft.reporting.captions import describe
from stableft.reporting.claims.judge import judge, judge_all
from stableft.reporting.pooling import COLLECTED_IN, further_runs, further_seeds, load_pooled, pool, run_tables, stale_runs
from stableft.reporting.run_scores import final_scores
from stableft.storage.frames import PREDICTION_COLUMNS
from stableft.storage.records import CELL, Results
from stableft.storage.store import METRIC_COLUMNS, Store
from tests.helpers.pages import keep
from tests.helpers.worlds import World, results


def genuine(grid: Grid, world: World) -> Results:
    """Invented results with the run ids that the present code derives."""
    made = results(grid, world)
    ids = {
        known: run_id(RunConfig.model_validate_json(text), data="d", weights="w")
        for known, text in zip(made.runs["run_id"], made.runs["config"], strict=True)
    }
    runs, metrics = (frame.assign(run_id=frame["run_id"].map(ids)) for frame in (made.runs, made.metrics))
    facts = {"data_fingerprint": "d", "weights_fingerprint": "w", "provenance": "{}", "peak_memory_mb": 0.0}
    return Results(runs.assign(**facts), metrics, made.predictions)


GRID = select(adam.grid(LAPTOP), tasks=["docpair"])
SAME = select(precision.grid(LAPTOP), arms=["fp32", "fp32 edge"])
OWN, MORE = genuine(GRID, World(seeds=3)), genuine(SAME, World(seeds=6))


def older(found: Results) -> Results:
    """The same runs, of code that derived other ids."""
    runs, metrics = (frame.assign(run_id="old" + frame["run_id"]) for frame in (found.runs, found.metrics))
    return Results(runs, metrics, found.predictions)


def test_further_seeds_of_an_equal_configuration_join_the_arm() -> None:
    pooled = pool("adam", {"adam": OWN, "precision": MORE})
    assert pooled.runs.groupby("arm", observed=True)["seed"].agg(list).to_dict() == {
        "corrected": [0, 1, 2, 3, 4, 5],
        "uncorrected": [0, 1, 2],
    }
    assert set(pooled.runs["experiment"]) == set(pooled.metrics["experiment"]) == {"adam"}
    assert further_seeds(pooled.runs) == ["corrected on docpair, seeds 3-5: precision"]
    assert pooled.runs.groupby(COLLECTED_IN)["seed"].size().to_dict() == {"adam": 6, "precision": 3}
    new = MORE.runs.query("arm == 'fp32' and seed > 2")["run_id"]
    mine, theirs = (frame[frame["run_id"].isin(new)]["value"].tolist() for frame in (pooled.metrics, MORE.metrics))
    assert mine == theirs
    assert len(final_scores(pooled)) == 9
    assert "Pooled with runs of equal configuration in other experiments: corrected on docpair, seeds 3-5: precision." in describe(
        pooled
    )


def test_pooling_changes_nothing_where_there_is_nothing_to_add() -> None:
    for others in ({}, {"precision": older(MORE)}, {"precision": genuine(SAME, World(seeds=2))}):
        pooled = pool("adam", {"adam": OWN, **others})
        pd.testing.assert_frame_equal(pooled.runs.drop(columns=COLLECTED_IN), OWN.runs)
        pd.testing.assert_frame_equal(pooled.metrics, OWN.metrics)
        assert further_seeds(pooled.runs) == []
    assert further_seeds(OWN.runs) == []


def test_of_two_experiments_with_the_same_run_one_counts() -> None:
    found = further_runs(OWN.runs, {"b": MORE.runs, "a": MORE.runs})
    assert list(found[COLLECTED_IN]) == ["b", "b", "b"]
    assert list(found["seed"]) == [3, 4, 5]


def test_other_data_or_weights_are_another_sample() -> None:
    other = Results(MORE.runs.assign(data_fingerprint="e"), MORE.metrics, MORE.predictions)
    assert further_runs(OWN.runs, {"precision": other.runs}).empty


def test_categories_of_both_are_kept(tmp_path: Path) -> None:
    """As stored tables have them; a merge must find every name."""
    store = Store(tmp_path)
    keep(store, "laptop", "adam", OWN)
    keep(store, "laptop", "precision", MORE)
    pooled = load_pooled(store, "laptop", "adam", predictions=False)
    assert len(pooled.runs) == 9
    for frame in (pooled.runs, pooled.metrics):
        assert not frame[CELL].isna().any(axis=None)
    assert len(final_scores(pooled)) == 9


def test_stale_runs_are_named_and_left_out(tmp_path: Path) -> None:
    store = Store(tmp_path)
    keep(store, "laptop", "adam", older(OWN))
    keep(store, "laptop", "precision", MORE)
    (named,) = stale_runs(store)
    assert named == ("laptop", "adam", 6, 6)
    assert "adam at laptop: 6 of 6 runs are stale" in named.sentence()
    assert stale_runs(store, "small") == stale_runs(store, None, ["precision"]) == []
    with pytest.raises(Stale, match="6 of 6 runs are stale"):
        load_pooled(store, "laptop", "adam")
    judgements = judge_all({"adam": adam}, [LAPTOP], store)
    assert {j.verdict for j in judgements} == {"not run"}
    assert all("stale" in j.found or "none of its tasks" in j.found for j in judgements)
    # A part of them: the others still count.
    half = Results(pd.concat([older(OWN).runs.head(3), OWN.runs.tail(3)]), OWN.metrics, OWN.predictions)
    keep(store, "laptop", "adam", half)
    assert stale_runs(store) == [("laptop", "adam", 3, 6)]
    assert set(load_pooled(store, "laptop", "adam").runs["run_id"]) >= set(OWN.runs["run_id"].tail(3))


def test_a_failed_run_elsewhere_contradicts(project: Path) -> None:
    """Of adam's first ten seeds none fails; the equal configuration in ``precision`` has a failed run: seed 12 of 20."""
    store = Store(project / "results")
    adam_only, precision = (store.load("laptop", name, predictions=False) for name in ("adam", "precision"))
    first = replace(
        adam_only,
        runs=adam_only.runs[adam_only.runs["seed"] < 10],
        metrics=adam_only.metrics[adam_only.metrics["seed"] < 10],
    )
    pooled = pool("adam", {"adam": first, "precision": precision})
    scores = final_scores(pooled).query("arm == 'corrected' and task == 'docpair'")
    assert len(scores) == 20
    assert scores.loc[scores["failed"], "seed"].tolist() == [12]
    claim = next(claim for claim in adam.CLAIMS if claim.name == "corrected_never_fails")
    (judged,) = judge([claim], adam.grid(LAPTOP), pooled)
    assert judged.wording == "contradicted here"
    assert "1 of 20 failed" in judged.found
    assert judged.rests_on == ("20 runs of adam", "corrected on docpair, seeds 10-19: precision")
    assert judged.runs == 30


def test_no_committed_verdict_is_refuted_by_an_equal_run(project: Path) -> None:
    """Every experiment at laptop has all seeds of each of its configurations, wherever they were run."""
    store = Store(project / "results")
    # Which runs are pooled, their tables alone decide.
    metrics, predictions = (pd.DataFrame(columns=[*CELL, *names]) for names in (METRIC_COLUMNS, PREDICTION_COLUMNS))
    collected = {name: Results(runs, metrics, predictions) for name, runs in run_tables(store, "laptop").items()}
    for name in collected:
        pooled = pool(name, collected)
        others = {other: results.runs for other, results in collected.items() if other != name}
        assert further_runs(pooled.runs, others).empty
        assert not pooled.runs.duplicated(["arm", "task", "seed"]).any()
    configs = [json.loads(text)["adam"]["lr"] for text in pool("lr_grid", collected).runs["config"]]
    assert set(configs) == set(lr_grid.grid(LAPTOP).protocol.learning_rates)
