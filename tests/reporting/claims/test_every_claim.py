"""Every claim of every experiment: whole, judged, and able to come out either way."""

from functools import cache
from pathlib import Path

import pytest

from experiments.protocol import LAPTOP, PAPER, PROTOCOLS, SMALL
from stableft.core.experiments import all_experiments, get_experiment
from stableft.core.grid import Grid, select
from stableft.reporting.claims import QUESTIONS, Claim
from stableft.reporting.claims.judge import judge, judge_all, scales
from stableft.storage.records import Results
from stableft.storage.store import Store
from tests.helpers.worlds import World, results

CLAIMS = [(name, claim) for name, module in all_experiments().items() for claim in module.CLAIMS]
# In the order in which most claims have come out both ways soonest.
WORLDS = (
    World(spread=10),
    World(trend=-0.3),
    World(trend=0.3, init=0.05),
    World(spread=0.1),
    World(seeds=2, failing=0),
    World(failing=1, alternating=-0.05),
    World(failing=0, vanish=3, fall=0.5),
    World(alternating=-0.05),
    World(bias=0.1),
    World(noise=0.05),
    World(failing=0, vanish=-3, fall=-0.5),
    World(alternating=0.05, growth=1),
    World(alternating=0.0005, growth=-1),
    World(spread=100, noise=0.0001),
    World(seeds=30, early=-1),
    World(seeds=30, early=1),
    World(seeds=30, failing=1, every=2),
    World(rough=1),
    World(rough=0),
    World(failing=1, vanish=3, fall=0.5),
    World(seeds=2, failing=1),
    World(failing=1, vanish=-3, fall=-0.5),
    World(seeds=2, trend=0.05),
    World(failing=0),
    World(failing=1),
    World(failing=1, alternating=0.05),
    World(alternating=0.05),
    World(seeds=20, spread=0.1),  # Brown and Forsythe's test needs more seeds than eight
    World(seeds=30),
    World(order=0.05, init=0.05),
    World(seeds=30, failing=1),
    World(spread=0.001),
)

# Of some claims the worlds that show all verdicts, by their places above: they are tried first.
FIRST = {
    claim: worlds
    for worlds, claims in {
        (0, 14, 15): "adam early_scores_predict, adam early_stopping_pays",
        (0, 2, 7): "pooler faster, slower slower, slower slower_in_the_first_fifth, slower slower_but_better",
        (
            0,
            5,
            6,
        ): "lr_grid correction_saves_runs, lr_grid edge_at_a_larger_rate, mosbach steadier_than_mixout, mosbach steps_not_data",
        (0, 8): "bias closed_form, bias peak, bias never_left_behind",
        (0, 1, 4): "article warmup_little, article constant_rate_little, mosbach low_loss_costs_nothing, techniques llrd_little",
        (1, 19, 21): "adam failed_loss_is_flat",
        (4, 6, 10): "mosbach failed_loss_is_flat, mosbach failed_gradients_vanish",
        (1, 19, 20): "adam failed_gradients_vanish",
        (0, 17, 18): "slower smoother",
        (0, 14, 16): "adam half_fail_on_rte",
        (0, 6, 14): "adam corrected_never_fails",
        (0, 1, 6): "adam uncorrected_fails, control multiplied_rate_fails",
        (0, 3, 13): "mosbach ours_steadier",
        (0, 11, 12): "longer gap_narrows",
        (0, 1, 9): "seeds both_contribute",
    }.items()
    for claim in claims.split(", ")
}


def test_every_experiment_has_claims_with_names_of_their_own() -> None:
    for name, module in all_experiments().items():
        names = [claim.name for claim in module.CLAIMS]
        assert names, name
        assert len(set(names)) == len(names), name
    assert len(CLAIMS) >= 50


@pytest.mark.parametrize(("name", "claim"), CLAIMS, ids=lambda part: getattr(part, "name", part))
def test_it_says_what_where_and_of_which_encoder(name: str, claim: Claim) -> None:
    assert claim.statement.endswith(".")
    assert any(word in claim.source for word in ("Table", "Figure", "Appendix", "section", "table")), claim.source
    assert claim.expected
    assert claim.about
    assert claim.question in ("", *QUESTIONS)
    assert claim.minimum_n >= 3 or claim.minimum_n == 1  # what a source shows of single runs
    assert claim.question in QUESTIONS
    tasks = {task for protocol in PROTOCOLS.values() for task in get_experiment(name).grid(protocol).tasks}
    assert set(claim.tasks) <= tasks, "a task that no protocol has"


@pytest.mark.parametrize(("name", "claim"), CLAIMS, ids=lambda part: getattr(part, "name", part))
def test_it_can_come_out_either_way(name: str, claim: Claim) -> None:
    seen = set()
    tasks = [task for task in get_experiment(name).grid(PAPER).tasks if not claim.tasks or task in claim.tasks]
    for world in dict.fromkeys([*(WORLDS[place] for place in FIRST.get(f"{name} {claim.name}", ())), *WORLDS]):
        (judgement,) = judge([claim], *cached(name, tasks[0], world))
        seen.add(judgement.verdict)
        if seen >= {"confirmed", "contradicted"} | (
            {"inconclusive"} if claim.minimum_n > 1 and claim.kind == "empirical" else set()
        ):
            return
    pytest.fail(f"only {seen}")


@cache
def cached(name: str, task: str, world: World) -> tuple[Grid, Results]:
    grid = select(get_experiment(name).grid(PAPER), tasks=[task])
    return grid, results(grid, world)


def test_without_results_nothing_is_run(tmp_path: Path) -> None:
    judgements = judge_all(all_experiments(), [PAPER], Store(tmp_path))
    assert len(judgements) == len(CLAIMS)
    assert {judgement.verdict for judgement in judgements} == {"not run"}
    assert all(judgement.seconds is None for judgement in judgements)


@pytest.mark.slow
def test_committed_results_are_judged(project: Path) -> None:
    """At laptop every claim has a verdict, unless its tasks or arms aren't there; none is about an encoder that did not run."""
    store = Store(project / "results")
    assert LAPTOP in scales(PROTOCOLS.values(), store)
    judgements = judge_all(all_experiments(), [LAPTOP, SMALL], store)
    assert len(judgements) == 2 * len(CLAIMS)
    for judgement in judgements:
        assert judgement.wording not in ("confirmed", "contradicted") or judgement.claim.about == "any encoder", judgement
        if judgement.verdict in ("not run", "not applicable"):
            assert judgement.found
        else:
            assert judgement.n >= 1
            assert judgement.seconds is not None
            assert judgement.seconds > 0
    judged = {judgement.experiment for judgement in judgements if judgement.protocol == "laptop" and judgement.verdict != "not run"}
    assert judged == {name for protocol, name in store.collected() if protocol == "laptop"}
