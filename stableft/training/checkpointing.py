"""Checkpointing: saves everything that changes between steps, and restores it bit for bit.

A checkpoint holds nothing that is decided before step 0. To resume, the same
`stableft.training.setup.Setup` is built first, with its starts, targets of decay and mixing,
subsets and schedule. The order of the data is drawn again from its stream.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from stableft.core.errors import Damaged
from stableft.core.files import drop_drafts, replaced
from stableft.models.model import Model
from stableft.models.weights import read_weights, sha256
from stableft.training import memory
from stableft.training.evaluation import MetricRow, Predictions
from stableft.training.evaluator import Evaluator, within
from stableft.training.optimizer import Optimizer
from stableft.training.step import RandomState

SCHEMA = 1
NOTES = "notes"
FIELDS = ("labels", "predictions", "probabilities", "offsets")


class TrainingState:
    """State of a run between two steps: weights, Adam's state, random streams, evaluator's state.

    Args:
        model: Model as built; persistent buffers count as weights.
        optimizer: Optimizer of its parameters; its moments and step counts are part of the state.
        evaluator: Evaluator of the run.
        random: The state of all random numbers.
    """

    def __init__(self, model: Model, optimizer: Optimizer, evaluator: Evaluator, random: RandomState) -> None:
        self._model, self._optimizer, self._evaluator, self._random = model, optimizer, evaluator, random

    def tensors(self) -> dict[str, Tensor]:
        """Returns the whole state by name, each tensor in its own type.

        The tensors are the live ones, to be used before the next step.
        """
        tensors = {f"model.{name}": tensor for name, tensor in self._weights().items()}
        for name, parameter in self._model.named_parameters():
            slots = self._optimizer.state.get(parameter, {})  # a parameter without a gradient has none
            tensors |= {f"adam.{slot}.{name}": value for slot, value in slots.items()}
        tensors |= self._random.tensors()
        return tensors | {f"points.{name}": tensor for name, tensor in self._evaluator.tensors().items()}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Restores the `tensors` of another state, as copies."""
        for name, tensor in self._weights().items():
            tensor.copy_(tensors[f"model.{name}"])
        parameters = dict(self._model.named_parameters())
        for key, value in within(tensors, "adam").items():
            slot, _, name = key.partition(".")
            parameter = parameters[name]
            like = parameter if value.shape == parameter.shape else value  # moments lie in memory as their parameter does
            own = torch.empty_like(like, dtype=value.dtype, device=parameter.device, requires_grad=False)
            self._optimizer.state[parameter][slot] = own.copy_(value)
        self._evaluator.load(within(tensors, "points"))
        self._random.load(tensors)

    def _weights(self) -> dict[str, Tensor]:
        kept = self._model.state_dict().keys()
        buffers = {name: tensor for name, tensor in self._model.named_buffers() if name in kept}
        return {**dict(self._model.named_parameters()), **buffers}


@dataclass(frozen=True)
class RunCost:
    """Time and memory of a run, over all attempts that contributed to it.

    Attributes:
        started: Start of the first attempt, in seconds since 1970.
        seconds: Sum over the attempts, each up to the checkpoint from which the next one resumed.
        peak_memory_mb: Highest peak of the attempts, in MiB.
        resumed_at: Completed steps at the start of each further attempt.
    """

    started: float
    seconds: float = 0.0
    peak_memory_mb: float | None = None
    resumed_at: tuple[int, ...] = ()


class Checkpointer:
    """Reader and writer of one run's checkpoint file.

    A checkpoint is used only if everything in ``identity`` agrees: the run, code, package versions,
    device, threads and engine, each of which could change a bit. Otherwise the run starts again. A run
    continues without a checkpoint if it can't be written.

    Args:
        path: The file. Its folder is created at the first write.
        identity: JSON values.
        seconds: Time between two checkpoints, and before the first; None: none is written or read.
        began: Start of this attempt by `time.monotonic`; None: now.
        warn: Called with a message about a checkpoint that is not used or not written.

    Attributes:
        rows: Everything logged so far; the consumer of the loop appends to it.
        predictions: Predictions so far, appended likewise.
    """

    def __init__(
        self,
        path: Path,
        identity: Mapping[str, Any],
        seconds: float | None,
        began: float | None = None,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.path, self.identity, self._seconds, self._warn = path, dict(identity), seconds, warn
        self.rows: list[MetricRow] = []
        self.predictions: list[Predictions] = []
        self._began = time.monotonic() if began is None else began
        self._before = RunCost(time.time() - (time.monotonic() - self._began))
        self._tensors: dict[str, Tensor] = {}
        self._done = 0
        self._due = float("inf") if seconds is None else time.monotonic() + seconds

    def load(self) -> None:
        """Loads the checkpoint of an earlier attempt, if there is one, with its rows and predictions.

        Raises:
            Damaged: the file is damaged, or is no checkpoint of a run.
        """
        if self._seconds is None or not self.path.parent.is_dir():
            return
        drop_drafts(self.path.parent, of=self.path.name)
        if not self.path.is_file():
            return

        # Notes: they show whether the checkpoint belongs to this run and is complete.
        tensors = read_weights(self.path)
        try:
            notes = json.loads(tensors.pop(NOTES).numpy().tobytes())
        except (KeyError, ValueError):
            raise Damaged(self.path, f"{self.path} is no checkpoint of a run.") from None
        if notes["schema"] != SCHEMA or notes["identity"] != self.identity:
            theirs = notes["identity"]
            other = sorted(key for key in theirs.keys() | self.identity if theirs.get(key) != self.identity.get(key))
            return self._warn(f"{self.path} is not used, the run starts again: it has another {', '.join(other) or 'schema'}")
        if notes["layout"] != _layout(tensors):
            raise Damaged(self.path, f"{self.path} is damaged (shapes or types are not those that were written).")

        # Rows and predictions are restored now, the state in `restore`: its setup is built later.
        self._done, self._tensors = notes["done"], tensors
        self.rows = _read_rows(notes["kinds"], within(tensors, "rows"))
        self.predictions = [_read_predictions(split, within(tensors, f"predictions.{split}")) for split in notes["predictions"]]
        before = RunCost(**notes["cost"])
        self._before = replace(before, resumed_at=(*before.resumed_at, self._done))

    def cost(self) -> RunCost:
        """Returns the cost of all attempts up to now."""
        peaks = [peak for peak in (self._before.peak_memory_mb, memory.peak_memory_mb()) if peak is not None]
        seconds = self._before.seconds + time.monotonic() - self._began
        return replace(self._before, seconds=seconds, peak_memory_mb=max(peaks, default=None))

    def restore(self, state: TrainingState) -> int:
        """Restores the state read by `load`, if any, and returns the number of completed steps."""
        if self._tensors:
            state.load(self._tensors)
            self._tensors = {}
        return self._done

    def maybe_save(self, done: int, state: TrainingState) -> None:
        """Saves a checkpoint if one is due. Call it when all rows of the step are in `rows`."""
        if time.monotonic() < self._due:
            return
        try:
            self.save(done, state)
        except (OSError, SafetensorError) as error:
            self._warn(f"no checkpoint after step {done}, the run continues without: {error}")
        assert self._seconds is not None
        self._due = time.monotonic() + self._seconds

    def save(self, done: int, state: TrainingState) -> None:
        """Saves a checkpoint, whole or not at all.

        Raises:
            OSError: the disk is full or not writable; an earlier checkpoint is still there.
            SafetensorError: likewise.
        """
        kinds, rows = _rows_as_tensors(self.rows)
        tensors = state.tensors() | {f"rows.{name}": tensor for name, tensor in rows.items()}
        for part in self.predictions:
            values = {field: getattr(part, field) for field in FIELDS}
            tensors |= {f"predictions.{part.split}.{f}": torch.tensor(v) for f, v in values.items() if v is not None}
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        notes = {
            "schema": SCHEMA, "identity": self.identity, "done": done, "kinds": kinds,
            "predictions": [part.split for part in self.predictions], "cost": asdict(self.cost()), "layout": _layout(tensors),
        }  # fmt: skip
        tensors[NOTES] = torch.from_numpy(np.frombuffer(json.dumps(notes).encode(), np.uint8).copy())
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(self.path) as draft:
            save_file(tensors, draft, {"sha256": sha256(tensors)})


def _layout(tensors: Mapping[str, Tensor]) -> dict[str, list[Any]]:
    return {name: [str(tensor.dtype), *tensor.shape] for name, tensor in sorted(tensors.items())}


def _rows_as_tensors(rows: list[MetricRow]) -> tuple[list[tuple[str, str, str]], dict[str, Tensor]]:
    """Returns the kinds of rows, and all rows as tensors: index of the kind, step and value.

    Values keep all their bits, also those of a NaN.
    """
    kinds = {kind: place for place, kind in enumerate(dict.fromkeys(row[1:4] for row in rows))}
    return list(kinds), {
        "kind": torch.tensor([kinds[row[1:4]] for row in rows], dtype=torch.int64),
        "step": torch.tensor([row.step for row in rows], dtype=torch.int64),
        "value": torch.from_numpy(np.array([row.value for row in rows], np.float64)),
    }


def _read_rows(kinds: Sequence[tuple[str, str, str]], tensors: Mapping[str, Tensor]) -> list[MetricRow]:
    columns = (tensors[name].tolist() for name in ("kind", "step", "value"))
    of_rows = ((step, kinds[kind], value) for kind, step, value in zip(*columns, strict=True))
    return [MetricRow(step, split, metric, scope, value) for step, (split, metric, scope), value in of_rows]


def _read_predictions(split: str, tensors: Mapping[str, Tensor]) -> Predictions:
    return Predictions(split, *(tensors[field].numpy().copy() if field in tensors else None for field in FIELDS))  # pyright: ignore[reportArgumentType]
