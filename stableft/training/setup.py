"""Set-up of a run: all decisions before its first step, as a value for techniques to change."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stableft.core.config import RunConfig
from stableft.core.feasibility import check
from stableft.core.outline import Outline
from stableft.core.schedule import evaluation_steps, lr_factor, schedule_steps, steps_per_epoch
from stableft.core.seeds import stream, stream_entropy
from stableft.models.encoders import Encoder
from stableft.models.model import Model, ParamPlace, load_model
from stableft.models.tokens import Data
from stableft.training.runtime import Runtime, prepare


@dataclass(frozen=True)
class ParamGroup:
    """Parameters of one role, depth and kind of decay: the finest partition that a technique needs.

    Attributes:
        place: Role and depth of all of them.
        params: The parameters.
        lr_scale: Factor on the run's learning rate.
        weight_decay: Decoupled decay, multiplied by the group's own learning rate.
        decay_to: Target of each parameter's decay, never changed; None: zero.
    """

    place: ParamPlace
    params: tuple[nn.Parameter, ...]
    lr_scale: float
    weight_decay: float
    decay_to: tuple[Tensor, ...] | None = None


@dataclass(frozen=True)
class Average:
    """An average of the weights, kept and evaluated next to the weights themselves.

    Attributes:
        after: Completed steps before the average starts. The weights after the next step enter it
            first, unchanged.
        update: Changes averages in place, given the weights that enter and the number of earlier ones
            (torch's ``multi_avg_fn``).
    """

    after: int
    update: Callable[[Any, Any, Any], None]


@dataclass(frozen=True)
class Setup:
    """All decisions about a run before step 0.

    Attributes:
        config: The whole configuration.
        model: Changed in place by training.
        groups: Partition of its parameters.
        fresh: Names of parameters without a pre-trained value.
        train_indices: Examples to train on: all, or the drawn subset.
        num_steps: Optimizer steps, T.
        warmup_steps: W = int(warmup_ratio x T) unless given.
        evaluation_steps: Ascending; the last is T.
        lr_factors: Overrides of the schedule: completed updates -> factor on the run's learning rate.
        average: Average to keep; None: none.
        sources: Weight files of the finished runs that this one needs, by the keys of
            `RunConfig.sources`.
    """

    config: RunConfig
    model: Model
    groups: tuple[ParamGroup, ...]
    fresh: frozenset[str]
    train_indices: NDArray[np.int64]
    num_steps: int
    warmup_steps: int
    evaluation_steps: tuple[int, ...]
    lr_factors: Mapping[int, float] = field(default_factory=dict)
    average: Average | None = None
    sources: Mapping[str, Path] = field(default_factory=dict)

    def lr_factor(self, done: int) -> float:
        """Returns the factor on the run's learning rate for the update after ``done`` others."""
        return self.lr_factors.get(done, lr_factor(done, self.num_steps, self.warmup_steps))

    def scaled(self, lr_scale: Callable[[str, int, int], float]) -> "Setup":
        """Returns a copy with each group's rate multiplied by ``lr_scale``.

        ``lr_scale`` is called with the group's role, its depth and the number of blocks.
        """
        blocks = self.model.num_blocks
        groups = (replace(g, lr_scale=g.lr_scale * lr_scale(g.place.role, g.place.depth, blocks)) for g in self.groups)
        return replace(self, groups=tuple(groups))


def build(config: RunConfig, data: Data, encoder: Encoder, runtime: Runtime, sources: Mapping[str, Path] | None = None) -> Setup:
    """Builds the setup of a configuration: plain fine-tuning, changed by its techniques in order.

    Args:
        config: The run's configuration.
        data: The task's tokens.
        encoder: The folder with the weights.
        runtime: Device and engine.
        sources: For each of the configuration's sources, by its name, the file written by
            `stableft.models.weights.save_weights`.
    """
    data.task.refuse_head(config.head)
    prepare(config.precision, runtime)

    # Weights: pre-trained or drawn from the init stream.
    init = torch.Generator().manual_seed(stream_entropy(config.stream_seed("init"), "init"))
    num_labels = max(1, len(data.task.labels))
    tagging = data.task.kind == "tagging"
    model, fresh = load_model(encoder, config, num_labels, init, pieces=data.pieces, packed=runtime.packed, tagging=tagging)
    model.to(runtime.device)

    # Plain fine-tuning: one rate for all groups, and the schedule of the configuration.
    indices = _train_indices(config, len(data.splits["train"]))
    num_steps, warmup_steps = schedule_steps(config, len(indices))
    setup = Setup(
        config=config,
        model=model,
        groups=_groups(model, config.adam.weight_decay),
        fresh=fresh,
        train_indices=indices,
        num_steps=num_steps,
        warmup_steps=warmup_steps,
        evaluation_steps=evaluation_steps(config, num_steps, len(indices)),
        sources=sources or {},
    )

    # Techniques. Each first refuses an encoder or a length of training if it can't work with it.
    architecture, epoch = model.encoder.config.model_type, steps_per_epoch(config, len(indices))
    check(config, Outline(num_steps, epoch, architecture, model.num_blocks, model.shares_blocks))
    for technique in config.techniques or ():
        setup = technique.apply(setup)
    return setup


def _train_indices(config: RunConfig, available: int) -> NDArray[np.int64]:
    if config.num_train is None or config.num_train >= available:
        return np.arange(available)
    rng = stream(config.stream_seed("sample"), "sample")
    return np.sort(rng.permutation(available)[: config.num_train])


def _groups(model: Model, weight_decay: float) -> tuple[ParamGroup, ...]:
    members: dict[ParamPlace, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        members.setdefault(model.place(name), []).append(parameter)
    return tuple(
        ParamGroup(place, tuple(params), lr_scale=1.0, weight_decay=weight_decay if place.decays else 0.0)
        for place, params in members.items()
    )
