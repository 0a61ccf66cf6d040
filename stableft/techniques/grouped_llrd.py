"""Grouped layer-wise learning-rate decay: learning rates for three sets of blocks."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Self, final

from pydantic import Field

from stableft.core.outline import Outline
from stableft.core.technique import Stage, Technique

if TYPE_CHECKING:
    from stableft.training.setup import Setup

Scale = Annotated[float, Field(gt=0)]


@final
class GroupedLLRD(Technique):
    """Slower learning of lower blocks, in three sets.

    Claim: Three learning rates by depth do what one for each block does.

    Definition: With eta the run's learning rate, the L blocks of an encoder are cut into three sets as
    equal as possible, the higher ones larger if L is no multiple of three: block k is in set ceil(3 k /
    L). The embeddings and the first set get eta bottom, the second eta middle, the third eta top.
    Pooler and head keep eta. Every rate follows the run's schedule.

    Parameters: ``bottom``, ``middle``, ``top``: each set's rate over eta, > 0; default 1/3.6,
    1.75/3.6 and 3.5/3.6. At ``adam.lr`` 3.6e-6 these are the CommonLit article's 1e-6, 1.75e-6 and
    3.5e-6, with 3.6e-6 for pooler and head.

    Null: ``GroupedLLRD(bottom=1.0, middle=1.0, top=1.0)``.

    Interactions: Excludes llrd, which sets the same rates in another way. head_lr sets the head's rate;
    this technique leaves it alone. Decoupled decay is multiplied by a group's own rate, so it weakens
    with it. Under swa's constant rate the factors remain. An encoder of one or two blocks has none in
    the lower sets: one block is in the third set, two are in the second and third. Layers with shared
    weights (ALBERT) have one rate, so such an encoder is refused.

    Deviations: The article has rates for an encoder of 12 blocks. Here they are factors, for any number
    of blocks and any rate.

    Cost: None: the same steps at other rates.

    Reference: The CommonLit article and the notebook behind it, for roberta-base on CommonLit
    Readability (protocol section 7, S2). It is not in Zhang et al. (2021) or Mosbach et al. (2021).
    """

    name: ClassVar[str] = "grouped_llrd"
    stage: ClassVar[Stage] = Stage.GROUPS

    bottom: Scale = 1 / 3.6
    middle: Scale = 1.75 / 3.6
    top: Scale = 3.5 / 3.6

    @classmethod
    def null(cls) -> Self:
        """Returns the setting with one rate for all parts."""
        return cls(bottom=1.0, middle=1.0, top=1.0)

    def check(self, outline: Outline) -> None:
        """Refuses an encoder with layers that share their weights (ALBERT) and so have one rate."""
        if self != self.null():
            outline.refuse_shared_blocks(self.name)

    def lr_scale(self, role: str, depth: int, num_blocks: int) -> float:
        """Returns the factor of the set for embeddings and blocks, and 1 for pooler and head."""
        if role not in ("embeddings", "encoder"):
            return 1.0
        scales = (self.bottom, self.bottom, self.middle, self.top)  # by set; the embeddings' is number 0
        return scales[-(-3 * depth // num_blocks)]

    def apply(self, setup: "Setup") -> "Setup":
        """Scales the rates of embeddings and blocks."""
        return setup.scaled(self.lr_scale)
