"""Run job: from a job to its record. Imported only in training processes, since it imports torch."""

import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from stableft import __version__
from stableft.core.errors import Damaged
from stableft.core.feasibility import outline
from stableft.core.files import locked
from stableft.core.model_facts import ModelFacts
from stableft.execution import provenance, run_provenance
from stableft.execution.job import Job, Progress, score_split
from stableft.models import layers, token_cache
from stableft.models.loading import quiet_transformers
from stableft.models.tokens import Data, encode
from stableft.models.weights import decay_factor, save_weights
from stableft.storage import code_state, kept_weights
from stableft.storage.frames import metrics_frame, predictions_frame
from stableft.storage.records import RunRecord
from stableft.storage.store import Store, trajectory_of
from stableft.tasks import scores
from stableft.tasks.catalog import get_task
from stableft.training import memory
from stableft.training.checkpointing import Checkpointer
from stableft.training.evaluation import AVERAGE, EVALUATION_SPLITS, Predictions
from stableft.training.loop import train
from stableft.training.runtime import Runtime, check_device
from stableft.training.setup import Setup, build
from stableft.training.setup_contract import check_setup

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
    record, setup = _train(job, weights, _shifted(progress, done))
    if job.keep_weights and record.outcome == "ok":  # before the record: whoever finds that may read them
        _save(job, record, setup, Store(job.results).weights_path(job.run_id))
    return record


def _train_source(job: Job, progress: Progress, path: Path) -> int:
    """Trains a source run, writes its weights and then its record, and returns its number of steps."""
    record, setup = _train(job, {}, progress)
    _save(job, record, setup, path)
    Store(job.results).write(record)
    return record.facts["num_steps"]


def _save(job: Job, record: RunRecord, setup: Setup, path: Path) -> None:
    """Writes the weights after the last step: those of the record's predictions, not of an average."""
    # The group of the embeddings decides what decay does to those that the model left out.
    table = setup.model.encoder.get_input_embeddings().weight
    group = next(group for group in setup.groups if any(parameter is table for parameter in group.params))
    lrs = record.metrics.query("split == 'train' and metric == 'lr'")["value"] * group.lr_scale
    kept = group.decay_to is not None or group.trained_from is None
    decay = 1.0 if kept else decay_factor(lrs.iloc[group.trained_from :], group.weight_decay)
    start = next((source for name, source in setup.sources.items() if name != "surface"), None)  # a surface starts nothing
    asked = job.keep_weights and record.outcome == "ok"
    facts = {kept_weights.FACTS: _model_facts(job, record).model_dump_json()} if asked else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_weights(setup.model, job.encoder, path, unread_decay=decay, start=start, metadata=facts)


def _model_facts(job: Job, record: RunRecord) -> ModelFacts:
    task = job.task or get_task(job.config.task)
    last = record.metrics[(record.metrics["step"] == record.facts["num_steps"]) & record.metrics["split"].isin(EVALUATION_SPLITS)]
    predicted = record.predictions.groupby("split")["example"].nunique()
    return ModelFacts(
        run_id=job.run_id,
        task=task.name,
        kind=task.kind,
        labels=task.labels,
        score=task.score,
        pairs=getattr(job.data.train[0], "pair", None) is not None,
        head=job.config.head,
        max_length=job.config.max_length,
        precision=job.config.precision,
        language=task.language,
        config=record.config,
        facts=record.facts,
        examples={"train": record.facts["num_train"], **{str(split): int(number) for split, number in predicted.items()}},
        scores=_by_split(last[last["scope"] == ""]),
        average_scores=_by_split(last[last["scope"] == AVERAGE]),
        trajectory=trajectory_of(record),
        version=__version__,
    )


def _by_split(rows: pd.DataFrame) -> dict[str, dict[str, float]]:
    rows = rows[np.isfinite(rows["value"])]
    return {
        str(split): dict(zip(of["metric"].astype(str), of["value"].astype(float), strict=True))
        for split, of in rows.groupby("split")
    }


def _shifted(progress: Progress, before: int, after: int = 0) -> Progress:
    """Returns the callback for one of several runs, adding the steps before and after it."""
    return lambda step, total, loss: progress(before + step, before + total + after, loss)


def _num_steps(job: Job) -> int:
    return outline(job.config, len(job.data.train), job.encoder.settings).num_steps


def _train(job: Job, weights: Mapping[str, Path], progress: Progress) -> tuple[RunRecord, Setup]:
    """Trains a run whose sources exist; returns its record, and its setup with the last weights."""
    # Device, threads and memory counters of this process.
    check_device(job.device)
    began = time.monotonic()
    code_state.code_of(job.config)  # remembered for the record: files may be edited during the run
    torch.set_num_threads(job.threads)
    quiet_transformers()
    memory.reset_peak_memory()
    # Data, model and optimizer, and any checkpoint of an earlier attempt.
    fingerprint = job.data.fingerprint
    data = _encoded(job)
    runtime = Runtime(device=job.device, packed=job.packed)
    setup = build(job.config, data, job.encoder, runtime, weights)
    check_setup(setup, job.config)
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
    return record, setup


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
