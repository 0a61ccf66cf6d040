"""Part ``equality``: differences of loss curves and logits between variants.

They show that all variants do the same work, except for rounding.
"""

from dataclasses import dataclass

import numpy as np

from benchmarks.process import team
from benchmarks.statistic import Row
from benchmarks.subject import Evaluated, Trained
from benchmarks.variants import DEFAULTS, NOT_SUPPORTED, PACKED, VARIANTS, Context, Variant
from benchmarks.work import MINILM, SHAPES, TINY, Shape, small

UNIT = "largest difference of losses"
STEPS = 8
EXAMPLES = 277


@dataclass(frozen=True)
class Curve:
    """Results of one variant: losses of all steps, logits before the first and after the last."""

    losses: np.ndarray
    before: np.ndarray
    after: np.ndarray


def measure(context: Context) -> list[Row]:
    """Measures the part: differences to the Trainer with its defaults.

    Dropout is 0; initial weights and the order of batches are equal.
    """
    rows: list[Row] = []
    size = TINY if context.quick else MINILM
    encoder = context.encoder(size)
    for shape in SHAPES:
        used = small(shape) if context.quick else shape
        steps, count = (3, 24) if context.quick else (STEPS, EXAMPLES)
        with team(context.nursery(ours=True), PACKED.spec(encoder, used, dropout=0.0), 1) as workers:
            head = workers.call("head")[0].value
        curves = {
            variant.name: _curve(context, variant, used, encoder, head, steps, count) for variant in VARIANTS if variant.supported
        }
        group = f"{shape.name}, {size.name}, dropout 0: {steps} steps, {count} examples"
        rows += [row for variant in VARIANTS if variant != DEFAULTS for row in _rows(group, variant, curves)]
    return rows


def _curve(context: Context, variant: Variant, shape: Shape, encoder, head, steps: int, count: int) -> Curve:
    options = {} if variant.ours else {"head": head}
    with team(context.nursery(ours=variant.ours), variant.spec(encoder, shape, dropout=0.0, options=options), 1) as workers:
        before: Evaluated = workers.call("evaluate", count)[0].value
        trained: Trained = workers.call("train", 0, steps, log=True)[0].value
        after: Evaluated = workers.call("evaluate", count)[0].value
    return Curve(np.asarray(trained.losses), before.logits, after.logits)


def _rows(group: str, variant: Variant, curves: dict[str, Curve]) -> list[Row]:
    if variant.name not in curves:
        return [Row(group, variant.name, UNIT, [], missing=NOT_SUPPORTED)]
    reference, other = curves[DEFAULTS.name], curves[variant.name]
    flips = {
        "argmax flips before": f"{_flips(other.before, reference.before)} of {len(reference.before)}",
        "argmax flips after": f"{_flips(other.after, reference.after)} of {len(reference.after)}",
        "largest difference of logits before training": _text(_largest(other.before, reference.before)),
        "after training": _text(_largest(other.after, reference.after)),
        "steps compared": str(len(other.losses)),
        "loss from, to": f"{other.losses[0]:.4f}, {other.losses[-1]:.4f}",
    }
    return [Row(group, variant.name, UNIT, [_largest(other.losses, reference.losses)], extra=flips)]


def _largest(left: np.ndarray, right: np.ndarray) -> float:
    if left.shape != right.shape:
        raise ValueError(f"cannot compare values of shapes {left.shape} and {right.shape}")
    return float(np.abs(left - right).max())


def _text(difference: float) -> str:
    return f"{difference:.1e}" if difference else "0"


def _flips(left: np.ndarray, right: np.ndarray) -> int:
    return int((left.argmax(axis=1) != right.argmax(axis=1)).sum())
