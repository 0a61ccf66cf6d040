"""Job: one run to be done, as it travels to a training process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from stableft.core.config import RunConfig
from stableft.models.encoders import Encoder
from stableft.tasks import Task, TaskData

Progress = Callable[[int, int, float], None]  # step, number of steps, training loss


@dataclass(frozen=True)
class Job:
    """One run to be done.

    Attributes:
        run_id: Its identity, derived from the config and the two fingerprints.
        config: The configuration of the run.
        encoder: Where the weights are.
        data: The task's examples. They travel with the job, since loading them can take longer than sending them.
        results: The results folder.
        device: Such as ``cpu`` or ``cuda``.
        threads: CPU threads. They are recorded, since bit-identical results need the same number.
        packed: Without padding, or padded as the reference.
        task: The task, if the config's name is that of a user's file rather than of a registered task.
        sources: The runs whose weights this one needs (`RunConfig.sources`). Each is done first, unless its weights exist.
        checkpoint_minutes: Minutes of training between two checkpoints, and before the first; 0: none are written or read.
        code: The code as git knows it (`stableft.execution.checkout.Checkout.keep`), recorded when the command starts, since
            files may be edited meanwhile. None: the training process asks git itself.
        attempts: How often this run was started, this time included; for its provenance.
        identify: Its provenance names host and user.
    """

    run_id: str
    config: RunConfig
    encoder: Encoder
    data: TaskData
    results: Path
    device: str = "cpu"
    threads: int = 1
    packed: bool = True
    task: Task | None = None
    sources: "Mapping[str, Job]" = field(default_factory=dict)
    checkpoint_minutes: float = 0.0
    code: Mapping[str, Any] | None = None
    attempts: int = 1
    identify: bool = False


def score_split(data: TaskData) -> Literal["validation", "test"]:
    """Returns the split that judges a run on this data: test where there is one."""
    return "test" if data.test else "validation"
