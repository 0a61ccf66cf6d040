"""What happens inside a training process: one run at a time, from a job to a record."""

import contextlib
import errno
import io
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stableft.core import registry as discover
from stableft.core.config import RunConfig
from stableft.core.errors import NoDevice, StableftError
from stableft.core.files import locked
from stableft.core.outline import outline
from stableft.execution import run_provenance as circumstances
from stableft.execution.attempts import keeper_of
from stableft.models.encoders import Encoder
from stableft.storage.frames import metrics_frame, predictions_frame
from stableft.storage.run_state import told_in
from stableft.storage.run_summary import ended
from stableft.storage.store import RunRecord, Store
from stableft.tasks import Task, TaskData, scores

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from stableft.models import token_cache
    from stableft.models.model import Model
    from stableft.models.tokens import Data

Progress = Callable[[int, int, float], None]
PROGRESS_SECONDS = 0.5
TOKENS = "tokens"  # folder of tokenised data beneath the results
_ENCODED: "dict[str, Data]" = {}  # tokenised data that this process has open


@dataclass(frozen=True)
class Job:
    """One run to be done.

    Attributes:
        run_id: Its identity, derived from the config and the two fingerprints.
        config: What to run.
        encoder: Where the weights are.
        data: The task's examples; they travel with the job, since loading them can take longer than sending them.
        results: The results folder.
        device: Such as ``cpu`` or ``cuda``.
        threads: CPU threads; part of what bit-identical results need, so recorded.
        packed: Without padding, or padded as the reference.
        task: The task, if the config's name is that of a user's file rather than of a registered task.
        sources: The runs whose weights this one needs (`RunConfig.sources`). Each is done first, here, unless they are there.
        checkpoint_minutes: Of training between two checkpoints, and before the first; 0: none are written or read.
        code: What git says of the code (`stableft.execution.checkout.Checkout.keep`); None: whoever does the run asks. Told by
            who starts it, since files may be edited meanwhile, and a worker elsewhere has the same source, but perhaps no checkout.
        attempts: How often this run was started, this time included; for its provenance.
        identify: Its provenance names host and user.
    """

    run_id: str
    config: RunConfig
    encoder: Encoder
    data: TaskData
    results: Path
    device: str = "cpu"
    threads: int = 1
    packed: bool = True
    task: Task | None = None
    sources: "Mapping[str, Job]" = field(default_factory=dict)
    checkpoint_minutes: float = 0.0
    code: "Mapping[str, Any] | None" = None
    attempts: int = 1
    identify: bool = False


def score_split(data: TaskData) -> Literal["validation", "test"]:
    """The split that a run on this data is judged by: test where there is one."""
    return "test" if data.test else "validation"


def run_one(job: Job, progress: Progress = lambda step, total, loss: None) -> RunRecord:
    """Trains one run and returns its record; the caller writes it.

    Runs whose weights it needs are trained before, unless these are there, and their records written. Several processes that want
    the same one wait for the first.

    Args:
        job: What to run.
        progress: Told the step, the number of steps and the training loss, now and then; steps of runs that are done before count.

    Raises:
        NoDevice: there is no such device.
        MissingInput: the encoder's files, or another run's weights, can't be read.
    """
    done = 0
    weights: dict[str, Path] = {}
    for name, source in job.sources.items():
        weights[name] = Store(job.results).weights_path(source.run_id)
        with locked(weights[name].with_suffix(".lock")):
            if not weights[name].is_file():
                done += _train_source(source, _beside(progress, done, _num_steps(job)), weights[name])
    return _train(job, weights, _beside(progress, done))[0]


def _train_source(job: Job, progress: Progress, path: Path) -> int:
    """Trains a run for its weights, writes these and then its record, and returns how many steps it took."""
    from stableft.models.weights import decay_factor, save_weights

    record, model = _train(job, {}, progress)
    lrs = record.metrics.query("split == 'train' and metric == 'lr'")["value"]
    save_weights(model, job.encoder, path, unread_decay=decay_factor(lrs, job.config.adam.weight_decay))
    Store(job.results).write(record)
    return record.facts["num_steps"]


def _beside(progress: Progress, done: int, to_come: int = 0) -> Progress:
    """Progress of one of several runs that count as one."""
    return lambda step, total, loss: progress(done + step, done + total + to_come, loss)


def _num_steps(job: Job) -> int:
    return outline(job.config, len(job.data.train), job.encoder.settings).num_steps


def _train(job: Job, weights: Mapping[str, Path], progress: Progress) -> "tuple[RunRecord, Model]":
    """Trains one run whose sources are there; returns its record and the model as it ended."""
    import torch

    from stableft.training import memory
    from stableft.training.evaluation import Predictions
    from stableft.training.loop import train
    from stableft.training.runtime import Runtime
    from stableft.training.setup import build

    _check_device(job.device)
    began = time.monotonic()
    torch.set_num_threads(job.threads)
    _quiet_transformers()
    memory.reset_peak_memory()
    fingerprint = job.data.fingerprint
    data = _encoded(job)
    execution = Runtime(device=job.device, packed=job.packed)
    setup = build(job.config, data, job.encoder, execution, weights)
    keeper = keeper_of(job, circumstances.device_name(job.device), began)
    told = 0.0
    for item in train(setup, data, execution, keeper):
        if isinstance(item, Predictions):
            keeper.predictions.append(item)
            continue
        keeper.rows.append(item)
        if (
            item.split == "train"
            and item.metric in ("loss", "surface_loss")
            and (now := time.monotonic()) - told > PROGRESS_SECONDS
        ):
            progress(item.step, setup.num_steps, item.value)
            told = now
    split = score_split(job.data)
    judged = data.splits[split]
    record = RunRecord(
        run_id=job.run_id,
        outcome="ok" if keeper.predictions else "diverged",
        config=circumstances.config_of(job),
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
        provenance=circumstances.of_run(job, setup, data, keeper.cost()),
        metrics=metrics_frame(keeper.rows),
        predictions=predictions_frame(keeper.predictions),
    )
    return record, setup.model


def _encoded(job: Job) -> "Data":
    """The job's data as tokens: tokenised by the first process that needs them, memory-mapped by all."""
    from stableft.models import token_cache
    from stableft.models.tokens import Data, encode

    task, length = job.task or discover.task(job.config.task), job.config.max_length
    key = token_cache.key(task=task.name, data=job.data.fingerprint, weights=job.encoder.fingerprint, max_length=length)
    if key not in _ENCODED:

        def make() -> "tuple[token_cache.Splits, NDArray[np.int64]]":
            data = encode(task, job.data, job.encoder, length)
            return data.splits, data.pieces

        _ENCODED[key] = Data(task, *token_cache.load_or_make(job.results / TOKENS / key, make))
    return _ENCODED[key]


def serve(connection: Connection) -> None:
    """The main function of a training process: does jobs until the supervisor hangs up.

    Imports, tokenised data and files in the page cache are paid for once, not per run. Answers are tuples:
    ``("progress", step, total, loss)``, ``("done", outcome, seconds)``, ``("refused", message)`` for an error that the user
    can mend, ``("device", message)`` and ``("io", message)`` if there is no such device or nothing can be written,
    ``("oom", message)`` if there is not enough memory, ``("crashed", message)`` for any other, ``("busy",)`` if another command is
    doing the very run.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the supervisor decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _die_with_parent()
    while True:
        try:
            job: Job = connection.recv()
        except EOFError:
            return
        store = Store(job.results)
        try:
            with _output_to(store.log_path(job.run_id)):
                answer = _answer(job, store, lambda step, total, loss: connection.send(("progress", step, total, loss)))
        except OSError as error:  # not even a log can be written
            answer = ("io", f"can't write under {job.results}: {error}")
        if answer[0] == "done":
            store.log_path(job.run_id).unlink(missing_ok=True)
        connection.send(answer)


def _answer(job: Job, store: Store, progress: Progress) -> tuple[Any, ...]:
    try:
        with store.claimed(job.run_id) as claim:
            if claim is None:
                return ("busy",)
            if found := ended(store, job.run_id):
                return ("done", *found)
            record = run_one(job, told_in(claim, progress))
            store.write(record)
    except NoDevice as error:
        return ("device", str(error))
    except StableftError as error:
        return ("refused", str(error))
    except OSError as error:
        traceback.print_exc()
        return ("io" if error.errno in _HOPELESS else "crashed", f"{type(error).__name__}: {error}")
    except (MemoryError, *_no_device_memory()) as error:
        return ("oom", f"{type(error).__name__}: {error}")
    except Exception as error:  # the process survives a failed run; the traceback is in the log
        traceback.print_exc()
        return ("crashed", f"{type(error).__name__}: {error}")
    return ("done", record.outcome, record.provenance["seconds"])


def _no_device_memory() -> tuple[type[Exception], ...]:
    torch = sys.modules.get("torch")  # without it nothing was computed
    return (torch.OutOfMemoryError,) if torch else ()


# Errors that a second try would only repeat: no space, read-only, no permission, over quota.
_HOPELESS = frozenset({errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT})


def _quiet_transformers() -> None:
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def _check_device(name: str) -> None:
    import torch

    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise NoDevice(f"device {name}: torch knows no such device; write cpu, cuda or cuda:0") from error
    if device.type == "cuda" and (device.index or 0) >= (count := torch.cuda.device_count()):
        sees = f"{count} CUDA devices" if count else "no CUDA device"
        raise NoDevice(f"device {name}: this torch ({torch.__version__}) sees {sees} here; use --device cpu")


def _die_with_parent() -> None:
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def _output_to(path: Path) -> Any:
    """Sends this process's stdout and stderr, native code's included, to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    keep = [os.dup(fd) for fd in (1, 2)]
    with open(path, "ab", buffering=0) as log:
        for fd in (1, 2):
            os.dup2(log.fileno(), fd)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(io.UnsupportedOperation, ValueError):
                stream.flush()
        for fd, old in zip((1, 2), keep, strict=True):
            os.dup2(old, fd)
            os.close(old)
