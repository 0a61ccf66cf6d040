"""Child-Tuning: updates of a part of the weights, by masks on their gradients."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self, final

from pydantic import Field

from stableft.core.seeds import stream_entropy
from stableft.core.technique import Stage, Technique

if TYPE_CHECKING:
    from torch import Tensor, nn

    from stableft.training.setup import Setup

SMALLEST = 2.0**-16  # masks take 16 random bits for each weight


@final
class ChildTuning(Technique):
    """Gradients of 0 for a part of the weights, after clipping.

    Claim: A child of the network, updated alone, generalises better.

    Definition: After clipping and before the update every gradient is multiplied by a mask. Variant
    ``free``: a new mask in every step for all trained parameters, each weight 1 / p with
    probability p and else 0, so that the expectation is the gradient. Variant ``task``: one mask
    for the whole run on the parameters of the blocks, 1 for the share p of weights with the
    greatest Fisher information F, else 0. F is the mean over batches of the squared gradient of the
    batch's loss, at the start, over the training examples in their own order, without dropout.
    Embeddings, pooler and head keep their gradients there.

    Parameters: ``p``: share of weights that are updated, in [2^-16, 1]; no default; the released
    script for RTE has 0.3 with variant ``task``. ``variant``: ``free`` (default), Child-Tuning-F,
    or ``task``, Child-Tuning-D.

    Null: ``ChildTuning(p=1.0)``.

    Interactions: Masks of ``free`` come from the stream ``child_tuning``, parameter after
    parameter, so dropout masks are the baseline's and both engines draw the same; frozen parameters
    take none. F depends on the weights after reinit and intermediate; resumed runs compute it
    again. Parameters that freeze leaves out for the whole run have no F; those that it trains later
    have. With lora the blocks have F for the added matrices alone; that of A is 0 at the start, so
    ``task`` mostly chooses B. sam comes first: its gradient is masked. Decoupled decay also moves
    weights without a gradient. Logged gradient norms are those before the mask, ``update_norm`` is
    that of the masked update.

    Deviations: The reference code computes F with dropout and on shuffled batches, and clips the
    gradient of each parameter before squaring; here none of this, so F draws no random number. As
    there, F is of batches (here of the run's own size), while the paper writes it with examples. p
    is rounded to a multiple of 2^-16 in ``free``.

    Cost: ``free``: 16 random bits and one pass over the gradients for each weight and step.
    ``task``: once a pass over the training examples, then one pass over the gradients per step, and
    a byte for each weight.

    Reference: Xu, Luo, Zhang, Tan, Chang, Huang, Huang (2021), Raise a Child in Large Language
    Model: Towards Effective and Generalizable Fine-tuning; ``ChildTuningOptimizer.py`` and
    ``ChildTuningD.py`` of its released code (github.com/alibaba/AliceMind).
    """

    name: ClassVar[str] = "child_tuning"
    stage: ClassVar[Stage] = Stage.GRADIENT

    p: Annotated[float, Field(ge=SMALLEST, le=1)]
    variant: Literal["free", "task"] = "free"

    @classmethod
    def null(cls) -> Self:
        """Returns the setting that updates all weights."""
        return cls(p=1.0)

    def apply(self, setup: "Setup") -> "Setup":
        """Adds the masks to what happens between clipping and update."""
        from stableft.models.layers import DropoutStream

        if self.p == 1:
            return setup
        if self.variant == "task":
            return replace(setup, after_clipping=(*setup.after_clipping, fixed_masks(fisher_masks(setup, self.p))))
        stream = DropoutStream(stream_entropy(setup.config.stream_seed(self.name), self.name))
        parameters = list(setup.model.parameters())

        def mask() -> None:
            for parameter in parameters:
                if parameter.grad is not None:
                    parameter.grad.mul_(stream.mask(parameter.shape, 1 - self.p).to(parameter.device))

        return replace(setup, after_clipping=(*setup.after_clipping, mask)).with_stream(self.name, stream)


def fixed_masks(masks: "dict[nn.Parameter, Tensor]") -> Callable[[], None]:
    """Returns a function that multiplies gradients by the same masks whenever it is called."""

    def mask() -> None:
        for parameter, of_parameter in masks.items():
            if parameter.grad is not None:
                parameter.grad.mul_(of_parameter)

    return mask


def fisher_masks(setup: "Setup", share: float) -> "dict[nn.Parameter, Tensor]":
    """Returns masks on the blocks' weights: True for the share with the greatest Fisher information."""
    import numpy as np

    information = fisher(setup)
    values = np.concatenate([value.flatten().cpu().numpy() for value in information.values()])
    threshold = float(np.percentile(values, 100 * (1 - share)))
    return {parameter: value >= threshold for parameter, value in information.items()}


def fisher(setup: "Setup") -> "dict[nn.Parameter, Tensor]":
    """Returns the mean squared gradients of the blocks' weights over batches of all training examples."""
    import torch

    from stableft.training.evaluation import batch_losses
    from stableft.training.runtime import arithmetic

    assert setup.data is not None
    model, data, runtime, size = setup.model, setup.data, setup.runtime, setup.config.batch_size
    groups = [group for group in setup.groups if group.place.role == "encoder" and group.trained_from is not None]
    parameters = [parameter for group in groups for parameter in group.params]
    sums = [torch.zeros_like(parameter) for parameter in parameters]
    starts = range(0, len(setup.train_indices), size)
    model.eval()
    for start in starts:
        batch = data.splits["train"].batch(setup.train_indices[start : start + size], runtime.device)
        with arithmetic(setup.config.precision, runtime):
            outputs = model(batch)
        loss = batch_losses(model, outputs, batch, data.task.kind).mean()
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        for total, gradient in zip(sums, gradients, strict=True):
            if gradient is not None:
                total.add_(gradient.detach().square(), alpha=1 / len(starts))
    model.train()
    return dict(zip(parameters, sums, strict=True))
