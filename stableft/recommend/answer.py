"""Answer: what a search found, judged once on the test part, in five lines and in full.

The test part is read here, for the winner, the default and the best baseline on validation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stableft.core.config import RunConfig
from stableft.recommend.baselines import CONSTANT, FROZEN, WORDS, Baseline
from stableft.recommend.candidates import DEFAULT, REMEDIES
from stableft.recommend.parts import ItemScorer, Labelled
from stableft.recommend.search import SURE, Comparison, CurvePoint, Found, RateTried
from stableft.recommend.trials import Trial, Trials
from stableft.statistics.descriptive import failed_runs
from stableft.statistics.expected_performance import expected_test_of_best
from stableft.statistics.intervals import Interval, resampling
from stableft.statistics.score_draws import RESAMPLES, interval_of, score_draws, share_above_zero

FEATURES = {WORDS: "TF-IDF", FROZEN: "the frozen encoder"}
WORTH = 0.25  # of the standard deviation over seeds: less is not worth another seed
MOST_KEPT = 5


@dataclass(frozen=True)
class Estimate:
    """A mean score on the test part with its 95 % interval over seeds and items."""

    mean: float
    interval: Interval


@dataclass(frozen=True)
class Difference:
    """A mean difference on the test part, its interval, and the probability that it is positive."""

    mean: float
    interval: Interval
    probability: float


@dataclass(frozen=True)
class Answer:
    """The answer for a user's data.

    Attributes:
        task: Name of the data.
        score: Name of the score.
        setting: The winner in words.
        config: The winner's configuration.
        winner: Its name.
        fine_tuned: Its score on the test part.
        default: That of the default.
        against_default: Winner minus default, on the test part; None if the winner is the default.
        baselines: Name -> scores on validation, and for the best one on the test part.
        best_baseline: Name of the best baseline on validation.
        against_baseline: Winner minus best baseline.
        majority: Best constant prediction's score on the test part.
        seeds: Number of runs of the winner.
        spread: Standard deviation of the winner's test scores over seeds; NaN for one.
        failed: Failed runs of the winner, and the upper end of the 95 % interval of their share.
        train_seeds: Seeds to train, of which the best on validation is kept.
        gain: Expected gain from that over one seed, on the test part.
        comparisons, rates, curve: As in `stableft.recommend.search.Found`.
        best: The winner's run to keep: the best on validation.
        minutes: Time of the whole search.
    """

    task: str
    score: str
    setting: str
    config: RunConfig
    winner: str
    fine_tuned: Estimate
    default: Estimate
    against_default: Difference | None
    baselines: Sequence["BaselineScore"]
    best_baseline: str
    against_baseline: Difference
    majority: float
    seeds: int
    spread: float
    failed: tuple[int, float]
    train_seeds: int
    gain: float
    comparisons: Sequence[Comparison]
    rates: Sequence[RateTried]
    curve: Sequence[CurvePoint]
    best: Trial
    examples: Mapping[str, int]
    minutes: float

    @property
    def linear_is_as_good(self) -> bool:
        """True if fine-tuning is not better than the best baseline with probability `SURE`."""
        return self.against_baseline.probability < SURE


@dataclass(frozen=True)
class BaselineScore:
    """A baseline's scores; ``test`` is None for those that were not looked at."""

    name: str
    validation: float
    test: float | None
    seconds: float
    setting: str


def answer(
    found: Found, trials: Trials, baselines: Sequence[Baseline], config: RunConfig, examples: Mapping[str, int], seconds: float
) -> Answer:
    """Judges what was found on the test part.

    Args:
        found: Result of the search.
        trials: Its trials.
        baselines: The baselines.
        config: The winner's configuration.
        examples: Number of examples by part.
        seconds: Time that the search took.
    """
    validation, test = trials.parts["validation"], trials.parts["test"]
    winner, default = trials.of(found.winner), trials.of(DEFAULT)
    scored = [(each, validation.score(each.predictions["validation"])) for each in baselines]
    best_baseline = max(scored, key=lambda pair: pair[1])[0]
    predictions = {trial.seed: trial.test() for trial in winner}
    scorers = [test.scorer(predictions[trial.seed]) for trial in winner]
    test_scores = np.array([test.score(predictions[trial.seed]) for trial in winner])
    treated, reference = trials.shared(found.winner, DEFAULT)
    keep, gain = _seeds_to_train([trial.score for trial in winner], test_scores)
    failures = failed_runs([trial.failed for trial in winner])
    return Answer(
        task=test.task.name,
        score=test.task.score,
        setting=setting(config, found.winner),
        config=config,
        winner=found.winner,
        fine_tuned=_estimate(scorers, test),
        default=_estimate([test.scorer(trial.test()) for trial in default], test),
        against_default=None
        if found.winner == DEFAULT
        else _difference([test.scorer(t.test()) for t in treated], [test.scorer(t.test()) for t in reference], test),
        baselines=[
            BaselineScore(
                each.name,
                score,
                test.score(each.predictions["test"]) if each is best_baseline else None,
                each.seconds,
                each.setting,
            )
            for each, score in scored
        ],
        best_baseline=best_baseline.name,
        against_baseline=_difference(scorers, [test.scorer(best_baseline.predictions["test"])] * len(scorers), test),
        majority=test.constant(),
        seeds=len(winner),
        spread=float(test_scores.std(ddof=1)) if len(winner) > 1 else float("nan"),
        failed=(sum(trial.failed for trial in winner), failures.high),
        train_seeds=keep,
        gain=gain,
        comparisons=found.comparisons,
        rates=found.rates,
        curve=found.curve,
        best=max(winner, key=lambda trial: trial.score),
        examples=examples,
        minutes=seconds / 60,
    )


def _estimate(scorers: Sequence[ItemScorer], part: Labelled) -> Estimate:
    everything = np.arange(part.items)
    draws = score_draws(scorers, part.items, resampling(), resamples=RESAMPLES)
    return Estimate(float(np.mean([scorer(everything) for scorer in scorers])), interval_of(draws))


def _difference(treated: Sequence[ItemScorer], reference: Sequence[ItemScorer], part: Labelled) -> Difference:
    everything = np.arange(part.items)
    draws = score_draws(treated, part.items, resampling(), reference, RESAMPLES)
    mean = float(np.mean([t(everything) - r(everything) for t, r in zip(treated, reference, strict=True)]))
    return Difference(mean, interval_of(draws), share_above_zero(draws))


def _seeds_to_train(validation: Sequence[float], test: NDArray[np.float64]) -> tuple[int, float]:
    """Returns how many seeds to train, and the expected gain from keeping the best on validation."""
    expected = expected_test_of_best(validation, test)[:MOST_KEPT]
    worth = WORTH * float(test.std())
    best = int(np.argmax(expected))
    enough = next(n for n in range(best + 1) if expected[n] >= expected[best] - worth)
    return enough + 1, float(expected[enough] - expected[0])


def setting(config: RunConfig, winner: str) -> str:
    """Returns a configuration in words."""
    length = f"{config.schedule.num_epochs} epochs" if config.schedule.num_epochs else f"{config.schedule.num_steps} steps"
    change = f", {REMEDIES[winner].what}" if winner in REMEDIES else ""
    rate = f"learning rate {config.adam.lr:g}"
    return f"fine-tune {config.encoder} with corrected Adam, {rate}, {length}, batch {config.batch_size}{change}"


def lines(found: Answer) -> list[str]:
    """Returns the answer in five lines."""
    best = next(each for each in found.baselines if each.name == found.best_baseline)
    test = "" if best.test is None else f"{best.test:.3f}"
    what = f"a linear model on {FEATURES[best.name]} ({test})" if best.name != CONSTANT else f"a constant prediction ({test})"
    against = found.against_baseline
    by = f"{_signed(against.mean)} ({_span(against.interval, signed=True)})"
    if not found.linear_is_as_good:
        first = f"Use: {found.setting}. Its lead over {what}: {by}."
    elif against.probability <= 1 - SURE:
        first = f"Use: {what}. Fine-tuning is probably worse: {by}. If you fine-tune nevertheless: {found.setting}."
    else:
        first = (
            f"Use: {what}, or fine-tune: neither is clearly better. Fine-tuning minus that: {by}, better with probability "
            f"{against.probability:.2f}. To fine-tune: {found.setting}."
        )
    score = found.score.replace("_", " ")
    expected = (
        f"Expect: {score} {found.fine_tuned.mean:.3f} ({_span(found.fine_tuned.interval)}: 95 % over seeds and examples), on "
        f"{found.examples['test']} test examples looked at once; a constant prediction has {found.majority:.3f}."
    )
    spread = "unknown from one run" if found.seeds == 1 else f"{found.spread:.3f} (standard deviation of {found.seeds} runs)"
    seeds = (
        f"Seeds: alone they move it by {spread}; failed runs: {found.failed[0]} of {found.seeds} (at most {found.failed[1]:.0%})."
    )
    keep = (
        "Train: one seed is enough; keeping the best of several on validation brought nothing."
        if found.train_seeds == 1
        else f"Train: {found.train_seeds} seeds and keep the best on validation: {_signed(found.gain)} expected over one seed."
    )
    return [first, expected, seeds, _against_default(found), keep]


def _against_default(found: Answer) -> str:
    if found.against_default is not None:
        chosen = next(each for each in found.comparisons if each.name == found.winner)
        d = found.against_default
        return (
            f"Against the default: {_signed(d.mean)} ({_span(d.interval, signed=True)}), better with probability "
            f"{d.probability:.2f} on the test part; a run takes {chosen.time:.1f} times as long."
        )
    if not found.comparisons:
        return "Against the default: no remedy was tried; more minutes would allow it."
    named = ", ".join(f"{c.name} {_signed(c.difference)} (n = {c.seeds}, P = {c.probability:.2f})" for c in found.comparisons)
    return f"Against the default: nothing was found to beat it, by validation: {named}."


def curve_line(found: Answer) -> str:
    """Returns a sentence on the learning curve, or no text."""
    if not found.curve:
        return ""
    points = "; ".join(f"{point.examples} examples {np.mean(point.scores):.3f}" for point in found.curve)
    last, before = (np.array(point.scores) for point in (found.curve[-1], found.curve[-2]))
    shared = min(len(last), len(before))
    rise = float(np.mean(last[:shared] - before[:shared]))
    noise = found.spread if np.isfinite(found.spread) else 0.0
    verdict = (
        "more labels would help" if rise > max(2 * noise / np.sqrt(shared), 0) and rise > 0
        else "the rise is within the noise of seeds: more labels may help little"
    )  # fmt: skip
    return f"Labels (validation): {points}; from half to all {_signed(rise)}: {verdict}."


def _signed(value: float) -> str:
    return f"{value:+.3f}"


def _span(interval: Interval, *, signed: bool = False) -> str:
    low, high = (f"{end:+.3f}" if signed else f"{end:.3f}" for end in interval)
    return f"{low} to {high}"
