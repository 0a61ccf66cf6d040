"""Execution options of `run`, `retry` and `plan`.

A new option is a field of `ExecutionOptions` and a parameter here.
"""

import os
from pathlib import Path
from typing import Annotated

from stableft.cli.common import TYPED, option
from stableft.core.errors import UsageError
from stableft.execution.backends import backend_registry
from stableft.execution.backends.base import Cluster
from stableft.execution.gpus import parse_gpus
from stableft.execution.runner import ExecutionOptions
from stableft.execution.supervisor import retries

PROCESSES, DASK, FAILURES = "Processes", "Dask", "Failures"
MaxRetries = Annotated[str, option("Further tries of a failed run: a number, or by kind, such as oom=0,killed=3.", panel=FAILURES)]

CheckpointMinutes = Annotated[
    float, option("Minutes between checkpoints, from which a stopped run resumes; 0: none.", panel=FAILURES, min=0)
]
KeepWeights = Annotated[
    bool, option("Keep each run's last weights, for `export`; a run without them is done again.", "--keep-weights")
]


def read_execution_options(
    jobs: Annotated[int | None, option("Runs at a time; by default one per usable core.", panel=PROCESSES, min=1)] = None,
    threads: Annotated[int, option("CPU threads of each run; other than 1 changes the last bits.", panel=PROCESSES, min=1)] = 1,
    device: Annotated[str | None, option("A torch device; by default cpu, or cuda with --gpus.", panel=PROCESSES)] = None,
    gpus: Annotated[str | None, option("Numbers of GPUs, such as 0,1; each run uses one of them.", panel=PROCESSES)] = None,
    per_gpu: Annotated[int | None, option("Runs at a time on each of --gpus; by default 1.", panel=PROCESSES, min=1)] = None,
    backend: Annotated[
        str, option("local (a process per run), serial (one process) or dask (docs/clusters.md).", panel=PROCESSES)
    ] = "local",
    padded: Annotated[bool, option("Run padded batches, like the reference implementation.", "--padded", panel=PROCESSES)] = False,
    force_bf16: Annotated[bool, option("Accept bf16 on a CPU without bf16 instructions.", "--force-bf16", panel=PROCESSES)] = False,
    scheduler: Annotated[str | None, option("Address of the scheduler, or its file.", panel=DASK)] = None,
    local_cluster: Annotated[int | None, option("Number of workers to start here, on loopback.", panel=DASK, min=1)] = None,
    gather: Annotated[bool, option("Send records back over Dask; workers need no shared disk.", "--gather", panel=DASK)] = False,
    tls_ca: Annotated[Path | None, option("The authority that both sides trust.", panel=DASK, **TYPED)] = None,
    tls_cert: Annotated[Path | None, option("Certificate of this command.", panel=DASK, **TYPED)] = None,
    tls_key: Annotated[Path | None, option("Key of this command.", panel=DASK, **TYPED)] = None,
    max_retries: MaxRetries = "1",
    timeout: Annotated[float | None, option("Seconds that a run may take.", panel=FAILURES, min=1)] = None,
    fail_fast: Annotated[bool, option("Stop at the first failed run.", "--fail-fast/--keep-going", panel=FAILURES)] = False,
    checkpoint_minutes: CheckpointMinutes = 10,
    allow_unknown: Annotated[bool, option("Accept data mostly unknown to the encoder.", "--allow-unknown")] = False,
    keep_weights: KeepWeights = False,
    identify: Annotated[bool, option("Record host and user in provenance; otherwise never recorded.", "--identify")] = False,
) -> ExecutionOptions:
    """Checks the options of a command, and returns them as `ExecutionOptions`.

    Raises:
        UsageError: options contradict each other.
    """
    # On GPUs, the number of runs at a time follows from --gpus and --per-gpu.
    backend_name = backend_registry.canonical(backend)
    numbers = parse_gpus(gpus) if gpus is not None else []
    slots = len(numbers) * (per_gpu or 1)
    if per_gpu and not numbers:
        raise UsageError("--per-gpu is the number of runs at a time on each of --gpus: name these too")
    if numbers and device not in (None, "cuda"):
        raise UsageError(f"--gpus {gpus} and --device {device} contradict each other: leave one out")
    if numbers and jobs not in (None, slots):
        raise UsageError(f"--gpus {gpus} with {per_gpu or 1} on each is {slots} runs at a time, not {jobs}: leave --jobs out")
    if numbers and backend_name != "local":
        raise UsageError(f"--gpus needs --backend local, not {backend}")
    return ExecutionOptions(
        backend=backend_name,
        workers=jobs,
        threads=threads,
        device=device or ("cuda" if numbers else "cpu"),
        packed=not padded,
        max_retries=retries(max_retries),
        timeout=timeout,
        fail_fast=fail_fast,
        cluster=Cluster(scheduler and os.path.expanduser(scheduler), local_cluster, gather, tls_ca, tls_cert, tls_key),
        gpus=numbers,
        per_gpu=per_gpu or 1,
        checkpoint_minutes=checkpoint_minutes,
        identify=identify,
        force_bf16=force_bf16,
        allow_unknown=allow_unknown,
        keep_weights=keep_weights,
    )
