"""Outline of a run: its length and its encoder's shape, as known before it starts."""

from dataclasses import dataclass

from stableft.core.errors import UsageError


@dataclass(frozen=True)
class Outline:
    """The facts that decide whether a configuration is possible.

    Attributes:
        num_steps: Optimizer steps, T.
        steps_per_epoch: ceil(N / batch size).
        architecture: The encoder's ``model_type``.
        num_blocks: L, blocks with weights of their own; None: not known before the weights are loaded.
        shares_blocks: True if some blocks are used more than once, as in ALBERT, so that none is a top
            block.
        num_positions: Longest possible input in pieces; RoBERTa takes two less. None: not known.
        corrects_bias: True for Adam with bias correction and no factor b(t) on its rate.
        has_surface: Whether the run ends with a plane of weights, which needs those of another run.
    """

    num_steps: int
    steps_per_epoch: int
    architecture: str
    num_blocks: int | None
    shares_blocks: bool
    num_positions: int | None = None
    corrects_bias: bool = True
    has_surface: bool = False

    def refuse_shared_blocks(self, technique: str) -> None:
        """Refuses a technique that treats blocks by their depth.

        Raises:
            UsageError: layers share their weights, so that a block has no depth of its own.
        """
        if self.shares_blocks:
            raise UsageError(
                f"{technique} treats blocks by depth, but all layers of this encoder ({self.architecture}) share their weights"
            )
