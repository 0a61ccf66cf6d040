"""SAM: gradients where the loss nearby is worst."""

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Self, final

from pydantic import Field

from stableft.core.technique import Stage, Technique

if TYPE_CHECKING:
    from stableft.training.setup import Setup
    from stableft.training.step import Step


@final
class SAM(Technique):
    """Sharpness-aware minimisation: the gradient at a point uphill, applied where the weights are.

    Claim: Flat minima generalise better.

    Definition: With w the trained weights and g the gradient of the batch's loss at w, the gradient
    at w + rho g / |g| is used for the update of w, |g| over all parameters together. Both passes
    have the same dropout masks. The logged training loss is that at w. If |g| is 0, g is used.

    Parameters: ``rho``: distance, >= 0; no default; 0.05 is usual for images and SGD.

    Null: ``SAM(rho=0.0)``, with one gradient.

    Interactions: Acts on the gradient of any loss, so rdrop and smart are part of both passes.
    Clipping, masks of child_tuning, Adam's moments and the logged gradient norms refer to the
    second gradient. All random numbers of the second pass are those of the first (also of mixout
    and smart), so each step takes as many from every stream as the baseline. Frozen parameters are
    not moved. Decoupled decay plays no part in the ascent. If the second loss is not finite, the
    run ends as diverged.

    Deviations: The released code's loss contains weight decay, here it does not. It logs the second
    loss. Its m-sharpness, a direction for each of several devices, has no counterpart on one
    device.

    Cost: Two passes forward and backward, twice the time of a step, and a copy of the weights.

    Reference: Foret, Kleiner, Mobahi, Neyshabur (2021), Sharpness-Aware Minimization for
    Efficiently Improving Generalization; ``get_sam_gradient`` of its released code
    (github.com/google-research/sam), which uses one random key for both passes.
    """

    name: ClassVar[str] = "sam"
    stage: ClassVar[Stage] = Stage.GRADIENT

    rho: Annotated[float, Field(ge=0)]

    @classmethod
    def null(cls) -> Self:
        """Returns the setting with one gradient."""
        return cls(rho=0.0)

    def apply(self, setup: "Setup") -> "Setup":
        """Sets the rule for the gradient."""
        return setup if self.rho == 0 else replace(setup, gradient=self.gradient)

    def gradient(self, step: "Step") -> float:
        """Leaves the gradient of the point uphill in the parameters, and returns the loss before."""
        import torch
        from torch import nn

        # The gradient at the weights.
        random = step.random.tensors()
        loss = step.compute()
        moved = [(p, p.grad, p.detach().clone()) for p in step.model.parameters() if p.grad is not None]
        norm = nn.utils.get_total_norm([gradient for _, gradient, _ in moved])
        if not math.isfinite(loss) or norm == 0:
            return loss

        # The gradient uphill.
        with torch.no_grad():
            for parameter, gradient, _ in moved:
                parameter.add_(gradient * (self.rho / norm).to(gradient.device))
                parameter.grad = None
        step.random.load(random)
        uphill = step.compute()

        # Back to the weights, exactly.
        with torch.no_grad():
            for parameter, _, start in moved:
                parameter.copy_(start)
        return loss if math.isfinite(uphill) else uphill
