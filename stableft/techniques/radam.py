"""Rectified Adam: a warm-up that follows from the variance of Adam's step size."""

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Self, final

from stableft.core.errors import UsageError
from stableft.core.outline import Outline
from stableft.core.technique import Stage, Technique

if TYPE_CHECKING:
    from stableft.training.setup import Setup


@final
class RAdam(Technique):
    """Adam whose early steps are rectified for the variance of their second moment.

    Claim: Warm-up reduces the variance of early steps; this does it alone.

    Definition: With m_t and v_t Adam's moments, n = 2 / (1 - b2) - 1 and n_t = n - 2 t b2^t / (1 -
    b2^t): if n_t > 5 the update is eta r_t sqrt(1 - b2^t) / (sqrt(v_t) + eps) m_t / (1 - b1^t),
    with r_t^2 = (n_t - 4) (n_t - 2) n / ((n - 4) (n - 2) n_t), else eta m_t / (1 - b1^t), without
    v_t. At b2 = 0.999 the first five steps are of the second kind, and r_t is 0.03 at step 6, 0.15
    at step 50 and 0.48 at step 500. Decay is decoupled.

    Parameters: ``rectify``: whether steps are rectified; default yes. Without it the run has its
    own AdamW.

    Null: ``RAdam(rectify=False)``.

    Interactions: The schedule's warm-up stays, so both act; to have this one alone set
    ``schedule.warmup_ratio`` to 0. ``adam.bias_correction`` false and ``adam.lr_bias`` are refused:
    the rule contains the corrections. pretrained_weight_decay decays toward the start as with
    AdamW. The metric ``update_bias`` is the size of the update over that of bias-corrected Adam, so
    r_t from step 6 on; ``update_bias_closed_form`` is not logged.

    Deviations: eps is added to the root of the raw second moment, as in ``torch.optim.RAdam``,
    whatever ``adam.eps_placement``. The threshold 5 is that of torch and of the released code; the
    paper has 4.

    Cost: As AdamW, with torch's plain loop over parameters in place of its fused kernel.

    Reference: Liu, Jiang, He, Chen, Liu, Gao, Han (2020), On the Variance of the Adaptive Learning
    Rate and Beyond; ``torch.optim.RAdam``, which does the work.
    """

    name: ClassVar[str] = "radam"
    stage: ClassVar[Stage] = Stage.OPTIMIZER

    rectify: bool = True

    @classmethod
    def null(cls) -> Self:
        """Returns the setting with the run's own optimizer."""
        return cls(rectify=False)

    def check(self, outline: Outline) -> None:
        """Refuses a run whose Adam is not corrected, or is by other means."""
        if self.rectify and not outline.corrects_bias:
            raise UsageError("radam: its rule contains the bias correction; leave adam.bias_correction true and adam.lr_bias unset")

    def apply(self, setup: "Setup") -> "Setup":
        """Sets the optimizer."""
        from stableft.training import optimizer

        if not self.rectify:
            return setup
        return replace(
            setup, optimizer=lambda groups, adam: optimizer.RectifiedAdam(groups, lr=adam.lr, betas=adam.betas, eps=adam.eps)
        )
