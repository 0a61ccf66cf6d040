"""Provenance of code and machine: enough to rebuild a run, without names of persons or hosts."""

import hashlib
import importlib.metadata
import os
import platform
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import stableft
from stableft.execution import checkout
from stableft.execution.checkout import ROOT
from stableft.models.kernels import this_processor

PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "scipy", "pandas", "pyarrow", "datasets", "joblib", "stableft")
# Variables that choose the kernels, and so can change a result. Threads are set in the process.
ARITHMETIC = (
    "MKL_CBWR", "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ONEDNN_DEFAULT_FPMATH_MODE",
    "CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)  # fmt: skip
# The same, and variables for speed or inputs.
ENVIRONMENT = (
    *ARITHMETIC, "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_PROC_BIND", "KMP_AFFINITY",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY", "GLIBC_TUNABLES", "MALLOC_ARENA_MAX", "TOKENIZERS_PARALLELISM",
    "PYTHONHASHSEED", "CUDA_VISIBLE_DEVICES", "CUDA_LAUNCH_BLOCKING", "PYTORCH_CUDA_ALLOC_CONF", "HF_HUB_OFFLINE",
    "HF_DATASETS_OFFLINE",
)  # fmt: skip


@cache
def static() -> dict[str, Any]:
    """Returns versions, lock file and hardware, the same for all runs of a process.

    For the code see `checkout`.
    """
    return {"python": platform.python_version(), "packages": _versions(), "lock": lock(ROOT), "hardware": _hardware()}


def commit() -> str | None:
    """Returns the commit of this code, with a plus sign if there are later changes.

    It is None outside a git checkout.
    """
    here = checkout.here()
    return here.commit and here.commit[:12] + "+" * bool(here.patch)


def environment(names: Sequence[str] = ENVIRONMENT) -> dict[str, str]:
    """Returns the values of environment variables, without unset ones."""
    return {name: os.environ[name] for name in names if name in os.environ}


def lock(root: Path) -> dict[str, Any] | None:
    """Returns the fingerprint of the pinned versions, and differences of the installed ones.

    Args:
        root: The folder of ``requirements.lock``.

    Returns:
        ``sha256`` of its bytes, and ``differs``: package name -> installed version (None if absent)
        of packages not at the pinned version. A local version such as ``2.13.0+cpu`` counts as
        2.13.0. None without a lock file.
    """
    try:
        content = (root / "requirements.lock").read_bytes()
    except OSError:
        return None
    differs = {}
    for line in content.decode(errors="replace").splitlines():
        name, pinned, version = line.partition("==")
        if pinned and not name.startswith("#") and (installed := _version(name.strip())) != version.strip():
            differs[name.strip()] = installed
    return {"sha256": hashlib.sha256(content).hexdigest(), "differs": differs}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name).split("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return None


@cache
def code_sha256() -> str:
    """Returns the fingerprint of this package's source files; any change of a file changes it."""
    root = Path(stableft.__file__).resolve().parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _versions() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _hardware() -> dict[str, Any]:
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "cpu": _cpu_name(),
        "processor": this_processor().kind,
        "cores": os.cpu_count(),
        "memory_mb": _memory_mb(),
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def _memory_mb() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    except (ValueError, OSError, AttributeError):
        return None
