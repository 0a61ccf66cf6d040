"""The rule that chooses libraries by processor, on invented processors and on this one."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from stableft.models import kernels
from stableft.models.kernels import ONEDNN, TORCH, Capability, Products, bf16_instructions, choose, instruction_set, parse_processor

X86 = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 1
model name\t: AMD EPYC 7R13
flags\t\t: fpu fma avx2 sse4_2
power management:

processor\t: 1
vendor_id\t: Other
cpu family\t: 6
flags\t\t: fpu
"""
ARM = """processor\t: 0
Features\t: fp asimd sve bf16
CPU implementer\t: 0x41
"""


@pytest.mark.parametrize(
    ("vendor", "capability", "available", "products", "reason"),
    [
        ("AuthenticAMD", "AVX512", True, ONEDNN, "AuthenticAMD, AVX512: oneDNN was faster"),
        ("AuthenticAMD", "AVX2", True, TORCH, "AuthenticAMD, AVX2: torch's own library was faster"),
        ("AuthenticAMD", "DEFAULT", True, TORCH, "AuthenticAMD, DEFAULT: not measured"),
        ("GenuineIntel", "AVX512", True, TORCH, "GenuineIntel, AVX512: not measured, so torch's own library"),
        ("", "DEFAULT", True, TORCH, "unknown processor, DEFAULT: not measured"),
        ("AuthenticAMD", "AVX512", False, TORCH, "this torch has no oneDNN"),
    ],
)
def test_the_rule(vendor: str, capability: Capability, available: bool, products: Products, reason: str) -> None:
    choice = choose(vendor, capability, available)
    assert choice.products == products
    assert choice.reason.startswith(reason)
    assert choice == choose(vendor, capability, available)


def test_a_choice_in_words() -> None:
    assert str(kernels.Choice(TORCH, "why")) == "torch for all products (why)"
    mixed = kernels.Choice(Products("onednn", "torch", "torch"), "why")
    assert str(mixed) == "onednn for forward, torch for input_gradient, torch for weight_gradient (why)"


def test_processors_are_read() -> None:
    assert parse_processor(X86) == ("AuthenticAMD", {"fpu", "fma", "avx2", "sse4_2"}, "25", "1")
    assert parse_processor(ARM) == ("", {"fp", "asimd", "sve", "bf16"}, "", "")
    assert parse_processor("nonsense\n\n:::") == ("", frozenset(), "", "")


def test_measurements_are_kept_by_the_kind_of_processor():
    assert parse_processor(X86).kind == "AuthenticAMD family 25 model 1, AVX2"
    assert parse_processor(ARM).kind == "unknown vendor, DEFAULT"


def test_a_machine_without_cpuinfo_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", absent)
    assert kernels.this_processor.__wrapped__() == ("", frozenset(), "", "")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("avx2 fma", False), ("avx512f avx512_bf16", True), ("amx_bf16", True), ("asimd bf16", True), ("", True)],
)
def test_bf16_instructions(flags: str, expected: bool) -> None:
    assert bf16_instructions(frozenset(flags.split())) is expected


@pytest.mark.parametrize(
    ("flags", "forced", "expected"),
    [
        ("avx2 fma", "", "AVX2"),
        ("avx2", "", "DEFAULT"),
        ("avx2 fma avx512f", "", "AVX2"),
        ("avx2 fma avx512f avx512vl avx512bw avx512dq", "", "AVX512"),
        ("avx2 fma avx512f avx512vl avx512bw avx512dq", "avx2", "AVX2"),
        ("avx2 fma", "default", "DEFAULT"),
        ("avx2 fma", "nonsense", "AVX2"),
    ],
)
def test_instruction_sets(flags: str, forced: str, expected: str) -> None:
    assert instruction_set(frozenset(flags.split()), forced) == expected


def test_this_processor_has_the_instruction_set_that_torch_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    expected = torch.backends.cpu.get_cpu_capability()
    if expected not in ("AVX512", "AVX2", "DEFAULT"):
        pytest.skip(f"{expected} is of another kind of processor")
    assert instruction_set(kernels.this_processor().flags, os.environ.get("ATEN_CPU_CAPABILITY", "")) == expected


# torch reads the variable at its first operation, and stableft when it is imported: a process that has done neither is forked.
FORCED = """
import os, torch
for forced in ("avx2", "default", "nonsense"):
    if os.fork():
        assert os.wait()[1] == 0
        continue
    os.environ["ATEN_CPU_CAPABILITY"] = forced
    from stableft.models import kernels, layers
    assert layers.PRODUCTS == kernels.chosen(layers._ONEDNN is not None).products
    print(kernels.instruction_set(kernels.this_processor().flags, forced), torch.backends.cpu.get_cpu_capability(), flush=True)
    os._exit(0)
"""


def test_a_forced_instruction_set_is_torchs_too() -> None:
    done = subprocess.run([sys.executable, "-c", FORCED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = [line.split() for line in done.stdout.splitlines()]
    if found[0][1] not in ("AVX512", "AVX2", "DEFAULT"):
        pytest.skip(f"{found[0][1]} is of another kind of processor")
    assert found[1] == ["DEFAULT", "DEFAULT"]
    assert [ours for ours, _ in found] == [theirs for _, theirs in found]
