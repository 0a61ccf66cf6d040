"""Command line: ``python -m benchmarks [PART ...]`` measures, then writes results.json and README.md."""

import argparse
import importlib.metadata
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import table
from benchmarks.statistic import as_json

if TYPE_CHECKING:
    from benchmarks.variants import Context

VERSIONS = ("torch", "transformers", "accelerate", "tokenizers", "datasets", "numpy", "scikit-learn", "setfit")
ON_REQUEST = ("recommend",)  # it takes hours
COMPARED = ("steps", "evaluation", "grid")
FOLDER = Path(__file__).parent
SCHEMA = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures the requested parts; stored results of other parts and other kinds of processors are kept."""
    options = _parser().parse_args(arguments)
    unknown = set(options.parts) - set(table.TITLES)
    if unknown:
        print(f"unknown part {', '.join(sorted(unknown))}; known: {', '.join(table.TITLES)}", file=sys.stderr)
        return 2
    if not _installed("accelerate"):
        print("the Trainer needs accelerate: type `make bench`, or install benchmarks/requirements.txt", file=sys.stderr)
        return 4
    file = options.out / "results.json"
    results = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {"schema": SCHEMA, "processors": {}}
    wanted = [name for name in table.TITLES if name in options.parts or not (options.parts or name in ON_REQUEST)]
    # A socket's path must be short, so the scratch folder is in the system's temporary folder.
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        _run(wanted, results, options, Path(scratch))
    print(options.out / "README.md")
    return 0


def _run(wanted: Sequence[str], results: dict[str, Any], options: argparse.Namespace, scratch: Path) -> None:
    from benchmarks.variants import context
    from stableft.models.kernels import this_processor

    parts = results["processors"].setdefault(this_processor().kind, {})
    with context(scratch, quick=options.quick, rounds=options.rounds, minutes=options.minutes) as made:
        for names in _together(wanted):
            print(f"{' and '.join(names)} ...", file=sys.stderr, flush=True)
            parts |= _measure(names, made)
            write(results, options.out)  # after each part, so that an interruption loses only one


def write(results: dict[str, Any], folder: Path) -> None:
    """Writes results.json and README.md, each atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    processors = {
        kind: {name: parts[name] for name in table.TITLES if name in parts} for kind, parts in sorted(results["processors"].items())
    }
    ordered = {**results, "processors": processors}
    for name, text in (("results.json", json.dumps(ordered, indent=1) + "\n"), ("README.md", table.page(ordered))):
        draft = folder / f".{name}.tmp"
        draft.write_text(text, encoding="utf-8")
        draft.replace(folder / name)


def _together(wanted: Sequence[str]) -> list[list[str]]:
    """Groups the parts: ``steps`` and ``evaluation`` share their processes if both are requested."""
    shared = [name for name in wanted if name in ("steps", "evaluation")]
    groups = [shared if name == shared[0] else [name] for name in wanted if name not in shared[1:]] if shared else None
    return groups or [[name] for name in wanted]


def _measure(names: Sequence[str], context: "Context") -> dict[str, dict[str, Any]]:
    # Heavy imports, only once there is something to do.
    from benchmarks import backends, engine, equality, gemm, grid, recommendation, scheduler, steps
    from benchmarks.variants import REFERENCES
    from stableft.execution import provenance

    began, load = time.time(), ", ".join(f"{value:.1f}" for value in os.getloadavg())
    if names[0] in ("steps", "evaluation"):
        rows = steps.measure(context, set(names))
    else:
        single = {
            "gemm": gemm, "grid": grid, "equality": equality, "scheduler": scheduler, "backends": backends,
            "recommend": recommendation,
        }[names[0]]  # fmt: skip
        rows = {names[0]: single.measure(context)}
    return {
        name: {
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "commit": provenance.commit() or "not a git checkout",
            "hardware": provenance.static()["hardware"],
            "threads": engine.workers(),
            "versions": _versions(),
            "load_before": load,
            "minutes": (time.time() - began) / 60,
            "quick": context.quick,
            "rows": [as_json(row, rows[name], REFERENCES if name in COMPARED else ()) for row in rows[name]],
        }
        for name in names
    }


def _versions() -> dict[str, str]:
    installed = {name: importlib.metadata.version(name) for name in VERSIONS if _installed(name)}
    return {"python": platform.python_version(), **installed}


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"parts to measure: {', '.join(table.TITLES)}; default: all")
    parser.add_argument("--rounds", type=_positive, help="number of rounds of every part; default: each part's own number")
    parser.add_argument("--minutes", type=float, default=20.0, help="budget of each answer of part recommend; default: 20")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, under a minute: tests that everything runs")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of results.json and README.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
