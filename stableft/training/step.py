"""Step: forward passes, losses and gradients of one batch, as the hooks of a `Setup` see them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from stableft.models.model import Model
from stableft.models.tokens import Batch
from stableft.training.evaluation import batch_losses
from stableft.training.runtime import Runtime, arithmetic


class RandomStream(Protocol):
    """A source of random numbers whose state is a tensor.

    `stableft.models.layers.DropoutStream` and ``torch.Generator`` are such.
    """

    def get_state(self) -> Tensor: ...

    def set_state(self, state: Tensor, /) -> Any: ...


class RandomState:
    """All random numbers that a step may draw: streams of the model and of techniques, torch's generators.

    Args:
        model: Model with the streams of its modules.
        streams: Streams of techniques, by name.
        device: A torch device. Its generator and that of the CPU are included.
    """

    def __init__(self, model: Model, streams: Mapping[str, RandomStream], device: str) -> None:
        self._model, self._streams, self._device = model, streams, torch.device(device)

    def tensors(self) -> dict[str, Tensor]:
        """Returns all states by name, as copies."""
        tensors = {f"stream.{name}": stream.get_state() for name, stream in self._all().items()}
        tensors["generator.cpu"] = torch.get_rng_state()
        if self._device.type == "cuda":
            tensors["generator.cuda"] = torch.cuda.get_rng_state(self._device)
        return tensors

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Restores the `tensors` of this or another process."""
        for name, stream in self._all().items():
            stream.set_state(tensors[f"stream.{name}"].clone())
        torch.set_rng_state(tensors["generator.cpu"].clone())
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(tensors["generator.cuda"].clone(), self._device)

    def _all(self) -> dict[str, RandomStream]:
        return {**self._model.streams(), **self._streams}


@dataclass(frozen=True)
class Step:
    """One step of training, up to its gradients.

    Attributes:
        done: Completed steps before it.
        model: The model, in training mode.
        batch: The batch.
        kind: That of the task: ``classification``, ``regression`` or ``tagging``.
        precision: See `RunConfig.precision`.
        runtime: Device and engine.
        random: State of all random numbers; a state taken before a pass and loaded again gives another
            pass the same dropout masks.
        objective: See `Setup.objective`.
    """

    done: int
    model: Model
    batch: Batch
    kind: str
    precision: str
    runtime: Runtime
    random: RandomState
    objective: Callable[["Step"], Tensor] | None = None

    def forward(self) -> Tensor:
        """Runs the model on the batch, and returns its outputs; each pass draws dropout masks of its own."""
        with arithmetic(self.precision, self.runtime):
            return self.model(self.batch)

    def losses(self, outputs: Tensor) -> Tensor:
        """Returns the losses of examples, words or sentences; see `batch_losses`."""
        return batch_losses(self.model, outputs, self.batch, self.kind)

    def compute(self) -> float:
        """Adds the gradients of the batch's loss to those of the parameters, and returns the loss.

        If the loss is not finite, it adds none.
        """
        loss = self.losses(self.forward()).mean() if self.objective is None else self.objective(self)
        value = loss.item()
        if np.isfinite(value):
            loss.backward()
        return value
