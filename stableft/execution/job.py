"""Job: a run to be done, in the form sent to a training process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from stableft.core import plugins
from stableft.core.config import RunConfig
from stableft.models.encoders import Encoder
from stableft.tasks import Task, TaskData

Progress = Callable[[int, int, float], None]  # step, number of steps, training loss


@dataclass(frozen=True)
class Job:
    """A run to be done.

    Attributes:
        run_id: Identity of the run, derived from the config and the two fingerprints.
        config: The configuration of the run.
        encoder: The encoder, with the folder of its weights.
        data: The task's examples. They are part of the job, as loading them can take longer than
            sending them.
        results: The results folder.
        device: A torch device such as ``cpu`` or ``cuda``.
        threads: CPU threads. They are recorded, since bit-identical results need the same number.
        packed: True for batches without padding; False for padded ones, as in the reference.
        task: The task, if it is read from a user's file rather than registered.
        sources: Runs whose weights this one needs (`RunConfig.sources`). Each is done first, unless
            its weights exist.
        checkpoint_minutes: Minutes of training between two checkpoints, and before the first; 0:
            none are written or read.
        code: State of the code (`stableft.execution.checkout.Checkout.keep`), recorded when the
            command starts, since files may be edited meanwhile. None: the training process asks git.
        attempts: Number of starts of this run, including this one; for its provenance.
        identify: True if its provenance names host and user.
        coverage: How much of the data the encoder can read, `stableft.models.coverage.Coverage.facts`;
            None: not measured.
        keep_weights: True if the last weights are written too (`stableft.storage.kept_weights`).
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
    coverage: Mapping[str, Any] | None = None
    keep_weights: bool = False

    def __reduce_ex__(self, protocol: Any) -> Any:
        if not plugins.files():
            return super().__reduce_ex__(protocol)
        return plugins.with_texts(Job, {each.name: getattr(self, each.name) for each in fields(self)})


def score_split(data: TaskData) -> Literal["validation", "test"]:
    """Returns the split for the score of a run: test if the data have one, else validation."""
    return "test" if data.test else "validation"
