"""Fresh seeds alone decide, and seeds are added where that is open; with the runs of invented worlds."""

from dataclasses import replace

import pytest

from experiments import adam
from experiments.protocol import LAPTOP
from stableft.core.grid import Grid, select
from stableft.reporting.claims import Claim
from stableft.reporting.claims.confirmation import Confirmation, SeedBatch, confirm, expected_runs, next_batches, seen_at
from stableft.reporting.claims.hypotheses import equal, greater, none_failed
from stableft.reporting.claims.thresholds import Threshold, digest
from stableft.storage.records import Results
from tests.helpers.worlds import World, results

GRID = adam.grid(LAPTOP)
CLAIM = replace(next(claim for claim in adam.CLAIMS if claim.name == "corrected_scores_higher"), setting=None, tasks=())
CLEAR = World(trend=-0.2, noise=0.01)  # the corrected arm is the first one


def frozen(claim: Claim = CLAIM, seen: str = "laptop 0-3, 7; small 0-2") -> Threshold:
    return Threshold("adam", claim.name, digest(claim), "2026-11-30", "1234567", "yes" if seen else "no", seen, "first written")


def found(world: World, claim: Claim = CLAIM, seen: str = "laptop 0-3, 7; small 0-2", grid: Grid = GRID) -> Confirmation:
    return confirm(claim, grid, results(grid, world) if world.seeds else None, frozen(claim, seen))


def test_the_seeds_seen_are_those_of_the_protocol() -> None:
    assert seen_at(frozen(), "laptop") == {0, 1, 2, 3, 7}
    assert seen_at(frozen(), "small") == {0, 1, 2}
    assert seen_at(frozen(), "paper") == seen_at(frozen(seen=""), "laptop") == frozenset()


def test_fresh_seeds_alone_decide() -> None:
    few, many = found(replace(CLEAR, seeds=14)), found(replace(CLEAR, seeds=16))
    assert (few.state, few.verdict) == ("open", "inconclusive")  # 14 seeds, of which 9 are fresh
    assert set(few.fresh["docs15"]) == {4, 5, 6, *range(8, 14)}
    assert (many.state, many.verdict) == ("decided", "confirmed")
    assert many.by_task["docs15"].n == 10
    assert "on fresh seeds confirmed" in many.sentence
    assert "docs15 confirmed at n = 10 of seeds 4-6, 8-15" in many.sentence
    assert found(replace(CLEAR, seeds=16), seen="laptop 0-15").sentence == ""
    assert found(replace(CLEAR, seeds=16, trend=0.2)).verdict == "contradicted"


def test_seeds_are_added_up_to_the_next_look_and_where_arms_lack_them() -> None:
    none = found(World(seeds=0))
    arms = tuple(GRID.arms)
    assert none.state == "open"
    fives = (4, 5, 6, 8, 9)
    assert next_batches([none, none], GRID, 5) == [SeedBatch(task, arms, fives) for task in GRID.tasks]
    assert [batch.seeds for batch in next_batches([none], GRID, 3)] == [(4, 5, 6)] * 2
    assert [batch.seeds for batch in next_batches([none], GRID, 10, most=4)] == [(4, 5, 6, 8)] * 2
    some = found(replace(CLEAR, seeds=6))  # fresh: 4 and 5
    assert [batch.seeds for batch in next_batches([some], GRID, 5)] == [(6, 8, 9)] * 2
    assert next_batches([found(replace(CLEAR, seeds=16))], GRID, 5) == []
    assert expected_runs([none, some]) == {(task, arm): 60.0 for task in GRID.tasks for arm in arms}
    assert set(expected_runs([none], most=20).values()) == {20.0}


def test_a_decided_task_gets_no_more_seeds() -> None:
    grid = select(GRID, tasks=["docs15", "docpair"])
    one, other = results(select(grid, tasks=["docs15"]), replace(CLEAR, seeds=16)), None
    open_one = confirm(CLAIM, grid, one, frozen())
    assert (open_one.state, list(open_one.open)) == ("open", ["docpair"])
    assert other is None
    both = confirm(CLAIM, grid, one, frozen(), expected=True)
    assert both.open == {"docpair": 60.0}  # nothing is known of it


def test_the_expected_number_is_simulated_from_all_seeds() -> None:
    known = confirm(CLAIM, GRID, results(GRID, replace(CLEAR, seeds=4)), frozen(), expected=True)
    assert known.open == {"docs15": 10.0, "docpair": 10.0}


def test_why_no_seeds_are_added() -> None:
    flat = found(World(seeds=40, noise=0.05))
    assert (flat.state, flat.verdict, flat.open) == ("hopeless", "inconclusive", {})
    assert next_batches([flat], GRID, 5) == []
    wide = replace(CLAIM, test=greater("corrected", "uncorrected", margin=0.0), minimum_n=100)
    assert found(replace(CLEAR, seeds=66), wide).state == "maximum"
    never = replace(CLAIM, test=none_failed("corrected", 0.05))
    assert (found(World(seeds=0), never).state, found(World(seeds=0), never).needed) == ("hopeless", 75)
    assert found(CLEAR, replace(CLAIM, kind="arithmetic")).state == "no rule"
    assert confirm(CLAIM, GRID, None, None).state == "not frozen"
    assert confirm(replace(CLAIM, minimum_n=7), GRID, None, frozen()).state == "not frozen"
    assert found(CLEAR, replace(CLAIM, tasks=("rte",))).state == "not applicable"


def test_tasks_that_are_pooled_are_run_together() -> None:
    claim = replace(CLAIM, test=equal("corrected", "uncorrected", 0.5, pooled=True))
    assert list(found(World(seeds=0), claim).open) == list(GRID.tasks)
    assert found(replace(CLEAR, seeds=12), claim).verdict == "confirmed"


def without_seeds(whole: Results, seeds: dict[str, set[int]]) -> Results:
    runs = whole.runs[[seed in seeds[task] for task, seed in zip(whole.runs["task"], whole.runs["seed"], strict=True)]]
    metrics = whole.metrics[whole.metrics["run_id"].isin(runs["run_id"])]
    return Results(runs.reset_index(drop=True), metrics.reset_index(drop=True), whole.predictions)


@pytest.mark.parametrize(("world", "verdict"), [(CLEAR, "confirmed"), (replace(CLEAR, trend=0.0, noise=0.05), "inconclusive")])
def test_adding_seeds_ends(world: World, verdict: str) -> None:
    whole = results(GRID, replace(world, seeds=90))
    have: dict[str, set[int]] = {task: set(range(8)) for task in GRID.tasks}
    one = confirm(CLAIM, GRID, without_seeds(whole, have), frozen())
    while batches := next_batches([one], GRID, 5):
        for batch in batches:
            assert not have[batch.task] & set(batch.seeds)
            have[batch.task] |= set(batch.seeds)
        one = confirm(CLAIM, GRID, without_seeds(whole, have), frozen())
    assert one.verdict == verdict
    assert one.state in ("decided", "hopeless", "maximum")
    assert max(map(len, have.values())) <= 65
