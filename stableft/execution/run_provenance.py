"""What a run's record says of how it was computed, all of it together."""

import hashlib
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stableft.core import anonymize as identity
from stableft.execution import checkout, provenance

if TYPE_CHECKING:
    from stableft.execution.worker import Job
    from stableft.models.tokens import Data
    from stableft.training.checkpointing import RunCost
    from stableft.training.setup import Setup


def config_of(job: "Job") -> dict[str, Any]:
    """The configuration of a run as its record has it: an encoder's folder without those above it, unless names are asked for."""
    config = job.config.model_dump(mode="json")
    return config if job.identify else {**config, "encoder": job.encoder.anonymous_name}


def of_run(job: "Job", setup: "Setup", data: "Data", cost: "RunCost") -> dict[str, Any]:
    """The provenance of a run that has just ended, in the process that computed it.

    Args:
        job: The run.
        setup: What it was trained with.
        data: What it was trained and evaluated on.
        cost: Of all attempts that have a part in it.

    Returns:
        JSON values. ``git`` (see `stableft.execution.checkout`), ``python``, ``packages``, ``lock``, ``hardware``, ``environment``,
        ``torch``, ``execution``, ``samples``; what `stableft.training.checkpointing.RunCost` says; ``started_utc``, ``ended_utc``
        (ISO 8601); ``attempts``: how often it was started; ``identity`` only if the job asks for it.
    """
    from stableft.training.runtime import Runtime, flags

    return {
        "git": job.code or checkout.here().keep(checkout.patches(job.results), identify=job.identify),
        **provenance.static(),
        "environment": provenance.environment(),
        "torch": flags(Runtime(device=job.device, packed=job.packed)),
        "execution": {
            "device": job.device,
            "device_name": device_name(job.device),
            "threads": job.threads,
            "packed": setup.model.packed,
        },
        "samples": samples(job, setup, data),
        **asdict(cost),
        "resumed_at": list(cost.resumed_at),
        "started_utc": _utc(cost.started),
        "ended_utc": _utc(max(time.time(), cost.started + cost.seconds)),
        "attempts": max(job.attempts, 1 + len(cost.resumed_at)),
        **({"identity": identity.names()} if job.identify else {}),
    }


def samples(job: "Job", setup: "Setup", data: "Data") -> dict[str, dict[str, Any]]:
    """Which examples of the data a run used: by split their number and `ids_sha256`.

    ``train`` is what was drawn to train on. ``subset``, where there is one, is the part of validation that the points before the
    end are evaluated on. An example's id is its index in the split; what stands there says the fingerprint of the data.
    """
    from stableft.training.evaluation import evaluation_subset

    used = {name: np.arange(len(tokens)) for name, tokens in data.splits.items() if len(tokens)}
    used["train"] = setup.train_indices
    subset = evaluation_subset(data, job.config.evaluation.num_examples)
    if subset is not None:
        used["subset"] = subset
    return {name: {"examples": len(ids), "ids_sha256": ids_sha256(ids)} for name, ids in used.items()}


def ids_sha256(ids: NDArray[np.int64]) -> str:
    """SHA-256 of ids in ascending order, 8 bytes each, little-endian: the same for the same examples, in whatever order."""
    return hashlib.sha256(np.sort(ids).astype("<i8").tobytes()).hexdigest()


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def device_name(device: str) -> str | None:
    """What a GPU is called; None for a CPU."""
    import torch

    return torch.cuda.get_device_name(device) if device.startswith("cuda") else None
