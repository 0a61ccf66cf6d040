"""The loop: executes a `Setup` and knows no technique by name."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stableft.core.adam_bias import bias_ratio, metered_steps
from stableft.core.config import RunConfig
from stableft.core.errors import UsageError
from stableft.core.feasibility import check
from stableft.core.outline import Outline
from stableft.core.schedule import evaluation_steps, lr_factor, schedule_steps, steps_per_epoch
from stableft.core.seeds import stream, stream_entropy
from stableft.models.encoders import Encoder
from stableft.models.layers import DropoutStream
from stableft.models.loading import load_tokenizer
from stableft.models.model import Model, Place, load_model
from stableft.models.tokens import Data, epochs, tokenise
from stableft.tasks import Task, TaskData
from stableft.training.checkpointing import Keeper, State
from stableft.training.evaluation import Predictions, Row, losses
from stableft.training.evaluator import Points
from stableft.training.meters import EVERY, BlockMeter
from stableft.training.optimizer import AdamW, UpdateMeter
from stableft.training.runtime import Execution, arithmetic, prepare
from stableft.training.surface import Surface
from stableft.training.tag_evaluation import tag_losses


@dataclass(frozen=True)
class ParamGroup:
    """Parameters of one role, depth and kind of decay: the finest partition that any technique needs.

    Attributes:
        place: Where all of them stand.
        params: The parameters.
        lr_scale: Factor on the run's learning rate.
        weight_decay: Decoupled, multiplied by the group's own learning rate.
        decay_to: What each decays toward, never changed; None: zero.
    """

    place: Place
    params: tuple[nn.Parameter, ...]
    lr_scale: float
    weight_decay: float
    decay_to: tuple[Tensor, ...] | None = None


@dataclass(frozen=True)
class Average:
    """Weights that are kept beside those that are trained, and evaluated beside them.

    Attributes:
        after: Steps that are done before; the weights after the next step are the first to be taken in, as they are.
        update: Changes averages, given the weights to be taken in and how many were so far (torch's ``multi_avg_fn``).
    """

    after: int
    update: Callable[[Any, Any, Any], None]


@dataclass(frozen=True)
class Setup:
    """Everything that is decided before step 0.

    Attributes:
        model: Changed in place by training.
        groups: Partition of its parameters.
        fresh: Names of parameters without a pre-trained value.
        train_indices: Examples to train on: all, or the drawn subset.
        num_steps: Optimizer steps, T.
        warmup_steps: W = int(warmup_ratio x T) unless given.
        evaluation_steps: Ascending, ends with T.
        lr_factors: By updates already done: factors on the learning rate that replace those of the schedule there.
        average: None: no others are kept.
        sources: Where the weights of the finished runs are that this one needs, by what asked for them (`RunConfig.sources`).
    """

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
        """Factor on the run's learning rate for the update after ``done`` others."""
        return self.lr_factors.get(done, lr_factor(done, self.num_steps, self.warmup_steps))

    def scaled(self, lr_scale: Callable[[str, int, int], float]) -> "Setup":
        """With the rates of its groups multiplied by what this gives for role, depth and number of blocks."""
        blocks = self.model.num_blocks
        groups = (replace(g, lr_scale=g.lr_scale * lr_scale(g.place.role, g.place.depth, blocks)) for g in self.groups)
        return replace(self, groups=tuple(groups))


def encode(task: Task, data: TaskData, encoder: Encoder, max_length: int) -> Data:
    """Tokenises the splits of a task and renumbers the pieces that occur in them."""
    tokenizer = load_tokenizer(encoder, tagging=task.kind == "tagging")
    raw = {"train": data.train, "validation": data.validation, "test": data.test}
    splits = {
        name: tokenise(examples, tokenizer, max_length=max_length, lower_case=encoder.lower_case)
        for name, examples in raw.items()
        if examples
    }
    pieces = np.unique(np.concatenate([tokens.ids for tokens in splits.values()]))
    renumbered = {name: replace(tokens, ids=np.searchsorted(pieces, tokens.ids)) for name, tokens in splits.items()}
    return Data(task, renumbered, pieces)


def build(
    config: RunConfig, data: Data, encoder: Encoder, execution: Execution, sources: Mapping[str, Path] | None = None
) -> Setup:
    """The setup of a configuration: plain fine-tuning, changed by its techniques in their order.

    Args:
        config: What to run.
        data: The task's tokens.
        encoder: Where the weights are.
        execution: How to run.
        sources: For each of the configuration's sources, by its name, the file that `stableft.models.weights.save_weights` wrote.
    """
    data.task.refuse_head(config.head)
    prepare(config.precision, execution)
    init = torch.Generator().manual_seed(stream_entropy(config.stream_seed("init"), "init"))
    num_labels = max(1, len(data.task.labels))
    tagging = data.task.kind == "tagging"
    model, fresh = load_model(encoder, config, num_labels, init, pieces=data.pieces, packed=execution.packed, tagging=tagging)
    model.to(execution.device)
    indices = _train_indices(config, len(data.splits["train"]))
    num_steps, warmup_steps = schedule_steps(config, len(indices))
    setup = Setup(
        model=model,
        groups=_groups(model, config.adam.weight_decay),
        fresh=fresh,
        train_indices=indices,
        num_steps=num_steps,
        warmup_steps=warmup_steps,
        evaluation_steps=evaluation_steps(config, num_steps, len(indices)),
        sources=sources or {},
    )
    architecture, epoch = model.encoder.config.model_type, steps_per_epoch(config, len(indices))
    check(config, Outline(num_steps, epoch, architecture, model.num_blocks, model.shares_blocks))
    for technique in config.techniques or ():
        setup = technique.apply(setup, config)
    return setup


def train(
    setup: Setup, config: RunConfig, data: Data, execution: Execution, keeper: Keeper | None = None
) -> Iterator[Row | Predictions]:
    """Trains, yielding rows as they arise and, at the end, predictions for each evaluation split.

    Evaluation draws from no stream, so its frequency moves nothing. A non-finite loss ends the run: its row is the last one
    and no predictions follow; that is data, not an error. An average of the weights is evaluated where the weights are, its rows
    after theirs; so is, after the last step, the checkpoint with the best validation score (of the fixed subset, where points are
    on that). The predictions are those of the last weights. Where the configuration asks for a surface, its rows are the last.

    With a keeper, the run goes on from the state that this one has read, if it has: what was yielded before then is not again.
    """
    model, device = setup.model, execution.device
    optimizer = _optimizer(setup, config)
    meter, metered = UpdateMeter(optimizer), set(metered_steps(setup.num_steps).tolist())
    blocks = BlockMeter((group.place, group.params) for group in setup.groups)
    points = Points(setup, config, data, execution)
    surface = _surface(setup, config)
    tokens = data.splits["train"]
    batches = epochs(len(setup.train_indices), config.batch_size, stream(config.stream_seed("order"), "order"))
    _seed_dropout(model, stream_entropy(config.stream_seed("dropout"), "dropout"), execution)
    state = State(model, optimizer, points, execution.device)
    start = 0 if keeper is None else keeper.restore(state)
    model.train()
    for done, batch_indices in enumerate(islice(batches, start, setup.num_steps), start):
        step = done + 1
        bias = float(bias_ratio(step, *config.adam.betas))
        lr = config.adam.lr * setup.lr_factor(done)
        if config.adam.lr_bias is not None:
            lr = lr / bias if config.adam.lr_bias == "divided" else lr * bias
        for group, plan in zip(optimizer.param_groups, setup.groups, strict=True):
            group["lr"] = lr * plan.lr_scale
        batch = tokens.batch(setup.train_indices[batch_indices], device)
        with arithmetic(config.precision, execution):
            logits = model(batch)
        kind = data.task.kind
        loss = (tag_losses(model, logits, batch) if kind == "tagging" else losses(logits, batch.labels, kind)).mean()
        yield Row(step, "train", "loss", "", value := loss.item())
        if not np.isfinite(value):
            return
        loss.backward()
        by_block = {"block_grad_norm": blocks.gradient_norms()} if step % EVERY == 0 or step == setup.num_steps else {}
        max_norm = float("inf") if config.max_grad_norm is None else config.max_grad_norm
        grad_norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm).item()
        expected = 1.0 if config.adam.bias_correction else bias
        values = {"lr": lr, "grad_norm": grad_norm, "update_bias_closed_form": expected}
        measured = step in metered
        if measured:
            meter.before()
        optimizer.step()
        if measured:
            values["update_norm"], ratio = meter.after()
            if lr > 0:  # at lr 0 there is no update whose size could be compared
                values["update_bias"] = ratio
        if by_block:
            by_block["distance"] = blocks.distances()
        optimizer.zero_grad()
        points.take_in(done)
        yield from (Row(step, "train", metric, "", v) for metric, v in values.items())
        yield from (Row(step, "train", metric, scope, v) for metric, parts in by_block.items() for scope, v in parts.items())
        if step in setup.evaluation_steps:
            yield from points.at(step)
            if points.diverged:
                return
            model.train()
        if keeper is not None and (step < setup.num_steps or surface is not None):
            keeper.between_steps(step, state)
    if surface is not None:
        known = 0 if keeper is None else sum(row.metric == "surface_score" for row in keeper.rows)
        for row in surface.rows(setup.num_steps, config, data, execution, skip=known):
            yield row
            if keeper is not None and row.metric == "surface_score":
                keeper.between_steps(setup.num_steps, state)


def _surface(setup: Setup, config: RunConfig) -> Surface | None:
    if config.surface is None:
        return None
    if "surface" not in setup.sources:
        raise UsageError("surface: build() needs the weights that the other run ended with, in sources")
    return Surface(setup.model, config.surface, setup.train_indices, setup.sources["surface"])


def _seed_dropout(model: Model, entropy: int, execution: Execution) -> None:
    # The padded reference and GPUs use torch's generator; nothing else draws from it between here and the end of the run.
    torch.manual_seed(entropy)
    if not execution.on_gpu:
        model.draw_dropout_from(DropoutStream(entropy))


def _train_indices(config: RunConfig, available: int) -> NDArray[np.int64]:
    if config.num_train is None or config.num_train >= available:
        return np.arange(available)
    rng = stream(config.stream_seed("sample"), "sample")
    return np.sort(rng.permutation(available)[: config.num_train])


def _groups(model: Model, weight_decay: float) -> tuple[ParamGroup, ...]:
    members: dict[Place, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        members.setdefault(model.place(name), []).append(parameter)
    return tuple(
        ParamGroup(place, tuple(params), lr_scale=1.0, weight_decay=weight_decay if place.decays else 0.0)
        for place, params in members.items()
    )


def _optimizer(setup: Setup, config: RunConfig) -> AdamW:
    adam = config.adam
    groups = [
        {"params": list(group.params), "weight_decay": group.weight_decay, "decay_to": group.decay_to} for group in setup.groups
    ]
    return AdamW(
        groups, lr=adam.lr, betas=adam.betas, eps=adam.eps, bias_correction=adam.bias_correction, eps_placement=adam.eps_placement
    )
