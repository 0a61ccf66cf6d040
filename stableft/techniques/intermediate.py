"""Intermediate task: fine-tuning on another task first."""

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
    """A start from the encoder of a finished run on another task.

    Claim: A larger task first gives a better start for a small one.

    Definition: The first run is on ``task``. It has this run's configuration without techniques,
    changed by the settings below, and is evaluated after its last step only. Embeddings, blocks and
    pooler of this run start from the first run's last weights. The head is new, drawn as in every run
    of this seed. Embeddings of pieces that do not occur there start as a table of all pieces would have
    ended: as in the checkpoint, shrunk by plain weight decay if there is any.

    Parameters: ``task``: name of the other task; default none: nothing is changed. The run's own task
    is allowed, as a control for the gain from longer training. Settings of the first run, each by
    default that of this run: ``num_train`` (training examples; a number beyond the split's means all),
    ``num_epochs`` or ``num_steps`` (its length; at most one of them), ``lr`` (peak rate, > 0),
    ``batch_size``, and ``seed`` (its seed, from which all its streams then derive; one number makes all
    seeds start from one run). Zhang et al. print no such settings for MNLI.

    Null: ``Intermediate()``, without a task.

    Interactions: Acts before reinit, which draws new values for blocks or pooler of the first run. The
    start of this run is its step 0, and so the first run's weights; pretrained_weight_decay, mixout and
    the distance to the start refer to it. That includes a pooler that the checkpoint lacks, which is no
    longer fresh. ``dropout``, ``adam`` and the other settings also apply to the first run, so an arm
    that changes them has its own first run. The first run has no techniques, whatever this one has, and
    a linear head. Tagging has no pooler: after it, another kind of task starts with the checkpoint's.
    If the first run diverges, this one starts from its weights at that step, and as a rule diverges
    too.

    Deviations: Zhang et al. name the first task (MNLI) but none of its settings, nor the number of
    first runs. By default each seed has its own, so the spread over seeds includes that of the first
    run.

    Cost: The first run, once for all runs that share it, and a file as large as the encoder for each
    first run (results/weights, which may be deleted: it is made again when needed).

    Reference: Phang, Fevry, Bowman (2018), Sentence Encoders on STILTs; Zhang, Wu, Katiyar, Weinberger,
    Artzi (2021), Revisiting Few-sample BERT Fine-tuning, Table 2, column Int. task (protocol sections
    2.4 and 3.2).
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
        """Returns the setting that starts from the checkpoint."""
        return cls()

    def source_overrides(self) -> Mapping[str, Any] | None:
        """Returns the first run's differences from this one; None without a task."""
        if self.task is None:
            return None
        streams = ("sample_seed", "init_seed", "order_seed", "dropout_seed")
        changes: dict[str, Any] = {
            "task": self.task,
            "head": "linear",  # fits every kind of task, and is discarded
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
        """Overwrites all weights except the head's.

        Raises:
            UsageError: the setup has no path of the first run's encoder.
            MissingInput: that file is absent, damaged, or of another encoder.
        """
        from stableft.models.weights import load_encoder

        if self.task is None:
            return setup
        if self.name not in setup.sources:
            raise UsageError(f"{self.name}: build() needs the encoder that a run on {self.task} ended with, in sources")
        return replace(setup, fresh=setup.fresh - load_encoder(setup.model, setup.sources[self.name]))
