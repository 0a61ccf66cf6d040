"""Mixout: pre-trained weights in place of learnt ones, at random."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self, final

from pydantic import Field

from stableft.core.seeds import stream_entropy
from stableft.core.technique import Stage, Technique

if TYPE_CHECKING:
    from stableft.training.setup import Setup


@final
class Mixout(Technique):
    """Pre-trained weights in place of learnt ones for a random part of each layer's inputs.

    Claim: Weights that must work with their start stay near it.

    Definition: Let W be the weight of a linear layer, and U its value before the first step. At each
    call in training the layer multiplies with U + (W - U) m. The mask m is over the layer's inputs, 0
    with probability p and else 1 / (1 - p), the same for all outputs. So dropped inputs meet U, and the
    expectation is W. Biases are not mixed. In evaluation the weight is W. This applies to every linear
    layer of encoder and pooler with a pre-trained weight.

    Parameters: ``p``: probability of the pre-trained weight, in [0, 1); no default; Zhang et al. try
    0.1, 0.3, 0.5, 0.7 and 0.9. ``variant``: ``exact`` (default): the gradient of W is the derivative, m
    times that of the mixed weight; ``reference``: it is the mask of 0 and 1 times that, smaller by 1 -
    p, as in both released codes (protocol section 8, P11). Adam hides the factor; clipping and
    ``adam.eps`` do not.

    Null: ``Mixout(p=0.0)``.

    Interactions: Does not change dropout. The reference code sets every dropout to 0 with mixout, so
    set ``dropout`` to 0 for its arm. Values drawn by reinit are fresh and are not mixed. Weight decay,
    toward zero or the start, acts on W; swa averages W. Masks come from the stream ``mixout``, one for
    each layer by its name: the dropout masks of a seed are the baseline's, and both engines draw the
    same masks. Each call draws a mask: a layer that ALBERT applies in every block gets a new one in
    each.

    Deviations: The reference code also mixes the classifier, with its random start, and redrawn blocks,
    with their draws. Here fresh parameters have no pre-trained value and are left out; the head is
    always fresh (its BiLSTM and CRF too). There the target is lost on saving and loading; here a
    resumed run makes it again. p is rounded to a multiple of 2^-16.

    Cost: A few passes over the weights of each layer at every call, and a copy of them in memory.

    Reference: Lee, Cho, Kang (2020), Mixout: Effective Regularization to Finetune Large-scale
    Pretrained Language Models, which calls masks over single weights mixconnect; Zhang et al. (2021),
    Revisiting Few-sample BERT Fine-tuning, Table 2 and Appendix H; the released code of both (protocol
    section 2.4).
    """

    name: ClassVar[str] = "mixout"
    stage: ClassVar[Stage] = Stage.MODULES

    p: Annotated[float, Field(ge=0, lt=1)]
    variant: Literal["exact", "reference"] = "exact"

    @classmethod
    def null(cls) -> Self:
        """Returns the setting without mixing."""
        return cls(p=0.0)

    def apply(self, setup: "Setup") -> "Setup":
        """Replaces the linear layers of the model.

        Their parameters stay the same objects under the same names.
        """
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
