"""Baselines: the Hugging Face Trainer with the usual settings, and a tuned loop around the same model."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import torch
from datasets import Dataset, disable_progress_bars
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    EvalPrediction,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    default_data_collator,
    get_linear_schedule_with_warmup,
)
from transformers.utils import logging

from benchmarks.engine import LEARNING_RATE, batches
from benchmarks.subject import Evaluated, Spec, Trained, peak_gpu_mb, synchronize
from benchmarks.work import Example, splits

EVALUATION_BATCH = 32  # of the tuned loop; larger batches do not fit the cache and are slower

logging.set_verbosity_error()
logging.disable_progress_bar()
disable_progress_bars()


def load_model(folder: Path, num_labels: int, dropout: float) -> Any:
    """Loads the encoder with the library's own classification head."""
    return AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=num_labels, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout
    )


def tokenised(tokenizer: Any, rows: Sequence[Example], max_length: int, *, pad: bool) -> dict[str, Any]:
    """Tokenises texts as run_glue does: truncated, and with ``pad`` padded to the longest input."""
    pairs = [row.pair for row in rows] if rows[0].pair is not None else None
    texts = [row.text for row in rows]
    encoded = tokenizer(texts, pairs, truncation=True, max_length=max_length, padding="max_length" if pad else False)
    return {**encoded, "label": [row.label for row in rows]}


def accuracy(prediction: EvalPrediction) -> dict[str, float]:
    """Computes the accuracy as run_glue reports it."""
    return {"accuracy": float((np.asarray(prediction.predictions).argmax(axis=1) == prediction.label_ids).mean())}


def make_trainer(
    model: Any,
    tokenizer: Any,
    *,
    pad: bool,
    train: Any,
    validation: Any,
    compute_metrics: Any,
    callbacks: Any = None,
    **arguments: Any,
) -> Trainer:
    """Builds a Trainer with run_glue's defaults, but without saving and reporting.

    Args:
        model: Changed in place.
        tokenizer: Pads batches unless ``pad``.
        pad: Whether examples are padded already, as run_glue does by default.
        train, validation: Tokenised datasets.
        compute_metrics: Metrics of an evaluation.
        callbacks: Additional callbacks.
        arguments: Arguments of `TrainingArguments`.
    """
    settings = TrainingArguments(
        output_dir=mkdtemp(prefix="trainer-"), save_strategy="no", report_to="none", disable_tqdm=True, **arguments
    )
    return Trainer(
        model=model,
        args=settings,
        data_collator=default_data_collator if pad else DataCollatorWithPadding(tokenizer),
        train_dataset=train,
        eval_dataset=validation,
        compute_metrics=compute_metrics,
        callbacks=callbacks,
    )


def arithmetic(device: str, precision: str) -> dict[str, bool]:
    """Returns the Trainer's arguments for a device and a precision.

    On a GPU tf32 is turned on or off explicitly, whatever torch's default is.
    """
    on_cpu = device == "cpu"
    return {"use_cpu": on_cpu, "bf16": precision == "bf16", **({} if on_cpu else {"tf32": precision == "tf32"})}


class _Watch(TrainerCallback):
    """Records the end of each step, and the losses if they are logged.

    Args:
        exact: Numbers of the steps whose end waits for the GPU.
    """

    def __init__(self, exact: Collection[int] = ()) -> None:
        self._exact = exact
        self.ends: list[float] = []
        self.losses: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        if len(self.ends) + 1 in self._exact:
            synchronize()
        self.ends.append(time.perf_counter())

    def on_log(self, *_: Any, logs: dict[str, float] | None = None, **__: Any) -> None:
        if logs and "loss" in logs:
            self.losses.append(logs["loss"])


class _Baseline:
    """Common parts of both baselines: the model, the texts, and the order of the batches.

    Options: ``head``: weight and bias to start from.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.training, self.validation = splits(spec.shape, spec.encoder)
        self.tokenizer = AutoTokenizer.from_pretrained(spec.encoder)
        self.model = load_model(spec.encoder, spec.shape.num_labels, spec.dropout)
        if "head" in spec.options:
            with torch.no_grad():
                for parameter, value in zip(self.model.classifier.parameters(), spec.options["head"], strict=True):
                    parameter.copy_(torch.from_numpy(value))

    def batches(self, count: int) -> list[NDArray[np.int64]]:
        return batches(self.spec.shape, self.spec.seed, count)

    def result(self, seconds: float, timed: Sequence[NDArray[np.int64]], losses: list[float]) -> Trained:
        used = [self.training[i].length for i in np.concatenate(timed)]
        return Trained(seconds, sum(used), len(used), losses, peak_gpu_mb())


class TrainerSubject(_Baseline):
    """Subject: the Trainer with run_glue's defaults.

    Options: ``pad``: whether to pad to the longest input instead of the longest of each batch;
    ``precision`` and ``device``, by default fp32 on a CPU.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self._logits: Any = None
        self._trainer = self._make([0] * spec.shape.batch_size, max_steps=1)

    def _dataset(self, rows: Sequence[Example]) -> Dataset:
        pad = self.spec.options["pad"]
        return Dataset.from_dict(tokenised(self.tokenizer, rows, self.spec.shape.max_length, pad=pad))

    def _make(self, order: Sequence[int], exact: Collection[int] = (), **arguments: Any) -> Trainer:
        def keep(prediction: EvalPrediction) -> dict[str, float]:
            self._logits = prediction.predictions
            return accuracy(prediction)

        options = self.spec.options
        self._watch = _Watch(exact)
        return make_trainer(
            self.model, self.tokenizer, pad=options["pad"], train=self._dataset([self.training[i] for i in order]),
            validation=None, compute_metrics=keep, callbacks=[self._watch],
            per_device_train_batch_size=self.spec.shape.batch_size, train_sampling_strategy="sequential",
            **arithmetic(options.get("device", "cpu"), options.get("precision", "fp32")), **arguments,
        )  # fmt: skip

    def train(self, warm: int, steps: int, *, log: bool = False) -> Trained:
        """Implements `benchmarks.subject.Subject.train`."""
        order = self.batches(warm + steps)
        logging_steps = {"logging_steps": 1} if log else {}
        self._trainer = self._make(np.concatenate(order).tolist(), (warm, warm + steps), max_steps=warm + steps, **logging_steps)
        started = time.perf_counter()
        self._trainer.train()
        ends = self._watch.ends
        return self.result(ends[-1] - (ends[warm - 1] if warm else started), order[warm:], self._watch.losses)

    def evaluate(self, count: int) -> Evaluated:
        """Implements `benchmarks.subject.Subject.evaluate`."""
        dataset = self._dataset(self.validation[:count])
        started = time.perf_counter()
        self._trainer.evaluate(dataset)  # pyright: ignore[reportArgumentType]
        return Evaluated(time.perf_counter() - started, np.asarray(self._logits, np.float32))


class Loop:
    """A tuned plain loop.

    Each batch is padded to its longest input; evaluation is sorted by length and runs in inference
    mode.

    Args:
        model: Changed in place.
        num_steps: Length of the schedule, which falls linearly to 0 like the Trainer's.
    """

    def __init__(self, model: Any, num_steps: int) -> None:
        self.model = model
        decayed = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.0, fused=True)
        self._optimizer = decayed
        self._schedule = get_linear_schedule_with_warmup(decayed, 0, num_steps)

    def step(self, inputs: dict[str, Tensor]) -> Tensor:
        """Takes one optimizer step on a batch with labels, and returns its loss."""
        self.model.train()
        loss = self.model(**inputs).loss
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimizer.step()
        self._schedule.step()
        self._optimizer.zero_grad()
        return loss.detach()


def padded(rows: Sequence[tuple[list[int], list[int], int]]) -> dict[str, Tensor]:
    """Collates rows of (ids, segments, label) into a batch, padded to its longest row."""

    def pad(values: Sequence[list[int]]) -> Tensor:
        return nn.utils.rnn.pad_sequence([torch.tensor(value) for value in values], batch_first=True)

    ids, segments, labels = zip(*rows, strict=True)
    return {
        "input_ids": pad(ids), "token_type_ids": pad(segments), "attention_mask": pad([[1] * len(value) for value in ids]),
        "labels": torch.tensor(labels),
    }  # fmt: skip


def loop_rows(encoded: dict[str, Any]) -> list[tuple[list[int], list[int], int]]:
    """Converts tokenised columns to rows for `padded`."""
    return list(zip(encoded["input_ids"], encoded["token_type_ids"], encoded["label"], strict=True))


def by_length(rows: Sequence[tuple[list[int], list[int], int]]) -> Iterator[list[int]]:
    """Yields the indices of evaluation batches, shortest rows first."""
    order = sorted(range(len(rows)), key=lambda i: len(rows[i][0]))
    for start in range(0, len(order), EVALUATION_BATCH):
        yield order[start : start + EVALUATION_BATCH]


@torch.inference_mode()
def loop_evaluate(model: Any, rows: Sequence[tuple[list[int], list[int], int]]) -> NDArray[np.float32]:
    """Computes the logits of all rows, in their own order."""
    model.eval()
    logits = np.empty((len(rows), model.config.num_labels), np.float32)
    for where in by_length(rows):
        inputs = padded([rows[i] for i in where])
        del inputs["labels"]
        logits[where] = model(**inputs).logits.numpy()
    return logits


class LoopSubject(_Baseline):
    """Subject: the tuned loop."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)

        def rows(part: Sequence[Example]) -> list[tuple[list[int], list[int], int]]:
            return loop_rows(tokenised(self.tokenizer, part, spec.shape.max_length, pad=False))

        self._training, self._validation = rows(self.training), rows(self.validation)

    def train(self, warm: int, steps: int, *, log: bool = False) -> Trained:
        """Implements `benchmarks.subject.Subject.train`."""
        order = self.batches(warm + steps)
        loop = Loop(self.model, warm + steps)
        losses: list[float] = []
        started = time.perf_counter()
        for number, batch in enumerate(order, 1):
            loss = loop.step(padded([self._training[i] for i in batch]))
            if log:
                losses.append(loss.item())
            if number == warm:
                started = time.perf_counter()
        return self.result(time.perf_counter() - started, order[warm:], losses)

    def evaluate(self, count: int) -> Evaluated:
        """Implements `benchmarks.subject.Subject.evaluate`."""
        started = time.perf_counter()
        logits = loop_evaluate(self.model, self._validation[:count])
        return Evaluated(time.perf_counter() - started, logits)


def whole_run(spec: Spec, files: dict[str, str], cache: str, steps: int, every: int) -> dict[str, float]:
    """Runs a whole run as run_glue does: files, tokenising (cached), model, training with evaluations.

    Returns:
        ``began`` and ``ended``: start and end of training; ``threads``: number of threads.
    """
    from datasets import load_dataset

    shape, tokenizer = spec.shape, AutoTokenizer.from_pretrained(spec.encoder)
    pad = spec.options.get("pad", False)

    def encode(columns: dict[str, list[Any]]) -> dict[str, Any]:
        pairs = columns["pair"] if shape.pairs else None
        return tokenizer(
            columns["text"], pairs, truncation=True, max_length=shape.max_length, padding="max_length" if pad else False
        )

    loaded: Any = load_dataset("json", data_files=files, cache_dir=cache)
    data = loaded.map(encode, batched=True, remove_columns=["text", "pair", "length"])
    model = load_model(spec.encoder, shape.num_labels, spec.dropout)
    train = _loop_run if "pad" not in spec.options else _trainer_run
    return train(model, tokenizer, spec, data, steps, every)


def _trainer_run(model: Any, tokenizer: Any, spec: Spec, data: Any, steps: int, every: int) -> dict[str, float]:
    trainer = make_trainer(
        model, tokenizer, pad=spec.options["pad"], train=data["train"], validation=data["validation"], compute_metrics=accuracy,
        per_device_train_batch_size=spec.shape.batch_size, max_steps=steps, eval_strategy="steps", eval_steps=every, seed=spec.seed,
    )  # fmt: skip
    return _timed(trainer.train)


def _loop_run(model: Any, tokenizer: Any, spec: Spec, data: Any, steps: int, every: int) -> dict[str, float]:
    training, validation = (loop_rows(data[name][:]) for name in ("train", "validation"))
    labels = np.asarray([row[2] for row in validation])
    order = batches(spec.shape, spec.seed, steps)

    def train() -> None:
        loop = Loop(model, steps)
        for number, batch in enumerate(order, 1):
            loop.step(padded([training[i] for i in batch]))
            if number % every == 0:
                float((loop_evaluate(model, validation).argmax(axis=1) == labels).mean())

    return _timed(train)


def _timed(train: Callable[[], Any]) -> dict[str, float]:
    began = time.time()
    train()
    return {"began": began, "ended": time.time(), "threads": torch.get_num_threads()}
