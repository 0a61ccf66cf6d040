"""Files are a function of the results, on any processor: figures, tables, pages and verdicts keep every byte.

Another processor differs in the last bits of what it computes. Here it is imitated twice: every computed number is moved to a
neighbouring one at random, and the libraries are told to do without newer instructions.
"""

import importlib
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from experiments import adam
from stableft.reporting import render, report
from stableft.reporting.figures import curves
from stableft.reporting.tables import arm_summary, seeds_needed, stability
from stableft.storage.store import Store
from tests.conftest import Quick
from tests.helpers import synthetic
from tests.helpers.commands import call
from tests.helpers.pages import keep
from tests.helpers.shaken import shaken

REPORT: report.Report = {
    "score": report.figure(curves, split="validation", metric="score"),
    "arms": report.table(arm_summary),
    "stability": report.table(stability),
    "seeds_needed": report.table(seeds_needed),
}
SHOWN = (("laptop", "precision"), ("laptop", "surface"), ("small", "adam"))
Called = Callable[..., tuple[int, str, str]]


def files(called: Called, results: Path, folder: Path, experiments: tuple[str, ...] = ()) -> dict[str, bytes]:
    """All that the four commands write into a new folder."""
    folder.mkdir()
    for command in ("figures", "tables", "report", "verify"):
        options = ("--output", "CLAIMS.md") if command == "verify" else ("--figures", "figures")
        of = () if command == "report" else experiments
        code, _, err = called(folder, command, *of, "--results", str(results.resolve()), *options)
        assert code == 0, err
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def differing(first: dict[str, bytes], second: dict[str, bytes]) -> list[str]:
    assert first.keys() == second.keys()
    return [name for name, content in first.items() if content != second[name]]


@pytest.fixture
def in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is moved here is not moved in another process."""
    monkeypatch.setattr(render, "cpu_count", lambda: 1)


@pytest.mark.usefixtures("in_one_process")
def test_last_bits_change_no_byte(quick: Quick, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adam, "REPORT", REPORT)
    keep(Store(tmp_path / "results"), "laptop", "adam", synthetic.with_predictions(synthetic.grid(3, diverged=False)))
    plain = files(quick, tmp_path / "results", tmp_path / "plain", ("adam",))
    assert len(plain) == 5 + 3 * 3 + 2
    with shaken(0):
        moved = files(quick, tmp_path / "results", tmp_path / "moved", ("adam",))
    assert not differing(plain, moved)


@pytest.mark.slow
@pytest.mark.usefixtures("in_one_process")
def test_without_rounding_they_would(quick: Quick, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail."""
    monkeypatch.setattr(adam, "REPORT", {name: REPORT[name] for name in ("score", "arms")})
    monkeypatch.setattr("stableft.reporting.rounding.SHOWN_DIGITS", 17)
    monkeypatch.setattr("stableft.reporting.rounding.EXACT_DIGITS", 17)
    monkeypatch.setattr("stableft.reporting.rounding.EXACT_DECIMALS", 16)
    monkeypatch.setattr("stableft.reporting.rounding.SHOWN_DECIMALS", 16)
    keep(Store(tmp_path / "results"), "laptop", "adam", synthetic.grid(3, diverged=False))
    plain = files(quick, tmp_path / "results", tmp_path / "plain", ("adam",))
    with shaken(0):
        moved = files(quick, tmp_path / "results", tmp_path / "moved", ("adam",))
    found = {Path(name).name for name in differing(plain, moved)}
    assert {"score.csv", "score.svg", "score.pdf", "arms.csv", "report.html"} <= found


@pytest.mark.slow
@pytest.mark.usefixtures("in_one_process")
@pytest.mark.parametrize("protocol", ["laptop", "small"])
def test_last_bits_change_no_byte_of_the_committed_results(protocol: str, quick: Quick, project: Path, tmp_path: Path) -> None:
    # All of laptop takes ten minutes; these experiments have the kinds of figures and tables that differ most.
    for name in ("adam", "lr_grid", "seeds", "surface") if protocol == "laptop" else ("",):
        shutil.copytree(project / "results" / protocol / name, tmp_path / "results" / protocol / name)
    plain = files(quick, tmp_path / "results", tmp_path / "plain")
    for seed in (1,) if protocol == "laptop" else (1, 2):
        with shaken(seed):
            moved = files(quick, tmp_path / "results", tmp_path / f"moved {seed}")
        assert not differing(plain, moved)


@pytest.mark.slow
@pytest.mark.parametrize(("without", "blas"), [("AVX512", "Haswell"), ("", "Nehalem")])
def test_a_processor_without_newer_instructions_writes_the_same(without: str, blas: str, project: Path, tmp_path: Path) -> None:
    """Of numpy, and of its matrix products; ``without`` is in the names of what is left out, empty for all."""
    wide = ("X86_V4",) if without else ()
    numpy_core = importlib.import_module("numpy._core._multiarray_umath")  # no public name
    names = [name for name in numpy_core.__cpu_dispatch__ if without in name or name in wide]
    there = [name for name in names if numpy_core.__cpu_features__.get(name)]
    if not there:
        pytest.skip(f"this processor has none of {', '.join(names)}")
    for protocol, name in SHOWN:
        shutil.copytree(project / "results" / protocol / name, tmp_path / "results" / protocol / name)
    plain = files(call, tmp_path / "results", tmp_path / "plain")
    tunables = "" if without else "glibc.cpu.hwcaps=-AVX2,-FMA"
    older = {"NPY_DISABLE_CPU_FEATURES": " ".join(there), "OPENBLAS_CORETYPE": blas, "GLIBC_TUNABLES": tunables}
    assert not differing(plain, files(partial(call, **older), tmp_path / "results", tmp_path / "older"))
