"""Processors: the kinds of processor that computed runs, and how many runs each computed."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pandas as pd

from stableft.reporting.artifact_metadata import provenances


def kinds(runs: pd.DataFrame) -> dict[str, int]:
    """Counts runs by kind of processor, the most frequent first; runs of unknown kind are left out.

    Processors of one name are of several kinds if their runs record several sets of vector
    instructions: some names cover more than one generation.

    Args:
        runs: See `stableft.storage.records.Results.runs`.
    """
    found = [_name_and_instructions(provenance) for provenance in provenances(runs)]
    sets: dict[str, set[str]] = {}
    for name, known in found:
        sets.setdefault(name, set()).update([known] if known else [])
    labels = [f"{name} {known or '(unknown instructions)'}" if len(sets[name]) > 1 else name for name, known in found if name]
    return dict(sorted(Counter(labels).items(), key=lambda item: (-item[1], item[0])))


def mixture(runs: pd.DataFrame) -> str:
    """Returns a sentence that counts the runs of each kind of processor; empty if there is only one.

    The same run can differ between kinds by rounding, and training enlarges such differences.
    """
    counts = kinds(runs)
    named = [f"{name} ({n} run{'s' * (n > 1)})" for name, n in counts.items()]
    return f"Processors: {', '.join(named)}." if len(named) > 1 else ""


def _name_and_instructions(provenance: Mapping[str, Any]) -> tuple[str, str]:
    """Returns the name of an accelerator, or of a processor and its kind; empty if unknown.

    The kind has family and model; runs from before it was recorded have the set of instructions alone.
    """
    hardware, execution, torch = (provenance.get(name) or {} for name in ("hardware", "execution", "torch"))
    if execution.get("device_name"):
        return str(execution["device_name"]), ""
    return str(hardware.get("cpu") or ""), str(hardware.get("processor") or torch.get("cpu_capability") or "")
