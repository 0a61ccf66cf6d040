"""Freezing: lower blocks that are never trained, or one more block trained at a time."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Self, final

from pydantic import Field, model_validator

from stableft.core.errors import UsageError
from stableft.core.outline import Outline
from stableft.core.technique import PositiveInt, Stage, Technique

if TYPE_CHECKING:
    from stableft.models.model import ParamPlace
    from stableft.training.setup import Setup


@final
class Freeze(Technique):
    """Blocks and embeddings that keep their weights, for the whole run or at its beginning.

    Claim: What the lower layers know need not be learnt again.

    Definition: Of an encoder of L blocks the lowest ``num_blocks`` are frozen for the whole run,
    and the embeddings if asked for. With a thaw interval of n steps, pooler and head alone are
    trained at first. Block L joins them after n steps, and block k after (L - k + 1) n, unless it
    is frozen for the whole run; the embeddings follow after (L + 1) n. A frozen parameter has no
    gradient, no moments and no decay; Adam counts its steps from its first one.

    Parameters: ``num_blocks``: 0 to L; default 0. ``embeddings``: whether they are frozen for the
    whole run; default no. ``thaw_epochs`` and ``thaw_steps``: the interval n in epochs or in steps,
    > 0; at most one of them, default none: what is trained is trained from the start. The source
    has one epoch.

    Null: ``Freeze()``, which freezes nothing.

    Interactions: lora is excluded, which also decides on trained parameters. With bitfit a
    parameter is trained if both allow it. Blocks that reinit drew are frozen like others, if they
    are low enough. mixout, decays and learning rates act on what is trained. The learning-rate
    schedule is the run's, also for blocks that begin late. Without bias correction,
    ``update_bias_closed_form`` is that of parameters trained from the start. Distances of a frozen
    part are 0. Blocks with shared weights (ALBERT) are one part, so such an encoder is refused,
    except for its embeddings alone.

    Deviations: The source thaws one layer per epoch within a training of its own, with slanted
    triangular rates and discriminative rates (llrd); here each is a setting of its own. Its epochs
    are as many as it has layers or more; a run of 3 epochs and ``thaw_epochs`` 1 trains the two
    uppermost blocks only. The pooler belongs to the head here, since the source's encoder has none.

    Cost: Less time and memory: backward passes end at the lowest trained part.

    Reference: Howard & Ruder (2018), Universal Language Model Fine-tuning for Text Classification,
    section 3.3 (gradual unfreezing). For a fixed number of frozen layers there is no single source.
    """

    name: ClassVar[str] = "freeze"
    stage: ClassVar[Stage] = Stage.ADAPTERS

    num_blocks: Annotated[int, Field(ge=0)] = 0
    embeddings: bool = False
    thaw_epochs: PositiveInt | None = None
    thaw_steps: PositiveInt | None = None

    @model_validator(mode="after")
    def _one_interval(self) -> Self:
        if self.thaw_epochs is not None and self.thaw_steps is not None:
            raise ValueError("set at most one of thaw_epochs and thaw_steps")
        return self

    @classmethod
    def null(cls) -> Self:
        """Returns the setting that freezes nothing."""
        return cls()

    def _interval(self, steps_per_epoch: int) -> int:
        """Returns the steps between two blocks; 0: none is trained late."""
        return self.thaw_steps or (self.thaw_epochs or 0) * steps_per_epoch

    def check(self, outline: Outline) -> None:
        """Refuses blocks that share weights, more blocks than there are, and an interval beyond the end."""
        interval = self._interval(outline.steps_per_epoch)
        if self.num_blocks or interval:
            outline.refuse_shared_blocks(f"{self.name} with num_blocks or an interval")
        if outline.num_blocks is not None and self.num_blocks > outline.num_blocks:
            raise UsageError(f"freeze: num_blocks {self.num_blocks} is more than the {outline.num_blocks} blocks of this encoder")
        if interval >= outline.num_steps:
            raise UsageError(f"freeze: the first block begins after {interval} steps, not before the end after {outline.num_steps}")

    def apply(self, setup: "Setup") -> "Setup":
        """Sets the step from which each part is trained."""
        from stableft.core.schedule import steps_per_epoch

        top = setup.model.num_blocks
        interval = self._interval(steps_per_epoch(setup.config, len(setup.train_indices)))

        def start(name: str, place: "ParamPlace") -> int | None:
            if place.role == "embeddings":
                return None if self.embeddings else (top + 1) * interval
            if place.role == "encoder":
                return None if place.depth <= self.num_blocks else (top - place.depth + 1) * interval
            return 0

        return setup.trained_from(start)
