"""`stableft plan`: counts and costs, without starting anything."""

import json
from pathlib import Path

from tests.conftest import Quick
from tests.helpers.commands import SMOKE


def test_plan_as_json_has_what_scripts_need(finished: Path, quick: Quick):
    code, out, _ = quick(finished, "plan", *SMOKE, "--results", "out", "--seeds", "0-3", "--json")
    plan = json.loads(out)
    assert code == 0
    assert {k: plan[k] for k in ("experiment", "protocol", "runs", "missing", "by_task")} == {
        "experiment": "adam", "protocol": "smoke", "runs": 8, "missing": 4, "by_task": {"toy": {"runs": 8, "missing": 4}},
    }  # fmt: skip
    assert plan["estimated_seconds"] > 0


def test_another_precision_is_another_run(finished: Path, quick: Quick):
    code, out, _ = quick(finished, "plan", *SMOKE, "--results", "out", "--precision", "bf16", "--json")
    assert (code, json.loads(out)["missing"]) == (0, 4)


def test_a_dry_run_starts_nothing(tmp_path: Path, quick: Quick):
    code, out, _ = quick(tmp_path, "run", *SMOKE, "--dry-run", "--json")
    assert (code, json.loads(out)["missing"]) == (0, 4)
    assert list(tmp_path.iterdir()) == []
