"""The page of verdicts: a matrix that answers, then the details that it links to."""

import re
from dataclasses import replace
from typing import Any

import pytest

from experiments import adam
from experiments.protocol import LAPTOP, PAPER
from stableft.reporting.claims import Claim, Evidence, Judgement
from stableft.reporting.claims.claim import QUESTIONS
from stableft.reporting.claims.judge import judge
from stableft.reporting.claims.markdown import counted, page
from stableft.reporting.claims.setting import Setting
from stableft.reporting.pooling import StaleRuns
from tests.helpers.worlds import World, results

CLAIM = Claim("yes", "It is so.", "Table 1", "always | ever", "bert-large-uncased", 6, lambda _: Evidence("confirmed", "it is", 8))


def judgement(verdict: str, protocol: str = "laptop", **changes: Any) -> Judgement:
    claim = replace(CLAIM, **{k: v for k, v in changes.items() if hasattr(CLAIM, k)})
    rest = {k: v for k, v in changes.items() if not hasattr(CLAIM, k)}
    values = {
        "found": "it is",
        "n": 8,
        "seeds_needed": None,
        "own_evidence": True,
        "command": f"run it at {protocol}",
        "seconds": 120.0,
    }
    return Judgement(claim, "adam", protocol, verdict, **{**values, **rest})  # pyright: ignore[reportArgumentType]


def matrix(text: str) -> str:
    return text.partition("## Details")[0]


def test_the_page_says_all_of_it_and_is_the_same_every_time() -> None:
    grid = adam.grid(LAPTOP)
    given = results(grid, World(seeds=8, failing=1))
    judgements = [*judge(adam.CLAIMS, grid, given), *judge(adam.CLAIMS, adam.grid(PAPER), None)]
    text = page(judgements)
    assert text == page([*judge(adam.CLAIMS, grid, given), *judge(adam.CLAIMS, adam.grid(PAPER), None)])
    for each in judgements:
        claim = each.claim
        for part in (claim.name, claim.statement, claim.source, claim.expected, each.found):
            assert part in text
        if each.verdict != "not run":
            assert f"**{each.wording}**" in text
    assert "- Run at laptop: `python -m stableft run adam --protocol laptop`, 1 min of one core" in text
    assert "- Not run at paper (`python -m stableft run adam --protocol paper`): no results" in text
    assert "the sources' settings" not in text  # a column without runs is left out


def test_every_row_of_the_matrix_links_to_its_details() -> None:
    grid = adam.grid(LAPTOP)
    text = page(judge(adam.CLAIMS, grid, results(grid, World(seeds=8, failing=1))))
    links = re.findall(r"\]\(#([^)]+)\)", matrix(text))
    anchors = [line[4:].replace(" ", "-") for line in text.splitlines() if line.startswith("### ")]
    assert links == anchors
    assert len(links) == len(set(links)) == len(adam.CLAIMS)


@pytest.mark.parametrize(
    ("verdict", "changes", "cell"),
    [
        ("confirmed", {"effect": "+0.142"}, "✔ 8: +0.142"),
        ("contradicted", {"effect": "-0.1"}, "✘ 8: -0.1"),
        ("inconclusive", {}, "? 8"),
        ("not applicable", {"effect": "+0.1"}, "n/a"),
        ("confirmed", {"kind": "arithmetic"}, "= 8"),
    ],
)
def test_a_cell_has_verdict_n_and_effect(verdict: str, changes: dict[str, Any], cell: str) -> None:
    assert f"| [It is so](#adam-yes) | {cell} |\n" in page([judgement(verdict, **changes)])


def test_evidence_stands_side_by_side_under_its_question() -> None:
    first, second = QUESTIONS[:2]
    text = page([
        judgement("confirmed", "laptop", name="b", statement="B.", question=second),
        judgement("contradicted", "laptop", name="a", statement="A.", question=first),
        judgement("inconclusive", "small", name="a", statement="A.", question=first, n=3),
    ])  # fmt: skip
    table = matrix(text)
    assert table.index(f"## {first}") < table.index("[A](#adam-a) | ? 3 | ✘ 8 |") < table.index(f"## {second}")
    assert "[B](#adam-b) |  | ✔ 8 |" in table


def test_arithmetic_is_not_counted_as_evidence() -> None:
    given = [judgement("confirmed"), judgement("confirmed", kind="arithmetic"), judgement("not run"), judgement("inconclusive")]
    assert counted(given) == "1 confirmed, 1 inconclusive"
    assert counted([]) == "nothing judged"


def test_details_name_tasks_outside_the_setting_once() -> None:
    grid = adam.grid(LAPTOP)
    claim = replace(CLAIM, setting=Setting("batches of 32", batch_sizes=(32,)))
    text = page(judge([claim], grid, results(grid, World(seeds=8))))
    assert "it is; not applicable on docs15: batch size 16 instead of 32 |" in text
    assert text.count("batch size 16 instead of 32") == 1


def test_details_name_the_runs_of_a_verdict() -> None:
    text = page([judgement("confirmed", runs=16, rests_on=("adam", "seeds 8-9: control"))])
    assert "| 16: adam; seeds 8-9: control |" in text
    assert "always | ever" in text  # a list needs no escape
    assert "found \\| more" in page([judgement("confirmed", found="found | more")])


def test_stale_results_are_named() -> None:
    assert "Stale: lr_grid at small: 30 of 30 runs are stale" in page(
        [judgement("confirmed")], [StaleRuns("small", "lr_grid", 30, 30)]
    )
