"""Peak memory of this process."""

import sys
from pathlib import Path


def reset_peak_memory() -> None:
    """Starts a new measurement of this process's peak memory.

    This works on Linux; elsewhere the peak is that of the whole process so far.
    """
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def peak_memory_mb() -> float | None:
    """Returns the peak resident memory of this process since the last reset, in MiB."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**20 if sys.platform == "darwin" else 1024)
