"""Mixout: pre-trained weights put back in place of learnt ones, at random."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self, final

from pydantic import Field

from stableft.core.seeds import stream_entropy
from stableft.core.technique import Stage, Technique

if TYPE_CHECKING:
    from stableft.training.setup import Setup


@final
class Mixout(Technique):
    """Trains with pre-trained weights in place of learnt ones for a random part of each layer's inputs.

    Claim: Weights that must work beside their start stay near it.

    Definition: A linear layer with weight W, and U what W was before the first step, multiplies at each call in training with
    U + (W - U) m: m is a mask over the layer's inputs, 0 with probability p and else 1 / (1 - p), the same for all outputs. So
    dropped inputs meet U, and the expectation is W. Biases are not mixed. In evaluation the weight is W. This holds for every
    linear layer of encoder and pooler whose weight has a pre-trained value.

    Parameters: ``p``: probability of the pre-trained weight, in [0, 1); no default; Zhang et al. try 0.1, 0.3, 0.5, 0.7 and 0.9.
    ``variant``: ``exact`` (default): the gradient of W is the derivative, m times that of the mixed weight; ``reference``: it is
    the mask of 0 and 1 times that, smaller by 1 - p, as in both released codes (protocol section 8, P11). Adam hides the factor;
    clipping, and ``adam.eps``, do not.

    Null: ``Mixout(p=0.0)``.

    Interactions: Does not touch dropout: the reference code sets every dropout to 0 beside it, so set ``dropout`` to 0 for
    its arm. What reinit drew is fresh and is not mixed. Weight decay, toward zero or the start, acts on W; swa averages W.
    Masks come from the stream ``mixout``, one for each layer by its name: dropout masks of a seed are the baseline's, and both
    engines draw the same masks. Each call draws: a layer that ALBERT applies in every block is mixed anew in each.

    Deviations: The reference code mixes also the classifier, with its random start, and redrawn blocks, with their draws: here
    fresh parameters, the head always among them (its BiLSTM and CRF too), have no pre-trained value and are left out. There the
    target is lost on saving and loading; here a run that is resumed makes it again. p is rounded to a multiple of 2^-16.

    Cost: A few passes over the weights of each layer at every call, and a copy of them in memory.

    Reference: Lee, Cho, Kang (2020), Mixout: Effective Regularization to Finetune Large-scale Pretrained Language Models, which
    calls masks over single weights mixconnect; Zhang et al. (2021), Revisiting Few-sample BERT Fine-tuning, Table 2 and
    Appendix H; the released code of both (protocol section 2.4).
    """

    name: ClassVar[str] = "mixout"
    stage: ClassVar[Stage] = Stage.MODULES

    p: Annotated[float, Field(ge=0, lt=1)]
    variant: Literal["exact", "reference"] = "exact"

    @classmethod
    def null(cls) -> Self:
        """Nothing is mixed in."""
        return cls(p=0.0)

    def apply(self, setup: "Setup") -> "Setup":
        """Replaces the linear layers of the model; their parameters stay the same objects under the same names."""
        from torch import nn

        from stableft.models.layers import DropoutStream, MixedLinear

        if self.p == 0:
            return setup
        scale = 1.0 if self.variant == "exact" else 1 - self.p
        for name, layer in list(setup.model.named_modules()):
            if isinstance(layer, nn.Linear) and f"{name}.weight" not in setup.fresh:
                stream = DropoutStream(stream_entropy(setup.config.stream_seed("mixout"), f"mixout/{name}"))
                setup.model.set_submodule(name, MixedLinear(layer, self.p, stream, scale))
        return setup
