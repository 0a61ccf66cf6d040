"""`run --redo`: code that changed since a run is named everywhere, and only those runs are done again; nothing is lost."""

import json
from pathlib import Path

import pytest

from stableft.storage import code_state
from stableft.storage.store import Store
from tests.conftest import Plug, Quick
from tests.core.test_plugins import EXPERIMENT, TECHNIQUE

ARMS = '{"standard": {}, "half": {"techniques": [{"name": "shrink", "factor": 0.5}]}}'
AT = ("--protocol", "smoke", "--results", "out")


@pytest.fixture
def mended(tmp_path: Path, quick: Quick, plug: Plug) -> Path:
    """Two runs of an experiment, after which its technique was edited."""
    plug({"shrink": TECHNIQUE, "mine": EXPERIMENT.replace('{"standard": {}}', ARMS).replace("(0, 1)", "(0,)")})
    code, _, err = quick(tmp_path, "run", "mine", *AT, "--backend", "serial")
    assert code == 0, err
    plug({"shrink": TECHNIQUE.replace("mul_(self.factor)", "mul_(self.factor / 2)")}, forget=True)
    plug({"mine": (tmp_path / "mine.py").read_text()})
    return tmp_path


def test_every_command_names_the_technique_that_changed(mended: Path, quick: Quick):
    _, out, _ = quick(mended, "status", "mine", *AT)
    assert "code changed: technique shrink (since 1 run); --redo changed runs them again" in out
    assert json.loads(quick(mended, "status", "mine", *AT, "--json")[1])["changed"] == {"technique shrink": 1}
    plan = json.loads(quick(mended, "plan", "mine", *AT, "--json")[1])
    assert (plan["changed"], plan["will_run"], plan["redone"]) == ({"technique shrink": 1}, 0, 0)
    for redo, runs in (("changed", 1), ("all", 2)):
        plan = json.loads(quick(mended, "plan", "mine", *AT, "--redo", redo, "--json")[1])
        assert (plan["will_run"], plan["redone"], plan["only_collected"]) == (runs, runs, 0)
    for command in ("figures", "tables", "verify", "run"):
        results = AT if command == "run" else ("--results", "out")
        _, _, err = quick(mended, command, "mine", *results)
        assert "code changed: technique shrink (since 1 run)" in err, command
    assert len(list((mended / "out" / "runs").iterdir())) == 2


def test_only_the_changed_runs_are_done_again_and_old_records_stay(mended: Path, quick: Quick):
    before = {path.stem: path.read_bytes() for path in (mended / "out" / "runs").iterdir()}
    code, _, err = quick(mended, "run", "mine", *AT, "--redo", "changed", "--backend", "serial")
    assert code == 0, err
    assert "1 finished runs are done again; their old records go to replaced/" in err
    assert "1 runs were done again, 1 of them with other numbers; old records: out/replaced/" in err
    after = {path.stem: path.read_bytes() for path in (mended / "out" / "runs").iterdir()}
    assert after.keys() == before.keys()
    (again,) = (run_id for run_id in before if after[run_id] != before[run_id])
    assert (mended / "out" / "replaced" / f"{again}.parquet").read_bytes() == before[again]
    record = Store(mended / "out").read(again)
    assert record.provenance["code"]["technique shrink"] == code_state.current("technique shrink")
    assert "code changed" not in quick(mended, "status", "mine", *AT)[1]
    # All of them, with the same code: the same numbers.
    _, _, err = quick(mended, "run", "mine", *AT, "--redo", "all", "--backend", "serial")
    assert "2 runs were done again, 0 of them with other numbers" in err
    assert len(list((mended / "out" / "replaced").iterdir())) == 3


def test_a_grid_that_cant_start_sets_nothing_aside(mended: Path, quick: Quick):
    code, _, err = quick(mended, "run", "mine", *AT, "--redo", "all", "--precision", "tf32", "--seeds", "0")
    assert (code, "tf32" in err) == (2, True)
    assert not (mended / "out" / "replaced").exists()


def test_redo_and_until_decided_exclude_each_other(tmp_path: Path, quick: Quick):
    code, _, err = quick(tmp_path, "run", "adam", "--until-decided", "--redo", "all")
    assert (code, "leave --redo out" in err) == (2, True)
    assert quick(tmp_path, "run", "adam", "--redo", "some")[0] == 2
