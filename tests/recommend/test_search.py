"""Search: what it spends its budget on, and what it finds, on simulated runs."""

import math
from collections.abc import Mapping
from typing import Any

import pytest

from stableft.core.config import RunConfig, with_overrides
from stableft.recommend import candidates
from stableft.recommend.candidates import DEFAULT, REMEDIES
from stableft.recommend.search import Budget, Found, search
from tests.recommend.simulated import Clock, SimulatedTrials


def by_rate(best: float, height: float = 0.8):
    """The share of right predictions falls by 0.1 for each factor of e away from the best rate."""

    def quality(overrides: Mapping[str, Any], seed: int) -> float:
        return max(0.5, height - 0.1 * abs(math.log(overrides["adam.lr"] / best)))

    return quality


def with_remedy(name: str, gain: float):
    plain = by_rate(2e-4)

    def quality(overrides: Mapping[str, Any], seed: int) -> float:
        helped = name == "longer" and "schedule.num_epochs" in overrides
        helped = helped or any(technique.name == name for technique in overrides.get("techniques") or ())
        return plain(overrides, seed) + gain * helped

    return quality


def searched(quality: Any, runs: float, base: RunConfig, num_train: int = 800) -> tuple[Found, SimulatedTrials, Clock]:
    clock = Clock()
    trials = SimulatedTrials(quality, clock)
    base = with_overrides(base, {"adam.lr": 2e-4, "schedule.num_epochs": 3, "schedule.num_steps": None})
    return search(base, num_train, trials, Budget(10.0 * runs / 0.95, clock), 0.0, lambda _: None), trials, clock


@pytest.mark.parametrize("best", [1e-5, 5e-5, 2e-4, 1e-3])
def test_it_finds_the_best_rate_also_beyond_those_tried_first(best: float, config: RunConfig) -> None:
    assert searched(by_rate(best), 60, config)[0].rate == best


@pytest.mark.parametrize("runs", [3, 5, 9, 12, 16, 22, 30, 40, 70, 200])
def test_the_budget_holds(runs: int, config: RunConfig) -> None:
    found, trials, clock = searched(by_rate(2e-4), runs, config)
    assert clock.now <= 10.0 * runs + 30.0  # a rate more at the end of those tried may come on top
    assert found.rate == 2e-4
    assert len(trials.of(DEFAULT)) >= 2
    assert bool(found.comparisons) == (runs >= 9)
    assert bool(found.curve) == (runs >= 16)


def test_runs_that_cost_nothing_end_too(config: RunConfig) -> None:
    """As where all runs are in the results folder already."""
    clock = Clock()
    trials = SimulatedTrials(by_rate(2e-4), clock, seconds=0.0)
    found = search(config, 800, trials, Budget(60.0, clock), 0.0, lambda _: None)
    assert found.rate == 2e-4
    assert len(trials.of(DEFAULT)) == 10


@pytest.mark.parametrize("name", ["longer", "reinit", "llrd"])
def test_a_remedy_that_helps_is_found(name: str, config: RunConfig) -> None:
    found = searched(with_remedy(name, 0.08), 80, config)[0]
    assert found.winner == found.comparisons[0].name == name
    assert found.comparisons[0].difference > 0.03


def test_where_nothing_helps_the_default_stays(config: RunConfig) -> None:
    found = searched(with_remedy("none", 0.0), 80, config)[0]
    assert found.winner == DEFAULT
    assert {each.name for each in found.comparisons} == set(REMEDIES)


def test_a_harmful_remedy_gets_no_second_round(config: RunConfig) -> None:
    found, trials, _ = searched(with_remedy("reinit", -0.2), 80, config)
    harmful = next(each for each in found.comparisons if each.name == "reinit")
    assert harmful.seeds == 3
    assert harmful.probability < 0.05
    assert found.winner == DEFAULT
    assert len(trials.of(DEFAULT)) > 3


def test_runs_that_diverge_count_at_the_constant_score(config: RunConfig) -> None:
    def quality(overrides: Mapping[str, Any], seed: int) -> float:
        return -1.0 if overrides["adam.lr"] > 1e-4 else by_rate(1e-4)(overrides, seed)

    found, trials, _ = searched(quality, 60, config)
    assert found.rate == 1e-4
    lost = trials.of("lr=5e-04")
    assert all(trial.failed and trial.score == trial.parts["validation"].constant() for trial in lost)


def test_two_searches_of_the_same_data_find_the_same(config: RunConfig) -> None:
    first, second = (searched(with_remedy("longer", 0.05), 60, config)[0] for _ in range(2))
    assert first == second


def test_what_a_remedy_changes_is_what_the_experiment_changes(config: RunConfig) -> None:
    from experiments import techniques
    from experiments.protocol import LAPTOP

    arms = techniques.grid(LAPTOP).arms
    base = LAPTOP.configs["docs15"]
    for name in ("longer", "reinit", "mixout", "llrd"):
        assert with_overrides(base, candidates.remedy(name, base)) == with_overrides(base, arms[name])


def test_rates_are_the_nearest_and_hold_the_default() -> None:
    assert candidates.nearest_rates(2e-4, 3) == [1e-4, 2e-4, 5e-4]
    assert candidates.nearest_rates(3e-3, 2) == [1e-3, 3e-3]
    assert candidates.beyond([1e-4, 2e-4], 2e-4) == 5e-4
    assert candidates.beyond([1e-4, 2e-4, 5e-4], 2e-4) is None
    assert candidates.beyond([5e-4, 1e-3], 1e-3) is None
