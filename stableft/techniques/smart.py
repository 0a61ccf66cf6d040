"""SMART: smoothness of the model around each input's embeddings."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, final

from pydantic import Field

from stableft.core.seeds import stream_entropy
from stableft.core.technique import Stage, Technique

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from stableft.training.setup import Setup
    from stableft.training.step import Step

EPSILON = 1e-6  # added to a token's largest component, as in the released code


@final
class Smart(Technique):
    """A penalty on the change of the outputs when the embeddings move where they change most.

    Claim: A function that is smooth around its inputs overfits less.

    Definition: Let x be the word embeddings of a batch's tokens and f(x) the outputs. Noise v ~
    N(0, noise^2) is added to every component, and g is the gradient by v of the mean KL(f(x) || f(x
    + v)), f(x) held fixed. The adversary of each token is d = step g / (max |g| + 1e-6), the
    maximum being over the token's components. The batch's loss is that of f(x) plus alpha times the
    mean of KL(f(x) || f(x + d)) + KL(f(x + d) || f(x)), in which the first distribution of each
    term is held fixed. For a score to predict, both divergences are mean squared differences: one
    each, with gradients through both outputs. Each of the three passes has dropout masks of its
    own.

    Parameters: ``alpha``: weight of the penalty, >= 0; default 1. ``step``: size of the adversary,
    > 0; default 1e-3. ``noise``: standard deviation of the first move, > 0; default 1e-5. These are
    the defaults of the first released code.

    Null: ``Smart(alpha=0.0)``, which passes each batch once.

    Interactions: As each pass drops other units, as in the released code, the penalty also contains
    R-Drop's difference; with ``dropout`` 0 it is smoothness alone. Noise comes from the stream
    ``smart``, by token, so both engines draw the same. A step takes dropout masks for three passes,
    so later steps have others than the baseline's. The logged training loss is the whole sum.
    rdrop, whose loss is also a whole, is excluded. sam takes the gradient of this loss twice, with
    the same noise. Embeddings that are frozen can still be moved.

    Deviations: Of the two parts of the paper this is the first, the smoothness-inducing
    regulariser; Bregman proximal point optimisation is left out. There is one step of ascent, the
    released default, and no projection. Later versions of the released code divide noise and
    gradient together by the largest component, so the adversary has components up to 1 whatever the
    step; here it is that of the first version. There a gradient that is not finite drops the
    penalty; here the run ends as diverged. Tags have the classes of words (under a CRF by the
    emissions alone); the released code has no such case.

    Cost: Three passes forward, and backward one to the embeddings and one through two passes: about
    three times the time of a step.

    Reference: Jiang, He, Chen, Liu, Gao, Zhao (2020), SMART: Robust and Efficient Fine-Tuning for
    Pre-trained Natural Language Models through Principled Regularized Optimization;
    ``mt_dnn/perturbation.py`` and ``SymKlCriterion`` of its released code
    (github.com/namisan/mt-dnn).
    """

    name: ClassVar[str] = "smart"
    stage: ClassVar[Stage] = Stage.LOSS

    alpha: Annotated[float, Field(ge=0)] = 1.0
    step: Annotated[float, Field(gt=0)] = 1e-3
    noise: Annotated[float, Field(gt=0)] = 1e-5

    @classmethod
    def null(cls) -> Self:
        """Returns the setting with one pass."""
        return cls(alpha=0.0)

    def apply(self, setup: "Setup") -> "Setup":
        """Sets the loss with the penalty, and the stream of its noise."""
        import torch

        if self.alpha == 0:
            return setup
        noise = torch.Generator().manual_seed(stream_entropy(setup.config.stream_seed(self.name), self.name))
        changed = replace(setup, objective=lambda step: self.loss(step, noise))
        return changed.with_stream(self.name, noise)

    def loss(self, step: "Step", noise: "Generator") -> "Tensor":
        """Returns the loss of a batch from three passes; ``noise`` gives the first move."""
        import torch

        from stableft.training.divergence import mean_kl, mean_square

        regression = step.kind == "regression"
        table = step.model.encoder.get_input_embeddings()
        outputs = step.forward()

        # The direction in which the outputs change most.
        first = torch.randn(len(step.batch.ids), table.embedding_dim, generator=noise) * self.noise
        first = first.to(table.weight.device).requires_grad_()
        moved = moved_forward(step, table, first)
        distance = mean_square(moved, outputs.detach()) if regression else mean_kl(outputs.detach(), moved)
        (gradient,) = torch.autograd.grad(distance, first)
        adversary = self.step * gradient / (gradient.abs().amax(-1, keepdim=True) + EPSILON)

        # The penalty on the change in that direction.
        moved = moved_forward(step, table, adversary)
        own = step.losses(outputs).mean()
        if regression:
            return own + self.alpha * mean_square(outputs, moved)
        return own + self.alpha * (mean_kl(outputs.detach(), moved) + mean_kl(moved.detach(), outputs))


def moved_forward(step: "Step", table: "nn.Module", move: "Tensor") -> "Tensor":
    """Runs the model on a batch with moved word embeddings, and returns its outputs.

    Args:
        step: Step with the batch.
        table: The encoder's word embeddings.
        move: (tokens, width) added to the embeddings, in the order of the batch's tokens.
    """
    from torch import nn

    batch = step.batch
    placed = move[None] if step.model.packed else nn.utils.rnn.pad_sequence(list(move.split(batch.lengths)), batch_first=True)

    def add(module: Any, inputs: Any, output: Any) -> Any:
        return output + placed

    hook = table.register_forward_hook(add)
    try:
        return step.forward()
    finally:
        hook.remove()
