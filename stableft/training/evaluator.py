"""The evaluation points of a run: of its weights, of their average, and at the end of the best checkpoint."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from stableft.core.config import RunConfig
from stableft.models.model import Model
from stableft.models.tokens import Data
from stableft.training.best_checkpoint import BestCheckpoint
from stableft.training.evaluation import AVERAGE, BEST, SUBSET, Predictions, Row, evaluation_point, evaluation_subset, of_weights
from stableft.training.runtime import Execution

if TYPE_CHECKING:
    from stableft.training.loop import Setup


class Points:
    """What a run is evaluated with beside its weights, and the evaluations.

    Args:
        setup: Before the first step.
        config: Of the run.
        data: The task's tokens.
        execution: How to run.

    Attributes:
        diverged: A loss was not finite.
    """

    def __init__(self, setup: "Setup", config: RunConfig, data: Data, execution: Execution) -> None:
        self._setup = setup
        self._subset = evaluation_subset(data, config.evaluation.num_examples)
        self._point = partial(evaluation_point, config=config, data=data, execution=execution, subset=self._subset)
        self._best = BestCheckpoint(setup.model.parameters())
        self._averaged: AveragedModel | None = None
        self.diverged = False

    def take_in(self, done: int) -> None:
        """The weights after an update into their average, after ``done`` others."""
        if (average := self._setup.average) and done >= average.after:
            self._averaged = self._averaged or AveragedModel(self._setup.model, multi_avg_fn=average.update)
            self._averaged.update_parameters(self._setup.model)

    def at(self, step: int) -> Iterator[Row | Predictions]:
        """The rows of one point; ends, ``diverged``, with a loss that is not finite."""
        last = step == self._setup.num_steps
        chosen_by = ("validation", "score", "" if self._subset is None else SUBSET)
        rows: list[Row] = []
        for item in self._point(self._setup.model, step=step, last=last):
            yield item
            if isinstance(item, Predictions):
                continue
            rows.append(item)
            if item.metric == "loss" and not np.isfinite(item.value):
                self.diverged = True
                return
            if (item.split, item.metric, item.scope) == chosen_by:
                self._best.offer(step, item.value)
        if self._averaged is not None:
            yield from self._point(cast(Model, self._averaged.module), step=step, last=last, of=AVERAGE)
        if last and self._best.step is not None:
            yield Row(step, "validation", "best_step", "", self._best.step)
            if self._best.step == step:
                yield from (row._replace(scope=of_weights(BEST, row.scope)) for row in rows)
                return
            with self._best.restored():
                yield from self._point(self._setup.model, step=step, last=True, of=BEST)

    def tensors(self) -> dict[str, Tensor]:
        """The best checkpoint and the average as they are now, by name."""
        found = {f"best.{name}": tensor for name, tensor in self._best.tensors().items()}
        if self._averaged is not None:
            found |= {f"average.{name}": tensor for name, tensor in _tensors_of(self._averaged).items()}
        return found

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes over what `tensors` gave in another process, after the same setup."""
        self._best.load(within(tensors, "best"))
        if average := within(tensors, "average"):
            assert self._setup.average is not None
            self._averaged = AveragedModel(self._setup.model, multi_avg_fn=self._setup.average.update)
            for name, tensor in _tensors_of(self._averaged).items():
                tensor.copy_(average[name])


def _tensors_of(averaged: AveragedModel) -> dict[str, Tensor]:
    return {"n_averaged": averaged.n_averaged, **dict(averaged.named_parameters())}


def within(tensors: Mapping[str, Tensor], group: str) -> dict[str, Tensor]:
    """Those whose names begin with the group's and a dot, by what follows."""
    return {name.removeprefix(f"{group}."): tensor for name, tensor in tensors.items() if name.startswith(f"{group}.")}
