"""Data classes: Claim, Evidence, Judgement."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from stableft.storage.records import Results

Verdict = Literal["confirmed", "contradicted", "inconclusive", "not run"]

ANY_ENCODER = "any encoder"
"""The subject of a claim that holds for every encoder alike, such as one on the optimizer's arithmetic."""


@dataclass(frozen=True)
class Evidence:
    """Evidence on a claim from the runs of one experiment at one protocol.

    Attributes:
        verdict: Of the test, on these runs; never ``not run``.
        found: One sentence with the numbers, their interval, and n.
        n: Seeds (pairs of seeds where arms are compared).
        seeds_needed: How many would decide it, where it is inconclusive and the number is determined.
    """

    verdict: Verdict
    found: str
    n: int
    seeds_needed: int | None = None


@dataclass(frozen=True)
class Claim:
    """One statement of a source as a test on the results of an experiment, an entry of its ``CLAIMS``.

    Attributes:
        name: Unique in the experiment, such as ``uncorrected_fails``.
        statement: What is claimed, one sentence.
        source: Paper or article, and its figure, table or number.
        expected: What these runs must show if it holds: the test in words, with its threshold.
        about: The encoder of the claim, such as ``bert-large-uncased``, or `ANY_ENCODER`.
        minimum_n: Seeds below which the verdict is inconclusive whatever the test says.
        test: The test; raises `NotLogged` or `MissingInput` where the results lack what it needs.
        tasks: Those it is judged on: the source's, and those that stand for them at smaller scales. Empty: all.
    """

    name: str
    statement: str
    source: str
    expected: str
    about: str
    minimum_n: int
    test: Callable[[Results], Evidence]
    tasks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judgement:
    """A claim at one protocol.

    Attributes:
        claim: What was judged.
        experiment: Its ``CLAIMS`` contain the claim.
        protocol: Whose results it was judged on.
        verdict: ``not run`` where there are no results.
        found: See `Evidence`; why not, where it was not run.
        n: See `Evidence`; 0 where it was not run.
        seeds_needed: See `Evidence`.
        own_evidence: The encoder or the scale is not the one that the claim is about: the verdict holds of these runs alone, and
            neither confirms nor contradicts the source.
        command: What runs it.
        seconds: Sum of the experiment's runs' own times; None where it was not run.
    """

    claim: Claim
    experiment: str
    protocol: str
    verdict: Verdict
    found: str
    n: int
    seeds_needed: int | None
    own_evidence: bool
    command: str
    seconds: float | None

    @property
    def wording(self) -> str:
        """Returns the verdict as shown: "confirmed here" and "contradicted here" are of these runs alone."""
        decided = self.verdict in ("confirmed", "contradicted")
        return f"{self.verdict} here" if self.own_evidence and decided else self.verdict
