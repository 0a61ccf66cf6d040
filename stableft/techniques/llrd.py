"""Layer-wise learning-rate decay."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Self, final

from pydantic import Field

from stableft.core.outline import Outline
from stableft.core.technique import Stage, Technique

if TYPE_CHECKING:
    from stableft.training.setup import Setup


@final
class LLRD(Technique):
    """Slower learning of lower blocks, each by the same factor.

    Claim: Small steps in the lower blocks keep what they know.

    Definition: With eta the run's learning rate, in an encoder of L blocks: pooler and head keep eta;
    block L gets eta top, block k gets eta top decay^(L - k), the embeddings, which are block 0, eta top
    decay^L. Every rate follows the run's schedule.

    Parameters: ``decay``: factor from a block to the one below, in (0, 1]; no default; Zhang et al. try
    0.9 and 0.95, the fine-tuning article has 0.9. ``top``: the top block's rate over eta, > 0; default
    ``decay``, as in Zhang et al.: head eta, block L eta decay, embeddings eta decay^(L + 1). The
    article's rates (head 3.6e-6, block 12 3.5e-6, embeddings 3.5e-6 x 0.9^12 = 0.99e-6) are ``adam.lr``
    3.6e-6, ``decay`` 0.9, ``top`` 3.5/3.6.

    Null: ``LLRD(decay=1.0)``.

    Interactions: Excludes grouped_llrd, which sets the same rates in another way. head_lr sets the
    head's rate; this technique leaves it alone. Decoupled decay is multiplied by a group's own rate, so
    it weakens with it. Under swa's constant rate the factors remain. A reinitialised block learns at
    the rate of its depth. Layers with shared weights (ALBERT) have one rate, so such an encoder is
    refused.

    Deviations: Zhang et al.'s code exempts head and pooler from weight decay when this is on. Here
    decay is the same with and without it. Their runs do not differ, since their weight decay is 0 or,
    by protocol section 8, P2, never applied. Token, position and segment tables are one part, the
    embeddings, there too.

    Cost: None: the same steps at other rates.

    Reference: Howard & Ruder (2018), Universal Language Model Fine-tuning for Text Classification,
    section 3.2 (discriminative fine-tuning); Zhang et al. (2021), Revisiting Few-sample BERT
    Fine-tuning, Table 2 and Appendix H (protocol section 2.4); the CommonLit article (protocol
    section 7, S2).
    """

    name: ClassVar[str] = "llrd"
    stage: ClassVar[Stage] = Stage.GROUPS
    excludes: ClassVar[Mapping[str, str]] = {"grouped_llrd": "both set the learning rates of embeddings and blocks"}

    decay: Annotated[float, Field(gt=0, le=1)]
    top: Annotated[float, Field(gt=0)] | None = None

    @classmethod
    def null(cls) -> Self:
        """Returns the setting with one rate for all parts."""
        return cls(decay=1.0)

    def check(self, outline: Outline) -> None:
        """Refuses an encoder with layers that share their weights (ALBERT) and so have one rate."""
        if self != self.null():
            outline.refuse_shared_blocks(self.name)

    def lr_scale(self, role: str, depth: int, num_blocks: int) -> float:
        """Returns the factor of the depth for embeddings and blocks, and 1 for pooler and head."""
        if role not in ("embeddings", "encoder"):
            return 1.0
        top = self.decay if self.top is None else self.top
        return top * self.decay ** (num_blocks - depth)

    def apply(self, setup: "Setup") -> "Setup":
        """Scales the rates of embeddings and blocks."""
        return setup.scaled(self.lr_scale)
