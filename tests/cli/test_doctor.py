"""Doctor: the lines on cores and kernels; the check of determinism has a test of its own."""

import os
from pathlib import Path

import pytest

from stableft.cli import doctor
from stableft.core.errors import MissingInput
from stableft.models import kernels


def test_the_machine_shows_the_cores_that_a_quota_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "get_task", _absent)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    (line,) = (check for check in doctor.checks(tmp_path) if check.check == "machine")
    assert f"{os.cpu_count()} cores, 1 of them usable: so many runs at a time; " in line.detail


def _absent(name: str) -> None:
    raise MissingInput(name)


@pytest.mark.parametrize(
    ("vendor", "flags", "detail"),
    [
        (
            "AuthenticAMD",
            "avx2 fma",
            "torch for all products (AuthenticAMD, AVX2: torch's own library was faster for all three products)",
        ),
        ("", "", "torch for all products (unknown processor, DEFAULT: not measured, so torch's own library)"),
    ],
)
def test_kernels_are_shown_with_the_reason(
    vendor: str, flags: str, detail: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ATEN_CPU_CAPABILITY", raising=False)
    monkeypatch.setattr(doctor, "get_task", _absent)  # they take seconds
    monkeypatch.setattr(kernels, "this_processor", lambda: kernels.Processor(vendor, frozenset(flags.split())))
    kernels.chosen.cache_clear()
    try:
        (line,) = (check for check in doctor.checks(tmp_path) if check.check == "kernels")
    finally:
        kernels.chosen.cache_clear()
    assert line == ("kernels", True, detail)


def test_it_tries_the_folders_that_a_run_writes_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "get_task", _absent)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = {check.check: check for check in doctor.checks(tmp_path / "a" / "results")}
    assert found["results"] == ("results", True, str(tmp_path / "a" / "results"))
    assert found["cache"] == ("cache", True, str(tmp_path / "cache" / "stableft"))
    assert found["temporary files"].ok
    assert list(tmp_path.iterdir()) == [], "nothing stays"
    (tmp_path / "file").touch()
    found = {check.check: check for check in doctor.checks(tmp_path / "file" / "results")}
    assert found["results"].detail.endswith("results can't be written (Not a directory): name another folder by --results")
    assert not found["results"].ok
