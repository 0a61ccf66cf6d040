"""Data classes: Claim, Evidence, Judgement."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from stableft.reporting.claims.setting import Setting
from stableft.storage.records import Results

Verdict = Literal["confirmed", "contradicted", "inconclusive", "not applicable", "not run"]
Kind = Literal["empirical", "arithmetic"]

ANY_ENCODER = "any encoder"
"""Subject of claims about every encoder, such as those on the optimizer's arithmetic."""

BIAS_CORRECTION = "Does Adam's bias correction matter?"
REINITIALISATION = "Do re-initialised top layers help?"
LONGER_TRAINING = "Does longer training help?"
LEARNING_RATES = "Do layer-wise or separate learning rates help?"
OTHER_REMEDIES = "Do the other remedies help?"
SPREAD = "Where does the spread come from?"
CONTROLS = "Does our own machinery hold (controls)?"

QUESTIONS = (BIAS_CORRECTION, REINITIALISATION, LONGER_TRAINING, LEARNING_RATES, OTHER_REMEDIES, SPREAD, CONTROLS)
"""The groups of claims, in the order of the page."""

SeedsRange = tuple[int, int | None]
"""Fewest and most seeds for a decision, at the ends of the effect's 95 % interval; None: no number."""


@dataclass(frozen=True)
class Evidence:
    """Evidence on a claim from the runs of one experiment at one protocol.

    Attributes:
        verdict: Of the test, on these runs; never ``not run``.
        found: One sentence with the numbers, their interval, and n.
        n: Seeds (pairs of seeds if arms are compared).
        seeds_needed: Seeds for a decision, if the verdict is inconclusive and the number is determined.
        seeds_range: Its uncertainty, see `SeedsRange`; None if the number is the least possible one.
        effect: The result in a few characters, such as ``+0.142``.
    """

    verdict: Verdict
    found: str
    n: int
    seeds_needed: int | None = None
    seeds_range: SeedsRange | None = None
    effect: str = ""


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
        question: The group of the claim, one of `QUESTIONS`.
        setting: The setting of the source. The claim is not judged on tasks outside of it. None: any.
        kind: ``arithmetic``: true by construction, as for two names of the same run, or a maximum over
            more points. Such a claim tests the machinery, and is not counted as evidence.
    """

    name: str
    statement: str
    source: str
    expected: str
    about: str
    minimum_n: int
    test: Callable[[Results], Evidence]
    tasks: tuple[str, ...] = ()
    question: str = ""
    setting: Setting | None = None
    kind: Kind = "empirical"

    def tasks_of(self, known: Iterable[str]) -> list[str]:
        """Returns the claim's tasks among those of a grid, in their order."""
        return [task for task in known if not self.tasks or task in self.tasks]


@dataclass(frozen=True)
class Judgement:
    """The verdict on a claim at one protocol, with its evidence.

    Attributes:
        claim: The judged claim.
        experiment: Its ``CLAIMS`` contain the claim.
        protocol: The protocol of the results.
        verdict: ``not run`` if there are no results, ``not applicable`` if all are outside the claim's
            setting.
        found: See `Evidence`; the reason if it was not run.
        n: See `Evidence`; 0 if it was not run.
        seeds_needed: See `Evidence`.
        seeds_range: See `Evidence`.
        effect: See `Evidence`.
        runs: Number of runs that the verdict rests on.
        rests_on: Where they are from: the experiment, and the runs of equal configuration in others.
        outside: Tasks outside the claim's setting, each with the reason.
        own_evidence: True if encoder or scale differ from the claim's: the verdict holds for these runs
            alone, and neither confirms nor contradicts the source.
        command: The command to run the experiment.
        seconds: Sum of the experiment's runs' own times; None if it was not run.
        fresh: What seeds that had not been seen when the test was set say, see
            `stableft.reporting.claims.confirmation`; empty if there are none.
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
    seeds_range: SeedsRange | None = None
    effect: str = ""
    runs: int = 0
    rests_on: tuple[str, ...] = ()
    outside: Mapping[str, str] = field(default_factory=dict)
    fresh: str = ""
    imported: str = ""

    @property
    def wording(self) -> str:
        """Verdict as displayed, such as "confirmed here" if it holds for our runs alone.

        A verdict from imported results names them, and is neither ours nor "here".
        """
        if self.verdict == "not applicable":
            return f"not applicable ({self.imported})" if self.imported else "not applicable here"
        if self.claim.kind == "arithmetic" and self.verdict in ("confirmed", "inconclusive"):
            return "holds by construction" if self.verdict == "confirmed" else "arithmetic"
        if self.verdict not in ("confirmed", "contradicted"):
            return self.verdict
        if self.imported:
            return f"{self.verdict} ({self.imported}{', not the encoder of the claim' if self.own_evidence else ''})"
        return f"{self.verdict} here" if self.own_evidence else self.verdict

    @property
    def is_evidence(self) -> bool:
        """False for a claim that is true by construction."""
        return self.claim.kind == "empirical"

    @property
    def needs(self) -> str:
        """Seeds that would decide it, such as "12 (8 or more)"; empty if it is not inconclusive."""
        if self.verdict != "inconclusive":
            return ""
        few = f"n < {self.claim.minimum_n} cannot decide" if self.n < self.claim.minimum_n else ""
        number = ""
        if self.seeds_needed is not None:
            number = f"{self.seeds_needed} at least"
            if self.seeds_range is not None:
                fewest, most = self.seeds_range
                number = f"{self.seeds_needed} ({fewest} or more)" if most is None else f"{self.seeds_needed} ({fewest} to {most})"
        return ", ".join(filter(None, [few, number])) or "-"
