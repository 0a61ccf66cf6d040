"""Schedule of a run: its steps, its evaluation steps, and its learning rates in closed form."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from stableft.core.adam_bias import bias_ratio
from stableft.core.config import RunConfig


def steps_per_epoch(config: RunConfig, num_train: int) -> int:
    """Returns the steps per epoch: ceil(N / batch size)."""
    return -(-num_train // config.batch_size)


def schedule_steps(config: RunConfig, num_train: int) -> tuple[int, int]:
    """Returns the optimizer steps T = epochs x ceil(N / batch size), and the warm-up steps W."""
    schedule = config.schedule
    num_steps = schedule.num_steps or (schedule.num_epochs or 0) * steps_per_epoch(config, num_train)
    return num_steps, warmup_steps(config, num_steps)


def warmup_steps(config: RunConfig, num_steps: int) -> int:
    """Returns the warm-up steps W of a run of ``num_steps`` steps: int(warmup_ratio x T) unless given."""
    schedule = config.schedule
    return schedule.warmup_steps if schedule.warmup_steps is not None else int((schedule.warmup_ratio or 0.0) * num_steps)


def evaluation_steps(config: RunConfig, num_steps: int, num_train: int) -> tuple[int, ...]:
    """Returns the steps with an evaluation after them: the regular ones, and the last.

    Up to ``start_epoch``, if it is set, the regular ones are the ends of epochs.
    """
    every = config.evaluation.every or max(1, num_steps // (config.evaluation.num_points or 1))
    epoch = steps_per_epoch(config, num_train)
    start = (config.evaluation.start_epoch or 0) * epoch
    regular = {*range(epoch, start + 1, epoch), *range(start + every, num_steps, every)}
    return (*sorted(step for step in regular if step < num_steps), num_steps)


def lr_factor(step: int, num_steps: int, warmup_steps: int) -> float:
    """Returns the factor of linear warm-up and decay, as in Zhang et al. and Mosbach et al.

    See protocol section 1.2.

    Args:
        step: Updates already done, 0-based: the first update runs at factor 0 if there is a warm-up.
        num_steps: All updates of the run, T.
        warmup_steps: W; the factor is step / W below W, then (T - step) / (T - W).

    Returns:
        In [0, 1].
    """
    if step < warmup_steps:
        return step / warmup_steps
    return max(0.0, (num_steps - step) / max(1, num_steps - warmup_steps))


def learning_rates(config: RunConfig, num_steps: int, steps_per_epoch: int | None) -> NDArray[np.float64]:
    """Returns the run's learning rate at each update, logged as ``lr``.

    A part of the model has `lr_scale` times that rate.

    Args:
        config: The run.
        num_steps: Its updates, T.
        steps_per_epoch: ceil(N / batch size); None: not known.

    Returns:
        (T,); element t is the rate of update t + 1.

    Raises:
        MissingInput: a technique counts in epochs, and the steps per epoch are not known.
    """
    warmup = warmup_steps(config, num_steps)
    factors = [lr_factor(done, num_steps, warmup) for done in range(num_steps)]
    for technique in config.techniques or ():
        replaced: Mapping[int, float] = technique.lr_factors(factors, steps_per_epoch)
        factors = [replaced.get(done, factor) for done, factor in enumerate(factors)]
    rates = config.adam.lr * np.asarray(factors)
    bias = bias_ratio(np.arange(1, num_steps + 1), *config.adam.betas)
    return {None: rates, "divided": rates / bias, "multiplied": rates * bias}[config.adam.lr_bias]


def lr_scale(config: RunConfig, role: str, depth: int, num_blocks: int) -> float:
    """Returns the factor on the run's learning rate for the parameters of one part of the model.

    Args:
        config: The run.
        role: ``embeddings``, ``encoder``, ``pooler`` or ``head``.
        depth: Of a block, 1 is the lowest.
        num_blocks: L.
    """
    return math.prod(technique.lr_scale(role, depth, num_blocks) for technique in config.techniques or ())
