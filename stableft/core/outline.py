"""What is known of a run before it starts: its length, when it is evaluated, and whether it is possible. Needs no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stableft.core.config import RunConfig
from stableft.core.errors import UsageError

# What transformers' configurations call the number of layers.
_LAYERS = ("num_hidden_layers", "n_layers", "num_layers", "n_layer")


@dataclass(frozen=True)
class Outline:
    """What decides whether a configuration is possible.

    Attributes:
        num_steps: Optimizer steps, T.
        steps_per_epoch: ceil(N / batch size).
        architecture: The encoder's ``model_type``.
        num_blocks: L, blocks with weights of their own; None: not known before the weights are loaded.
        shares_blocks: Whether some are used more than once, as in ALBERT, so that none is a top block.
        num_positions: No input can have more pieces; RoBERTa takes two less. None: not known.
    """

    num_steps: int
    steps_per_epoch: int
    architecture: str
    num_blocks: int | None
    shares_blocks: bool
    num_positions: int | None = None

    def refuse_shared_blocks(self, technique: str) -> None:
        """For what treats blocks by their depth.

        Raises:
            UsageError: layers share their weights, so that a block has no depth of its own.
        """
        if self.shares_blocks:
            raise UsageError(
                f"{technique} treats blocks by depth, but all layers of this encoder ({self.architecture}) share their weights"
            )


def outline(config: RunConfig, available: int, settings: Mapping[str, Any]) -> Outline:
    """The outline of a run that is only planned.

    Args:
        config: What to run.
        available: Training examples of the task.
        settings: The encoder's config.json.
    """
    num_train = min(config.num_train or available, available)
    layers = next((settings[name] for name in _LAYERS if isinstance(settings.get(name), int)), None)
    groups = settings.get("num_hidden_groups")  # ALBERT's blocks
    groups = groups if isinstance(groups, int) and layers is not None else layers
    limit = settings.get("max_position_embeddings")
    return Outline(
        num_steps=schedule_steps(config, num_train)[0],
        steps_per_epoch=steps_per_epoch(config, num_train),
        architecture=str(settings.get("model_type")),
        num_blocks=groups,
        shares_blocks=layers is not None and groups is not None and layers > groups,
        num_positions=limit if isinstance(limit, int) and limit > 0 else None,
    )


def check(config: RunConfig, known: Outline) -> None:
    """Refuses what can't be done.

    Raises:
        UsageError: with the reason.
    """
    if known.num_positions is not None and config.max_length > known.num_positions:
        raise UsageError(f"max_length {config.max_length} is more than the {known.num_positions} positions of {config.encoder}")
    start = (config.evaluation.start_epoch or 0) * known.steps_per_epoch
    if start >= known.num_steps:
        raise UsageError(
            f"evaluation.start_epoch: frequent points start after {start} steps, not before the run's end after {known.num_steps}"
        )
    for technique in config.techniques or ():
        technique.check(known, config)


def steps_per_epoch(config: RunConfig, num_train: int) -> int:
    """Steps per epoch: ceil(N / batch size)."""
    return -(-num_train // config.batch_size)


def schedule_steps(config: RunConfig, num_train: int) -> tuple[int, int]:
    """Optimizer steps T = epochs x ceil(N / batch size), and warm-up steps W."""
    schedule = config.schedule
    num_steps = schedule.num_steps or (schedule.num_epochs or 0) * steps_per_epoch(config, num_train)
    return num_steps, warmup_steps(config, num_steps)


def warmup_steps(config: RunConfig, num_steps: int) -> int:
    """Warm-up steps of a run of so many steps: W = int(warmup_ratio x T) unless given."""
    schedule = config.schedule
    return schedule.warmup_steps if schedule.warmup_steps is not None else int((schedule.warmup_ratio or 0.0) * num_steps)


def evaluation_steps(config: RunConfig, num_steps: int, num_train: int) -> tuple[int, ...]:
    """Steps after which to evaluate: regular ones and the last; before ``start_epoch``, if it is set, the ends of epochs."""
    every = config.evaluation.every or max(1, num_steps // (config.evaluation.num_points or 1))
    epoch = steps_per_epoch(config, num_train)
    start = (config.evaluation.start_epoch or 0) * epoch
    regular = {*range(epoch, start + 1, epoch), *range(start + every, num_steps, every)}
    return (*sorted(step for step in regular if step < num_steps), num_steps)
