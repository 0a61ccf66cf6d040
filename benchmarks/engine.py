"""Adapter to stableft: the benchmarks' uses of its engine and runner, in one place.

``idle``, ``scheduler`` and ``gpu_parts`` also use the runner directly; others only its provenance.
"""

import json
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.subject import Evaluated, Spec, Trained, peak_gpu_mb, synchronize
from benchmarks.work import Example as Synthetic
from benchmarks.work import Shape, splits
from stableft.core.config import AdamConfig, EvaluationConfig, RunConfig, ScheduleConfig
from stableft.core.grid import Grid, Protocol
from stableft.execution import planning, runner
from stableft.execution import worker_environment as environment
from stableft.execution.backends.base import default_workers
from stableft.execution.inputs import Inputs
from stableft.execution.job import Job
from stableft.execution.run_job import run_one
from stableft.models import kernels
from stableft.models.encoders import resolve
from stableft.storage.store import Store
from stableft.tasks import Example, TaskData
from stableft.tasks.catalog import get_task
from stableft.tasks.clue import CLASSES
from stableft.tasks.glue import RTE_LABELS
from stableft.tasks.toy import VOCABULARY

LEARNING_RATE = 5e-5  # the Trainer's default
NEVER = 10**9


def worker_environment() -> dict[str, str]:
    """Returns the environment variables of the runner's training processes."""
    return {**environment.VARIABLES, "OMP_NUM_THREADS": "1"}


def onednn_product(left: Any, right: Any) -> Any:
    """Computes the product left right^T with oneDNN, as the engine does where oneDNN is faster."""
    from stableft.models.layers import matmul

    return matmul(left, right, None)


def has_bf16() -> bool:
    """Tells whether this processor has bf16 instructions; otherwise stableft refuses that precision."""
    return kernels.bf16_instructions(kernels.this_processor().flags)


def workers() -> int:
    """Returns the number of training processes that the runner uses on this machine."""
    return default_workers()


def encoder_folder(name: str) -> Path:
    """Returns the folder of an embedded encoder or of the tiny random one."""
    return resolve(name, tiny_vocabulary=VOCABULARY).folder


def batches(shape: Shape, seed: int, count: int) -> list[NDArray[np.int64]]:
    """Returns the training examples of the first ``count`` batches, in the engine's order."""
    from stableft.core.seeds import stream
    from stableft.models.tokens import epochs

    return list(islice(epochs(shape.num_train, shape.batch_size, stream(seed, "order")), count))


def configuration(
    shape: Shape, encoder: Path, *, seed: int, dropout: float, precision: str, num_steps: int, every: int
) -> RunConfig:
    """Builds a run configuration with the Trainer's defaults for everything that run_glue does not set."""
    return RunConfig.model_validate(
        {
            "task": shape.task,
            "encoder": str(encoder),
            "seed": seed,
            "batch_size": shape.batch_size,
            "max_length": shape.max_length,
            "dropout": dropout,
            "adam": AdamConfig(lr=LEARNING_RATE, eps=1e-8, weight_decay=0.0),
            "schedule": ScheduleConfig(num_steps=num_steps, warmup_steps=0),
            "evaluation": EvaluationConfig(every=every),
            "precision": precision,
        }
    )


class Engine:
    """Subject: a run of the engine, step by step.

    Options: ``packed``, ``precision`` and ``device``, by default a CPU.
    """

    def __init__(self, spec: Spec) -> None:
        import torch

        from stableft.models.tokens import encode
        from stableft.training.runtime import Runtime
        from stableft.training.setup import build

        torch.set_num_threads(1)
        self._spec = spec
        self._build = build
        made = splits(spec.shape, spec.encoder)
        self._lengths = np.asarray([example.length for example in made[0]])
        data = TaskData(*(tuple(map(_example, part)) for part in made))
        self._encoder = resolve(str(spec.encoder))
        self._execution = Runtime(device=spec.options.get("device", "cpu"), packed=spec.options["packed"])
        self._data = encode(get_task(spec.shape.task), data, self._encoder, spec.shape.max_length)
        self._config = self._configuration(1)
        self._setup = build(self._config, self._data, self._encoder, self._execution)

    def _configuration(self, num_steps: int) -> RunConfig:
        spec = self._spec
        return configuration(
            spec.shape, spec.encoder, seed=spec.seed, dropout=spec.dropout, precision=spec.options["precision"],
            num_steps=num_steps, every=NEVER,
        )  # fmt: skip

    def head(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Returns copies of the head's weight and bias, for baselines to start from."""
        head = cast(Any, self._setup.model).head
        return head.weight.detach().cpu().numpy().copy(), head.bias.detach().cpu().numpy().copy()

    def train(self, warm: int, steps: int, *, log: bool = False) -> Trained:
        """Implements `benchmarks.subject.Subject.train`."""
        self._config = self._configuration(warm + steps)
        self._setup = self._build(self._config, self._data, self._encoder, self._execution)
        losses: list[float] = []
        ends = self._step_ends(losses)
        for _ in range(warm):
            next(ends)
        synchronize()
        started = time.perf_counter()
        for _ in range(steps):
            next(ends)
        synchronize()
        seconds = time.perf_counter() - started  # without the run's last evaluation, which is not reached
        timed = np.concatenate(batches(self._spec.shape, self._spec.seed, warm + steps)[warm:])
        return Trained(seconds, int(self._lengths[timed].sum()), len(timed), losses if log else [], peak_gpu_mb())

    def _step_ends(self, losses: list[float]) -> Iterator[None]:
        from stableft.training.evaluation import MetricRow
        from stableft.training.loop import train

        for item in train(self._setup, self._data, self._execution):
            if isinstance(item, MetricRow) and item.split == "train":
                if item.metric == "loss":
                    losses.append(item.value)
                elif item.metric == "grad_norm":  # logged once at the end of a step
                    yield

    def evaluate(self, count: int) -> Evaluated:
        """Implements `benchmarks.subject.Subject.evaluate`."""
        from stableft.training.evaluation import Scorer

        started = time.perf_counter()
        scorer = Scorer(self._config, self._data, self._execution)
        _, logits = scorer.evaluate(self._setup.model, "validation", np.arange(count))
        return Evaluated(time.perf_counter() - started, logits)


def _example(made: Synthetic) -> Example:
    return Example(made.text, made.pair, made.label)


def write_task_files(shape: Shape, encoder: Path, root: Path) -> None:
    """Writes synthetic texts in the files of the real task, for its loader (``STABLEFT_DATA``)."""
    train, validation = splits(shape, encoder)
    folder = root / {"rte": "RTE", "tnews": "tnews"}[shape.task]
    folder.mkdir(parents=True)
    for name, rows in (("train", train), ("dev", validation)):
        if shape.pairs:
            lines = [f"{i}\t{row.text}\t{row.pair}\t{RTE_LABELS[row.label]}" for i, row in enumerate(rows)]
            text = "\n".join(["index\tsentence1\tsentence2\tlabel", *lines]) + "\n"
            (folder / f"{name}.tsv").write_text(text, encoding="utf-8")
        else:
            codes = list(CLASSES)
            lines = [json.dumps({"sentence": row.text, "label": codes[row.label]}) for row in rows]
            (folder / f"{name}.json").write_text("\n".join(lines) + "\n", encoding="utf-8")


def grid_of(config: RunConfig, seeds: Sequence[int]) -> Grid:
    """Builds a grid of one arm of one task at many seeds."""
    return Grid(
        "benchmark", Protocol("benchmark", {config.task: config}, [config.task], seeds, (), ""), {"only": {}}, [config.task], seeds
    )


def run_grid(config: RunConfig, seeds: Sequence[int], results: Path, *, packed: bool, processes: int) -> dict[str, Any]:
    """Runs a grid in the same way as the command line.

    Returns:
        ``ends``: times at which each run ended; ``seconds``: duration of each run inside its
        process; ``peak_mb``: largest peak memory of the runs.
    """
    store, inputs = Store(results), Inputs()
    wanted = planning.plan(grid_of(config, seeds), store, inputs)
    ends: list[float] = []
    seconds: list[float] = []
    done: list[str] = []
    for status in runner.run_grid(wanted, store, inputs, runner.ExecutionOptions(workers=processes, packed=packed)):
        if status.state != "done":
            raise RuntimeError(f"a run of the grid ended as {status.state}: {status.detail}")
        ends.append(time.time())
        seconds.append(status.seconds)
        done.append(status.job.run_id)
    peaks = [store.read(run_id).provenance["peak_memory_mb"] for run_id in done]
    return {"ends": ends, "seconds": seconds, "peak_mb": max(peaks)}


def toy_configuration() -> RunConfig:
    """Builds the configuration of a run that takes a fraction of a second."""
    return RunConfig(
        task="toy", encoder="tiny-random", batch_size=8, max_length=32, adam=AdamConfig(lr=3e-3),
        schedule=ScheduleConfig(num_steps=8, warmup_steps=0), evaluation=EvaluationConfig(every=4),
    )  # fmt: skip


def run_in_process(config: RunConfig, seeds: Sequence[int], results: Path) -> dict[str, Any]:
    """Runs the same grid in this process, one run after another, without runner and without writing."""
    inputs = Inputs()
    store = Store(results)
    ends: list[float] = []
    for planned in planning.plan(grid_of(config, seeds), store, inputs).cells:
        config = planned.cell.config
        assert planned.run_id is not None
        run_one(Job(planned.run_id, config, inputs.encoder(config.encoder), inputs.data(config.task), results))
        ends.append(time.time())
    return {"ends": ends}
