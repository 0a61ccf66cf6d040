"""Commands as users call them, in processes of their own, and results folders as if runs had been done."""

import json
import os
import subprocess
import sys
from pathlib import Path

from experiments import adam
from experiments.protocol import SMOKE as PROTOCOL
from stableft.core.grid import select
from stableft.execution import collect, planning
from stableft.execution.inputs import Inputs
from stableft.storage import run_state
from stableft.storage.store import Store
from tests.conftest import Quick, wait_for
from tests.storage.test_store import record

SMOKE = ("adam", "--protocol", "smoke")


def start(folder: Path, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "stableft", *arguments],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, **environment},
    )


def call(folder: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    process = start(folder, *arguments, **environment)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def wait_for_a_run(folder: Path, process: "subprocess.Popen[str]") -> None:
    wait_for(lambda: bool(list(folder.glob("out/runs/*.parquet"))) or process.poll() is not None, 200)
    assert process.poll() is None, process.communicate()


def contents(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.suffix != ".html" and path.is_file()}


WORDS = (("alin", "<b>$x_1$|"), ("dorn", "[/red]"))


def write_own(path: Path) -> Path:
    """A file of invented sentences of two classes, told apart by one word each."""
    rows = [f'"{word} {animal}, {number}",{label}' for number in range(6) for animal in ("mib", "tup") for word, label in WORDS]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return path


def done(folder: Path, seeds: list[int]) -> Store:
    """Results of the smoke grid as if it had been run; the last run diverged."""
    store, inputs = Store(folder / "out"), Inputs()
    grid = select(adam.grid(PROTOCOL), seeds=seeds)
    runs = [p.run_id or "" for p in planning.plan(grid, store, inputs).cells]
    for run_id in runs:
        store.write(record(run_id, outcome="diverged" if run_id == runs[-1] else "ok"))
    collect.collect(grid, store, inputs)
    return store


def status_counts(quick: Quick, folder: Path, *options: str) -> dict[str, int]:
    code, out, err = quick(folder, "status", *SMOKE, "--results", "out", *options, "--json")
    assert code == 0, err
    found = json.loads(out)
    names = (*run_state.STATES, "diverged", "only_collected", "cached", "will_run")
    assert {name: found[name] for name in names} == {name: sum(cell[name] for cell in found["cells"]) for name in names}
    return {name: found[name] for name in names if found[name]}
