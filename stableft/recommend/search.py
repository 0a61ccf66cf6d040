"""Search: spends a budget of minutes on rates, remedies and seeds, all judged on validation.

1. Learning rates by successive halving over seeds (Jamieson and Talwalkar, 2016): all at seed 0,
   the better half at seed 1 too, the best two at seed 2. If the best is at an end, the next one
   is tried too.
2. Two smaller sizes of the training set, for a learning curve.
3. Remedies on paired seeds beside the default at that rate. After each round the better half stays,
   and only if it is ahead. Repeated looks are decided by `sequential_sign_flip`. The rounds end
   with a decision, with the budget, or at `MOST_SEEDS`. A remedy is the winner if a look decided
   for it, or at `FEWEST_SEEDS` seeds if it is better with probability `SURE`.
4. Further seeds of the default and the winner, up to `ENOUGH_SEEDS`.

Nothing here sees the test part.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from stableft.core.config import RunConfig
from stableft.core.grid import Override
from stableft.recommend import candidates
from stableft.recommend.candidates import DEFAULT, REMEDIES, SIZES
from stableft.recommend.trials import Trial, Trials
from stableft.statistics.group_sequential import sequential_sign_flip
from stableft.statistics.intervals import resampling
from stableft.statistics.score_draws import RESAMPLES, score_draws, share_above_zero

LOOKS = (5, 10, 15, 20)
MOST_SEEDS = LOOKS[-1]
ROUND = 2  # further seeds of a round
SURE = 0.9
FEWEST_SEEDS = 5
ENOUGH_SEEDS = 10
SPARED = 0.05  # share of the budget for the answer and its page


@dataclass
class Budget:
    """A budget of wall time.

    Attributes:
        seconds: Its length.
        clock: Monotonic seconds.
        began: Its start.
    """

    seconds: float
    clock: Callable[[], float] = time.monotonic
    began: float = field(default=float("nan"))

    def __post_init__(self) -> None:
        self.began = self.clock()

    @property
    def spent(self) -> float:
        return self.clock() - self.began

    @property
    def left(self) -> float:
        """Seconds left for runs."""
        return self.seconds * (1 - SPARED) - self.spent


@dataclass(frozen=True)
class RateTried:
    """A learning rate with its validation scores."""

    rate: float
    scores: Sequence[float]


@dataclass(frozen=True)
class Comparison:
    """A remedy beside the default, on validation.

    Attributes:
        name: The remedy.
        seeds: Shared seeds.
        difference: Mean difference of the scores.
        probability: Probability that it is better, over seeds and items.
        decided: 1 or -1 if repeated looks decided for or against it; 0: open.
        time: Its time as a multiple of the default's, measured.
    """

    name: str
    seeds: int
    difference: float
    probability: float
    decided: int
    time: float


@dataclass(frozen=True)
class CurvePoint:
    """The default's validation scores with so many training examples."""

    examples: int
    scores: Sequence[float]


@dataclass(frozen=True)
class Found:
    """The findings of a search.

    Attributes:
        rates: Rates tried, ascending.
        rate: The chosen one.
        comparisons: Remedies, the best first.
        winner: The default's name, or that of a remedy.
        curve: Learning curve, ascending; empty: none was drawn.
    """

    rates: Sequence[RateTried]
    rate: float
    comparisons: Sequence[Comparison]
    winner: str
    curve: Sequence[CurvePoint]


def search(config: RunConfig, num_train: int, trials: Trials, budget: Budget, reserve: float, say: Callable[[str], None]) -> Found:
    """Spends the budget.

    Args:
        config: Configuration of the default.
        num_train: Number of training examples.
        trials: Runs them.
        budget: The budget.
        reserve: Runs of the default to leave for later.
        say: Called with a line at each stage.
    """
    if trials.pace != trials.pace:  # not known beforehand: the first run tells
        trials.run({_arm(config.adam.lr): {"adam.lr": config.adam.lr}}, [0])
    runs = _affordable(trials, budget, reserve)
    planned = candidates.schedule(runs)
    rates, rate = _rates(config, planned, trials, say)
    chosen: Override = {"adam.lr": rate}
    for seed in range(planned.seeds):
        if (DEFAULT, seed) not in trials.done:
            _alias(trials, _arm(rate), seed)
    missing = [seed for seed in range(planned.seeds) if (DEFAULT, seed) not in trials.done]
    if missing:
        trials.run({DEFAULT: chosen}, missing)
    curve = _curve(config, num_train, planned, chosen, trials, say) if planned.curve_seeds else []
    comparisons = _remedies(config, planned, chosen, trials, budget, reserve, say)
    best = comparisons[0] if comparisons else None
    sure = best is not None and best.seeds >= FEWEST_SEEDS and best.difference > 0 and best.probability >= SURE
    winner = best.name if best and (best.decided > 0 or sure) else DEFAULT
    _further_seeds(config, chosen, winner, trials, budget, reserve, say)
    return Found(rates, rate, comparisons, winner, curve)


def _affordable(trials: Trials, budget: Budget, reserve: float) -> float:
    """Returns how many runs of the default the budget still allows."""
    return budget.left / trials.pace - reserve if trials.pace > 0 else float("inf")


def _further_seeds(
    config: RunConfig, chosen: Override, winner: str, trials: Trials, budget: Budget, reserve: float, say: Callable[[str], None]
) -> None:
    """Runs further seeds of the default and of the winner, while the budget lasts."""
    arms: dict[str, Override] = {DEFAULT: chosen}
    if winner != DEFAULT:
        arms[winner] = {**chosen, **candidates.remedy(winner, config)}
    cost = {name: REMEDIES[name].cost if name in REMEDIES else 1.0 for name in arms}
    while (first := min(len(trials.of(name)) for name in arms)) < ENOUGH_SEEDS:
        seeds = range(first, min(first + ROUND, ENOUGH_SEEDS))
        if _affordable(trials, budget, reserve) < len(seeds) * sum(cost.values()):
            break
        say(f"further seeds of {' and '.join(arms)}: {seeds[0]} to {seeds[-1]}")
        trials.run(arms, list(seeds), cost)


def _arm(rate: float) -> str:
    return f"lr={rate:.0e}"


def _alias(trials: Trials, arm: str, seed: int) -> None:
    """Enters a run under the default's name too, once its rate is the chosen one."""
    if trial := trials.done.get((arm, seed)):
        trials.done[DEFAULT, seed] = Trial(DEFAULT, seed, trial.record, trial.parts)


def _rates(
    config: RunConfig, planned: candidates.Schedule, trials: Trials, say: Callable[[str], None]
) -> tuple[list[RateTried], float]:
    """Returns the rates tried and the best one."""
    tried = candidates.nearest_rates(config.adam.lr, planned.rates)

    def run(rates: Sequence[float], seed: int) -> None:
        trials.run({_arm(rate): {"adam.lr": rate} for rate in rates if (_arm(rate), seed) not in trials.done}, [seed])

    def best(rates: Sequence[float]) -> list[float]:
        """Returns rates, the best first; among equals the nearest to the default's."""
        means = {rate: float(np.mean([t.score for t in trials.of(_arm(rate))])) for rate in rates}
        return sorted(rates, key=lambda rate: (-means[rate], abs(np.log(rate / config.adam.lr))))

    say(f"learning rates: {', '.join(f'{rate:g}' for rate in tried)}")
    run(tried, 0)
    while len(tried) > 1 and (further := candidates.beyond(tried, best(tried)[0])):
        say(f"learning rates: {further:g} too, as the best one was at the end")
        run([further], 0)
        tried = sorted([*tried, further])
    left = best(tried)
    for seed, kept in ((1, -(-len(tried) // 2)), (2, min(2, len(tried)))):
        if len(tried) == 1 or seed >= planned.seeds:
            break
        left = best(left)[:kept]
        run(left, seed)
    # Only rates with all seeds can be the best: those left out were behind.
    return [RateTried(rate, [t.score for t in trials.of(_arm(rate))]) for rate in tried], best(left)[0]


def _curve(
    config: RunConfig, num_train: int, planned: candidates.Schedule, chosen: Override, trials: Trials, say: Callable[[str], None]
) -> list[CurvePoint]:
    seeds = list(range(planned.curve_seeds))
    sizes = {max(config.batch_size, round(share * num_train)): share for share in SIZES}
    sizes = {size: share for size, share in sizes.items() if size < num_train}
    say(f"learning curve: {', '.join(map(str, sizes))} training examples")
    arms = {f"{size} examples": {**chosen, "num_train": size} for size in sizes}
    trials.run(arms, seeds, {f"{size} examples": share for size, share in sizes.items()})
    points = [CurvePoint(size, [t.score for t in trials.of(f"{size} examples")]) for size in sizes]
    return [*points, CurvePoint(num_train, [t.score for t in trials.of(DEFAULT)])]


def _remedies(
    config: RunConfig,
    planned: candidates.Schedule,
    chosen: Override,
    trials: Trials,
    budget: Budget,
    reserve: float,
    say: Callable[[str], None],
) -> list[Comparison]:
    """Compares remedies with the default round by round, and returns them, the best first."""
    arms = {name: {**chosen, **candidates.remedy(name, config)} for name in planned.remedies}
    seeds, left = list(range(planned.seeds)), list(arms)
    cost = {name: REMEDIES[name].cost for name in arms}
    while left:
        runs = _affordable(trials, budget, reserve)
        affordable: list[str] = []
        for name in left:  # in order of the last round, or of the literature
            if sum(cost[each] for each in (*affordable, name)) * len(seeds) <= runs:
                affordable.append(name)
        if not affordable:
            break
        say(f"remedies: {', '.join(affordable)} beside the default, seeds {seeds[0]} to {seeds[-1]}")
        trials.run({name: arms[name] for name in affordable}, seeds, cost)
        found = [compare(name, trials) for name in affordable]
        ahead = sorted((each for each in found if each.difference > 0 and not each.decided), key=lambda each: -each.probability)
        left = [each.name for each in ahead[: max(1, len(left) // 2)]]
        if any(each.decided > 0 for each in found) or not left:
            break
        seeds = list(range(seeds[-1] + 1, min(seeds[-1] + 1 + ROUND, MOST_SEEDS)))
        runs = _affordable(trials, budget, reserve)
        if not seeds or runs < len(seeds) * (1 + min(cost[name] for name in left)):
            break
        trials.run({DEFAULT: chosen}, seeds)
    compared = [compare(name, trials) for name in arms if trials.of(name)]
    return sorted(compared, key=lambda each: (-(each.decided > 0), -each.seeds, -each.probability))


def compare(name: str, trials: Trials) -> Comparison:
    """Returns a remedy beside the default, at the seeds that both have."""
    treated, reference = trials.shared(name, DEFAULT)
    part = treated[0].parts["validation"]
    difference = np.array([t.score - r.score for t, r in zip(treated, reference, strict=True)])
    draws = score_draws(
        [part.scorer(t.validation) for t in treated],
        part.items,
        resampling(),
        [part.scorer(r.validation) for r in reference],
        RESAMPLES,
    )
    decided = sequential_sign_flip(difference, LOOKS, resampling()).sign
    seconds = [np.median([t.record.provenance["seconds"] for t in side]) for side in (treated, reference)]
    return Comparison(
        name, len(treated), float(difference.mean()), share_above_zero(draws), decided, float(seconds[0] / max(seconds[1], 1e-9))
    )
