"""The loop against one written independently, and what must not move what."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoTokenizer, BertForSequenceClassification

from stableft.core.adam_bias import bias_ratio, metered_steps
from stableft.core.config import EvaluationConfig, RunConfig, ScheduleConfig
from stableft.core.errors import UsageError
from stableft.core.schedule import evaluation_steps, schedule_steps
from stableft.core.seeds import stream
from stableft.core.technique import Stage, Technique
from stableft.models.encoders import Encoder
from stableft.models.model import Model
from stableft.models.tokens import Batch, Data, Tokens, encode
from stableft.tasks import TaskData
from stableft.tasks.scores import SCORES
from stableft.training import loop
from stableft.training import step as passes
from stableft.training.evaluation import MetricRow, Predictions, Scorer, evaluation_subset
from stableft.training.loop import train
from stableft.training.runtime import Runtime
from stableft.training.setup import Setup, build
from tests.conftest import TOY, ConfigFactory

STREAMS = ("sample", "init", "order", "dropout")


@dataclasses.dataclass
class Outcome:
    rows: list[MetricRow]
    predictions: list[Predictions]

    def series(self, metric: str, split: str = "train", scope: str = "") -> dict[int, float]:
        return {r.step: r.value for r in self.rows if (r.metric, r.split, r.scope) == (metric, split, scope)}

    @property
    def train_rows(self) -> list[MetricRow]:
        return [row for row in self.rows if row.split == "train"]

    @property
    def losses(self) -> list[float]:
        return list(self.series("loss").values())


Runner = Callable[..., Outcome]


@pytest.fixture(scope="module")
def run(tiny_encoder: Encoder, toy_data: Data, toy_config: ConfigFactory) -> Runner:
    def run(
        overrides: dict[str, Any] | None = None, /, *, encoder: Encoder = tiny_encoder, data: Data = toy_data, **top: Any
    ) -> Outcome:
        runtime = Runtime(packed=top.pop("packed", True))
        config = toy_config(overrides, **top)
        return collect(train(build(config, data, encoder, runtime), data, runtime))

    return run


@pytest.fixture(scope="module")
def plain(run: Runner) -> Outcome:
    """The small configuration as it is."""
    return run()


@pytest.fixture(scope="module")
def few(run: Runner) -> Outcome:
    return run(seed=0, num_train=40)


def collect(items: Iterable[MetricRow | Predictions]) -> Outcome:
    outcome = Outcome([], [])
    for item in items:
        (outcome.predictions if isinstance(item, Predictions) else outcome.rows).append(item)  # type: ignore[arg-type]
    return outcome


def same(one: Outcome, other: Outcome) -> bool:
    """Bit for bit."""
    return repr(one.rows) == repr(other.rows) and all(
        np.array_equal(a.predictions, b.predictions) and np.array_equal(a.probabilities, b.probabilities)
        for a, b in zip(one.predictions, other.predictions, strict=True)
    )


# --- an independent loop -------------------------------------------------------------------------------------------------------


class NaiveBertAdam(torch.optim.Optimizer):
    """BERT's original optimizer, parameter by parameter."""

    def __init__(self, groups: list[dict[str, Any]], lr: float, eps: float) -> None:
        super().__init__(groups, {"lr": lr, "eps": eps, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                state["m"] = 0.9 * state.get("m", torch.zeros_like(p)) + 0.1 * p.grad
                state["v"] = 0.999 * state.get("v", torch.zeros_like(p)) + 0.001 * p.grad**2
                p -= group["lr"] * (state["m"] / (state["v"].sqrt() + group["eps"]) + group["weight_decay"] * p)


def reference_losses(config: RunConfig, encoder: Encoder, head: nn.Linear) -> list[float]:
    """Fine-tuning as a script of Zhang et al.'s time would do it: padded batches, LambdaLR, clipping; no code of this package.

    Only the initial head and the order stream are taken over.
    """
    model = BertForSequenceClassification.from_pretrained(
        encoder.folder, num_labels=2, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, attn_implementation="eager"
    )
    model.classifier.load_state_dict(head.state_dict())
    model.train()
    tokenizer = AutoTokenizer.from_pretrained(encoder.folder)
    examples = TOY.load().train
    no_decay = ("bias", "LayerNorm.weight")
    named = list(model.named_parameters())
    groups = [
        {"params": [p for n, p in named if not any(d in n for d in no_decay)], "weight_decay": config.adam.weight_decay},
        {"params": [p for n, p in named if any(d in n for d in no_decay)], "weight_decay": 0.0},
    ]
    optimizer: torch.optim.Optimizer
    if config.adam.bias_correction:
        optimizer = torch.optim.AdamW(groups, lr=config.adam.lr, eps=config.adam.eps)
    else:
        optimizer = NaiveBertAdam(groups, lr=config.adam.lr, eps=config.adam.eps)
    num_epochs = config.schedule.num_epochs or 0
    total = num_epochs * math.ceil(len(examples) / config.batch_size)
    warmup = int(0.1 * total)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: s / warmup if s < warmup else max(0.0, (total - s) / (total - warmup))
    )
    order = stream(config.seed, "order")
    losses = []
    for _ in range(num_epochs):
        permutation = order.permutation(len(examples))
        for start in range(0, len(examples), config.batch_size):
            chosen = [examples[i] for i in permutation[start : start + config.batch_size]]
            inputs = tokenizer([e.text for e in chosen], padding=True, truncation=True, max_length=32, return_tensors="pt")
            loss = model(**inputs, labels=torch.tensor([int(e.label) for e in chosen])).loss
            losses.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return losses


@pytest.mark.parametrize("correction", [True, False])
def test_losses_are_those_of_an_independent_script(
    run: Runner, tiny_encoder: Encoder, toy_config: ConfigFactory, toy_data: Data, correction: bool
) -> None:
    overrides = {
        "adam.lr": 3e-3 if correction else 1e-3,
        "adam.bias_correction": correction,
        "adam.weight_decay": 1.0,
        "schedule.num_epochs": 6,
        "dropout": 0.0,
        "batch_size": 12,  # does not divide 64: the last batch of an epoch is smaller
    }
    config = toy_config(overrides)
    head = build(config, toy_data, tiny_encoder, Runtime()).model.head
    expected = reference_losses(config, tiny_encoder, head)
    for packed in (True, False):
        losses = run(overrides, packed=packed).losses
        assert len(losses) == len(expected) == 36
        np.testing.assert_allclose(losses, expected, rtol=0, atol=5e-6)
    # The comparison would show an optimizer or a decay that is not what was asked for.
    assert max(expected) - min(expected) > 0.2
    for field, other in (("adam.bias_correction", not correction), ("adam.weight_decay", 0.0)):
        assert np.abs(np.subtract(run({**overrides, field: other}).losses, expected)).max() > 5e-3, field


def test_clipping_is_part_of_the_loop(run: Runner, lively_encoder: Encoder) -> None:
    clipped, free = (run({"max_grad_norm": norm, "dropout": 0.0}, encoder=lively_encoder) for norm in (1e-3, None))
    # The norm that is logged is the one before clipping.
    assert clipped.series("grad_norm")[1] == free.series("grad_norm")[1] > 0.1
    assert clipped.losses[:2] == free.losses[:2]
    assert clipped.losses != free.losses


# --- what moves nothing --------------------------------------------------------------------------------------------------------


def test_when_to_evaluate_moves_nothing(run: Runner) -> None:
    reference = run({"evaluation.every": 24})
    for evaluation in (
        {"evaluation.every": 3},
        {"evaluation.every": 7},
        {"evaluation.every": 5, "evaluation.test_points": "last"},
        {"evaluation.every": 5, "evaluation.num_examples": 6},
        {"evaluation.every": None, "evaluation.num_points": 10},
    ):
        other = run(evaluation)
        assert other.train_rows == reference.train_rows
        assert other.series("score", "test")[24] == reference.series("score", "test")[24]
        assert np.array_equal(other.predictions[1].probabilities, reference.predictions[1].probabilities)


def test_the_same_seed_twice_whatever_the_state_of_the_global_generators(run: Runner, plain: Outcome) -> None:
    torch.manual_seed(99)
    np.random.seed(99)
    assert same(run(), plain)
    assert run(seed=4).losses != plain.losses


def test_draws_from_torchs_generator_during_a_run_move_nothing(
    toy_config: ConfigFactory, toy_data: Data, lively_encoder: Encoder
) -> None:
    """Dropout has a generator of its own: a neighbour in the process that draws from torch's changes no bit."""

    def losses(disturb: bool) -> list[float]:
        config, runtime = toy_config(dropout=0.3), Runtime()
        values = []
        for item in train(build(config, toy_data, lively_encoder, runtime), toy_data, runtime):
            if disturb:
                torch.rand(3)
            if isinstance(item, MetricRow) and item.metric == "loss":
                values.append(item.value)
        return values

    assert losses(disturb=True) == losses(disturb=False)


def test_the_arms_share_everything_until_an_update_counts(
    run: Runner, plain: Outcome, tiny_encoder: Encoder, toy_config: ConfigFactory, toy_data: Data
) -> None:
    on, off = ({"adam.bias_correction": correction} for correction in (True, False))
    heads = [build(toy_config(arm), toy_data, tiny_encoder, Runtime()).model.head.weight for arm in (on, off)]
    assert torch.equal(*heads)
    assert toy_config(on) == toy_config()
    corrected, uncorrected = plain, run(off)
    # Step 1 sees the same head, batch and dropout; its update has rate 0, so step 2 does too; step 3 follows the first update.
    assert corrected.losses[:2] == uncorrected.losses[:2]
    assert corrected.series("grad_norm")[2] == uncorrected.series("grad_norm")[2]
    assert corrected.losses[2] != uncorrected.losses[2]
    assert corrected.series("lr") == uncorrected.series("lr")


def test_the_learning_rate_can_stand_in_for_the_correction(run: Runner) -> None:
    """Protocol section 1.2: lr / b(t) makes uncorrected Adam the corrected one, lr x b(t) the corrected one uncorrected.

    Exactly so with epsilon added to the raw second moment, and up to rounding.
    """
    settings = {"adam.eps_placement": "v"}
    plain = {correction: run({**settings, "adam.bias_correction": correction}) for correction in (True, False)}
    assert max(np.abs(np.subtract(plain[True].losses, plain[False].losses))) > 1e-3
    for correction, lr_bias, power in ((True, "divided", -1), (False, "multiplied", 1)):
        other, same = run({**settings, "adam.bias_correction": not correction, "adam.lr_bias": lr_bias}), plain[correction]
        np.testing.assert_allclose(other.losses, same.losses, rtol=0, atol=2e-5)
        factors = bias_ratio(np.arange(1, len(same.losses) + 1)) ** power
        np.testing.assert_allclose(list(other.series("lr").values()), factors * list(same.series("lr").values()))


def test_the_arms_share_order_and_dropout_to_the_end(run: Runner) -> None:
    """At a rate too small to matter, the losses of the two arms are the same at every step, dropout and all."""
    tiny = {"adam.lr": 1e-12}
    corrected = run({**tiny, "adam.bias_correction": True}).losses
    uncorrected = run({**tiny, "adam.bias_correction": False}).losses
    np.testing.assert_allclose(corrected, uncorrected, rtol=0, atol=1e-6)
    other_order = run({**tiny, "order_seed": 1}).losses
    other_dropout = run({**tiny, "dropout_seed": 1}).losses
    assert np.abs(np.subtract(corrected, other_order)).max() > 1e-4
    assert np.abs(np.subtract(corrected, other_dropout)).max() > 1e-4


@pytest.mark.parametrize("name", STREAMS)
def test_a_streams_seed_moves_that_stream_alone(run: Runner, few: Outcome, name: str) -> None:
    subset = {"num_train": 40}
    by_stream = run({**subset, "seed": 0, f"{name}_seed": 1})
    by_seed = run({**subset, "seed": 1, **{f"{other}_seed": 0 for other in STREAMS if other != name}})
    assert same(by_stream, by_seed)
    assert by_stream.losses != few.losses


def test_setting_all_streams_is_setting_the_seed(run: Runner) -> None:
    pinned = {f"{name}_seed": 7 for name in STREAMS}
    assert same(run({**pinned, "seed": 123, "num_train": 40}), run(seed=7, num_train=40))


def test_the_order_seed_changes_which_batches_come_when(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []
    batch = Tokens.batch

    def spy(self: Tokens, indices: Sequence[int], device: str = "cpu") -> Any:
        if len(self) == 64:
            seen.append([int(i) for i in indices])
        return batch(self, indices, device)

    monkeypatch.setattr(Tokens, "batch", spy)

    def batches(**seeds: int) -> list[list[int]]:
        seen.clear()
        run(**seeds)
        return list(seen)

    reference = batches()
    assert batches(init_seed=1, dropout_seed=1, sample_seed=1) == reference
    other = batches(order_seed=1)
    assert other != reference
    for epochs in (reference, other):
        assert len(epochs) == 24
        for start in (0, 8, 16):
            assert sorted(itertools.chain(*epochs[start : start + 8])) == list(range(64))
    assert reference[:8] != reference[8:16]


def test_the_sample_is_drawn_by_its_stream(toy_config: ConfigFactory, toy_data: Data, tiny_encoder: Encoder) -> None:
    def indices(**changes: Any) -> list[int]:
        return build(toy_config(**changes), toy_data, tiny_encoder, Runtime()).train_indices.tolist()

    assert indices() == indices(num_train=64) == indices(num_train=1000) == list(range(64))
    drawn = indices(num_train=20)
    assert len(set(drawn)) == 20
    assert drawn == sorted(drawn)
    assert drawn == indices(num_train=20, seed=5, sample_seed=0)
    assert drawn != indices(num_train=20, seed=5)
    assert set(drawn) <= set(indices(num_train=30)), "a larger sample holds the smaller"


def test_packing_changes_the_last_bits_only(run: Runner) -> None:
    packed, padded = (run({"dropout": 0.0}, packed=packed) for packed in (True, False))
    np.testing.assert_allclose(packed.losses, padded.losses, rtol=0, atol=1e-4)
    np.testing.assert_allclose(packed.predictions[1].probabilities, padded.predictions[1].probabilities, rtol=0, atol=1e-3)


def test_bf16_runs_on_a_cpu_and_is_close(run: Runner) -> None:
    settings = {"dropout": 0.0, "adam.lr": 1e-3}
    full, half = run(settings), run({**settings, "precision": "bf16"})
    assert half.predictions[0].probabilities.dtype == np.float32
    assert half.losses != full.losses
    np.testing.assert_allclose(half.losses, full.losses, rtol=0, atol=0.05)
    assert all(np.isfinite(row.value) for row in half.rows)


class Doubling(Technique):
    """Doubles the head's bias after adding what it is told to, so that order shows."""

    name: ClassVar[str] = "doubling"
    stage: ClassVar[Stage] = Stage.AVERAGE
    plus: float = 0.0

    @classmethod
    def null(cls) -> Self:
        return cls()

    def apply(self, setup: Setup) -> Setup:
        with torch.no_grad():
            setup.model.head.bias.add_(self.plus).mul_(2)
        return dataclasses.replace(setup, num_steps=setup.num_steps + setup.config.batch_size)


class Earlier(Doubling):
    name: ClassVar[str] = "earlier"
    stage: ClassVar[Stage] = Stage.WEIGHTS


def test_techniques_change_the_setup_in_order_of_stage(toy_config: ConfigFactory, toy_data: Data, tiny_encoder: Encoder) -> None:
    config = toy_config(techniques=(Doubling(plus=1), Earlier(plus=10)))
    setup = build(config, toy_data, tiny_encoder, Runtime())
    assert setup.model.head.bias.tolist() == [42.0, 42.0]  # ((0 + 10) x 2 + 1) x 2
    assert setup.num_steps == 24 + 8 + 8


# --- lengths and points --------------------------------------------------------------------------------------------------------


def sized(toy_config: ConfigFactory, batch_size: int, **schedule: Any) -> RunConfig:
    ratio = {} if "warmup_steps" in schedule else {"warmup_ratio": 0.1}
    config = ScheduleConfig.model_validate({**ratio, **schedule})
    return toy_config(batch_size=batch_size).model_copy(update={"schedule": config})


# Protocol section 1.3: N, steps of 3 epochs at 32, T // 10 there, steps of 3 epochs at 16, of 20 epochs at 16 (0: not given).
STEPS = [
    ("RTE", 2490, 234, 23, 468, 3120),
    ("MRPC", 3668, 345, 34, 690, 4600),
    ("STS-B", 5749, 540, 54, 1080, 7200),
    ("CoLA", 8551, 804, 80, 1605, 10700),
    ("SST-2", 67349, 6315, 631, 12630, 0),
    ("QNLI", 104743, 9822, 982, 19641, 0),
    ("QQP", 363846, 34113, 3411, 0, 0),
    ("MNLI", 392702, 36816, 3681, 0, 0),
    ("1k", 1000, 96, 9, 189, 1260),
]


@pytest.mark.parametrize("row", STEPS, ids=[row[0] for row in STEPS])
def test_step_counts_of_the_protocol(toy_config: ConfigFactory, row: tuple[str, int, int, int, int, int]) -> None:
    _, n, three, warmup, three_at_16, twenty_at_16 = row
    assert schedule_steps(sized(toy_config, 32, num_epochs=3), n) == (three, warmup)
    if three_at_16:
        assert schedule_steps(sized(toy_config, 16, num_epochs=3), n)[0] == three_at_16
    if twenty_at_16:
        assert schedule_steps(sized(toy_config, 16, num_epochs=20), n)[0] == twenty_at_16


def test_tnews_has_630_steps(toy_config: ConfigFactory) -> None:
    assert schedule_steps(sized(toy_config, 16, num_epochs=10), 1000) == (630, 63)


def test_steps_and_warm_up_given_outright(toy_config: ConfigFactory) -> None:
    assert schedule_steps(sized(toy_config, 32, num_steps=400), 2490) == (400, 40)
    assert schedule_steps(sized(toy_config, 32, num_steps=400, warmup_steps=50), 2490) == (400, 50)
    assert schedule_steps(sized(toy_config, 32, num_epochs=1, warmup_steps=0), 2490) == (78, 0)


@pytest.mark.parametrize(
    ("evaluation", "num_steps", "expected"),
    [
        ({"num_points": 10}, 540, [54, 108, 162, 216, 270, 324, 378, 432, 486, 540]),
        ({"num_points": 10}, 234, [23, 46, 69, 92, 115, 138, 161, 184, 207, 230, 234]),  # P5: one more
        ({"every": 10}, 24, [10, 20, 24]),
        ({"every": 8}, 24, [8, 16, 24]),
        ({"every": 100}, 24, [24]),
        ({"num_points": 10}, 4, [1, 2, 3, 4]),
        ({"num_points": 1}, 7, [7]),
    ],
    ids=str,
)
def test_where_the_points_are(toy_config: ConfigFactory, evaluation: dict[str, int], num_steps: int, expected: list[int]) -> None:
    config = toy_config().model_copy(update={"evaluation": EvaluationConfig.model_validate(evaluation)})
    assert list(evaluation_steps(config, num_steps, num_train=64)) == expected


@pytest.mark.parametrize(("num_steps", "points"), [(345, 11), (540, 10), (804, 11), (96, 11), (630, 10)])
def test_how_many_points_the_reference_logs(toy_config: ConfigFactory, num_steps: int, points: int) -> None:
    """Protocol section 2.6: 11 lines for RTE, MRPC and CoLA, 10 for STS-B."""
    config = toy_config({"evaluation.every": None, "evaluation.num_points": 10})
    steps = evaluation_steps(config, num_steps, num_train=64)
    assert len(steps) == points
    assert steps[-1] == num_steps


def test_data_is_repeated_for_as_many_steps_as_asked(run: Runner) -> None:
    outcome = run({"schedule.num_epochs": None, "schedule.num_steps": 19, "num_train": 20})
    assert list(outcome.series("loss")) == list(range(1, 20))
    assert list(outcome.series("score", "test")) == [8, 16, 19]


# --- rows ----------------------------------------------------------------------------------------------------------------------


def test_the_rows_of_a_run(plain: Outcome) -> None:
    outcome = plain
    steps = list(range(1, 25))
    for metric in ("loss", "lr", "grad_norm", "update_bias_closed_form"):
        assert list(outcome.series(metric)) == steps, metric
    assert list(outcome.series("update_norm")) == metered_steps(24).tolist()
    assert list(outcome.series("update_bias")) == metered_steps(24).tolist()[1:]  # no update at rate 0
    assert outcome.series("update_norm")[1] == 0
    for split in ("validation", "test"):
        for metric in ("loss", "accuracy", "score"):
            assert list(outcome.series(metric, split)) == [8, 16, 24]
        assert outcome.series("score", split) == outcome.series("accuracy", split)
    assert len({row[:4] for row in outcome.rows}) == len(outcome.rows), "two rows for one thing"
    lr = outcome.series("lr")
    assert [lr[1], lr[2], lr[3], lr[24]] == pytest.approx([0, 1.5e-3, 3e-3, 3e-3 / 22])


def test_measuring_an_update_changes_no_other_number(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = []
    for measured in (list(range(1, 25)), []):
        monkeypatch.setattr(loop, "metered_steps", lambda _, steps=measured: np.array(steps, int))
        outcome = run({"adam.bias_correction": False})
        assert list(outcome.series("update_norm")) == measured
        rows.append([row for row in outcome.rows if row.metric not in ("update_norm", "update_bias")])
    assert rows[0] == rows[1]


@pytest.mark.parametrize("correction", [True, False])
def test_the_measured_bias_is_the_closed_form(run: Runner, correction: bool) -> None:
    outcome = run({"adam.bias_correction": correction, "adam.eps": 1e-15})
    measured, closed = outcome.series("update_bias"), outcome.series("update_bias_closed_form")
    assert closed[12] == (1.0 if correction else float(bias_ratio(12)))
    for step, value in measured.items():
        assert value == pytest.approx(closed[step], rel=1e-3), step


def test_predictions_belong_to_the_final_score(plain: Outcome, toy_data: Data) -> None:
    outcome = plain
    assert [p.split for p in outcome.predictions] == ["validation", "test"]
    for p in outcome.predictions:
        assert p.labels.tolist() == toy_data.splits[p.split].labels.tolist()
        assert SCORES["accuracy"].compute(p.labels, p.predictions) == outcome.series("score", p.split)[24]
        np.testing.assert_allclose(p.probabilities.sum(axis=1), 1, rtol=1e-6)
        assert np.array_equal(p.probabilities.argmax(axis=1), p.predictions)
        of_label = p.probabilities[np.arange(32), p.labels.astype(int)]
        assert -np.log(of_label).mean() == pytest.approx(outcome.series("loss", p.split)[24], rel=1e-4)


def test_the_toy_task_is_learnt(run: Runner) -> None:
    outcome = run({"schedule.num_epochs": 8, "dropout": 0.0})
    assert outcome.series("score", "test")[64] >= 0.8
    assert outcome.losses[0] == pytest.approx(math.log(2), abs=0.02)


# --- evaluation ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tokens", [1, 40, 10_000])
def test_how_evaluation_is_batched_does_not_matter(
    toy_config: ConfigFactory, toy_data: Data, lively_encoder: Encoder, tokens: int
) -> None:
    config = toy_config(dropout=0.5)
    model = build(config, toy_data, lively_encoder, Runtime()).model.train()
    indices = np.array([5, 31, 0, 17, 2])
    losses, outputs = Scorer(config, toy_data, Runtime(evaluation_tokens=tokens)).evaluate(model, "test", indices)
    labels = toy_data.splits["test"].labels[indices]
    for i, index in enumerate(indices):
        with torch.no_grad():
            logits = model.eval()(toy_data.splits["test"].batch([index]))[0]
        np.testing.assert_allclose(outputs[i], logits.numpy(), rtol=0, atol=1e-5)
        assert losses[i] == pytest.approx(float(-torch.log_softmax(logits, 0)[int(labels[i])]), abs=1e-5)
    assert outputs.std(axis=0).min() > 1e-3


def labelled(labels: Sequence[float], kind: Any = "classification") -> Data:
    n = len(labels)
    tokens = Tokens(np.zeros(n, np.int64), np.zeros(n, np.int64), np.arange(n + 1), np.array(labels, np.float64))
    task = dataclasses.replace(TOY, kind=kind, labels=() if kind == "regression" else ("a", "b", "c"))
    return Data(task, {"validation": tokens}, np.arange(1))


def test_the_subset_keeps_each_labels_share() -> None:
    labels = [0.0] * 60 + [1.0] * 30 + [2.0] * 10
    labels = [labels[i] for i in np.random.default_rng(0).permutation(100)]
    for size in (10, 20, 33, 50, 99):
        chosen = evaluation_subset(labelled(labels), size)
        assert chosen is not None
        assert len(set(chosen.tolist())) == size
        assert chosen.tolist() == sorted(chosen.tolist())
        counts = np.bincount(np.array(labels)[chosen].astype(int), minlength=3)
        assert np.all(np.abs(counts - size * np.array([0.6, 0.3, 0.1])) <= 1), (size, counts)


def test_the_subset_is_no_prefix_and_always_the_same() -> None:
    data = labelled([0.0, 1.0, 2.0] * 40)
    first, again = evaluation_subset(data, 30), evaluation_subset(data, 30)
    assert first is not None
    assert again is not None
    assert np.array_equal(first, again)
    assert first.max() > 90
    larger = evaluation_subset(data, 60)
    assert larger is not None
    assert set(first.tolist()) <= set(larger.tolist())


def test_the_subset_of_a_regression() -> None:
    chosen = evaluation_subset(labelled(np.linspace(0, 5, 80).tolist(), "regression"), 20)
    assert chosen is not None
    assert len(set(chosen.tolist())) == 20


@pytest.mark.parametrize("size", [None, 9, 10, 11])
def test_no_subset_where_all_fit(size: int | None) -> None:
    chosen = evaluation_subset(labelled([0.0] * 9), size)
    assert chosen is None


def test_points_before_the_end_use_the_same_subset_for_every_seed(
    run: Runner, toy_data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[tuple[str, list[int]]] = []

    evaluate = Scorer.evaluate

    def spy(scorer: Scorer, model: Any, split: str, indices: np.ndarray) -> Any:
        used.append((split, indices.tolist()))
        return evaluate(scorer, model, split, indices)

    monkeypatch.setattr(Scorer, "evaluate", spy)
    subset = evaluation_subset(toy_data, 6)
    assert subset is not None
    whole = list(range(32))
    for seed in (0, 1):
        used.clear()
        outcome = run({"evaluation.num_examples": 6, "evaluation.test_points": "last", "seed": seed})
        end = [("validation", whole), ("test", whole)]
        assert used[:4] == [("validation", subset.tolist()), ("validation", subset.tolist()), *end]
        assert used[4:] in ([], end)  # the best checkpoint, if it is not the last
        assert list(outcome.series("score", "validation", "subset")) == [8, 16, 24]
        assert list(outcome.series("score", "validation")) == [24]
        assert list(outcome.series("score", "test")) == [24]
        final = outcome.predictions[0]
        at_end = SCORES["accuracy"].compute(final.labels[subset], final.predictions[subset])
        assert outcome.series("score", "validation", "subset")[24] == at_end


def test_the_test_split_at_all_points_is_whole(run: Runner) -> None:
    outcome = run({"evaluation.num_examples": 6})
    assert list(outcome.series("score", "test")) == [8, 16, 24]


# --- other tasks ---------------------------------------------------------------------------------------------------------------


def test_regression(run: Runner, tiny_encoder: Encoder) -> None:
    """Labels are numbers: squared errors, one output, no probabilities; and a task without a test split."""
    toy = TOY.load()
    task = dataclasses.replace(TOY, kind="regression", labels=())
    data = encode(task, TaskData(toy.train, toy.validation), tiny_encoder, max_length=32)
    outcome = run({"schedule.num_epochs": 8, "dropout": 0.0}, data=data)
    (p,) = outcome.predictions
    assert p.split == "validation"
    assert p.probabilities.shape == (32, 0)
    assert outcome.series("loss", "validation")[64] == pytest.approx(float(((p.predictions - p.labels) ** 2).mean()), rel=1e-5)
    assert outcome.losses[0] == pytest.approx(0.5, abs=0.2)  # labels 0 and 1, outputs near 0
    assert outcome.series("loss", "validation")[64] < 0.2  # a constant has 0.25


def test_pieces_are_those_of_all_splits(toy_data: Data, tiny_encoder: Encoder) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder.folder)
    toy = TOY.load()
    for name, examples in (("train", toy.train), ("validation", toy.validation), ("test", toy.test)):
        tokens = toy_data.splits[name]
        ids = toy_data.pieces[tokens.ids].tolist()
        assert [ids[a:b] for a, b in zip(tokens.offsets, tokens.offsets[1:], strict=False)] == [
            tokenizer(e.text)["input_ids"] for e in examples
        ]


# --- divergence ----------------------------------------------------------------------------------------------------------------


def test_a_rate_far_too_large_ends_the_run_with_rows_and_without_predictions(run: Runner) -> None:
    outcome = run({"adam.lr": 1e37, "max_grad_norm": None})
    assert outcome.predictions == []
    last = outcome.rows[-1]
    assert (last.split, last.metric) == ("train", "loss")
    assert not np.isfinite(last.value)
    assert 2 < last.step < 24
    assert list(outcome.series("loss")) == list(range(1, last.step + 1))
    assert all(np.isfinite(value) for value in outcome.losses[:-1])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_the_last_row(
    run: Runner, plain: Outcome, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    losses = passes.batch_losses
    calls = iter(range(1000))

    def failing(model: Model, outputs: torch.Tensor, batch: Batch, kind: str) -> torch.Tensor:
        good = losses(model, outputs, batch, kind)
        return good * value if outputs.requires_grad and next(calls) == 10 else good

    monkeypatch.setattr(passes, "batch_losses", failing)
    outcome = run()
    assert outcome.predictions == []
    assert outcome.rows[-1][:4] == (11, "train", "loss", "")
    assert not np.isfinite(outcome.rows[-1].value)
    assert outcome.rows[:-1] == plain.rows[: len(outcome.rows) - 1]
    assert list(outcome.series("score", "test")) == [8]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_first_loss_that_is_not_finite_is_no_result(run: Runner, monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    """No update came before it: it says nothing on an optimizer."""
    losses = passes.batch_losses
    monkeypatch.setattr(passes, "batch_losses", lambda *arguments: losses(*arguments) * value)
    with pytest.raises(UsageError, match="not finite before the first update"):
        run()


def test_diverging_at_the_very_last_update_is_diverging(run: Runner) -> None:
    """The training losses are all finite then; the evaluation shows it."""
    outcome = run({"schedule.num_epochs": None, "schedule.num_steps": 2, "schedule.warmup_ratio": 0.5, "adam.lr": 1e37})
    assert len(outcome.losses) == 2
    assert np.isfinite(outcome.losses).all()
    assert outcome.predictions == []
    assert outcome.rows[-1][:4] == (2, "validation", "loss", "")
    assert not np.isfinite(outcome.rows[-1].value)


# --- groups --------------------------------------------------------------------------------------------------------------------


def test_groups_partition_the_parameters(toy_config: ConfigFactory, toy_data: Data, tiny_encoder: Encoder) -> None:
    setup = build(toy_config({"adam.weight_decay": 0.01}), toy_data, tiny_encoder, Runtime())
    grouped = [id(p) for group in setup.groups for p in group.params]
    assert sorted(grouped) == sorted(id(p) for p in setup.model.parameters())
    assert len(setup.groups) == len({group.place for group in setup.groups}) == 10
    for group in setup.groups:
        assert group.weight_decay == (0.01 if group.place.decays else 0.0)
        assert group.lr_scale == 1.0
    decayed = {
        name for name, p in setup.model.named_parameters() if any(p is q for g in setup.groups if g.weight_decay for q in g.params)
    }
    assert decayed == {name for name, p in setup.model.named_parameters() if p.ndim == 2}


def test_a_group_can_have_a_rate_of_its_own(toy_config: ConfigFactory, toy_data: Data, tiny_encoder: Encoder) -> None:
    config = toy_config()
    setup = build(config, toy_data, tiny_encoder, Runtime())
    frozen = tuple(dataclasses.replace(g, lr_scale=1.0 if g.place.role == "head" else 0.0) for g in setup.groups)
    before = {name: p.detach().clone() for name, p in setup.model.named_parameters()}
    collect(train(dataclasses.replace(setup, groups=frozen), toy_data, Runtime()))
    moved = {name for name, p in setup.model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {"head.weight", "head.bias"}


def test_the_models_of_two_runs_share_nothing(toy_config: ConfigFactory, toy_data: Data, tiny_encoder: Encoder) -> None:
    one, other = (build(toy_config(), toy_data, tiny_encoder, Runtime()) for _ in range(2))
    pointers = {p.data_ptr() for p in one.model.parameters()}
    assert pointers.isdisjoint(p.data_ptr() for p in other.model.parameters())
    collect(train(one, toy_data, Runtime()))
    fresh = build(toy_config(), toy_data, tiny_encoder, Runtime())
    assert all(torch.equal(a, b) for a, b in zip(other.model.parameters(), fresh.model.parameters(), strict=True))
