"""Doctor: the line on kernels; the check of determinism has a test of its own."""

from pathlib import Path

import pytest

from stableft.cli import doctor
from stableft.core.errors import MissingInput
from stableft.models import kernels


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
    def absent(name: str) -> None:
        raise MissingInput(name)

    monkeypatch.delenv("ATEN_CPU_CAPABILITY", raising=False)
    monkeypatch.setattr(doctor, "get_task", absent)  # they take seconds
    monkeypatch.setattr(kernels, "this_processor", lambda: kernels.Processor(vendor, frozenset(flags.split())))
    kernels.chosen.cache_clear()
    try:
        (line,) = (check for check in doctor.checks(tmp_path) if check.check == "kernels")
    finally:
        kernels.chosen.cache_clear()
    assert line == ("kernels", True, detail)
