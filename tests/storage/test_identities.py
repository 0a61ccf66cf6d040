"""Which collected runs the present code derives, and which configurations are equal."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from experiments import adam
from experiments.protocol import LAPTOP
from stableft.core.config import run_id
from stableft.core.grid import Cell
from stableft.storage.identities import identities, stale
from stableft.storage.store import Store

CELLS = [cell for cell in adam.grid(LAPTOP).cells() if cell.seed < 2]


def row(cell: Cell, **changes: Any) -> dict[str, Any]:
    identity = run_id(cell.config, data="d", weights="w")
    stored = {"run_id": identity, "config": cell.config.model_dump_json(), "data_fingerprint": "d", "weights_fingerprint": "w"}
    return stored | changes


def test_runs_of_the_present_code_are_current_whatever_unset_fields_they_store() -> None:
    runs = pd.DataFrame([row(cell) for cell in CELLS])
    assert not any(stale(runs))
    older = [{name: value for name, value in json.loads(text).items() if value is not None} for text in runs["config"]]
    assert not any(stale(runs.assign(config=[json.dumps(config) for config in older])))


@pytest.mark.parametrize(
    "changes", [{"run_id": "0" * 16}, {"data_fingerprint": "other"}, {"sources": "0123"}, {"config": "{}"}, {"config": '{"x": 1}'}]
)
def test_any_other_content_than_the_identity_says_is_stale(changes: dict[str, Any]) -> None:
    assert stale(pd.DataFrame([row(CELLS[0], **changes), row(CELLS[1])])) == [True, False]


def test_without_fingerprints_there_is_nothing_to_check() -> None:
    runs = pd.DataFrame([row(CELLS[0])]).drop(columns=["data_fingerprint", "weights_fingerprint"])
    assert identities(runs) == [None]
    assert stale(runs.assign(run_id="imported")) == [False]


def test_a_configuration_is_all_but_the_seed() -> None:
    by_cell = {(cell.arm, cell.task, cell.seed): cell for cell in CELLS}
    a, b = by_cell["corrected", "docs15", 0], by_cell["corrected", "docs15", 1]
    other = by_cell["uncorrected", "docs15", 0]
    moved = row(a, config=a.config.model_copy(update={"encoder": "/somewhere/else"}).model_dump_json())
    found = [
        each for each in identities(pd.DataFrame([row(a), row(b), moved, row(other), row(a, weights_fingerprint="v")])) if each
    ]
    assert len({each.configuration for each in found[:3]}) == 1
    assert found[0].run_id != found[1].run_id
    assert len({each.configuration for each in found[2:]}) == 3


def test_of_the_committed_results_only_those_of_an_older_schema_are_stale(project: Path) -> None:
    """At small the learning rates were chosen before the present dropout masks; all other tables are current."""
    store = Store(project / "results")
    found = {place: stale(store.load_runs(*place)) for place in store.collected()}
    assert {place for place, flags in found.items() if any(flags)} <= {("small", "lr_grid")}
    runs = store.load_runs("small", "lr_grid")
    if any(found["small", "lr_grid"]):  # until it is run again
        assert (sum(found["small", "lr_grid"]), len(runs)) == (30, 30)
