"""An intermediate task: fine-tune on another task first."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, final

from pydantic import Field, model_validator

from stableft.core.errors import UsageError
from stableft.core.technique import PositiveInt, Seed, Stage, Technique

if TYPE_CHECKING:
    from stableft.training.setup import Setup


@final
class Intermediate(Technique):
    """Starts from the encoder of a finished run on another task.

    Claim: What a larger task taught is a better start for a small one.

    Definition: First a run on ``task``: this run's configuration without techniques, changed by the settings below, evaluated after
    its last step only. Embeddings, blocks and pooler of this run start from that run's last weights; the head is new, drawn as in
    every run of this seed. Embeddings of pieces that do not occur there start as a table of all pieces would have ended: as in the
    checkpoint, shrunk by plain weight decay if there is any.

    Parameters: ``task``: name of the other task; default none: nothing is changed. The task of the run itself is allowed: a control
    for what is gained by training longer. Settings of the first run, each by default that of this run: ``num_train`` (training
    examples; a number beyond the split's means all), ``num_epochs`` or ``num_steps`` (its length; at most one of them), ``lr``
    (peak rate, > 0), ``batch_size``, and ``seed``: its seed, from which all its streams then derive; one number makes all seeds
    start from one run. Zhang et al. print none of these for MNLI.

    Null: ``Intermediate()``, without a task.

    Interactions: Before reinit, which draws anew blocks or pooler of what the first run left. For what decays toward, mixes with
    or measures distance from the start (pretrained_weight_decay, mixout), the start is step 0 of this run, so what the first run
    left, also for a pooler that the checkpoint lacks: it is fresh no more. ``dropout``, ``adam`` and the other settings hold in
    the first run too, so an arm that changes them has a first run of its own. The first run has no techniques, whatever this one
    has, and a linear head. Tagging has no pooler: after it, another kind of task starts with the checkpoint's. If the first run
    diverges, this one starts from the weights that it had then, and as a rule diverges too.

    Deviations: Zhang et al. name the first task (MNLI) and no setting of it, nor how many first runs there were. By default each
    seed has its own, so that the spread over seeds is also that of the first run.

    Cost: The first run, once for all runs that share it, and a file as large as the encoder for each first run
    (results/weights, which may be deleted: it is made again when needed).

    Reference: Phang, Fevry, Bowman (2018), Sentence Encoders on STILTs; Zhang, Wu, Katiyar, Weinberger, Artzi (2021), Revisiting
    Few-sample BERT Fine-tuning, Table 2, column Int. task (protocol sections 2.4 and 3.2).
    """

    name: ClassVar[str] = "intermediate"
    stage: ClassVar[Stage] = Stage.WEIGHTS

    task: Annotated[str, Field(min_length=1)] | None = None
    num_train: PositiveInt | None = None
    num_epochs: PositiveInt | None = None
    num_steps: PositiveInt | None = None
    lr: Annotated[float, Field(gt=0)] | None = None
    batch_size: PositiveInt | None = None
    seed: Seed | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.num_epochs is not None and self.num_steps is not None:
            raise ValueError("set at most one of num_epochs and num_steps")
        if self.task is None and any(value is not None for _, value in self):
            raise ValueError("set task: without one there is no first run")
        return self

    @classmethod
    def null(cls) -> Self:
        """The checkpoint is the start."""
        return cls()

    def source_overrides(self) -> Mapping[str, Any] | None:
        """Returns how the first run differs from this one; None without a task."""
        if self.task is None:
            return None
        streams = ("sample_seed", "init_seed", "order_seed", "dropout_seed")
        changes: dict[str, Any] = {
            "task": self.task,
            "head": "linear",  # every kind of task can have it, and nothing is kept of it
            "techniques": None,
            "reinit_seed": None,
            "evaluation": {"num_points": 1, "test_points": "last"},
            **({} if self.seed is None else {"seed": self.seed, **dict.fromkeys(streams)}),
        }
        if self.num_epochs is not None or self.num_steps is not None:
            changes |= {"schedule.num_epochs": self.num_epochs, "schedule.num_steps": self.num_steps}
        given = {"num_train": self.num_train, "adam.lr": self.lr, "batch_size": self.batch_size}
        return changes | {name: value for name, value in given.items() if value is not None}

    def apply(self, setup: "Setup") -> "Setup":
        """Overwrites everything but the head.

        Raises:
            UsageError: nobody says where the first run's encoder is.
            MissingInput: it is not there, damaged, or another encoder.
        """
        from stableft.models.weights import load_encoder

        if self.task is None:
            return setup
        if self.name not in setup.sources:
            raise UsageError(f"{self.name}: build() needs the encoder that a run on {self.task} ended with, in sources")
        return replace(setup, fresh=setup.fresh - load_encoder(setup.model, setup.sources[self.name]))
