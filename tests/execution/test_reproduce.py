"""From provenance to a command: it selects exactly the runs that it is said to."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stableft.cli import selection
from stableft.cli.common import RESULTS
from stableft.core.config import run_id
from stableft.core.errors import MissingInput, UsageError
from stableft.core.experiments import get_experiment, get_protocol
from stableft.core.grid import Grid, select
from stableft.execution import checkout, reproduce
from stableft.reporting import experiment_summary
from stableft.storage.evidence import imported_protocols
from stableft.storage.parquet import read_parquet
from stableft.storage.store import Store

DATA, WEIGHTS = "d" * 64, "e" * 64
COMMIT = "c" * 40
SAID: dict[str, Any] = {
    "git": {"commit": COMMIT, "dirty": False, "diff_sha256": None},
    "lock": {"sha256": "a" * 64, "differs": {}},
    "execution": {"device": "cpu", "threads": 1, "packed": True},
    "environment": {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
}


def rows(grid: Grid, said: Mapping[str, Any] = SAID) -> list[dict[str, Any]]:
    """What the table of runs would hold of a grid, if data and weights were invented ones."""
    return [
        {
            "experiment": grid.name, "protocol": grid.protocol.name, "arm": cell.arm, "task": cell.task, "seed": cell.seed,
            "run_id": run_id(cell.config, data=DATA, weights=WEIGHTS), "data_fingerprint": DATA, "weights_fingerprint": WEIGHTS,
            "sources": float("nan"), "config": cell.config.model_dump_json(), "provenance": json.dumps(said),
        }
        for cell in grid.cells()
    ]  # fmt: skip


def selected(command: str) -> Grid:
    """The grid that the command line makes of a printed command."""
    words = shlex.split(command)
    words = words[words.index("run") + 1 :]
    options: dict[str, Any] = {"--set": []}
    for name, value in zip(words[1::2], words[2::2], strict=True):
        if name == "--set":
            options["--set"].append(value)
        else:
            options[name] = value
    seeds, tasks, arms, encoder, precision = (
        options.get(f"--{name}") for name in ("seeds", "tasks", "arms", "encoder", "precision")
    )
    narrowing = selection.read_narrowing(seeds, tasks, encoder, precision, options["--set"])
    return narrowing.of(selection.whole_grid(words[0], options["--protocol"], Store(RESULTS)), selection.names(arms)).grid


def identities(command: str) -> list[str]:
    return [run_id(cell.config, data=DATA, weights=WEIGHTS) for cell in selected(command).cells()]


def grid(overrides: Mapping[str, Any] | None = None, **part: Any) -> Grid:
    return select(get_experiment("adam").grid(get_protocol("laptop")), overrides=overrides or {}, **part)


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"adam.lr": 1e-9, "schedule.num_epochs": None, "schedule.num_steps": 7},
        {"encoder": "some/folder with spaces", "precision": "bf16"},
        {"techniques": [{"name": "reinit", "num_layers": 2}]},
        {"surface": {"lr": 1e-3}, "max_grad_norm": None},
    ],
)
def test_one_run_is_selected_and_no_other(overrides: dict[str, Any], tmp_path: Path):
    (row,) = rows(grid(overrides, arms=["uncorrected"], tasks=["docpair"], seeds=[11]))
    (found,) = reproduce.reproductions([row], Store(tmp_path))
    assert found.exact
    assert found.notes == ()
    assert identities(found.steps[-1]) == [row["run_id"]]
    assert selected(found.steps[-1]).cells()[0].config.model_dump(mode="json") == json.loads(row["config"])


def test_a_folder_of_weights_has_to_be_put_there(tmp_path: Path):
    (row,) = rows(grid({"encoder": "./mine"}, arms=["corrected"], tasks=["docs15"], seeds=[0]))
    (found,) = reproduce.reproductions([row], Store(tmp_path))
    assert "--encoder ./mine" in found.steps[-1]
    assert found.notes == (f"./mine is a folder for you to provide: its fingerprint is {WEIGHTS}",)


def test_runs_that_are_no_product_become_several_commands(tmp_path: Path):
    whole = rows(grid(seeds=range(3))) + rows(grid({"adam.eps": 1e-6}, seeds=[1]))
    (found,) = reproduce.reproductions(whole[1:], Store(tmp_path))
    commands = [step for step in found.steps if " run " in step]
    assert len(commands) == 5
    assert sorted(identity for command in commands for identity in identities(command)) == sorted(
        row["run_id"] for row in whole[1:]
    )


def test_every_collected_run_is_selected_by_what_trace_prints(project: Path):
    """Those of the repository; where the code has changed since, it is said instead. Imported runs name their source."""
    store = Store(project / "results")
    exact, imported = 0, imported_protocols(store)
    for place in store.collected():
        table = read_parquet(store.folder(*place) / "runs.parquet").to_pandas().to_dict("records")
        by_cell = {(row["arm"], row["task"], row["seed"]): row for row in table}
        for found in reproduce.reproductions(table, store):
            if place[0] in imported:
                assert not found.steps
                assert not found.exact
                assert [note.partition(":")[0] for note in found.notes] == ["imported, so they can't be computed again from here"]
                continue
            cells = [cell for step in found.steps if " run " in step for cell in selected(step).cells()]
            asked = [by_cell[cell.arm, cell.task, cell.seed] for cell in cells]
            assert sorted(row["run_id"] for row in asked) == sorted(found.runs)
            if found.exact:
                exact += len(cells)
                for cell, row in zip(cells, asked, strict=True):
                    config = cell.config.model_dump(mode="json")
                    assert config["seed"] == row["seed"]
                    assert reproduce._differences(config, json.loads(row["config"])) == {}
            else:
                assert any("does not derive" in note for note in found.notes)
    assert exact


def test_code_lock_and_execution_become_steps(tmp_path: Path):
    said = {
        "git": {"commit": COMMIT, "dirty": True, "diff_sha256": "f" * 64},
        "lock": {"sha256": "a" * 64, "differs": {"numpy": "2.4.7", "scipy": None}},
        "execution": {"device": "cuda:0", "threads": 2, "packed": False},
        "environment": {**SAID["environment"], "OMP_NUM_THREADS": "2", "MKL_CBWR": "AVX2,STRICT", "TOKENIZERS_PARALLELISM": "true"},
    }
    store = Store(tmp_path / "my results")
    part = rows(grid(arms=["corrected"], tasks=["docs15"], seeds=[0]), said)
    (found,) = reproduce.reproductions(part, store)
    folder = f"../stableft-{COMMIT[:12]}"
    assert found.steps[:2] == (f"git worktree add --detach {folder} {COMMIT}", f"cd {folder} && make setup")
    assert found.steps[-1].startswith("MKL_CBWR=AVX2,STRICT TOKENIZERS_PARALLELISM=true .venv/bin/python -m stableft run adam ")
    assert found.steps[-1].endswith("--device cuda:0 --threads 2 --padded --results rebuilt")
    assert "the patch is unavailable" in found.notes[0]
    assert found.notes[1].endswith("numpy 2.4.7, scipy absent")
    checkout.patches(store.root).mkdir(parents=True)
    (checkout.patches(store.root) / f"{'f' * 64}.patch").touch()
    (found,) = reproduce.reproductions(part, store)
    assert found.steps[1] == f"git -C {folder} apply '{store.root}/diffs/{'f' * 64}.patch'"


@pytest.mark.parametrize("forced", [True, False])
def test_a_run_that_needed_it_is_forced_to_bf16_again(forced: bool, tmp_path: Path):
    execution = {"device": "cpu", "threads": 1, "packed": True, **({"forced_bf16": True} if forced else {})}
    part = rows(grid({"precision": "bf16"}, arms=["corrected"], tasks=["docs15"], seeds=[0]), {**SAID, "execution": execution})
    (found,) = reproduce.reproductions(part, Store(tmp_path))
    assert found.exact
    assert "--precision bf16" in found.steps[-1]
    assert ("--force-bf16" in found.steps[-1]) is forced


def test_what_cannot_be_rebuilt_is_said(tmp_path: Path):
    (row,) = rows(grid(arms=["corrected"], tasks=["docs15"], seeds=[0]))
    odd = {**row, "provenance": "{}", "arm": "forgotten"}
    own = {**row, "protocol": "laptop+reviews.csv", "task": "reviews.csv"}
    first, second = reproduce.reproductions([odd, own], Store(tmp_path))
    assert first.notes == (
        "the code was not a git checkout, so its state is unknown",
        "the present code does not derive exactly these runs from the command; the checkout's code may",
    )
    assert "--tasks csv:PATH" in second.steps[-1]
    assert second.notes[0] == f"PATH is the file of reviews.csv: the fingerprint of its data is {DATA}"


def test_a_run_is_found_by_the_first_digits_of_its_identity(project: Path):
    store = Store(project / "results")
    identity = str(store.load("laptop", "adam").runs["run_id"][0])
    said, places = experiment_summary.find_run(store, identity[:10])
    assert (said["run_id"], said["outcome"]) == (identity, "ok")
    assert said["provenance"]["git"]["commit"]
    assert said["facts"]["num_steps"] > 0
    assert "adam" in {place["experiment"] for place in places}
    with pytest.raises(MissingInput, match="no run zz"):
        experiment_summary.find_run(store, "zz")
    with pytest.raises(UsageError, match="runs begin with"):
        experiment_summary.find_run(store, "0")
