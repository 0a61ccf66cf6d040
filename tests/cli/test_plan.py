"""`stableft plan`: counts and costs, without starting anything."""

import json
import shutil
from pathlib import Path

import pytest

from stableft.models import kernels
from stableft.models.encoders import Encoder
from tests.conftest import Quick
from tests.helpers.commands import SMOKE


def test_plan_as_json_has_what_scripts_need(finished: Path, quick: Quick):
    code, out, _ = quick(finished, "plan", *SMOKE, "--results", "out", "--seeds", "0-3", "--json")
    plan = json.loads(out)
    assert code == 0
    assert {k: plan[k] for k in ("experiment", "protocol", "runs", "missing", "by_task")} == {
        "experiment": "adam", "protocol": "smoke", "runs": 8, "missing": 4,
        "by_task": {"toy": {"runs": 8, "missing": 4, "cached": 4, "will_run": 4}},
    }  # fmt: skip
    assert (plan["cached"], plan["will_run"], plan["only_collected"]) == (4, 4, 0)
    assert 0 < plan["first_seed_seconds"] < plan["estimated_seconds"]
    assert plan["estimated_from"] == "earlier runs"


def test_another_precision_is_another_run(finished: Path, quick: Quick):
    code, out, _ = quick(finished, "plan", *SMOKE, "--results", "out", "--precision", "bf16", "--json")
    assert (code, json.loads(out)["missing"]) == (0, 4)


def test_plan_refuses_what_run_refuses(tmp_path: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kernels, "this_processor", lambda: kernels.Processor("AuthenticAMD", frozenset({"avx2", "fma"})))
    bf16 = (*SMOKE, "--precision", "bf16", "--results", "out")
    for verb in (("plan",), ("run",), ("run", "--dry-run")):
        code, out, err = quick(tmp_path, *verb, *bf16)
        assert (code, out) == (2, "")
        assert "this processor has no bf16 instructions" in err
        assert quick(tmp_path, *verb, *SMOKE, "--precision", "tf32", "--results", "out")[0] == 2
        assert quick(tmp_path, *verb, *SMOKE, "--jobs", "2", "--backend", "dask", "--results", "out")[0] == 2
    for way_out in (("--force-bf16",), ("--device", "cuda")):
        code, out, _ = quick(tmp_path, "plan", *bf16, *way_out, "--json")
        assert (code, json.loads(out)["missing"]) == (0, 4)
    assert list(tmp_path.iterdir()) == []


def test_a_plan_says_what_is_odd_about_an_encoder(tmp_path: Path, quick: Quick, tiny_encoder: Encoder):
    folder = Path(shutil.copytree(tiny_encoder.folder, tmp_path / "mine"))
    pieces = (folder / "vocab.txt").read_text().splitlines()
    numbers = {piece: number for number, piece in enumerate([*pieces[:-2], pieces[-1], pieces[-2]])}
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": numbers}}))
    asked = ("plan", *SMOKE, "--encoder", "./mine", "--results", "out")
    assert f"2 of {len(pieces)} pieces of vocab.txt have another number" in " ".join(quick(tmp_path, *asked)[1].split())
    (remark,) = json.loads(quick(tmp_path, *asked, "--json")[1])["remarks"]
    assert remark.endswith("tokenizer.json counts")
    assert json.loads(quick(tmp_path, "plan", *SMOKE, "--results", "out", "--json")[1])["remarks"] == []


def test_a_dry_run_starts_nothing(tmp_path: Path, quick: Quick):
    code, out, _ = quick(tmp_path, "run", *SMOKE, "--dry-run", "--json")
    assert (code, json.loads(out)["missing"]) == (0, 4)
    assert list(tmp_path.iterdir()) == []
