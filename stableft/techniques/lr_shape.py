"""Shape of the learning rate after the warm-up: linear, cosine or constant."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal, Self, final

from stableft.core.technique import Stage, Technique

if TYPE_CHECKING:
    from stableft.training.setup import Setup


@final
class LRShape(Technique):
    """Another decay of the learning rate than a straight line to 0.

    Claim: After the warm-up the rate's shape matters little.

    Definition: With T steps, of which W are the warm-up, the update after t >= W others has the
    factor (1 + cos(pi (t - W) / (T - W))) / 2 for ``cosine`` and 1 for ``constant``. The warm-up is
    the run's.

    Parameters: ``shape``: ``cosine``, ``constant``, or ``linear``, that of the run; no default.

    Null: ``LRShape(shape="linear")``.

    Interactions: Factors of llrd, grouped_llrd and head_lr multiply the rate. swa with ``scale``
    follows from the rate that it finds at its start. ``adam.lr_bias`` acts on the result.

    Deviations: None: the factors are those of ``transformers``' ``get_cosine_schedule_with_warmup``
    (with its half cycle) and ``get_constant_schedule_with_warmup``.

    Cost: None: the same steps at other rates. Together they are longer steps: the mean factor
    without warm-up is 1/2 for ``linear`` and ``cosine`` and 1 for ``constant``.

    Reference: Loshchilov & Hutter (2017), SGDR: Stochastic Gradient Descent with Warm Restarts, for
    the cosine, here without restarts; ``transformers.optimization``. Mosbach et al. (2021) and
    Zhang et al. (2021) decay linearly.
    """

    name: ClassVar[str] = "lr_shape"
    stage: ClassVar[Stage] = Stage.SCHEDULE

    shape: Literal["linear", "cosine", "constant"]

    @classmethod
    def null(cls) -> Self:
        """Returns the setting with the run's own decay."""
        return cls(shape="linear")

    def lr_factors(self, factors: Sequence[float], steps_per_epoch: int | None) -> Mapping[int, float]:
        """Returns the factors after the warm-up; none for the run's own decay."""
        if self.shape == "linear" or 1.0 not in factors:  # all of it is warm-up
            return {}
        warmup, total = factors.index(1.0), len(factors)
        if self.shape == "constant":
            return dict.fromkeys(range(warmup, total), 1.0)
        return {done: (1 + math.cos(math.pi * (done - warmup) / (total - warmup))) / 2 for done in range(warmup, total)}

    def apply(self, setup: "Setup") -> "Setup":
        """Overrides the factors of the schedule."""
        factors = self.lr_factors([setup.lr_factor(done) for done in range(setup.num_steps)], None)
        return replace(setup, lr_factors={**setup.lr_factors, **factors})
