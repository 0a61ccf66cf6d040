"""Claims on squares of seeds: judged on validation, by components, whatever is missing."""

from dataclasses import replace

import pandas as pd
import pytest

from experiments import seeds
from experiments.protocol import LAPTOP
from stableft.core.errors import MissingInput
from stableft.core.grid import select
from stableft.reporting.claims.seed_effects import BothContribute, MeanHigher, SteadierOver
from stableft.storage.records import Results
from tests.helpers.worlds import World, results

SQUARE = select(seeds.grid(LAPTOP), seeds=range(6))


def with_validation(given: Results, scores: pd.Series) -> Results:
    """The same runs with other scores on validation; those on test stay."""
    metrics = given.metrics.copy()
    rows = (metrics["split"] == "validation") & (metrics["metric"] == "score")
    metrics.loc[rows, "value"] = metrics.loc[rows, "arm"].map(scores)
    return replace(given, metrics=metrics)


def by_arm(value: dict[str, float] | None = None, *, init: float = 0.0, order: float = 0.0, rest: float = 0.001) -> pd.Series:
    def score(arm: str) -> float:
        method, i, j = arm.split()[0], *(int(part.split("=")[1]) for part in arm.split()[1:])
        noise = rest * ((7 * i + 5 * j + i * j) % 6 - 2.5)
        return 0.7 + (value or {}).get(method, 0.0) + init * (i - 2.5) + order * (j - 2.5) + noise

    return pd.Series({arm: score(arm) for arm in SQUARE.arms})


@pytest.fixture(scope="module")
def runs() -> Results:
    return results(SQUARE, World())


@pytest.mark.parametrize(
    ("effects", "verdict"),
    [
        ({"init": 0.01, "order": 0.01}, "confirmed"),
        ({"init": 0.01}, "contradicted"),
        ({"init": 0.01, "rest": 0.02}, "inconclusive"),
    ],
)
def test_both_kinds_of_seed_must_add_to_the_spread(runs: Results, effects: dict[str, float], verdict: str) -> None:
    scores = by_arm(init=effects.get("init", 0.0), order=effects.get("order", 0.0), rest=effects.get("rest", 0.001))
    found = BothContribute("standard")(with_validation(runs, scores))
    assert (found.verdict, found.n) == (verdict, 6)


def test_equal_spreads_that_are_all_rest_confirm_nothing(runs: Results) -> None:
    """The stds over either kind of seed are alike, as they both are the rest."""
    given = with_validation(runs, by_arm(rest=0.01))
    assert BothContribute("standard")(given).verdict != "confirmed"


def test_a_method_is_steadier_over_the_seeds_that_move_it_less(runs: Results) -> None:
    calm, lively = by_arm(rest=0.001), by_arm(init=0.02, rest=0.001)
    scores = calm.where(calm.index.str.startswith("reinit"), lively)
    given = with_validation(runs, scores)
    assert SteadierOver("init", "reinit", "standard")(given).verdict == "confirmed"
    assert SteadierOver("init", "standard", "reinit")(given).verdict == "contradicted"
    assert SteadierOver("order", "reinit", "standard")(given).verdict == "inconclusive"


def test_a_mean_is_higher_by_pairs_of_runs(runs: Results) -> None:
    given = with_validation(runs, by_arm({"reinit": 0.05}, init=0.02, order=0.02))
    assert MeanHigher("reinit", "standard")(given).verdict == "confirmed"
    assert MeanHigher("standard", "reinit")(given).verdict == "contradicted"


def test_a_hole_or_another_side_is_named(runs: Results) -> None:
    gone = runs.runs["arm"] == "reinit init=2 order=3"
    with pytest.raises(MissingInput, match="reinit on docpair: 1 of 36 pairs of seeds are not run"):
        MeanHigher("reinit", "standard")(replace(runs, runs=runs.runs[~gone]))
    with pytest.raises(MissingInput, match="nothing on docpair: 0 x 0 seeds"):
        MeanHigher("nothing", "standard")(runs)
