"""Input quality: tells before a run whether its encoder can read its data, and refuses it if not."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stableft.core.config import RunConfig
from stableft.core.errors import MissingInput, UsageError
from stableft.execution.inputs import Inputs
from stableft.models.coverage import REFUSED, Coverage, described
from stableft.tasks import Task


@dataclass(frozen=True)
class Quality:
    """A task as read by an encoder.

    Attributes:
        task: The task.
        encoder: Name of the encoder.
        max_length: Longest input in pieces.
        coverage: What the encoder can read; None if it can't be measured.
        problem: The reason for that.
    """

    task: Task
    encoder: str
    max_length: int
    coverage: Coverage | None
    problem: str = ""

    @property
    def is_refused(self) -> bool:
        """True if too many pieces are unknown."""
        return self.coverage is not None and self.coverage.is_refused

    @property
    def lines(self) -> list[str]:
        """Lines for people: remarks on how the file was read, and the shares."""
        place = f"{self.task.name}: "
        said = [place + note.removeprefix(place) for note in self.task.notes]
        if self.coverage is None:
            return [*said, f"{self.task.name}: what {self.encoder} can read of it is not measured: {self.problem}"]
        shares = described(self.coverage, self.encoder, self.max_length, tagged=self.task.kind == "tagging")
        return [*said, f"{'warning: ' if self.coverage.is_doubtful else ''}{self.task.name}: {shares}"]

    @property
    def facts(self) -> dict[str, Any]:
        """The same as JSON values."""
        counts = self.coverage.facts if self.coverage else None
        place = {"task": self.task.name, "encoder": self.encoder, "max_length": self.max_length}
        return {**place, "notes": list(self.task.notes), "coverage": counts, "problem": self.problem or None}


def qualities(configs: Iterable[RunConfig], inputs: Inputs) -> list[Quality]:
    """Returns one entry for each task, encoder and length of runs; nothing is raised."""
    distinct: Mapping[tuple[str, str, int], RunConfig] = {(c.task, c.encoder, c.max_length): c for c in configs}
    return [_quality(config, inputs) for config in distinct.values()]


def _quality(config: RunConfig, inputs: Inputs) -> Quality:
    coverage, problem = None, "its tokenizer is of a kind that only the training process reads"
    try:
        coverage = inputs.coverage(config)
    except MissingInput as error:
        problem = str(error)
    return Quality(inputs.task(config.task), config.encoder, config.max_length, coverage, problem if coverage is None else "")


def refuse_unreadable(found: Iterable[Quality]) -> None:
    """Refuses data that the encoder mostly can't read.

    Raises:
        UsageError: More than a fifth of the pieces are unknown.
    """
    for each in found:
        if each.coverage and each.coverage.is_refused:
            share = each.coverage.shares["unknown"]
            raise UsageError(
                f"{each.task.name}: {100 * share:.0f} % of its pieces are unknown to {each.encoder}, above {100 * REFUSED:.0f} %: "
                "a model would hardly see the texts. Choose an encoder of their language by --encoder, or type --allow-unknown"
            )
