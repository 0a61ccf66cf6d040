"""GPU check: ``python -m benchmarks.gpu`` tries everything that needs a GPU, and writes one JSON file.

Each part runs in a process of its own (`benchmarks.gpu_parts`). An error, a crash or a hang of one
part is recorded and does not stop the others. Parts that do not fit the time budget are skipped.
``--device cpu --tiny`` tries the script itself, on any machine.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.__main__ import _versions as versions
from benchmarks.process import ROOT
from stableft.cli.common import Exit
from stableft.execution import provenance, worker_environment
from stableft.execution.supervisor import count_gpus

BUDGET = 480.0  # seconds
# Part -> seconds that it needs at paper shape on a fast GPU (estimated); it does not start with less.
PARTS = {"tests": 20.0, "inputs": 20.0, "equality": 15.0, "determinism": 60.0, "speed": 60.0}
TINY_SHARE = 0.1  # of these seconds, with --tiny
INPUTS = "inputs"
NEED_NO_INPUTS = ("tests", INPUTS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs all parts one after another, and writes the JSON file after each."""
    options = _parser().parse_args(arguments)
    if options.device == "cuda" and not count_gpus():
        print("torch finds no CUDA device here; `--device cpu --tiny` tries the script without one", file=sys.stderr)
        return Exit.NO_DEVICE
    began = time.monotonic()
    parts: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="gpu-") as scratch:
        for name in PARTS:
            rest = options.budget - (time.monotonic() - began)
            parts[name] = _refused(name, parts, rest, tiny=options.tiny) or _run(name, options, Path(scratch), rest)
            write(summary(parts, options, time.monotonic() - began), options.output)
            print(" ".join([name, parts[name]["status"], parts[name]["reason"]]).strip(), file=sys.stderr, flush=True)
    print(options.output)
    return Exit.RUNS_FAILED if any(part["status"] == "failed" for part in parts.values()) else Exit.OK


def _refused(name: str, parts: Mapping[str, Mapping[str, Any]], rest: float, *, tiny: bool) -> dict[str, Any] | None:
    """Returns a skipped part with its reason, or None if the part can start."""
    needed = PARTS[name] * (TINY_SHARE if tiny else 1.0)
    if rest < needed:
        return _part("skipped", f"needs about {needed:.0f} s, but {max(rest, 0):.0f} s of the time budget are left")
    if name not in NEED_NO_INPUTS and parts[INPUTS]["status"] != "ok":
        return _part("skipped", f"the part {INPUTS} did not succeed")
    return None


def _run(name: str, options: argparse.Namespace, scratch: Path, seconds: float) -> dict[str, Any]:
    rows = scratch / f"{name}.jsonl"
    order = [name, "--device", options.device, "--folder", str(scratch), "--rows", str(rows)]
    command = [sys.executable, "-m", "benchmarks.gpu_parts", *order, *(["--tiny"] if options.tiny else [])]
    return run_part(command, rows, scratch / f"{name}.log", seconds, {"STABLEFT_DATA": str(scratch / "data")})


def run_part(command: Sequence[str], rows: Path, log: Path, seconds: float, changes: Mapping[str, str]) -> dict[str, Any]:
    """Runs a part's process, and ends it with all its children.

    Args:
        command: The process; it writes a JSON line for each row.
        rows: The file with its lines.
        log: File of the output.
        seconds: Longest duration.
        changes: Environment variables.

    Returns:
        ``status`` (``ok``, ``failed`` or ``skipped``), ``reason``, ``seconds`` and ``rows``.
    """
    began, code = time.monotonic(), None
    offline = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **worker_environment.VARIABLES}
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **offline, **changes}, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(seconds)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    written = list(_read(rows))
    status, reason = verdict(written, code, log.read_text(encoding="utf-8", errors="replace"))
    return _part(status, reason, time.monotonic() - began, written)


def _read(rows: Path) -> Iterator[dict[str, Any]]:
    """Yields the rows of a file, without a last line that was cut off."""
    text = rows.read_text(encoding="utf-8") if rows.is_file() else ""
    for line in text.splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)


def verdict(rows: Sequence[Mapping[str, Any]], code: int | None, log: str) -> tuple[str, str]:
    """Returns status and reason of a part.

    Args:
        rows: Its rows.
        code: Exit code of its process; None: it was stopped.
        log: Output of its process.
    """
    failed = [f"{row['name']}: {row['reason']}" for row in rows if row["status"] == "failed"]
    if failed:
        return "failed", "; ".join(failed)
    if code is None:
        return "skipped", f"stopped at the end of the time budget, after {len(rows)} rows"
    if code:
        return "failed", f"exit code {code}: {(log.strip().splitlines() or ['no output'])[-1]}"
    if not rows:
        return "failed", "no row was written"
    if all(row["status"] == "skipped" for row in rows):
        return "skipped", rows[0]["reason"]
    return "ok", ""


def _part(status: str, reason: str, seconds: float = 0.0, rows: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    return {"status": status, "reason": reason, "seconds": round(seconds, 2), "rows": list(rows)}


def summary(parts: Mapping[str, Any], options: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """Builds the content of the JSON file."""
    return {
        "schema": 1,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": provenance.commit() or "not a git checkout",
        "device": options.device,
        "tiny": options.tiny,
        "hardware": provenance.static()["hardware"],
        "versions": versions(),
        "budget_seconds": options.budget,
        "seconds": round(seconds, 2),
        "parts": parts,
    }


def write(content: Mapping[str, Any], path: Path) -> None:
    """Writes the JSON file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.tmp")
    draft.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cuda: the first visible GPU")
    parser.add_argument("--tiny", action="store_true", help="the smoke protocol's size: tests that everything runs")
    parser.add_argument("--budget", type=float, default=BUDGET, metavar="SECONDS", help=f"longest duration; default: {BUDGET:.0f}")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "gpu.json", help="the JSON file; default: build/gpu.json")
    return parser


if __name__ == "__main__":
    sys.exit(main())
