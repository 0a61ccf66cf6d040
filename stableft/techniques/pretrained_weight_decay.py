"""Pre-trained weight decay: weight decay toward the weights before the first step."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Self, final

from pydantic import Field

from stableft.core.technique import Stage, Technique

if TYPE_CHECKING:
    from stableft.training.setup import ParamGroup, Setup


@final
class PretrainedWeightDecay(Technique):
    """Decay of weights toward their values before the first step, not toward zero.

    Claim: Weights tied to their start forget less.

    Definition: Before every Adam step p <- p - eta lambda (p - p0). Here eta is the learning rate of
    the parameter's group at that step, and p0 a copy of the parameter before the first step. It applies
    only where weight decay does, so not to biases and LayerNorm weights, and only to parameters with a
    pre-trained value.

    Parameters: ``weight_decay``: lambda, >= 0; no default; Zhang et al. try 0.001, 0.01, 0.1 and 1.

    Null: ``PretrainedWeightDecay(weight_decay=0.0)``, which leaves ``adam.weight_decay`` as it is
    everywhere.

    Interactions: A weight decays toward one thing: where this acts it replaces ``adam.weight_decay``,
    which remains in force for fresh parameters. Fresh parameters have no pre-trained value: the head,
    parameters that the checkpoint lacks, and those drawn by reinit. Factors of llrd, grouped_llrd and
    head_lr scale eta and so the decay. With mixout the learnt weights decay, not the mixed ones. The
    packed engine leaves out the embeddings of pieces that do not occur. They keep their values, and
    this decay would not change them either (plain decay would shrink them, but they are never read).
    ``update_norm`` and ``update_bias`` measure the Adam part alone, as with plain decay.

    Deviations: The reference code also decays the classifier, toward its random start (protocol section
    8, P3), and with reinit the redrawn blocks toward their draws. It switches plain decay off for all
    parameters, always (P2).

    Cost: One pass over the weights per step, and a copy of them in memory.

    Reference: Zhang, Wu, Katiyar, Weinberger, Artzi (2021), Revisiting Few-sample BERT Fine-tuning,
    Table 2 and Appendix H (protocol section 2.4); ``--use_prior_wd`` of its released code.
    """

    name: ClassVar[str] = "pretrained_weight_decay"
    stage: ClassVar[Stage] = Stage.DECAY

    weight_decay: Annotated[float, Field(ge=0)]

    @classmethod
    def null(cls) -> Self:
        """Returns the setting without this decay."""
        return cls(weight_decay=0.0)

    def apply(self, setup: "Setup") -> "Setup":
        """Sets the present values of pre-trained weights as the targets of their decay."""
        if self.weight_decay == 0:
            return setup
        fresh = {setup.model.get_parameter(name) for name in setup.fresh}

        def parts(group: "ParamGroup") -> "Iterator[ParamGroup]":
            kept = tuple(p for p in group.params if p not in fresh) if group.place.decays else ()
            others = tuple(p for p in group.params if not group.place.decays or p in fresh)
            if kept:
                start = tuple(p.detach().clone() for p in kept)
                yield replace(group, params=kept, weight_decay=self.weight_decay, decay_to=start)
            if others:
                yield replace(group, params=others)

        return replace(setup, groups=tuple(part for group in setup.groups for part in parts(group)))
