"""The rules that no test overrules."""

from dataclasses import replace
from types import ModuleType
from typing import get_args

import pytest

from experiments import adam
from experiments.protocol import LAPTOP, PAPER
from stableft.core.errors import NotLogged
from stableft.core.grid import Protocol, select
from stableft.reporting.claims import ANY_ENCODER, Claim, Evidence, Judgement, Verdict
from stableft.reporting.claims.hypotheses import none_failed
from stableft.reporting.claims.judge import judge
from stableft.storage.records import Results
from tests.helpers.worlds import World, results

YES = Claim("yes", "It is so.", "Table 1", "always", "bert-large-uncased", 6, lambda _: Evidence("confirmed", "it is", 8))


def judged(claim: Claim, protocol: Protocol = PAPER, module: ModuleType = adam, seeds: int = 3) -> Judgement:
    grid = select(module.grid(protocol), tasks=["rte"] if protocol is PAPER else None)
    return judge([claim], grid, results(grid, World(seeds=seeds)))[0]


def test_runs_of_its_encoder_at_the_sources_scale_confirm() -> None:
    judgement = judged(YES)
    assert (judgement.verdict, judgement.own_evidence, judgement.wording) == ("confirmed", False, "confirmed")
    assert judgement.command == "python -m stableft run adam --protocol paper"
    assert judgement.seconds == 2.0 * 2 * 3  # arms, seeds


def test_small_encoders_and_scales_never_do() -> None:
    assert judged(YES, LAPTOP).wording == "confirmed here"
    assert judged(replace(YES, about="minilm-l6"), LAPTOP).wording == "confirmed here"
    assert judged(replace(YES, about="bert-base-uncased")).wording == "confirmed here"
    assert judged(replace(YES, about=ANY_ENCODER), LAPTOP).wording == "confirmed"
    no = replace(YES, test=lambda _: Evidence("contradicted", "it is not", 8))
    assert judged(no, LAPTOP).wording == "contradicted here"
    unsure = replace(YES, test=lambda _: Evidence("inconclusive", "who knows", 8, 12))
    assert judged(unsure, LAPTOP).wording == "inconclusive"


@pytest.mark.parametrize(
    ("name", "own"), [("google-bert/bert-large-uncased", False), ("/a/bert-large-uncased/", False), ("/a/b", True)]
)
def test_an_encoder_goes_by_its_own_name_wherever_it_lies(name: str, own: bool) -> None:
    grid = select(adam.grid(PAPER), tasks=["rte"], overrides={"encoder": name})
    assert judge([YES], grid, results(grid, World()))[0].own_evidence is own


def test_below_its_minimum_nothing_is_decided() -> None:
    for verdict in get_args(Verdict)[:3]:
        few = replace(YES, test=lambda _, v=verdict: Evidence(v, "of few", 5, None))
        judgement = judged(few)
        assert (judgement.verdict, judgement.seeds_needed, judgement.needs) == ("inconclusive", None, "n < 6 cannot decide")
    many = replace(YES, test=lambda _: Evidence("inconclusive", "of few", 5, 40, (12, None)))
    assert (judged(many).seeds_needed, judged(many).needs) == (40, "n < 6 cannot decide, 40 (12 or more)")


@pytest.mark.parametrize(
    ("evidence", "needs"),
    [
        (Evidence("inconclusive", "", 8, 12, (9, 40)), "12 (9 to 40)"),
        (Evidence("inconclusive", "", 8, 29), "29 at least"),
        (Evidence("inconclusive", "", 8), "-"),
        (Evidence("confirmed", "", 8), ""),
    ],
)
def test_seeds_to_decide_are_shown_with_their_uncertainty(evidence: Evidence, needs: str) -> None:
    assert judged(replace(YES, test=lambda _: evidence)).needs == needs


def test_what_holds_by_construction_says_so_and_is_no_evidence() -> None:
    claim = replace(YES, kind="arithmetic", test=lambda _: Evidence("confirmed", "it must", 2))
    for protocol in (PAPER, LAPTOP):
        judgement = judged(claim, protocol)
        assert (judgement.verdict, judgement.wording, judgement.is_evidence) == ("confirmed", "holds by construction", False)
    assert judged(replace(claim, test=lambda _: Evidence("inconclusive", "", 2))).wording == "arithmetic"
    assert judged(replace(claim, test=lambda _: Evidence("contradicted", "a bug", 2))).wording == "contradicted"
    assert judged(YES).is_evidence


def test_a_verdict_says_which_runs_it_rests_on() -> None:
    assert judged(YES).rests_on == ("6 runs of adam",)
    one = judged(replace(YES, test=none_failed("corrected", 0.12)), seeds=5)
    assert (one.runs, one.rests_on) == (5, ("5 runs of adam",))


def test_tasks_that_are_not_run_yet_leave_it_open() -> None:
    whole = adam.grid(PAPER)
    part = select(whole, tasks=["rte", "mrpc"])
    claim = replace(YES, tasks=("rte", "mrpc", "cola", "docs15"))
    judgement = judge([claim], whole, results(part, World(seeds=3)))[0]
    assert judgement.verdict == "inconclusive"
    assert judgement.found == "it is; not run: cola"
    no = replace(claim, test=lambda _: Evidence("contradicted", "it is not", 8))
    assert judge([no], whole, results(part, World(seeds=3)))[0].verdict == "contradicted"


def test_a_claim_sees_its_own_tasks_alone() -> None:
    seen = []

    def test(given: Results) -> Evidence:
        seen.extend([*given.runs["task"].unique(), *given.metrics["task"].unique()])
        return Evidence("confirmed", "", 8)

    grid = adam.grid(LAPTOP)
    judge([replace(YES, test=test, tasks=("docpair", "rte"))], grid, results(grid, World(seeds=2)))
    assert seen == ["docpair", "docpair"]


def test_why_it_was_not_run() -> None:
    grid = adam.grid(LAPTOP)
    given = results(select(grid, tasks=["docs15"]), World(seeds=2))

    def refuse(_: Results) -> Evidence:
        raise NotLogged("no such series")

    cases = {
        "no results": judge([YES], grid, None),
        "none of its tasks is in this grid (rte)": judge([replace(YES, tasks=("rte",))], grid, given),
        "no results on docpair": judge([replace(YES, tasks=("docpair",))], grid, given),
        "no such series": judge([replace(YES, test=refuse)], grid, given),
    }
    for found, (judgement,) in cases.items():
        assert (judgement.verdict, judgement.found, judgement.seconds, judgement.n) == ("not run", found, None, 0)
