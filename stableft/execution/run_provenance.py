"""Run provenance, for the record. Imported only in training processes, since it imports torch."""

import hashlib
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from stableft.core import anonymize
from stableft.execution import checkout, provenance
from stableft.execution.job import Job
from stableft.models import kernels
from stableft.models.tokens import Data
from stableft.storage.code_state import code_of
from stableft.training.checkpointing import RunCost
from stableft.training.evaluation import evaluation_subset
from stableft.training.runtime import Runtime, flags
from stableft.training.setup import Setup


def recorded_config(job: Job) -> dict[str, Any]:
    """Returns the configuration for the run's record.

    The path of an encoder's folder loses its parent folders, unless the job may name the user.
    """
    config = job.config.model_dump(mode="json")
    return config if job.identify else {**config, "encoder": job.encoder.anonymous_name}


def describe_run(job: Job, setup: Setup, data: Data, cost: RunCost) -> dict[str, Any]:
    """Returns the provenance of a run that has just ended, in its own process.

    Args:
        job: The run.
        setup: The set-up of its training.
        data: The data of its training and evaluation.
        cost: Time and memory of all its attempts.

    Returns:
        JSON values. ``git`` (see `stableft.execution.checkout`), ``code`` (digests by part, see
        `stableft.storage.code_state`), ``python``, ``packages``,
        ``lock``, ``hardware``, ``environment``, ``torch``, ``execution``, ``samples``;
        ``coverage`` (`stableft.models.coverage.Coverage.facts`); ``data_notes``, if a user's file was
        not read as it is; the fields
        of `stableft.training.checkpointing.RunCost`; ``started_utc``, ``ended_utc`` (ISO 8601);
        ``attempts``: number of starts; ``identity`` only if the job asks for it.
    """
    return {
        "git": job.code or checkout.here().keep(checkout.patches(job.results), identify=job.identify),
        "code": code_of(job.config),
        **provenance.static(),
        "environment": provenance.environment(),
        "torch": flags(Runtime(device=job.device, packed=job.packed)),
        "execution": {
            "device": job.device,
            "device_name": device_name(job.device),
            "threads": job.threads,
            "packed": setup.model.packed,
            **({"forced_bf16": True} if _forces_bf16(job) else {}),
        },
        "samples": samples(job, setup, data),
        **({"coverage": dict(job.coverage)} if job.coverage else {}),
        **({"data_notes": list(job.task.notes)} if job.task and job.task.notes else {}),
        **asdict(cost),
        "resumed_at": list(cost.resumed_at),
        "started_utc": _utc(cost.started),
        "ended_utc": _utc(max(time.time(), cost.started + cost.seconds)),
        "attempts": max(job.attempts, 1 + len(cost.resumed_at)),
        **({"identity": anonymize.names()} if job.identify else {}),
    }


def _forces_bf16(job: Job) -> bool:
    """Tells whether a new command needs ``--force-bf16`` for this run, on this processor."""
    on_cpu = job.config.precision == "bf16" and job.device.startswith("cpu")
    return on_cpu and not kernels.bf16_instructions(kernels.this_processor().flags)


def samples(job: Job, setup: Setup, data: Data) -> dict[str, dict[str, Any]]:
    """Returns the examples used by a run: number and `ids_sha256` by split.

    ``train`` are the examples drawn for training. ``subset``, if present, is the part of validation
    for evaluations before the end. An example's id is its index in the split; the fingerprint of
    the data identifies its content.
    """
    used = {name: np.arange(len(tokens)) for name, tokens in data.splits.items() if len(tokens)}
    used["train"] = setup.train_indices
    subset = evaluation_subset(data, job.config.evaluation.num_examples)
    if subset is not None:
        used["subset"] = subset
    return {name: {"examples": len(ids), "ids_sha256": ids_sha256(ids)} for name, ids in used.items()}


def ids_sha256(ids: NDArray[np.int64]) -> str:
    """Returns the SHA-256 of ids in ascending order, 8 bytes each, little-endian.

    It is equal for the same examples in any order.
    """
    return hashlib.sha256(np.sort(ids).astype("<i8").tobytes()).hexdigest()


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def device_name(device: str) -> str | None:
    """Returns the name of a GPU; None for a CPU."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else None
