"""Stochastic weight averaging: averages of the weights over the last part of a run."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Self, final

from pydantic import Field, model_validator

from stableft.core.errors import MissingInput, UsageError
from stableft.core.outline import Outline
from stableft.core.technique import PositiveInt, Stage, Technique

if TYPE_CHECKING:
    from stableft.training.setup import Setup


@final
class SWA(Technique):
    """Average of the weights after each step from some step on, evaluated next to the weights.

    Claim: The mean of the last part's weights generalises better than the last.

    Definition: Let s steps be done before the start, of T. After each step t > s the weights w_t enter:
    a_t = (w_(s+1) + ... + w_t) / (t - s), or, with ``ema_decay`` d, a_t = d a_(t-1) + (1 - d) w_t from
    a_(s+1) = w_(s+1) on. With ``scale``, the learning rate of the update after s + j others is eta (r +
    (c - r) (1 + cos(pi min(1, j / n))) / 2). It follows a cosine from the schedule's factor c at the
    start to r = ``scale`` in n = ``anneal_steps`` steps, and then is constant. Without ``scale`` the
    schedule continues. At every evaluation point after the start the average is evaluated as well: rows
    of scope ``average``, on a subset ``average.subset``. Scores and predictions without a scope remain
    those of the last weights, so that failed runs, tables and figures mean the same as in every other
    run.

    Parameters: ``start_epoch``: epochs done before the start, >= 0, and ``start_step``: alternatively
    steps; at most one of them, default neither: nothing is averaged. The CommonLit article has 3
    epochs of at most 15. ``scale``: the constant rate over eta, > 0; default none: the schedule
    continues. The article's 2e-6 with eta 3.6e-6 is 2/3.6. ``anneal_steps``: > 0, default 10, as in
    torch's SWALR. ``ema_decay``: in (0, 1); default none: equal weights.

    Null: ``SWA()``, without a start.

    Interactions: Last of all stages: it averages learnt weights, with mixout too. Factors of llrd,
    grouped_llrd and head_lr remain on the constant rate. Without ``scale`` training is the baseline's
    bit for bit, and only the rows of scope ``average`` are added.

    Deviations: Izmailov et al. run SGD and average once per epoch; the article runs AdamW and averages
    after every step, as here. In the article the constant rate is the same for all groups, which ends
    LLRD (protocol section 7, S2, caveat iii). There the average is saved but never evaluated. No
    statistics of batch normalisation need to be computed again: BERT has none.

    Cost: One pass over the weights per step after the start and a copy of them in memory; evaluation
    after the start twice.

    Reference: Izmailov, Podoprikhin, Garipov, Vetrov, Wilson (2018), Averaging Weights Leads to Wider
    Optima and Better Generalization; ``torch.optim.swa_utils``, whose averaging functions do the work;
    the CommonLit article and its notebook (protocol section 7, S2).
    """

    name: ClassVar[str] = "swa"
    stage: ClassVar[Stage] = Stage.AVERAGE

    start_epoch: Annotated[int, Field(ge=0)] | None = None
    start_step: Annotated[int, Field(ge=0)] | None = None
    scale: Annotated[float, Field(gt=0)] | None = None
    anneal_steps: PositiveInt = 10
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        if self.start_epoch is not None and self.start_step is not None:
            raise ValueError("set at most one of start_epoch and start_step")
        if self.start_epoch is None and self.start_step is None and (self.scale or self.ema_decay):
            raise ValueError("set start_epoch or start_step: without a start nothing is averaged")
        return self

    @classmethod
    def null(cls) -> Self:
        """Returns the setting without averaging."""
        return cls()

    def _start(self, steps_per_epoch: int | None) -> int | None:
        if self.start_epoch is None:
            return self.start_step
        if steps_per_epoch is None:
            raise MissingInput(f"swa: starts after {self.start_epoch} epochs, and how many steps an epoch has is not known")
        return self.start_epoch * steps_per_epoch

    def check(self, outline: Outline) -> None:
        """Refuses a start that is not before the run's end."""
        start = self._start(outline.steps_per_epoch)
        if start is not None and start >= outline.num_steps:
            raise UsageError(f"swa: the start, after {start} steps, is not before the run's end after {outline.num_steps}")

    def lr_factors(self, factors: Sequence[float], steps_per_epoch: int | None) -> Mapping[int, float]:
        """Returns the factors from the start on, if ``scale`` is set: a cosine to the constant one."""
        start = self._start(steps_per_epoch)
        if start is None or self.scale is None:
            return {}
        # By updates since the start: cosine weights from 1 to 0 over anneal_steps, then 0.
        ways = [(1 + math.cos(math.pi * min(1.0, j / self.anneal_steps))) / 2 for j in range(len(factors) - start)]
        return {start + j: self.scale + (factors[start] - self.scale) * way for j, way in enumerate(ways)}

    def apply(self, setup: "Setup") -> "Setup":
        """Sets the start and kind of the average, and the learning rates from there on."""
        from torch.optim.swa_utils import get_ema_multi_avg_fn, get_swa_multi_avg_fn

        from stableft.core.schedule import steps_per_epoch
        from stableft.training.setup import Average

        epoch = steps_per_epoch(setup.config, len(setup.train_indices))
        start = self._start(epoch)
        if start is None:
            return setup
        update = get_swa_multi_avg_fn() if self.ema_decay is None else get_ema_multi_avg_fn(self.ema_decay)
        factors = self.lr_factors([setup.lr_factor(done) for done in range(setup.num_steps)], epoch)
        return replace(setup, average=Average(start, update), lr_factors={**setup.lr_factors, **factors})
