"""Seed effects: the tests of claims on a square of init seeds x order seeds.

All are about the last scores on validation (`stableft.reporting.grid_axes.seed_scores`). The unit
is a seed of a side, so n is the length of the shorter side.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from stableft import statistics
from stableft.core.errors import MissingInput
from stableft.reporting.claims.arms import Arm
from stableft.reporting.claims.claim import Evidence, Verdict
from stableft.reporting.claims.hypotheses import together
from stableft.reporting.grid_axes import seed_scores, seed_square
from stableft.reporting.rounding import exact, text
from stableft.statistics import Vector
from stableft.storage.records import Results

SMALLEST = 1 / 138  # one validation example of Zhang et al., Appendix B


@dataclass(frozen=True)
class BothContribute:
    """Test: init and order seeds each add to the variance of scores.

    Confirmed if the 95 % interval of either component lies above 0, contradicted if that of one of
    them ends below a standard deviation of ``least``.

    Attributes:
        method: The method.
        least: In units of the score, > 0.
    """

    method: str
    least: float = SMALLEST

    @property
    def arms(self) -> tuple[Arm, ...]:
        return (f"{self.method} *",)

    def __call__(self, results: Results) -> Evidence:
        return _on_tasks(results, self._decide, self.method)

    def _decide(self, scores: Vector) -> Evidence:
        components, intervals = exact((statistics.variance_components(scores), statistics.component_intervals(scores)))
        verdict: Verdict = "inconclusive"
        if min(intervals.rows.low, intervals.columns.low) > 0:
            verdict = "confirmed"
        elif min(intervals.rows.high, intervals.columns.high) < self.least**2:
            verdict = "contradicted"
        parts = zip(("init", "order", "rest"), components[:3], intervals, strict=True)
        found = ", ".join(f"{name} {one**0.5:.4f} ({low**0.5:.4f} to {high**0.5:.4f})" for name, one, (low, high) in parts)
        effect = f"{components.rows**0.5:.3f}, {components.columns**0.5:.3f}"
        return Evidence(verdict, f"std of {found}, {_size(scores)}", min(scores.shape), effect=effect)


@dataclass(frozen=True)
class SteadierOver:
    """Test: scores of a method spread less over one kind of seed, the other held fixed.

    Confirmed if the 95 % interval of the ratio of standard deviations lies below 1, contradicted if
    it lies above; see `stableft.statistics.spread_ratio`.

    Attributes:
        side: The kind of seed over which scores spread.
        treated: The steadier method.
        reference: The other method.
    """

    side: Literal["init", "order"]
    treated: str
    reference: str

    @property
    def arms(self) -> tuple[Arm, ...]:
        return (f"{self.treated} *", f"{self.reference} *")

    def __call__(self, results: Results) -> Evidence:
        return _on_tasks(results, self._decide, self.treated, self.reference)

    def _decide(self, treated: Vector, reference: Vector) -> Evidence:
        found = exact(statistics.spread_ratio(treated, reference, "rows" if self.side == "init" else "columns"))
        verdict: Verdict = "confirmed" if found.high < 1 else "contradicted" if found.low > 1 else "inconclusive"
        numbers = f"ratio of stds {found.ratio:.2f} ({found.low:.2f} to {found.high:.2f})"
        return Evidence(verdict, f"{numbers}, {_size(treated)}", min(treated.shape), effect=f"x {found.ratio:.2f}")


@dataclass(frozen=True)
class MeanHigher:
    """Test: a method scores higher, with init and order seeds both drawn at random.

    See `stableft.statistics.crossed_mean`.

    Attributes:
        treated: The method that scores higher.
        reference: The other method.
    """

    treated: str
    reference: str

    @property
    def arms(self) -> tuple[Arm, ...]:
        return (f"{self.treated} *", f"{self.reference} *")

    def __call__(self, results: Results) -> Evidence:
        return _on_tasks(results, self._decide, self.treated, self.reference)

    def _decide(self, treated: Vector, reference: Vector) -> Evidence:
        found = exact(statistics.crossed_mean(treated - reference))
        verdict: Verdict = "confirmed" if found.low > 0 else "contradicted" if found.high < 0 else "inconclusive"
        interval = f"difference {found.mean:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
        numbers = f"{text(treated.mean(), '.3f')} against {text(reference.mean(), '.3f')}, {interval}"
        return Evidence(verdict, f"{numbers}, {_size(treated)}", min(treated.shape), effect=f"{found.mean:+.3f}")


def _on_tasks(results: Results, decide: Callable[..., Evidence], *methods: str) -> Evidence:
    groups = seed_scores(results).groupby("task", sort=False, observed=True)
    return together({str(task): decide(*_squares(of_task, str(task), methods)) for task, of_task in groups})


def _squares(scores: pd.DataFrame, task: str, methods: tuple[str, ...]) -> list[Vector]:
    """Returns (A, B) scores of each method, all of the same seeds.

    Raises:
        MissingInput: a method was not run, or its square has a hole or a single seed on a side.
    """
    squares = [seed_square(scores[scores["method"] == method]) for method in methods]
    for method, square in zip(methods, squares, strict=True):
        if min(square.shape) < 2:
            raise MissingInput(f"{method} on {task}: {square.shape[0]} x {square.shape[1]} seeds, and 2 x 2 are the least")
        if missing := int(np.isnan(square.to_numpy(dtype=np.float64)).sum()):
            raise MissingInput(f"{method} on {task}: {missing} of {square.size} pairs of seeds are not run")
        if not (square.index.equals(squares[0].index) and square.columns.equals(squares[0].columns)):
            raise MissingInput(f"{' and '.join(methods)} on {task} were run with different seeds")
    return [np.asarray(square, dtype=np.float64) for square in squares]


def _size(scores: Vector) -> str:
    return f"{scores.shape[0]} x {scores.shape[1]} seeds"
