"""Headlines: the claims of a page by question, and those that answer each question first."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stableft.reporting.claims.claim import QUESTIONS, Judgement
from stableft.reporting.claims.markdown import SECTION_OF_OTHERS

DECIDED = ("confirmed", "contradicted")


@dataclass(frozen=True)
class AnsweredQuestion:
    """A question and the claims on it.

    Attributes:
        name: The question, one of `stableft.reporting.claims.claim.QUESTIONS`.
        judgements: Its judged claims, in their order.
    """

    name: str
    judgements: Sequence[Judgement]

    @property
    def counts(self) -> dict[str, int]:
        """Claims by verdict, without those that are true by construction or were not run."""
        counted = Counter(each.verdict for each in self.judgements if each.is_evidence)
        return {verdict: counted[verdict] for verdict in (*DECIDED, "inconclusive", "not applicable") if counted[verdict]}

    @property
    def headlines(self) -> list[Judgement]:
        """The claims that answer first.

        They are the confirmed and the contradicted claim with the most seeds. If no claim is decided,
        it is the inconclusive one with the most seeds. The first of equals counts. Empty if no
        claim was judged.
        """
        evidence = [each for each in self.judgements if each.is_evidence]
        decided = [_most_seeds(each for each in evidence if each.verdict == verdict) for verdict in DECIDED]
        found = [best for best in decided if best] or [_most_seeds(each for each in evidence if each.verdict == "inconclusive")]
        return [best for best in found if best]


def by_question(judgements: Iterable[Judgement]) -> list[AnsweredQuestion]:
    """Groups judgements by question, in the order of the questions; other claims come last."""
    groups: dict[str, list[Judgement]] = {question: [] for question in QUESTIONS}
    for judgement in judgements:
        groups.setdefault(judgement.claim.question or SECTION_OF_OTHERS, []).append(judgement)
    return [AnsweredQuestion(name, group) for name, group in groups.items() if group]


def _most_seeds(judgements: Iterable[Judgement]) -> Judgement | None:
    return max(judgements, key=lambda judgement: judgement.n, default=None)
