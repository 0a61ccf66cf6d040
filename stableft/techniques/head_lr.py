"""Head learning rate: a learning rate of its own for the task head."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Self, final

from pydantic import Field

from stableft.core.technique import Stage, Technique

if TYPE_CHECKING:
    from stableft.training.setup import Setup


@final
class HeadLR(Technique):
    """Learning rate of the task head, different from the encoder's.

    Claim: A head that starts from nothing wants larger steps than the encoder.

    Definition: With eta the run's learning rate, the parameters of role ``head`` get eta scale.
    Embeddings, blocks and pooler keep eta: the pooler belongs to the encoder here, whether its weights
    are pre-trained or drawn. Both rates follow the run's schedule.

    Parameters: ``scale``: the head's rate over eta, > 0; default 2, from the head-rate article's
    1e-4 for the head and 5e-5 for BERT.

    Null: ``HeadLR(scale=1.0)``.

    Interactions: llrd and grouped_llrd set the rates of embeddings and blocks and leave the head's to
    this technique. Decoupled decay is multiplied by a group's own rate, so the head's grows with it.
    Under swa's constant rate the factor remains.

    Deviations: The article's head is a BiLSTM and a CRF, on a model that does not use its pooler. It
    has its own schedule, halved every 5,000 steps without warm-up, and its own Adam, with bias
    correction, while BERT's has none. Here there is one schedule and one optimizer. The listing printed
    in the article also updates BERT with the head's optimizer; its repository does not.

    Cost: None: the same steps at other rates.

    Reference: The head-rate article and its repository, BERT + BiLSTM + CRF for entity recognition
    (protocol section 7, S3). It publishes no comparison of one rate with two.
    """

    name: ClassVar[str] = "head_lr"
    stage: ClassVar[Stage] = Stage.GROUPS

    scale: Annotated[float, Field(gt=0)] = 2.0

    @classmethod
    def null(cls) -> Self:
        """Returns the setting with the run's rate for the head."""
        return cls(scale=1.0)

    def lr_scale(self, role: str, depth: int, num_blocks: int) -> float:
        """Returns the factor of the head, and 1 for other parts."""
        return self.scale if role == "head" else 1.0

    def apply(self, setup: "Setup") -> "Setup":
        """Scales the rate of the head."""
        return setup.scaled(self.lr_scale)
