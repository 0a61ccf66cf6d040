"""Trial hypotheses: tests of claims about samples of runs, rather than about pairs of runs."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

from stableft import statistics
from stableft.core.errors import MissingInput, NotLogged
from stableft.reporting.claims.arms import Arm, matching, pattern_at
from stableft.reporting.claims.claim import Evidence, Verdict
from stableft.reporting.claims.decision_rules import ALPHA
from stableft.reporting.claims.hypotheses import together
from stableft.reporting.rounding import exact
from stableft.reporting.run_scores import both_splits
from stableft.statistics import Vector
from stableft.storage.records import CELL, Results

RESAMPLES = 1_999


@dataclass(frozen=True)
class ShareBelow:
    """Test: the share of an arm's runs that score below a level is about that of the source.

    Confirmed if its 95 % Wilson interval lies within the bounds, contradicted if it lies outside.

    Attributes:
        arm: The arm.
        level: A score.
        low: The lower bound of the share.
        high: The upper bound.
    """

    arm: Arm
    level: float
    low: float
    high: float

    @property
    def arms(self) -> tuple[Arm, ...]:
        return (self.arm,)

    def __call__(self, results: Results) -> Evidence:
        return together({task: self._decide(runs) for task, runs in _tasks(results, self.arm)})

    def _decide(self, runs: pd.DataFrame) -> Evidence:
        below, n = int((runs["score"] < self.level).sum()), len(runs)
        low, high = exact(statistics.wilson_interval(below / n, n))
        verdict: Verdict = "inconclusive"
        if self.low <= low and high <= self.high:
            verdict = "confirmed"
        elif low > self.high or high < self.low:
            verdict = "contradicted"
        found = f"{below} of {n} runs below {self.level:g} ({low:.0%} to {high:.0%})"
        return Evidence(verdict, found, n, effect=f"{below} of {n}")


@dataclass(frozen=True)
class FewerTrials:
    """Test: the run with the best validation score among a few scores higher in the treated arm.

    The score is the expected one on the reported split, with replacement
    (`stableft.statistics.expected_test_of_best`); its interval resamples seeds, with both runs of a
    seed together.

    Attributes:
        treated: The arm with the better choice.
        reference: The other arm.
        trials: Runs to choose among.
    """

    treated: Arm
    reference: Arm
    trials: int

    @property
    def arms(self) -> tuple[Arm, ...]:
        return (self.treated, self.reference)

    def __call__(self, results: Results) -> Evidence:
        parts = (dict(_tasks(results, arm)) for arm in self.arms)
        treated, reference = parts
        return together({task: self._decide(treated[task], reference[task]) for task in treated if task in reference})

    def _decide(self, treated: pd.DataFrame, reference: pd.DataFrame) -> Evidence:
        seeds = sorted(set(treated["seed"]) & set(reference["seed"]))
        if len(seeds) < self.trials:
            raise MissingInput(f"{len(seeds)} seeds with both arms, and {self.trials} are chosen among")
        arms = [frame.set_index("seed").loc[seeds, ["validation", "score"]].to_numpy().T for frame in (treated, reference)]
        counts = _resamples(len(seeds))
        best, other = (best_of_resamples(validation, score, counts, self.trials) for validation, score in arms)
        return _higher(f"best of {self.trials}", best, other, len(seeds))


@dataclass(frozen=True)
class StoppingPays:
    """Test: at equal cost, many runs of which all but one are stopped early give a better best run.

    The rule of Dodge et al. (2020), with one run that continues: as many runs are started as the
    cost of `budget` whole runs allows; the one with the best validation score at the early
    evaluation is trained to its end. It is compared with the best of `budget` whole runs. Scores are
    the last ones on validation, and the majority score where a run has none. Runs are drawn with
    replacement, and the interval resamples seeds.

    Attributes:
        arm: The arm.
        share: The first evaluation at or after this share of the run counts as early, in (0, 1).
        budget: Whole runs.
    """

    arm: Arm
    share: float
    budget: int

    @property
    def arms(self) -> tuple[Arm, ...]:
        return (self.arm,)

    def __call__(self, results: Results) -> Evidence:
        early = _early_points(results, self.share).drop_duplicates(CELL)[[*CELL, "value", "stop_at"]]
        return together({task: self._decide(runs.merge(early, how="left", on=CELL)) for task, runs in _tasks(results, self.arm)})

    def _decide(self, runs: pd.DataFrame) -> Evidence:
        if len(runs) < self.budget or runs["stop_at"].isna().all():
            raise MissingInput(f"{runs['stop_at'].count()} runs with an early score, and {self.budget} are chosen among")
        # A run that diverged before, or whose score is undefined, is there and does not lead.
        lead, last = (
            runs[name].where(np.isfinite(runs[name]), runs["majority_score"]).to_numpy() for name in ("value", "validation")
        )
        stop_at = float(runs["stop_at"].max())
        started = int(exact((self.budget - (1 - stop_at)) / stop_at))
        counts = _resamples(lead.size)
        stopped = best_of_resamples(lead, last, counts, started)
        whole = best_of_resamples(last, last, counts, self.budget)
        what = f"{started} runs stopped at {stop_at:.0%} but one, against {self.budget} whole runs:"
        return _higher(what, stopped, whole, lead.size)


def _resamples(size: int) -> NDArray[np.int64]:
    """Returns (1 + `RESAMPLES`, size) counts of each run: all runs once, then the resamples."""
    draws = statistics.resampling().multinomial(size, np.full(size, 1 / size), size=RESAMPLES)
    return np.vstack([np.ones_like(draws[:1]), draws])


def _higher(what: str, treated: Vector, reference: Vector, n: int) -> Evidence:
    """Decides if a score is above another by its interval over `_resamples`."""
    best, other, differences = exact((treated, reference, treated - reference))
    low, high = exact(np.quantile(differences[1:], [ALPHA / 2, 1 - ALPHA / 2]))
    verdict: Verdict = "confirmed" if low > 0 else "contradicted" if high < 0 else "inconclusive"
    found = f"{what} {best[0]:.3f} against {other[0]:.3f}, difference {differences[0]:+.3f} ({low:+.3f} to {high:+.3f}), n = {n}"
    return Evidence(verdict, found, n, effect=f"{differences[0]:+.3f}")


def best_of_resamples(validation: Vector, test: Vector, counts: NDArray[np.int64], trials: int) -> Vector:
    """Computes `stableft.statistics.expected_test_of_best` for many resamples of the same runs.

    Args:
        validation: (S,) scores to choose by.
        test: (S,) scores to report.
        counts: (R, S) how often each run is in each resample; each row adds up to S.
        trials: Runs to choose among, drawn with replacement.

    Returns:
        (R,) expected scores.
    """
    # The best run is in a group of equal validation scores with a known probability, and is any run of it.
    values, group = np.unique(validation, return_inverse=True)
    member = group[:, None] == np.arange(values.size)
    size, total = counts @ member, (counts * test) @ member
    below = np.cumsum(size, axis=1) / validation.size
    chance = np.diff(below**trials, axis=1, prepend=0)
    return (chance * total / np.maximum(size, 1)).sum(axis=1)


@dataclass(frozen=True)
class EarlyPredictsLate:
    """Test: over seeds, a run's validation score early in training predicts its last one.

    Confirmed if Spearman's correlation is above 0 with a one-sided permutation p at most half of
    `ALPHA`, contradicted if it is below 0 likewise.

    Attributes:
        arm: The arm.
        share: The first evaluation at or after this share of the run counts as early, in (0, 1).
    """

    arm: Arm
    share: float

    @property
    def arms(self) -> tuple[Arm, ...]:
        return (self.arm,)

    def __call__(self, results: Results) -> Evidence:
        points = _early_points(results, self.share)
        early = points.groupby(CELL, sort=False, observed=True)["value"].first().reset_index()
        return together({task: self._decide(runs.merge(early, on=CELL)) for task, runs in _tasks(results, self.arm)})

    def _decide(self, runs: pd.DataFrame) -> Evidence:
        pairs = runs[["value", "validation"]].dropna().to_numpy()
        if len(pairs) < 3 or (np.ptp(pairs, axis=0) == 0).any():
            raise MissingInput("fewer than three runs with an early score, or scores that are all equal")
        early, late = (np.asarray(scipy.stats.zscore(scipy.stats.rankdata(column))) for column in pairs.T)
        correlation = exact(float(early @ late / len(pairs)))
        shuffled = statistics.resampling().permuted(np.tile(early, (RESAMPLES, 1)), axis=1)
        chance = shuffled @ late / len(pairs)
        above, below = ((1 + np.count_nonzero(sign * chance >= sign * correlation - 1e-12)) / (1 + RESAMPLES) for sign in (1, -1))
        verdict: Verdict = "confirmed" if above <= ALPHA / 2 else "contradicted" if below <= ALPHA / 2 else "inconclusive"
        found = f"Spearman's correlation {correlation:+.2f}, p = {2 * min(above, below):.2g}, n = {len(pairs)}"
        return Evidence(verdict, found, len(pairs), effect=f"{correlation:+.2f}")


def _early_points(results: Results, share: float) -> pd.DataFrame:
    """Returns the validation scores of each run from a share of its steps on, before its end, in order.

    A subset of the examples counts where the whole split was not evaluated. ``stop_at`` is the share
    of the run at the evaluation.

    Raises:
        NotLogged: no run was evaluated before its end.
    """
    metrics = results.metrics
    points = metrics[(metrics["split"] == "validation") & (metrics["metric"] == "score") & metrics["scope"].isin(["", "subset"])]
    points = points.merge(results.runs[[*CELL, "num_steps"]], on=CELL)
    points = points[(points["step"] >= share * points["num_steps"]) & (points["step"] < points["num_steps"])]
    if points.empty:
        raise NotLogged("no run was evaluated on validation before its end")
    return points.assign(stop_at=points["step"] / points["num_steps"]).sort_values("step")


def _tasks(results: Results, arm: Arm) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yields each task and its runs of an arm, with `both_splits`.

    Raises:
        MissingInput: no run of the arm.
    """
    frame, protocol = both_splits(results), str(results.runs["protocol"].iloc[0])
    names = matching(arm, protocol, frame["arm"].unique())
    frame = frame[frame["arm"].isin(names)]
    if frame.empty:
        raise MissingInput(f"nothing to go by of arm {pattern_at(arm, protocol)!r}: not run")
    for task, runs in frame.groupby("task", sort=False, observed=True):
        yield str(task), runs
