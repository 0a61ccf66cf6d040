"""Identities of collected runs: those that the present code derives, and equal configurations."""

import hashlib
import json
from functools import lru_cache
from typing import Any, NamedTuple

import pandas as pd
from pydantic import ValidationError

from stableft.core.config import RunConfig, canonical_json, run_id
from stableft.core.errors import UsageError

FINGERPRINTS = ("data_fingerprint", "weights_fingerprint")


class Identity(NamedTuple):
    """The identity of a run by the present code.

    Attributes:
        run_id: Identity of the run; empty if the present code refuses its settings.
        configuration: Fingerprint of all that decides the run but its seed: settings, data, weights.
    """

    run_id: str
    configuration: str


def identities(runs: pd.DataFrame) -> list[Identity | None]:
    """Derives the identities of runs from their stored settings and fingerprints.

    Args:
        runs: `Results.runs`, or its table alone.

    Returns:
        An identity for each run. None for a run without fingerprints of data and weights, such as an
        imported one: it has no identity to check.
    """
    columns = [runs[name].tolist() if name in runs else [None] * len(runs) for name in ("config", *FINGERPRINTS, "sources")]
    return [
        _identity(config, data, weights, sources if isinstance(sources, str) else "")
        if isinstance(data, str) and isinstance(weights, str)
        else None
        for config, data, weights, sources in zip(*columns, strict=True)
    ]


def stale(runs: pd.DataFrame) -> list[bool]:
    """Tells of each run whether the present code would derive another identity from its settings.

    Such a run is of an older version, or of other settings than it records, so it decides nothing.
    """
    return [found is not None and found.run_id != known for found, known in zip(identities(runs), runs["run_id"], strict=True)]


@lru_cache(maxsize=20_000)
def _identity(config: str, data: str, weights: str, sources: str) -> Identity:
    """Derives an identity. Cached, as one command checks the same runs for several experiments."""
    try:
        resolved = RunConfig.model_validate(json.loads(config))
    except (ValidationError, UsageError, ValueError):
        return Identity("", hashlib.sha256(f"{config}{data}{weights}{sources}".encode()).hexdigest())
    fields: dict[str, Any] = resolved.model_dump(mode="json", exclude_none=True, exclude={"encoder", "seed"})
    content = canonical_json({"config": fields, "data": data, "weights": weights})
    identity = run_id(resolved, data=data, weights=weights, sources=sources.split())
    return Identity(identity, hashlib.sha256(content.encode()).hexdigest())
