"""Data classes: Claim, Evidence, Judgement."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from stableft.storage.records import Results

Verdict = Literal["confirmed", "contradicted", "inconclusive", "not run"]

ANY_ENCODER = "any encoder"
"""Subject of claims about every encoder, such as those on the optimizer's arithmetic."""


@dataclass(frozen=True)
class Evidence:
    """Evidence on a claim from the runs of one experiment at one protocol.

    Attributes:
        verdict: Of the test, on these runs; never ``not run``.
        found: One sentence with the numbers, their interval, and n.
        n: Seeds (pairs of seeds if arms are compared).
        seeds_needed: Seeds for a decision, if the verdict is inconclusive and the number is determined.
    """

    verdict: Verdict
    found: str
    n: int
    seeds_needed: int | None = None


@dataclass(frozen=True)
class Claim:
    """A source's statement, written as a test on the results of an experiment.

    Experiments list theirs in ``CLAIMS``.

    Attributes:
        name: Unique in the experiment, such as ``uncorrected_fails``.
        statement: The claim in one sentence.
        source: Paper or article, and its figure, table or number.
        expected: The test in words, with its threshold: the result on our runs if the claim holds.
        about: The encoder of the claim, such as ``bert-large-uncased``, or `ANY_ENCODER`.
        minimum_n: With fewer seeds the verdict is inconclusive whatever the test returns.
        test: The test; raises `NotLogged` or `MissingInput` if the results lack its input.
        tasks: The tasks of the claim: the source's, and their substitutes at smaller scales. Empty:
            all.
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
    """The verdict on a claim at one protocol, with its evidence.

    Attributes:
        claim: The judged claim.
        experiment: Its ``CLAIMS`` contain the claim.
        protocol: The protocol of the results.
        verdict: ``not run`` if there are no results.
        found: See `Evidence`; the reason if it was not run.
        n: See `Evidence`; 0 if it was not run.
        seeds_needed: See `Evidence`.
        own_evidence: True if encoder or scale differ from the claim's: the verdict holds for these runs
            alone, and neither confirms nor contradicts the source.
        command: The command to run the experiment.
        seconds: Sum of the experiment's runs' own times; None if it was not run.
        imported: Short name of imported results, see `stableft.core.grid.Protocol`; empty for our own.
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
    imported: str = ""

    @property
    def wording(self) -> str:
        """Verdict as displayed, such as "confirmed here" if it holds for our runs alone.

        A verdict from imported results names them, and is neither ours nor "here".
        """
        if self.verdict not in ("confirmed", "contradicted"):
            return self.verdict
        if self.imported:
            return f"{self.verdict} ({self.imported}{', not the encoder of the claim' if self.own_evidence else ''})"
        return f"{self.verdict} here" if self.own_evidence else self.verdict
