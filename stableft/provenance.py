"""Where and how a run was computed: enough to rebuild it, and nothing that names a person or a host."""

import hashlib
import importlib.metadata
import os
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import stableft

PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "scipy", "pandas", "pyarrow", "datasets", "joblib", "stableft")


@cache
def static() -> dict[str, Any]:
    """What is the same for all runs of one process: code, versions, hardware."""
    return {"git": _git(), "python": platform.python_version(), "packages": _versions(), "hardware": _hardware()}


def commit() -> str | None:
    """The commit of this code, with a plus sign if it was changed since; None outside a git checkout."""
    git = static()["git"]
    return git["commit"] and git["commit"][:12] + "+" * git["dirty"]


def _git() -> dict[str, Any]:
    root = Path(stableft.__file__).resolve().parent.parent

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=20, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout

    commit = git("rev-parse", "HEAD")
    code = ("--", "stableft", "experiments", "requirements.lock", "pyproject.toml")
    diff = git("diff", "HEAD", *code) if commit else None
    dirty = bool(diff)
    return {
        "commit": commit.strip() if commit else None,
        "dirty": dirty,
        "diff_sha256": hashlib.sha256(diff.encode()).hexdigest() if diff else None,
    }


@cache
def code_sha256() -> str:
    """The fingerprint of this package's source files: equal as long as no line of it changes, whatever is committed beside it."""
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


def reset_peak_memory() -> None:
    """Starts a new measurement of this process's peak memory (Linux; elsewhere the peak is that of the process so far)."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def peak_memory_mb() -> float | None:
    """Peak resident memory of this process since the last reset, in MiB."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**20 if sys.platform == "darwin" else 1024)
