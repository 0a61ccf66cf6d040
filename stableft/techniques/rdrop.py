"""R-Drop: agreement of two passes with different dropout masks."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Self, final

from pydantic import Field

from stableft.core.technique import Stage, Technique

if TYPE_CHECKING:
    from torch import Tensor

    from stableft.training.setup import Setup
    from stableft.training.step import Step


@final
class RDrop(Technique):
    """Two passes over each batch, and a penalty on their difference.

    Claim: Networks that differ in dropout alone should agree.

    Definition: Each batch is passed twice, with dropout masks of its own each time. Let l1 and l2
    be the mean losses of the passes, and D the mean over examples (tagging: over words) of (KL(p1
    || p2) + KL(p2 || p1)) / 2 of their class probabilities. The batch's loss is (l1 + l2) / 2 +
    alpha D / 2, half of the paper's l1 + l2 + alpha D, so that without a difference it is the
    baseline's. For a score to predict, D is the mean squared difference of both outputs. Gradients
    flow through both passes.

    Parameters: ``alpha``: weight of the difference, >= 0; no default. The released code for GLUE
    has 0.5 for classes and 1 for scores.

    Null: ``RDrop(alpha=0.0)``, which passes each batch once.

    Interactions: With ``dropout`` 0 both passes are equal and D is 0, unless mixout makes them
    differ. The first pass of a step has the masks that the baseline would have at that place of the
    stream; as a step takes masks for two passes, later steps have others. The logged training loss
    is the whole sum. Excludes smart, whose loss is also a whole. sam takes the gradient of this
    loss twice.

    Deviations: Half of the paper's loss, as above; Adam hides the factor, clipping and ``adam.eps``
    do not. The released code for GLUE averages the losses over a batch and sums D over it, so its
    weight grows with the batch; here both are means. Under a CRF, D compares the classes of words
    by the emissions alone, without transitions; the paper has no such case.

    Cost: Two passes and one backward pass through both: twice the time of a step.

    Reference: Liang, Wu, Li, Wang, Meng, Qin, Chen, Zhang, Liu (2021), R-Drop: Regularized Dropout
    for Neural Networks; ``bert_kl`` of its released code (github.com/dropreg/R-Drop), also for
    scores.
    """

    name: ClassVar[str] = "rdrop"
    stage: ClassVar[Stage] = Stage.LOSS
    excludes: ClassVar[Mapping[str, str]] = {"smart": "both define the whole loss of a batch"}

    alpha: Annotated[float, Field(ge=0)]

    @classmethod
    def null(cls) -> Self:
        """Returns the setting with one pass."""
        return cls(alpha=0.0)

    def apply(self, setup: "Setup") -> "Setup":
        """Sets the loss of two passes."""
        return setup if self.alpha == 0 else replace(setup, objective=self.loss)

    def loss(self, step: "Step") -> "Tensor":
        """Returns the loss of a batch from two passes."""
        from stableft.training.divergence import mean_kl, mean_square

        one, other = step.forward(), step.forward()
        own = (step.losses(one).mean() + step.losses(other).mean()) / 2
        if step.kind == "regression":
            return own + self.alpha / 2 * mean_square(one, other)
        return own + self.alpha / 4 * (mean_kl(one, other) + mean_kl(other, one))
