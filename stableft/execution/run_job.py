"""Run job: from a job to its record. Imported only in training processes, since it imports torch."""

import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.utils import logging

from stableft.core.errors import Damaged, NoDevice
from stableft.core.feasibility import outline
from stableft.core.files import locked
from stableft.execution import provenance, run_provenance
from stableft.execution.job import Job, Progress, score_split
from stableft.models import layers, token_cache
from stableft.models.model import Model
from stableft.models.tokens import Data, encode
from stableft.models.weights import decay_factor, save_weights
from stableft.storage.frames import metrics_frame, predictions_frame
from stableft.storage.records import RunRecord
from stableft.storage.store import Store
from stableft.tasks import scores
from stableft.tasks.catalog import get_task
from stableft.training import memory
from stableft.training.checkpointing import Checkpointer
from stableft.training.evaluation import Predictions
from stableft.training.loop import train
from stableft.training.runtime import Runtime
from stableft.training.setup import build

PROGRESS_SECONDS = 0.5
TOKENS = "tokens"  # subfolder of tokenised data
_ENCODED: dict[str, Data] = {}  # tokenised data that this process has open


def run_one(job: Job, progress: Progress = lambda step, total, loss: None) -> RunRecord:
    """Trains one run and returns its record; the caller writes it.

    Missing source runs are trained first, and their records written. If several processes need the
    same source run, one trains it and the others wait.

    Args:
        job: The run.
        progress: Called at most every `PROGRESS_SECONDS`; steps of source runs count.

    Raises:
        NoDevice: The device does not exist.
        MissingInput: Files of the encoder, or weights of another run, can't be read.
    """
    done = 0
    weights: dict[str, Path] = {}
    for name, source in job.sources.items():
        weights[name] = Store(job.results).weights_path(source.run_id)
        with locked(weights[name].with_suffix(".lock")):
            if not weights[name].is_file():
                done += _train_source(source, _shifted(progress, done, _num_steps(job)), weights[name])
    return _train(job, weights, _shifted(progress, done))[0]


def _train_source(job: Job, progress: Progress, path: Path) -> int:
    """Trains a source run, writes its weights and then its record, and returns its number of steps."""
    record, model = _train(job, {}, progress)
    lrs = record.metrics.query("split == 'train' and metric == 'lr'")["value"]
    save_weights(model, job.encoder, path, unread_decay=decay_factor(lrs, job.config.adam.weight_decay))
    Store(job.results).write(record)
    return record.facts["num_steps"]


def _shifted(progress: Progress, before: int, after: int = 0) -> Progress:
    """Returns the callback for one of several runs, adding the steps before and after it."""
    return lambda step, total, loss: progress(before + step, before + total + after, loss)


def _num_steps(job: Job) -> int:
    return outline(job.config, len(job.data.train), job.encoder.settings).num_steps


def _train(job: Job, weights: Mapping[str, Path], progress: Progress) -> tuple[RunRecord, Model]:
    """Trains a run whose sources exist; returns its record and the model after the last step."""
    # Device, threads and memory counters of this process.
    _check_device(job.device)
    began = time.monotonic()
    torch.set_num_threads(job.threads)
    quiet_transformers()
    memory.reset_peak_memory()
    # Data, model and optimizer, and any checkpoint of an earlier attempt.
    fingerprint = job.data.fingerprint
    data = _encoded(job)
    runtime = Runtime(device=job.device, packed=job.packed)
    setup = build(job.config, data, job.encoder, runtime, weights)
    checkpointer = checkpointer_for(job, began)
    # The loop yields metric rows and predictions; both are kept with the checkpoint.
    reported = 0.0
    for item in train(setup, data, runtime, checkpointer):
        if isinstance(item, Predictions):
            checkpointer.predictions.append(item)
            continue
        checkpointer.rows.append(item)
        is_loss = item.split == "train" and item.metric in ("loss", "surface_loss")
        if is_loss and (now := time.monotonic()) - reported > PROGRESS_SECONDS:
            progress(item.step, setup.num_steps, item.value)
            reported = now
    # The record.
    split = score_split(job.data)
    judged = data.splits[split]
    record = RunRecord(
        run_id=job.run_id,
        outcome="ok" if checkpointer.predictions else "diverged",
        config=run_provenance.recorded_config(job),
        facts={
            "score_name": data.task.score,
            "score_split": split,
            "majority_score": scores.constant(data.task.score, judged.labels, offsets=judged.word_offsets, names=data.task.labels),
            "num_steps": setup.num_steps,
            "num_train": len(setup.train_indices),
            "data_fingerprint": fingerprint,
            "weights_fingerprint": job.encoder.fingerprint,
            **({"sources": " ".join(source.run_id for source in job.sources.values())} if job.sources else {}),
        },
        provenance=run_provenance.describe_run(job, setup, data, checkpointer.cost()),
        metrics=metrics_frame(checkpointer.rows),
        predictions=predictions_frame(checkpointer.predictions),
    )
    return record, setup.model


def checkpointer_for(job: Job, began: float) -> Checkpointer:
    """Returns the run's checkpointer, with any checkpoint of an earlier attempt loaded.

    Quarantines a damaged checkpoint.

    Args:
        job: The run.
        began: Start of this attempt by `time.monotonic`.
    """
    # Only a checkpoint of the same run, code and arithmetic continues bit for bit.
    static, store = provenance.static(), Store(job.results)
    identity = {
        "run": job.run_id,
        "code": provenance.code_sha256(),
        **{name: static[name] for name in ("python", "packages")},
        **{name: static["hardware"][name] for name in ("machine", "cpu")},
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "products": asdict(layers.PRODUCTS),
        "environment": provenance.environment(provenance.ARITHMETIC),
        "device": [job.device, run_provenance.device_name(job.device)],
        "threads": job.threads,
        "packed": job.packed,
    }

    def warn(message: str) -> None:
        print(message, file=sys.stderr)

    checkpointer = Checkpointer(store.checkpoint_path(job.run_id), identity, 60 * job.checkpoint_minutes or None, began, warn)
    try:
        checkpointer.load()
    except Damaged as error:
        warn(f"{error} It was set aside as {store.set_aside(error.path)}, and the run starts again.")
    return checkpointer


def _encoded(job: Job) -> Data:
    """Returns the job's data as tokens. The first process tokenises them, and all memory-map them."""
    task, length = job.task or get_task(job.config.task), job.config.max_length
    key = token_cache.key(task=task.name, data=job.data.fingerprint, weights=job.encoder.fingerprint, max_length=length)
    if key not in _ENCODED:

        def make() -> tuple[token_cache.Splits, NDArray[np.int64]]:
            data = encode(task, job.data, job.encoder, length)
            return data.splits, data.pieces

        _ENCODED[key] = Data(task, *token_cache.load_or_make(job.results / TOKENS / key, make))
    return _ENCODED[key]


def quiet_transformers() -> None:
    logging.set_verbosity_error()
    logging.disable_progress_bar()


def _check_device(name: str) -> None:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise NoDevice(f"device {name}: torch knows no such device; write cpu, cuda or cuda:0") from error
    if device.type == "cuda" and (device.index or 0) >= (count := torch.cuda.device_count()):
        sees = f"{count} CUDA devices" if count else "no CUDA device"
        raise NoDevice(f"device {name}: this torch ({torch.__version__}) sees {sees} here; use --device cpu")
