"""Evaluation points of a run: its weights, their average, and at the end the best checkpoint."""

from collections.abc import Iterator, Mapping
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from stableft.models.model import Model
from stableft.training.best_checkpoint import BestCheckpoint
from stableft.training.evaluation import AVERAGE, BEST, SUBSET, MetricRow, Predictions, Scorer, of_weights
from stableft.training.setup import Setup


class Evaluator:
    """Evaluator of a run's weights, of their average and of the best checkpoint.

    Args:
        setup: Setup of the run, before the first step.
        scorer: Scorer of the run.

    Attributes:
        diverged: True after a loss that was not finite.
    """

    def __init__(self, setup: Setup, scorer: Scorer) -> None:
        self._setup, self._scorer = setup, scorer
        self._best = BestCheckpoint(setup.model.parameters())
        self._averaged: AveragedModel | None = None
        self.diverged = False

    def update_average(self, done: int) -> None:
        """Adds the weights to their average, after the update that follows ``done`` others.

        Before the average's start it does nothing.
        """
        if (average := self._setup.average) and done >= average.after:
            self._averaged = self._averaged or AveragedModel(self._setup.model, multi_avg_fn=average.update)
            self._averaged.update_parameters(self._setup.model)

    def evaluate(self, step: int) -> Iterator[MetricRow | Predictions]:
        """Yields the rows of one point. At a non-finite loss it sets ``diverged`` and ends."""
        point, model = self._scorer.point, self._setup.model
        last = step == self._setup.num_steps

        # The run's weights. Their validation score decides whether they are the best so far.
        chosen_by = ("validation", "score", "" if self._scorer.subset is None else SUBSET)
        rows: list[MetricRow] = []
        for item in point(model, step=step, last=last):
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
            yield from point(cast(Model, self._averaged.module), step=step, last=last, of=AVERAGE)

        # At the end the best checkpoint. If it is the last one, its rows are known already.
        if last and self._best.step is not None:
            yield MetricRow(step, "validation", "best_step", "", self._best.step)
            if self._best.step == step:
                yield from (row._replace(scope=of_weights(BEST, row.scope)) for row in rows)
                return
            with self._best.restored():
                yield from point(model, step=step, last=True, of=BEST)

    def tensors(self) -> dict[str, Tensor]:
        """Returns the current best checkpoint and average, by name."""
        tensors = {f"best.{name}": tensor for name, tensor in self._best.tensors().items()}
        if self._averaged is not None:
            tensors |= {f"average.{name}": tensor for name, tensor in _tensors_of(self._averaged).items()}
        return tensors

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Restores the `tensors` of another process, after the same setup."""
        self._best.load(within(tensors, "best"))
        if average := within(tensors, "average"):
            assert self._setup.average is not None
            self._averaged = AveragedModel(self._setup.model, multi_avg_fn=self._setup.average.update)
            for name, tensor in _tensors_of(self._averaged).items():
                tensor.copy_(average[name])


def _tensors_of(averaged: AveragedModel) -> dict[str, Tensor]:
    return {"n_averaged": averaged.n_averaged, **dict(averaged.named_parameters())}


def within(tensors: Mapping[str, Tensor], group: str) -> dict[str, Tensor]:
    """Returns the tensors of a group, by their names without the group's name and the dot."""
    return {name.removeprefix(f"{group}."): tensor for name, tensor in tensors.items() if name.startswith(f"{group}.")}
