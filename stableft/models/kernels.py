"""Kernels: the library of each matrix product in fp32 on a CPU. Needs no torch.

A fixed rule chooses by vendor and instruction set. It is a table of measurements, not a timing at
run time, so a processor always decides alike (``docs/adr/0022-kernels-by-processor.md``).
"""

import os
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

Library = Literal["onednn", "torch"]
Capability = Literal["AVX512", "AVX2", "DEFAULT"]

# Instructions that multiply in bf16, by their names in /proc/cpuinfo: x86, then Arm.
_BF16 = frozenset({"avx512_bf16", "amx_bf16", "bf16", "svebf16"})
_AVX2 = frozenset({"avx2", "fma"})
_AVX512 = frozenset({"avx512vl", "avx512bw", "avx512dq", "fma"})
# Values of ATEN_CPU_CAPABILITY; torch ignores others.
_FORCED: dict[str, Capability] = {"avx512": "AVX512", "avx2": "AVX2", "default": "DEFAULT"}


@dataclass(frozen=True)
class Products:
    """The library that computes each product of a linear layer: oneDNN, or torch's own (MKL on x86).

    Attributes:
        forward: x W^T.
        input_gradient: The gradient of x.
        weight_gradient: The gradient of W.
    """

    forward: Library
    input_gradient: Library
    weight_gradient: Library


ONEDNN = Products("onednn", "onednn", "onednn")
TORCH = Products("torch", "torch", "torch")

# By vendor and instruction set, with the measurement; others were not measured.
MEASURED: dict[tuple[str, Capability], tuple[Products, str]] = {
    ("AuthenticAMD", "AVX512"): (ONEDNN, "oneDNN was faster for all three products"),
    ("AuthenticAMD", "AVX2"): (TORCH, "torch's own library was faster for all three products"),
}


class Choice(NamedTuple):
    """A choice of libraries, and the reason for it."""

    products: Products
    reason: str

    def __str__(self) -> str:
        libraries = asdict(self.products)
        if len(set(libraries.values())) == 1:
            return f"{self.products.forward} for all products ({self.reason})"
        return f"{', '.join(f'{library} for {name}' for name, library in libraries.items())} ({self.reason})"


class Processor(NamedTuple):
    """Vendor, such as ``AuthenticAMD``, flags, family and model, as in /proc/cpuinfo; empty if unknown."""

    vendor: str
    flags: frozenset[str]
    family: str = ""
    model: str = ""

    @property
    def kind(self) -> str:
        """The kind of processor whose measurements are kept together: vendor, family, model, instruction set."""
        numbers = f" family {self.family} model {self.model}" if self.family else ""
        return f"{self.vendor or 'unknown vendor'}{numbers}, {instruction_set(self.flags)}"


def choose(vendor: str, capability: Capability, onednn_available: bool) -> Choice:
    """Returns the libraries for a processor: torch's own ones where nothing was measured.

    Args:
        vendor: As in /proc/cpuinfo; empty if unknown.
        capability: The instruction set that torch uses.
        onednn_available: Whether this torch has oneDNN.
    """
    if not onednn_available:
        return Choice(TORCH, "this torch has no oneDNN")
    name = f"{vendor or 'unknown processor'}, {capability}"
    if (vendor, capability) not in MEASURED:
        return Choice(TORCH, f"{name}: not measured, so torch's own library")
    products, reason = MEASURED[vendor, capability]
    return Choice(products, f"{name}: {reason}")


@cache
def chosen(onednn_available: bool = True) -> Choice:
    """Returns the libraries for this processor, under the instruction set of this process."""
    here = this_processor()
    return choose(here.vendor, instruction_set(here.flags, os.environ.get("ATEN_CPU_CAPABILITY", "")), onednn_available)


def instruction_set(flags: frozenset[str], forced: str = "") -> Capability:
    """Returns the instruction set that torch uses on a processor with these flags.

    Args:
        flags: As in /proc/cpuinfo.
        forced: The value of ATEN_CPU_CAPABILITY.
    """
    if forced in _FORCED:
        return _FORCED[forced]
    if flags >= _AVX512:
        return "AVX512"
    return "AVX2" if flags >= _AVX2 else "DEFAULT"


def bf16_instructions(flags: frozenset[str]) -> bool:
    """Returns True if a processor with these flags multiplies in bf16, or if it is unknown (no flags)."""
    return not flags or not flags.isdisjoint(_BF16)


@cache
def this_processor() -> Processor:
    """Returns the processor of this machine."""
    try:
        return parse_processor(Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        return Processor("", frozenset())


def parse_processor(cpuinfo: str) -> Processor:
    """Returns the first processor in a text like /proc/cpuinfo."""
    fields: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    flags = frozenset((fields.get("flags") or fields.get("Features", "")).split())
    return Processor(fields.get("vendor_id", ""), flags, fields.get("cpu family", ""), fields.get("model", ""))
