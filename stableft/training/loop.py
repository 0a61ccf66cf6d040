"""Training loop: executes a `Setup`, and knows no technique by name."""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import torch
from torch import nn

from stableft.core.adam_bias import bias_ratio, metered_steps
from stableft.core.errors import UsageError
from stableft.core.seeds import stream, stream_entropy
from stableft.models.layers import DropoutStream
from stableft.models.tokens import Data, epochs
from stableft.training.checkpointing import Checkpointer, TrainingState
from stableft.training.evaluation import MetricRow, Predictions, Scorer
from stableft.training.evaluator import Evaluator
from stableft.training.meters import EVERY, BlockMeter, UpdateMeter
from stableft.training.optimizer import AdamW, Optimizer
from stableft.training.runtime import Runtime
from stableft.training.setup import Setup
from stableft.training.step import RandomState, Step
from stableft.training.surface import Surface


def train(
    setup: Setup, data: Data, runtime: Runtime, checkpointer: Checkpointer | None = None
) -> Iterator[MetricRow | Predictions]:
    """Trains a model. Yields rows as they arise and, at the end, predictions per evaluation split.

    Evaluation draws from no random stream, so its frequency changes nothing. A non-finite loss ends the
    run: its row is the last one and no predictions follow. That is data. Before the first update it is
    none, and a `UsageError`.

    An average of the weights is evaluated at the same points as the weights, its rows after theirs.
    After the last step the checkpoint with the best validation score is evaluated too; the score is
    that of the fixed subset if the points use it. The predictions are those of the last weights. A
    surface's rows, if the configuration asks for one, are the last.

    With a checkpointer that has loaded an earlier attempt, the run resumes from there. Earlier rows are
    not yielded again.
    """
    # Set-up. The meter and the surface copy the initial weights, so they precede the checkpoint.
    config, model = setup.config, setup.model
    scorer = Scorer(config, data, runtime)
    updater = _Updater(setup)
    evaluator = Evaluator(setup, scorer)
    surface = _surface(setup)
    random = _random(setup, runtime)
    state = TrainingState(model, updater.optimizer, evaluator, random)
    start = 0 if checkpointer is None else checkpointer.restore(state)
    thaws = _freeze(setup, start)

    # The order of the data is drawn from its beginning, so that a resumed run sees the same batches.
    tokens = data.splits["train"]
    batches = epochs(len(setup.train_indices), config.batch_size, stream(config.stream_seed("order"), "order"))
    model.train()
    for done, batch_indices in enumerate(islice(batches, start, setup.num_steps), start):
        step = done + 1
        _thaw(thaws.get(done, ()))

        # Forward and backward. The loss of a diverged run is its last row.
        batch = tokens.batch(setup.train_indices[batch_indices], runtime.device)
        passes = Step(done, model, batch, data.task.kind, config.precision, runtime, random, setup.objective)
        value = passes.compute() if setup.gradient is None else setup.gradient(passes)
        yield MetricRow(step, "train", "loss", "", value)
        if not np.isfinite(value):
            return _refuse_before_updates(setup, done)

        # Update of the weights and of their average.
        rows = updater.update(done)
        evaluator.update_average(done)
        yield from rows

        # Evaluation, then perhaps a checkpoint: by then all rows of the step have been yielded.
        if step in setup.evaluation_steps:
            yield from evaluator.evaluate(step)
            if evaluator.diverged:
                return
            model.train()
        if checkpointer is not None and (step < setup.num_steps or surface is not None):
            checkpointer.maybe_save(step, state)

    if surface is not None:
        yield from _surface_rows(surface, setup.num_steps, scorer, state, checkpointer)


def _freeze(setup: Setup, done: int) -> dict[int, list[nn.Parameter]]:
    """Freezes the parameters that are not trained after ``done`` steps.

    Returns:
        Those that are trained later, by the number of completed steps.
    """
    thaws: dict[int, list[nn.Parameter]] = {}
    for group in setup.groups:
        if (start := group.trained_from) == 0:
            continue
        for parameter in group.params:
            parameter.requires_grad_(start is not None and start <= done)
        if start is not None and start > done:
            thaws.setdefault(start, []).extend(group.params)
    return thaws


def _thaw(parameters: Iterable[nn.Parameter]) -> None:
    for parameter in parameters:
        parameter.requires_grad_(True)


def _refuse_before_updates(setup: Setup, done: int) -> None:
    if done == 0 and not setup.config.sources():  # a run from another one's weights may inherit its divergence
        raise UsageError(
            "the loss is not finite before the first update, so no optimizer caused it: weights, inputs or precision do. "
            "Try --precision fp32, or other weights"
        )


class _Updater:
    """Updates of the weights, and their measurement.

    Args:
        setup: Setup of the run, before the first step.

    Attributes:
        optimizer: Optimizer with one parameter group for each group of the setup.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self.optimizer = _optimizer(setup)
        self._meter = UpdateMeter(self.optimizer)
        self._metered = set(metered_steps(setup.num_steps).tolist())
        self._blocks = BlockMeter((group.place, group.params) for group in setup.groups)

    def update(self, done: int) -> list[MetricRow]:
        """Clips the gradients, takes the step after ``done`` others, and returns its rows.

        `UpdateMeter` measures at few steps, `BlockMeter` at every tenth and the last: both take time.
        """
        config, step = self._setup.config, done + 1
        at_blocks = step % EVERY == 0 or step == self._setup.num_steps

        # Before the step: norms of the gradients before they are clipped or masked, and the learning rates.
        by_block = {"block_grad_norm": self._blocks.gradient_norms()} if at_blocks else {}
        max_norm = float("inf") if config.max_grad_norm is None else config.max_grad_norm
        grad_norm = nn.utils.clip_grad_norm_(self._setup.model.parameters(), max_norm).item()
        for change in self._setup.after_clipping:
            change()
        bias = float(bias_ratio(step, *config.adam.betas))
        lr = self._set_learning_rates(done, bias)
        values = {"lr": lr, "grad_norm": grad_norm}
        if isinstance(self.optimizer, AdamW):  # of another rule no closed form is known
            values["update_bias_closed_form"] = 1.0 if config.adam.bias_correction else bias

        # The step. If it is measured, the weights before it are copied.
        measured = step in self._metered
        if measured:
            self._meter.before()
        self.optimizer.step()
        if measured:
            values["update_norm"], ratio = self._meter.after()
            if lr > 0 and self._meter.has_ratio:  # at lr 0 there is no update whose size could be compared
                values["update_bias"] = ratio
        if at_blocks:
            by_block["distance"] = self._blocks.distances()
        self.optimizer.zero_grad()

        rows = [MetricRow(step, "train", metric, "", value) for metric, value in values.items()]
        return rows + [
            MetricRow(step, "train", metric, scope, value) for metric, parts in by_block.items() for scope, value in parts.items()
        ]

    def _set_learning_rates(self, done: int, bias: float) -> float:
        """Sets the groups' rates for the update after ``done`` others, and returns the run's rate.

        ``bias`` is b(t) of that update.
        """
        adam = self._setup.config.adam
        lr = adam.lr * self._setup.lr_factor(done)
        if adam.lr_bias is not None:
            lr = lr / bias if adam.lr_bias == "divided" else lr * bias
        for group, planned in zip(self.optimizer.param_groups, self._setup.groups, strict=True):
            group["lr"] = lr * planned.lr_scale
        return lr


def _optimizer(setup: Setup) -> Optimizer:
    adam = setup.config.adam
    groups = [
        {"params": list(group.params), "weight_decay": group.weight_decay, "decay_to": group.decay_to} for group in setup.groups
    ]
    if setup.optimizer is not None:
        return setup.optimizer(groups, adam)
    return AdamW(
        groups, lr=adam.lr, betas=adam.betas, eps=adam.eps, bias_correction=adam.bias_correction, eps_placement=adam.eps_placement
    )


def _surface(setup: Setup) -> Surface | None:
    if setup.config.surface is None:
        return None
    if "surface" not in setup.sources:
        raise UsageError("surface: build() needs the weights that the other run ended with, in sources")
    return Surface(setup.model, setup.config.surface, setup.train_indices, setup.sources["surface"])


def _surface_rows(
    surface: Surface, num_steps: int, scorer: Scorer, state: TrainingState, checkpointer: Checkpointer | None
) -> Iterator[MetricRow]:
    """Yields the rows of the surface, from the first point that no earlier attempt has logged."""
    known = 0 if checkpointer is None else sum(row.metric == "surface_score" for row in checkpointer.rows)
    for row in surface.rows(num_steps, scorer, skip=known):
        yield row
        if checkpointer is not None and row.metric == "surface_score":
            checkpointer.maybe_save(num_steps, state)


def _random(setup: Setup, runtime: Runtime) -> RandomState:
    # The padded reference and GPUs use torch's generator. Nothing else draws from it during the run.
    entropy = stream_entropy(setup.config.stream_seed("dropout"), "dropout")
    torch.manual_seed(entropy)
    if not runtime.on_gpu:
        setup.model.draw_dropout_from(DropoutStream(entropy))
    return RandomState(setup.model, setup.streams, runtime.device)
