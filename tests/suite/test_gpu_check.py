"""The GPU check: it runs to its end without a GPU, keeps its time budget, and records parts that fail."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import engine, gpu, gpu_parts
from benchmarks.gpu import PARTS, main, run_part, verdict
from benchmarks.gpu_parts import WAYS, attempt, skipped
from benchmarks.variants import PACKED, Context

OK = {"name": "a", "status": "ok", "reason": ""}
BAD = {"name": "b", "status": "failed", "reason": "ValueError: no"}


def run_code(code: str, folder: Path, seconds: float = 60) -> dict[str, Any]:
    rows = folder / "rows.jsonl"
    return run_part([sys.executable, "-c", code, str(rows)], rows, folder / "log", seconds, {})


def test_the_parts_are_those_that_can_be_run():
    assert set(PARTS) == set(gpu_parts.PARTS)


def test_a_part_that_raises_is_recorded_with_its_error_and_its_rows(tmp_path: Path):
    code = f"import sys; open(sys.argv[1], 'w').write({json.dumps(OK)!r} + '\\n'); raise ValueError('no such thing')"
    part = run_code(code, tmp_path)
    assert (part["status"], part["reason"]) == ("failed", "exit code 1: ValueError: no such thing")
    assert part["rows"] == [OK]


def test_a_part_that_takes_too_long_is_stopped_and_keeps_its_whole_rows(tmp_path: Path):
    code = f"import sys, time; f = open(sys.argv[1], 'w'); f.write({json.dumps(OK)!r} + '\\n{{\"na'); f.flush(); time.sleep(600)"
    part = run_code(code, tmp_path, seconds=2)
    assert (part["status"], part["reason"]) == ("skipped", "stopped at the end of the time budget, after 1 rows")
    assert part["rows"] == [OK]
    assert 2 <= part["seconds"] < 60


@pytest.mark.parametrize(
    ("rows", "code", "expected"),
    [
        ([OK], 0, ("ok", "")),
        ([OK, skipped("c", "tf32")], 0, ("ok", "")),
        ([skipped("c", "tf32")], 0, ("skipped", "tf32")),
        ([OK, BAD], 0, ("failed", "b: ValueError: no")),
        ([BAD], None, ("failed", "b: ValueError: no")),
        ([], 0, ("failed", "no row was written")),
        ([], -11, ("failed", "exit code -11: no output")),
    ],
)
def test_the_status_of_a_part_follows_from_its_rows(rows: list[dict[str, Any]], code: int | None, expected: tuple[str, str]):
    assert verdict(rows, code, "") == expected


def test_an_error_is_recorded_in_its_row():
    row = attempt("division", lambda: {"quotient": 1 / 0})
    assert (row["name"], row["status"], row["reason"]) == ("division", "failed", "ZeroDivisionError: division by zero")


def test_parts_beyond_the_time_budget_are_skipped_with_the_reason(tmp_path: Path):
    assert main(["--device", "cpu", "--tiny", "--budget", "0", "--output", str(tmp_path / "new" / "gpu.json")]) == 0
    parts = json.loads((tmp_path / "new" / "gpu.json").read_text(encoding="utf-8"))["parts"]
    assert list(parts) == list(PARTS)
    assert {part["status"] for part in parts.values()} == {"skipped"}
    assert parts["speed"]["reason"] == "needs about 6 s, but 0 s of the time budget are left"


def test_a_failed_part_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = {name: {"status": "ok", "reason": "", "seconds": 0.0, "rows": [OK]} for name in PARTS}
    made["equality"] |= {"status": "failed", "reason": "CUDA error"}
    monkeypatch.setattr(gpu, "_run", lambda name, *_: made[name])
    assert main(["--device", "cpu", "--output", str(tmp_path / "gpu.json")]) == 1
    assert json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))["parts"] == made


def test_without_inputs_the_parts_that_need_them_are_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gpu, "_run", lambda name, *_: {"status": "failed", "reason": "no disk", "seconds": 0.0, "rows": []})
    assert main(["--device", "cpu", "--output", str(tmp_path / "gpu.json")]) == 1
    parts = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))["parts"]
    assert [name for name, part in parts.items() if part["reason"] == "the part inputs did not succeed"] == list(PARTS)[2:]


def test_a_machine_without_a_gpu_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(gpu, "count_gpus", lambda: 0)
    assert main(["--output", str(tmp_path / "gpu.json")]) == 69
    assert "--device cpu --tiny" in capsys.readouterr().err
    assert not (tmp_path / "gpu.json").exists()


def test_only_on_a_gpu_do_measured_processes_see_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert "CUDA_VISIBLE_DEVICES" not in Context(tmp_path).environment(ours=True)
    for ours in (True, False):
        assert Context(tmp_path, device="cuda").environment(ours=ours)["CUDA_VISIBLE_DEVICES"] == "3"


def test_arithmetic_without_instructions_is_left_out_on_a_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engine, "has_bf16", lambda: False)
    monkeypatch.setattr(gpu_parts, "attempt", lambda name, work: {"name": name, "status": "ok"})
    case = gpu_parts.Case("cpu", tiny=True, folder=tmp_path)
    assert {row["name"]: row.get("reason", "") for row in gpu_parts.equality(case)} == {
        "fp32": "", "tf32": "tf32 is an arithmetic of GPUs",
        "bf16": "bf16 is not supported by this processor: it has no bf16 instructions",
    }  # fmt: skip
    row = gpu_parts._speed(case, Context(tmp_path), PACKED, "bf16")
    assert (row["name"], row["status"]) == ("stableft, packed, bf16", "skipped")
    assert [row["status"] for row in gpu_parts.equality(gpu_parts.Case("cuda", tiny=True, folder=tmp_path))] == ["ok"] * 3
    monkeypatch.setattr(engine, "has_bf16", lambda: True)
    assert [row["status"] for row in gpu_parts.equality(case)] == ["ok", "skipped", "ok"]


@pytest.mark.slow
def test_every_part_runs_without_a_gpu(tmp_path: Path):
    assert main(["--device", "cpu", "--tiny", "--output", str(tmp_path / "gpu.json")]) == 0
    content = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    assert (content["device"], content["tiny"], content["budget_seconds"]) == ("cpu", True, 480)
    assert content["seconds"] < 480
    assert {name: part["status"] for name, part in content["parts"].items()} == {**dict.fromkeys(PARTS, "ok"), "tests": "skipped"}
    rows = {name: {row["name"]: row for row in part["rows"]} for name, part in content["parts"].items()}

    assert len(rows["tests"]) == 2
    assert all("CUDA" in row["reason"] for row in rows["tests"].values())
    assert rows["inputs"]["encoder"]["source"] == "tiny-random"
    assert rows["inputs"]["texts"]["train"] == 64
    assert rows["equality"]["fp32"]["largest_logit_difference"] < 1e-6
    assert rows["equality"]["fp32"]["relative_gradient_difference"] < 1e-5
    assert rows["equality"]["tf32"]["status"] == "skipped"
    assert rows["equality"]["bf16"]["status"] == "skipped" or rows["equality"]["bf16"]["bounds"] is None
    assert all(rows["determinism"][way]["equal"] for way in WAYS)
    assert rows["determinism"]["level"]["level"] == "bit-exact"
    speeds = rows["speed"]
    assert len(speeds) == 10
    bf16 = ["packed, bf16"] if engine.has_bf16() else []
    for name in ("padded, fp32", "packed, fp32", *bf16, "packed, fp32, 2 runs at a time"):
        row = speeds[f"stableft, {name}"]
        assert row["steps_per_second"] > 0
        assert row["tokens_per_second"] > row["sequences_per_second"] > 0
    for name, row in speeds.items():
        if "tf32" in name:
            assert (row["status"], row["reason"]) == ("skipped", "tf32 is an arithmetic of GPUs")
        elif "bf16" in name and not bf16:
            assert (row["status"], row["reason"]) == ("skipped", gpu_parts.BF16)
        elif "Trainer" in name:
            assert row["status"] == "ok" or "accelerate is not installed" in row["reason"]
