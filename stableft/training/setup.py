"""Set-up of a run: all decisions before its first step, as a value for techniques to change."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stableft.core.config import AdamConfig, RunConfig
from stableft.core.errors import UsageError
from stableft.core.feasibility import check, corrects_bias
from stableft.core.outline import Outline
from stableft.core.schedule import evaluation_steps, lr_factor, schedule_steps, steps_per_epoch
from stableft.core.seeds import stream, stream_entropy
from stableft.core.technique import Technique
from stableft.models.encoders import Encoder
from stableft.models.model import Model, ParamPlace, load_model
from stableft.models.tokens import Data
from stableft.training.optimizer import Optimizer
from stableft.training.runtime import Runtime, prepare
from stableft.training.step import RandomStream, Step


@dataclass(frozen=True)
class ParamGroup:
    """Parameters of one role, depth and kind of decay: the finest partition that a technique needs.

    Attributes:
        place: Role and depth of all of them.
        params: The parameters.
        lr_scale: Factor on the run's learning rate.
        weight_decay: Decoupled decay, multiplied by the group's own learning rate.
        decay_to: Target of each parameter's decay, never changed; None: zero.
        trained_from: Completed steps before the parameters are trained; None: they never are. Until
            then they have no gradient, no state of the optimizer and no decay.
    """

    place: ParamPlace
    params: tuple[nn.Parameter, ...]
    lr_scale: float
    weight_decay: float
    decay_to: tuple[Tensor, ...] | None = None
    trained_from: int | None = 0


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
        data: The task's tokens; None: not known to this setup.
        runtime: Device and engine.
        objective: Returns the loss of a batch, from any number of forward passes of its step; None: the
            mean of the losses of one. It is the logged training loss.
        gradient: Leaves gradients in the parameters, by any number of ``step.compute()``, and returns
            the loss to log; if that is not finite the run ends. None: one ``compute``.
        after_clipping: Called one after the other between clipping and update, to change gradients.
        optimizer: Makes the optimizer from torch's parameter groups and the configuration. Its decay is
            decoupled, and its state for each parameter consists of tensors. None: `AdamW`.
        streams: Random streams of techniques, by name; they are part of checkpoints.
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
    data: Data | None = None
    runtime: Runtime = field(default_factory=Runtime)
    objective: Callable[[Step], Tensor] | None = None
    gradient: Callable[[Step], float] | None = None
    after_clipping: tuple[Callable[[], None], ...] = ()
    optimizer: Callable[[list[dict[str, Any]], AdamConfig], Optimizer] | None = None
    streams: Mapping[str, RandomStream] = field(default_factory=dict)

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

    def trained_from(self, start: Callable[[str, ParamPlace], int | None]) -> "Setup":
        """Returns a copy in which parameters are trained only from some step on.

        Groups are divided where their parameters differ. A parameter that starts late already starts at
        the later of both steps.

        Args:
            start: Returns the completed steps before a parameter is trained, from its name and place; 0:
                no change, None: never.
        """
        names = {parameter: name for name, parameter in self.model.named_parameters()}

        def parts(group: ParamGroup) -> Iterator[ParamGroup]:
            assert group.decay_to is None, "stage DECAY comes later"
            members: dict[int | None, list[nn.Parameter]] = {}
            for parameter in group.params:
                own = start(names[parameter], group.place)
                if own != 0 and not parameter.requires_grad:  # one that its encoder never trains
                    own = None
                later = None if own is None or group.trained_from is None else max(own, group.trained_from)
                members.setdefault(later, []).append(parameter)
            return (replace(group, params=tuple(params), trained_from=later) for later, params in members.items())

        return replace(self, groups=tuple(part for group in self.groups for part in parts(group)))

    def with_stream(self, name: str, stream: RandomStream) -> "Setup":
        """Returns a copy with one more random stream, named like its technique."""
        return replace(self, streams={**self.streams, name: stream})


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
        data=data,
        runtime=runtime,
    )

    # Techniques. Each first refuses an encoder or a length of training if it can't work with it.
    architecture, epoch = model.encoder.config.model_type, steps_per_epoch(config, len(indices))
    known = Outline(
        num_steps,
        epoch,
        architecture,
        model.num_blocks,
        model.shares_blocks,
        corrects_bias=corrects_bias(config),
        has_surface=config.surface is not None,
    )
    check(config, known)
    for technique in config.techniques or ():
        setup = _applied(technique, setup)
    return setup


HELD_BY_ONE = ("objective", "gradient", "optimizer", "average")


def _applied(technique: Technique, setup: Setup) -> Setup:
    """Returns the setup changed by a technique, which must not undo what another one set.

    Raises:
        UsageError: it replaced a hook of another technique.
    """
    changed = technique.apply(setup)
    for name in HELD_BY_ONE:
        before = getattr(setup, name)
        if before is not None and getattr(changed, name) is not before:
            raise UsageError(f"{technique.name}: another technique of this run already set the {name}; name it in `excludes`")
    return changed


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
