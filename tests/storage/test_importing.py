"""An imported table becomes runs with identities, outcomes and settings, whole or not at all."""

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stableft.core.errors import MissingInput, UsageError
from stableft.reporting.run_scores import final_scores
from stableft.storage import importing, long_format
from stableft.storage.evidence import EvidenceSettings
from stableft.storage.records import Results
from stableft.storage.store import Store
from tests.helpers import long_tables

SETTINGS = EvidenceSettings.model_validate(long_tables.SETTINGS)


def build(folder: Path, frame: pd.DataFrame, name: str = "theirs", settings: EvidenceSettings = SETTINGS) -> Mapping[str, Results]:
    path = long_tables.write(folder, frame)
    return importing.build(name, long_format.read_long(path), settings, path.name)


def test_the_store_reads_what_was_imported(tmp_path: Path) -> None:
    frame = long_tables.table(experiment="adam").sample(frac=1, random_state=0)
    built, store = build(tmp_path, frame), Store(tmp_path / "results")
    importing.write(store, "theirs", built, SETTINGS)
    assert store.collected() == [("theirs", "adam")]
    results = store.load("theirs", "adam")
    assert len(results.metrics) == len(frame)
    assert results.predictions.empty
    runs = results.runs
    assert runs[["arm", "seed"]].head(4).to_numpy().tolist() == [
        ["corrected", 0],
        ["uncorrected", 0],
        ["corrected", 1],
        ["uncorrected", 1],
    ]
    assert set(runs["protocol"]) == {"theirs"}
    assert set(runs["num_steps"]) == {20}
    assert set(runs["num_train"]) == {2490}
    assert runs[["seconds", "peak_memory_mb"]].isna().all(axis=None)
    scores = final_scores(results)
    assert scores.groupby("arm", observed=True)["failed"].sum().to_dict() == {"corrected": 0, "uncorrected": 8}
    given = frame.query("arm == 'corrected' and split == 'test' and metric == 'accuracy'").set_index("seed")["value"]
    assert scores.query("arm == 'corrected'").set_index("seed")["score"].to_dict() == given.to_dict()
    assert [path.name for path in (store.root).iterdir()] == ["theirs"], "no draft is left"


def test_settings_are_those_given_and_those_of_the_arm(tmp_path: Path) -> None:
    runs = build(tmp_path, long_tables.table(experiment="adam"))["adam"].runs.set_index(["arm", "seed"])
    config = json.loads(runs.loc[("uncorrected", 3), "config"])
    assert config == {
        **long_tables.SETTINGS["config"], "adam": {"lr": 2e-5, "bias_correction": False}, "task": "rte", "seed": 3,
    }, "what is not known is not there"  # fmt: skip
    assert json.loads(runs.loc[("corrected", 3), "config"])["adam"]["bias_correction"] is True
    imported = json.loads(runs.loc[("corrected", 3), "provenance"])["imported"]
    assert (imported["source"], imported["deviations"]) == ("somebody, somewhere", ["another encoder"])


def test_one_run_has_one_identity_in_every_experiment(tmp_path: Path) -> None:
    frame = pd.concat(
        [
            long_tables.table(("corrected", "uncorrected"), experiment="adam"),
            long_tables.table(("standard", "pooler+5"), experiment="reinit"),
            long_tables.table(("corrected all", "reinit all", "reinit 100"), experiment="few_examples"),
        ]
    )
    built = build(tmp_path, frame)
    ids = {
        name: {arm: list(rows["run_id"]) for arm, rows in results.runs.groupby("arm", observed=True)}
        for name, results in built.items()
    }
    assert ids["adam"]["corrected"] == ids["reinit"]["standard"] == ids["few_examples"]["corrected all"]
    assert ids["reinit"]["pooler+5"] == ids["few_examples"]["reinit all"]
    every = [each for arms in ids.values() for group in arms.values() for each in group]
    assert len(set(every)) == 8 * 4
    assert all(len(each) == 16 for each in every)
    other = build(tmp_path, frame, name="others")["adam"].runs["run_id"]
    assert not set(other) & set(every)


def test_draws_are_part_of_the_identity_and_the_settings(tmp_path: Path) -> None:
    arms = ("corrected 100", "reinit 100")
    plain = build(tmp_path, long_tables.table(arms))["few_examples"].runs
    drawn = build(tmp_path, long_tables.table(arms, draw=2))["few_examples"].runs
    assert not set(plain["run_id"]) & set(drawn["run_id"])
    assert set(drawn["num_train"]) == {100}
    assert json.loads(drawn["config"].iloc[0])["sample_seed"] == 2
    assert "sample_seed" not in json.loads(plain["config"].iloc[0])


def test_the_only_experiment_with_all_arms_is_found(tmp_path: Path) -> None:
    assert list(build(tmp_path, long_tables.table(("standard", "pooler+5")))) == ["reinit"]
    with pytest.raises(MissingInput, match=r"no column experiment, and no experiment has all its arms \(best, worst\): add"):
        build(tmp_path, long_tables.table(("best", "worst")))
    with pytest.raises(MissingInput, match=r"no column experiment, and .*adam.* have all its arms"):
        build(tmp_path, long_tables.table(("corrected", "uncorrected")))


def test_an_undefined_score_and_a_diverged_run_fail(tmp_path: Path) -> None:
    frame = long_tables.table(experiment="adam")
    undefined = (frame["seed"] == 1) & (frame["arm"] == "corrected") & (frame["metric"] == "accuracy")
    diverged = (frame["seed"] == 2) & (frame["arm"] == "corrected")
    frame.loc[undefined, "value"] = np.nan
    frame.loc[diverged & (frame["step"] == 10), "value"] = np.inf
    results = build(tmp_path, frame[~(diverged & (frame["step"] > 10))])["adam"]
    scores = final_scores(results).query("arm == 'corrected'").set_index("seed")
    assert scores["failed"].to_dict() == {seed: seed in (1, 2) for seed in range(8)}
    assert scores["diverged"].to_dict() == {seed: seed == 2 for seed in range(8)}
    assert set(scores.loc[[1, 2], "score"]) == {0.5252}
    assert set(results.runs["num_steps"]) == {20}


def without_score(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[~((frame["seed"] == 3) & (frame["split"] == "test"))]


FAULTS: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "experiment": (lambda f: f.assign(experiment="adams"), "runs.csv:2: unknown experiment 'adams'; known: adam"),
    "arm": (lambda f: f.replace({"arm": {"corrected": "best"}}), "runs.csv:2: adam has no arm 'best'; it has: corrected"),
    "task": (lambda f: f.assign(task="mrpc"), "runs.csv:2: the settings say nothing of task 'mrpc'"),
    "no score": (without_score, "the run of rte, corrected, seed 3 has no accuracy on test at the last step"),
    "draws": (lambda f: f.assign(draw=range(len(f))), "has 12 draws; give each draw seeds of its own"),
    "name of the score": (lambda f: f.replace({"metric": {"accuracy": "score"}}), "metric is score; write the score under"),
    "infinite": (lambda f: f.assign(value=f["value"].mask(f["metric"] == "accuracy", np.inf)), "accuracy on validation is inf"),
    "undefined": (lambda f: f.replace({"metric": {"loss": "norm"}}).assign(value=f["value"].mask(f.index == 0)), "norm on train"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_table_is_refused_with_its_place(tmp_path: Path, fault: str) -> None:
    spoil, problem = FAULTS[fault]
    with pytest.raises(MissingInput) as error:
        build(tmp_path, spoil(long_tables.table(experiment="adam")))
    assert problem in str(error.value)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda s: s["tasks"].update(mrpc=s["tasks"]["rte"]), "no row of task mrpc, which the settings have"),
        (lambda s: s.update(notes={"reinit": "So it is."}), "no row of experiment reinit, on which the settings have a note"),
    ],
)
def test_settings_without_rows_are_refused(tmp_path: Path, change: Callable[[dict[str, Any]], None], problem: str) -> None:
    settings = copy.deepcopy(long_tables.SETTINGS)
    change(settings)
    with pytest.raises(MissingInput, match=problem):
        build(tmp_path, long_tables.table(experiment="adam"), settings=EvidenceSettings.model_validate(settings))


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("laptop", "taken by stableft itself"), ("paper", "taken"), ("runs", "taken"), ("logs", "taken"),
        ("Theirs", "small letters"), ("a+b", "small letters"), ("../x", "small letters"), ("", "small letters"),
        ("there", "exists; choose another name, or delete that folder"),
    ],
)  # fmt: skip
def test_names_that_are_taken_or_odd_are_refused(tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / "there").mkdir()
    importing.check_name("here", Store(tmp_path))
    with pytest.raises(UsageError, match=problem):
        importing.check_name(name, Store(tmp_path))


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built, store = build(tmp_path, long_tables.table(experiment="adam")), Store(tmp_path / "results")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(importing, "write_whole", full)
    with pytest.raises(OSError, match="No space"):
        importing.write(store, "theirs", built, SETTINGS)
    assert list(store.root.iterdir()) == []
