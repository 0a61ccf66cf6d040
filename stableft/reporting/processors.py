"""Processors: the kinds of processor that computed runs, and how many runs each computed."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pandas as pd

from stableft.reporting.artifact_metadata import provenances


def kinds(runs: pd.DataFrame) -> dict[str, int]:
    """Counts runs by kind of processor, the most frequent first; runs of unknown kind are left out.

    Args:
        runs: See `stableft.storage.records.Results.runs`.
    """
    counts = Counter(filter(None, map(_kind, provenances(runs))))
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def mixture(runs: pd.DataFrame) -> str:
    """Returns a sentence that counts the runs of each kind of processor; empty if there is only one.

    The same run can differ between kinds by rounding, and training enlarges such differences.
    """
    counts = kinds(runs)
    named = [f"{name} ({n} run{'s' * (n > 1)})" for name, n in counts.items()]
    return f"Processors: {', '.join(named)}." if len(named) > 1 else ""


def _kind(provenance: Mapping[str, Any]) -> str:
    """Returns the name of an accelerator, or of a processor and its instructions; empty if unknown."""
    hardware, execution, torch = (provenance.get(name) or {} for name in ("hardware", "execution", "torch"))
    return str(execution.get("device_name") or " ".join(filter(None, [hardware.get("cpu"), torch.get("cpu_capability")])))
