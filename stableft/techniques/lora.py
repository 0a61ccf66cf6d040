"""LoRA: products of small matrices added to frozen weights."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self, final

from pydantic import Field

from stableft.core.errors import UsageError
from stableft.core.outline import Outline
from stableft.core.seeds import stream_entropy
from stableft.core.technique import Stage, Technique

if TYPE_CHECKING:
    from stableft.training.setup import Setup


@final
class LoRA(Technique):
    """Low-rank changes of attention weights, in place of changes of all weights.

    Claim: Fine-tuning needs changes of low rank only.

    Definition: The weight W of every target layer becomes W + (alpha / rank) B A. A (rank, inputs)
    starts from U(-1 / sqrt(inputs), 1 / sqrt(inputs)), B (outputs, rank) from 0, so the run starts
    from the same function as the baseline. A and B are trained, and so are all parameters without a
    pre-trained value: the head, a pooler that the checkpoint lacks, and whatever reinit drew. All
    others are frozen. In evaluation and in saved weights the layer has the sum as its one weight.

    Parameters: ``rank``: r, >= 0; default 8; 0: no change to the run. ``alpha``: > 0; default 8.
    ``targets``: ``query_value`` (default) or ``query_key_value``, the layers in every block.
    Defaults are those of ``peft`` for BERT.

    Null: ``LoRA(rank=0)``.

    Interactions: A is drawn from the stream ``lora``, for each layer by its name; head, order and
    dropout masks of a seed are the baseline's. bitfit and freeze are excluded: like this one they
    decide on trained parameters. mixout and pretrained_weight_decay are excluded: they act on
    weights that here stay where they are. Plain decay acts on A and B. Factors of llrd and
    grouped_llrd apply to them by block. Distances and gradient norms of a block are those of A and
    B. swa averages A and B, not their products. A run with a surface is refused, since other runs
    have other parameters.

    Deviations: Learning rates of LoRA are usually larger than those of full fine-tuning; here the
    run's rate is used unless ``adam.lr`` is changed. There is no dropout before A (0 is ``peft``'s
    default). Hu et al. draw A from a normal distribution in the paper; their released code and
    ``peft`` draw as here. Other encoders than those of `stableft.models.architectures` are refused.

    Cost: Two thin products for each target layer and step. Less memory and time for gradients: Adam
    keeps moments of A, B and the head alone.

    Reference: Hu, Shen, Wallis, Allen-Zhu, Li, Wang, Wang, Chen (2021), LoRA: Low-Rank Adaptation
    of Large Language Models; the library ``peft``, whose layer the tests compare with.
    """

    name: ClassVar[str] = "lora"
    stage: ClassVar[Stage] = Stage.ADAPTERS
    excludes: ClassVar[Mapping[str, str]] = {
        "bitfit": "both decide which of the encoder's parameters are trained",
        "freeze": "both decide which of the encoder's parameters are trained",
        "mixout": "its weights would be frozen where they start, so that there is nothing to mix",
        "pretrained_weight_decay": "all weights with a pre-trained value are frozen at it",
    }

    rank: Annotated[int, Field(ge=0, lt=2**15)] = 8
    alpha: Annotated[float, Field(gt=0)] = 8.0
    targets: Literal["query_value", "query_key_value"] = "query_value"

    @classmethod
    def null(cls) -> Self:
        """Returns the setting that adds nothing and freezes nothing."""
        return cls(rank=0)

    def check(self, outline: Outline) -> None:
        """Refuses an encoder whose layers have no known names, and a run with a surface."""
        from stableft.models.architectures import ARCHITECTURES

        if self.rank == 0:
            return
        if outline.architecture not in ARCHITECTURES:
            raise UsageError(f"lora: architectures.py does not name the attention layers of a {outline.architecture!r}")
        if outline.has_surface:
            raise UsageError("lora: a surface needs runs with the same parameters, and this one has others")

    def apply(self, setup: "Setup") -> "Setup":
        """Replaces the target layers, and freezes what has a pre-trained value."""
        import torch

        from stableft.models.layers import LoRALinear
        from stableft.training.setup import ParamGroup

        model = setup.model
        if self.rank == 0:
            return setup
        assert model.architecture is not None
        block, seed = model.architecture.block, setup.config.stream_seed(self.name)
        ends = {"query_value": (block.query, block.value), "query_key_value": (block.query, block.key, block.value)}[self.targets]
        groups, added = list(setup.groups), set[str]()
        for name, layer in list(model.encoder.named_modules(prefix="encoder")):
            if not any(name.endswith(f".{end}") for end in ends):
                continue
            generator = torch.Generator().manual_seed(stream_entropy(seed, f"{self.name}/{name}"))
            replaced = LoRALinear(layer, self.rank, self.alpha / self.rank, generator)
            model.set_submodule(name, replaced)
            place = model.place(f"{name}.lora_a")
            groups.append(ParamGroup(place, (replaced.lora_a, replaced.lora_b), 1.0, setup.config.adam.weight_decay))
            added |= {f"{name}.lora_a", f"{name}.lora_b"}
        fresh = setup.fresh | added
        changed = replace(setup, groups=tuple(groups), fresh=fresh)
        return changed.trained_from(lambda name, _: 0 if name in fresh else None)
