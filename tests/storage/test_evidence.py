"""Evidence sets: their settings, and how they are found next to our own results."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from stableft.core.errors import Damaged, MissingInput, UsageError
from stableft.core.experiments import all_protocols
from stableft.storage import evidence, importing, long_format
from stableft.storage.store import Store
from tests.helpers import long_tables


def changed(path: str, value: Any) -> dict[str, Any]:
    settings = copy.deepcopy(long_tables.SETTINGS)
    *parents, leaf = path.split(".")
    node = settings
    for parent in parents:
        node = node[parent]
    node[leaf] = value
    if value is None:
        del node[leaf]
    return settings


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("label", None, "label: Field required"),
        ("label", "", "label: "),
        ("source", "a\nb", "source: Value error, text that can't be printed"),
        ("licence", None, "licence: Field required"),
        ("author", "me", "author: Extra inputs are not permitted"),
        ("config.adam", None, "adam missing"),
        ("config.adam.lr", None, "adam.lr: Field required"),
        ("config.adam.lr", -1, "adam.lr: Input should be greater than 0"),
        ("config.learning_rate", 1, "learning_rate: Extra inputs"),
        ("config.seed", 1, "seed differs between runs"),
        ("config.precision", 16, "precision is a text"),
        ("config.schedule.num_epochs", None, "set exactly one of num_epochs and num_steps"),
        ("tasks.rte.majority_score", None, "tasks.rte.majority_score: Field required"),
        ("tasks.rte.majority_score", "half", "tasks.rte.majority_score: Input should be a valid number"),
        ("tasks.rte.score_split", "dev", "tasks.rte.score_split: Input should be 'test' or 'validation'"),
        ("tasks.rte.num_train", 0, "tasks.rte.num_train"),
    ],
)
def test_faulty_settings_are_refused_by_field(tmp_path: Path, path: str, value: Any, problem: str) -> None:
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(changed(path, value)), encoding="utf-8")
    with pytest.raises(MissingInput) as error:
        evidence.read_settings(file)
    assert str(error.value).startswith(str(file))
    assert problem in str(error.value)
    assert "docs/import.md" in str(error.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_what_is_no_json_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "settings.json").write_bytes(content)
    with pytest.raises(MissingInput, match=r"settings\.json"):
        evidence.read_settings(tmp_path / "settings.json")
    with pytest.raises(MissingInput, match="No such file"):
        evidence.read_settings(tmp_path / "absent.json")


def kept(folder: Path, name: str = "theirs") -> Store:
    store = Store(folder / "results")
    path = long_tables.write(folder, long_tables.table(experiment="adam"))
    settings = evidence.read_settings(path.with_suffix(".json"))
    importing.write(store, name, importing.build(name, long_format.read_long(path), settings, str(path)), settings)
    return store


def test_a_set_is_a_protocol_that_cannot_be_run(tmp_path: Path) -> None:
    store = kept(tmp_path)
    assert list(evidence.known_protocols(store)) == [*all_protocols(), "theirs"]
    protocol = evidence.find_protocol("theirs", store)
    assert protocol.imported == "own runs, BERT-base, bf16"
    for part in ("somebody, somewhere", "CC0", "another encoder"):
        assert part in protocol.summary
    assert not any(each.imported for each in all_protocols().values())
    grid = evidence.stored_grid("adam", protocol, store.load_runs("theirs", "adam"))
    assert (list(grid.arms), list(grid.tasks), list(grid.seeds)) == (["corrected", "uncorrected"], ["rte"], list(range(8)))
    with pytest.raises(UsageError, match="unknown protocol 'ours'; known: smoke, laptop, small, paper, theirs"):
        evidence.find_protocol("ours", store)


def test_a_damaged_source_file_is_named(tmp_path: Path) -> None:
    store = kept(tmp_path)
    path = store.root / "theirs" / evidence.SOURCE_FILE
    assert evidence.read_settings(path).tasks["rte"].num_train == 2490
    path.write_bytes(b"{")
    with pytest.raises(Damaged, match=r"source\.json.*move .* away"):
        evidence.known_protocols(store)
