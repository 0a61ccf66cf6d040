"""BitFit: training of biases and head alone."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Self, final

from stableft.core.errors import UsageError
from stableft.core.technique import Stage, Technique

if TYPE_CHECKING:
    from stableft.training.setup import Setup


@final
class BitFit(Technique):
    """Frozen weights; only biases and the head learn.

    Claim: On small data biases alone do nearly what all weights do.

    Definition: All bias vectors of embeddings, blocks and pooler are trained, those of LayerNorms
    included, and so are all parameters without a pre-trained value: the head, a pooler that the
    checkpoint lacks, and whatever reinit drew. All others are frozen.

    Parameters: ``weights``: whether the weights are trained too; default no.

    Null: ``BitFit(weights=True)``, fine-tuning of everything.

    Interactions: lora is excluded, which also decides on trained parameters. mixout and
    pretrained_weight_decay are excluded: they act on weights that here stay where they are. With
    freeze a parameter is trained if both allow it. Weight decay applies to the head's weight alone,
    since biases have none. Factors of llrd, grouped_llrd and head_lr apply.

    Deviations: The paper uses larger learning rates than for full fine-tuning; here the run's rate
    is used unless ``adam.lr`` is changed. Subsets of biases, such as those of queries and of the
    intermediate layer, are left out. For RoBERTa-like encoders the released code trains all of
    ``classifier``, so the dense layer below the last one too; the same follows here, as it is
    fresh.

    Cost: Less memory and time: no gradients and no moments of weights.

    Reference: Ben Zaken, Ravfogel, Goldberg (2022), BitFit: Simple Parameter-efficient Fine-tuning
    for Transformer-based Masked Language-models; ``_deactivate_relevant_gradients`` of its released
    code (github.com/benzakenelad/BitFit).
    """

    name: ClassVar[str] = "bitfit"
    stage: ClassVar[Stage] = Stage.ADAPTERS
    excludes: ClassVar[Mapping[str, str]] = {
        "mixout": "its weights would be frozen where they start, so that there is nothing to mix",
        "pretrained_weight_decay": "all weights with a pre-trained value are frozen at it",
    }

    weights: bool = False

    @classmethod
    def null(cls) -> Self:
        """Returns the setting with weights."""
        return cls(weights=True)

    def apply(self, setup: "Setup") -> "Setup":
        """Freezes all weights with a pre-trained value.

        Raises:
            UsageError: the encoder has no biases.
        """
        if self.weights:
            return setup
        biases = {name for name, _ in setup.model.encoder.named_parameters(prefix="encoder") if name.endswith("bias")}
        if not biases:
            raise UsageError(f"bitfit: a {setup.model.encoder.config.model_type!r} has no biases to train")
        trained = biases | setup.fresh
        return setup.trained_from(lambda name, _: 0 if name in trained else None)
