"""Parts ``steps`` and ``evaluation``: training steps and evaluation of every variant.

If both are requested, they use the same processes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import engine, gemm
from benchmarks.process import Answer, team
from benchmarks.statistic import Row, interleave
from benchmarks.subject import Evaluated, Trained
from benchmarks.variants import NOT_SUPPORTED, VARIANTS, Context, Variant
from benchmarks.work import BASE, MINILM, NARROW, RTE, SHAPES, TINY, TNEWS, Shape, Size, small, splits

GEMM = "GEMM"
GEMM_SECONDS = 0.3


@dataclass(frozen=True)
class Plan:
    """Amount of work in a round: smaller for expensive settings.

    Attributes:
        warm: Untimed steps at the start. Up to step 8 our engine measures every update, later about
            every tenth.
        steps: Timed steps.
        examples: Evaluated examples.
        rounds: Default number of rounds.
    """

    warm: int
    steps: int
    examples: int
    rounds: int


PLANS = {
    (TNEWS.name, MINILM.name): Plan(8, 6, 1000, 4),
    (TNEWS.name, NARROW.name): Plan(8, 6, 1000, 3),
    (TNEWS.name, BASE.name): Plan(8, 2, 200, 2),
    (RTE.name, MINILM.name): Plan(8, 4, 277, 3),
    (RTE.name, NARROW.name): Plan(8, 4, 277, 2),
    (RTE.name, BASE.name): Plan(1, 1, 64, 2),
    (TNEWS.name, TINY.name): Plan(1, 2, 24, 1),
    (RTE.name, TINY.name): Plan(1, 2, 24, 1),
}


@dataclass(frozen=True)
class Measured:
    """One variant in one round; times and rates are those of all its processes together."""

    step_ms: float | None = None
    step_rate: float = 0.0
    step_mb: float = 0.0
    example_us: float | None = None
    example_rate: float = 0.0
    example_mb: float = 0.0
    threads: int = 1
    gemm: dict[str, float] | None = None


def measure(context: Context, parts: set[str]) -> dict[str, list[Row]]:
    """Measures the requested parts among ``steps`` and ``evaluation``, and returns their rows."""
    rows: dict[str, list[Row]] = {part: [] for part in parts}
    for shape in SHAPES:
        for size in context.sizes():
            plan = PLANS[shape.name, size.name]
            used = small(shape) if context.quick else shape
            encoder = context.encoder(size)
            supported = [variant for variant in VARIANTS if variant.supported]
            variants = {variant.name: _call(context, variant, encoder, used, size, plan, parts) for variant in supported}
            products = gemm.layer_products(size, _tokens_per_batch(used, encoder))
            variants[GEMM] = _gemm(context, products)
            samples = interleave(variants, context.rounds or plan.rounds)
            for part in parts:
                rows[part] += _rows(part, f"{shape.name}, {size.name}", plan, samples)
    return rows


def _tokens_per_batch(shape: Shape, encoder: Path) -> int:
    train, _ = splits(shape, encoder)
    return round(shape.batch_size * sum(example.length for example in train) / len(train))


def _gemm(context: Context, products: list[gemm.Product]) -> Callable[[int], Measured]:
    seconds = 0.02 if context.quick else GEMM_SECONDS
    return lambda _: Measured(gemm=gemm.rates(context.nursery(ours=True), products, seconds))


def _call(
    context: Context, variant: Variant, encoder: Path, shape: Shape, size: Size, plan: Plan, parts: set[str]
) -> Callable[[int], Measured]:
    members = context.members(variant)
    examples = min(plan.examples, shape.num_validation)

    def call(number: int) -> Measured:
        spec = variant.spec(encoder, shape, seed=number)
        values: dict[str, Any] = {}
        answers: list[Answer] = []
        with team(context.nursery(ours=variant.ours), spec, members) as workers:
            if "steps" in parts:
                answers = workers.call("train", plan.warm, plan.steps)
                values |= _trained(answers, plan, size, variant)
            if "evaluation" in parts:
                workers.call("evaluate", min(32, examples))  # untimed: fills memory and caches as in the middle of a run
                answers = workers.call("evaluate", examples)
                values |= _evaluated(answers, _lengths(shape, encoder, examples), size, variant)
        return Measured(threads=answers[0].threads, **values)

    return call


def _lengths(shape: Shape, encoder: Path, count: int) -> list[int]:
    return [example.length for example in splits(shape, encoder)[1][:count]]


def _trained(answers: list[Answer], plan: Plan, size: Size, variant: Variant) -> dict[str, float]:
    trained: list[Trained] = [answer.value for answer in answers]
    seconds = max(one.seconds for one in trained)
    operations = sum(
        size.flops(one.tokens, one.sequences, training=True, first_token_only=variant.first_token_only) for one in trained
    )
    peak = max(answer.peak_mb for answer in answers)
    return {"step_ms": 1e3 * seconds / (len(trained) * plan.steps), "step_rate": operations / seconds / 1e9, "step_mb": peak}


def _evaluated(answers: list[Answer], lengths: list[int], size: Size, variant: Variant) -> dict[str, float]:
    evaluated: list[Evaluated] = [answer.value for answer in answers]
    seconds = max(one.seconds for one in evaluated)
    count = len(lengths)
    operations = size.flops(sum(lengths), count, training=False, first_token_only=variant.first_token_only)
    return {
        "example_us": 1e6 * seconds / (len(evaluated) * count),
        "example_rate": len(evaluated) * operations / seconds / 1e9,
        "example_mb": max(answer.peak_mb for answer in answers),
    }


def _rows(part: str, work: str, plan: Plan, samples: dict[str, list[Measured]]) -> list[Row]:
    what = "step" if part == "steps" else "example"
    unit = {"step": "ms per step", "example": "us per example"}[what]
    amount = f"{plan.steps} steps after {plan.warm}" if what == "step" else f"{plan.examples} examples"
    group = f"{work}: {amount} in a round"
    # Variants, each with its share of the GEMM rate of its precision in the same round.
    limit = [one.gemm for one in samples[GEMM] if one.gemm]
    rows = []
    for variant in VARIANTS:
        if not variant.supported:
            rows.append(Row(group, variant.name, unit, [], missing=NOT_SUPPORTED))
            continue
        runs = samples[variant.name]
        rate = [getattr(run, f"{what}_rate") for run in runs]
        limits = [max(value for kind, value in one.items() if kind.startswith(variant.precision)) for one in limit]
        extra = {
            "processes x threads": f"{engine.workers() if variant.ours else 1} x {runs[0].threads}",
            "GFLOP/s": rate,
            "fraction of the GEMM rate": [value / most for value, most in zip(rate, limits, strict=True)],
            "peak MiB of a process": [getattr(run, f"{what}_mb") for run in runs],
        }
        values = [value for run in runs if (value := run.step_ms if what == "step" else run.example_us) is not None]
        rows.append(Row(group, variant.name, unit, values, extra=extra))
    # The GEMM rates themselves.
    extra = {"fraction of the GEMM rate": "the denominator is the greatest of its precision"}
    rows += [
        Row(group, f"{GEMM}, {kind}, {engine.workers()} x 1", "GFLOP/s", [one[kind] for one in limit], True, extra)
        for kind in gemm.KINDS
    ]
    return rows
