"""Claims by question, and those that answer first: the most seeds, decided ones before others."""

from dataclasses import replace

from stableft.reporting.claims import BIAS_CORRECTION, QUESTIONS, SPREAD, Judgement, Verdict
from stableft.reporting.claims.headlines import by_question
from stableft.reporting.claims.markdown import SECTION_OF_OTHERS
from tests.helpers.pages import judgement


def of(question: str, name: str, verdict: Verdict, n: int = 4) -> Judgement:
    made = judgement(name, verdict, "found")
    return replace(made, n=n, claim=replace(made.claim, question=question))


def names(judgements: list[Judgement]) -> list[str]:
    return [each.claim.name for each in judgements]


def test_questions_are_in_order_and_others_come_last() -> None:
    found = by_question([of("", "x", "confirmed"), of(SPREAD, "y", "confirmed"), of(BIAS_CORRECTION, "z", "not run")])
    assert [each.name for each in found] == [BIAS_CORRECTION, SPREAD, SECTION_OF_OTHERS]
    assert QUESTIONS.index(BIAS_CORRECTION) < QUESTIONS.index(SPREAD)


def test_the_decided_claims_with_most_seeds_answer_first() -> None:
    (question,) = by_question(
        [
            of("", "few", "confirmed", 6), of("", "many", "confirmed", 9), of("", "as_many", "confirmed", 9),
            of("", "against", "contradicted", 3), of("", "open", "inconclusive", 50), of("", "absent", "not run", 0),
        ]
    )  # fmt: skip
    assert names(question.headlines) == ["many", "against"]
    assert question.counts == {"confirmed": 3, "contradicted": 1, "inconclusive": 1}


def test_an_open_question_says_so() -> None:
    (question,) = by_question([of("", "open", "inconclusive", 3), of("", "more", "inconclusive", 5)])
    assert names(question.headlines) == ["more"]
    (question,) = by_question([of("", "absent", "not run", 0)])
    assert (question.headlines, question.counts) == ([], {})


def test_what_is_true_by_construction_is_no_answer() -> None:
    made = of("", "sure", "confirmed", 99)
    (question,) = by_question([replace(made, claim=replace(made.claim, kind="arithmetic"))])
    assert (question.headlines, question.counts) == ([], {})
