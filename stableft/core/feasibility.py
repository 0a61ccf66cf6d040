"""Feasibility: the outline of a planned run, and the checks that need no weights."""

from collections.abc import Mapping
from typing import Any

from stableft.core.config import RunConfig
from stableft.core.errors import UsageError
from stableft.core.outline import Outline
from stableft.core.schedule import schedule_steps, steps_per_epoch

# Names of the number of layers in transformers' configurations.
_LAYERS = ("num_hidden_layers", "n_layers", "num_layers", "n_layer")


def outline(config: RunConfig, available: int, settings: Mapping[str, Any]) -> Outline:
    """Returns the outline of a planned run.

    Args:
        config: The run.
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
        corrects_bias=corrects_bias(config),
        has_surface=config.surface is not None,
    )


def corrects_bias(config: RunConfig) -> bool:
    """Tells whether Adam is bias-corrected, with no factor b(t) on its learning rate."""
    return config.adam.bias_correction and config.adam.lr_bias is None


def check(config: RunConfig, known: Outline) -> None:
    """Checks a configuration against the outline of its run.

    Raises:
        UsageError: the run is impossible; with the reason.
    """
    if known.num_positions is not None and config.max_length > known.num_positions:
        raise UsageError(f"max_length {config.max_length} is more than the {known.num_positions} positions of {config.encoder}")
    start = (config.evaluation.start_epoch or 0) * known.steps_per_epoch
    if start >= known.num_steps:
        raise UsageError(
            f"evaluation.start_epoch: frequent points start after {start} steps, not before the run's end after {known.num_steps}"
        )
    for technique in config.techniques or ():
        technique.check(known)
