"""Technique: the base class of all techniques, the stages in which they act, and techniques by name."""

import inspect
import re
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from functools import cache
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator

from stableft.core.outline import Outline
from stableft.core.registry import modules, named

Seed = Annotated[int, Field(ge=0, lt=2**63)]  # as results are kept, seeds are 64-bit integers and steps 32-bit ones
PositiveInt = Annotated[int, Field(gt=0, lt=2**31)]


class Frozen(BaseModel):
    """Immutable, strict about unknown keys and about NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Stage(IntEnum):
    """What a technique decides; those of one run act in this order, in whatever order they are written.

    Some do not commute: a decay toward the weights of step 0 must see those that another technique drew anew.
    """

    WEIGHTS = 1
    MODULES = 2
    GROUPS = 3
    DECAY = 4
    AVERAGE = 5


CARD = ("Claim", "Definition", "Parameters", "Null", "Interactions", "Deviations", "Cost", "Reference")


class Technique(Frozen):
    """A change to a run's setup, decided before step 0. Subclasses are final, one in each file of ``stableft/techniques/``.

    In JSON a technique is its fields and its name: ``{"name": "reinit", "pooler": true, "num_layers": 2}``. Its docstring is its
    card: the paragraphs named in ``CARD``.

    Attributes:
        name: That of its file.
        stage: When it acts.
        excludes: Names of techniques that no run can have beside this one, and why. One of the two says it.
    """

    name: ClassVar[str]
    stage: ClassVar[Stage]
    excludes: ClassVar[Mapping[str, str]] = {}

    @classmethod
    @abstractmethod
    def null(cls) -> Self:
        """The setting that must reproduce the baseline bit for bit."""

    def check(self, outline: Outline) -> None:
        """Refuses an impossible run: when a grid is planned, and again, with everything known, before `apply`.

        Args:
            outline: What is known of the run.

        Raises:
            UsageError: with the reason.
        """

    @abstractmethod
    def apply(self, setup: Any) -> Any:
        """Changes a setup.

        Args:
            setup: A `stableft.training.setup.Setup`, which the core can't name, being free of torch. Its model may be changed in
                place. Techniques go by the roles and depths of its groups, never by the engine, so that they work on each.

        Returns:
            The changed setup, likewise.
        """

    def source_overrides(self) -> Mapping[str, Any] | None:
        """Returns how the source differs from this run: the run that is done first, and whose encoder this one starts from.

        Returns:
            Dotted overrides of this run's configuration; None, as for most, if there is no source. A source can't have a source
            itself.
        """
        return None

    def lr_scale(self, role: str, depth: int, num_blocks: int) -> float:
        """Factor on the learning rate of one part of a model; not 1 only in techniques that set it, which `apply` does by this.

        Args:
            role: ``embeddings``, ``encoder``, ``pooler`` or ``head``.
            depth: Of a block, 1 is the lowest.
            num_blocks: L.
        """
        return 1.0

    def lr_factors(self, factors: Sequence[float], steps_per_epoch: int | None) -> Mapping[int, float]:
        """Factors on the run's learning rate, by updates already done, that replace those given; as a rule none.

        Args:
            factors: Those of the schedule, one for each update.
            steps_per_epoch: Updates per epoch; None: not known.

        Raises:
            MissingInput: the technique counts in epochs, and they aren't known.
        """
        return {}

    @classmethod
    def card(cls) -> dict[str, str]:
        """The paragraphs of the docstring by their names, in the order they are written."""
        parts = re.split(rf"^({'|'.join(CARD)}): ", inspect.cleandoc(cls.__doc__ or ""), flags=re.MULTILINE)[1:]
        return {name: " ".join(text.split()) for name, text in zip(parts[::2], parts[1::2], strict=True)}

    @model_serializer(mode="wrap")
    def _write_name(self, fields: Callable[[Self], dict[str, Any]]) -> dict[str, Any]:
        return {"name": self.name, **fields(self)}

    @model_validator(mode="before")
    @classmethod
    def _read_name(cls, fields: Any) -> Any:
        if isinstance(fields, Mapping) and fields.get("name") == cls.name:
            return {key: value for key, value in fields.items() if key != "name"}
        return fields


@cache
def all_techniques() -> dict[str, type[Technique]]:
    """Returns all techniques by name: the classes that the modules under ``stableft/techniques/`` define."""
    return {
        kind.name: kind
        for module in modules("stableft.techniques")
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Technique) and kind.__module__ == module.__name__
    }


def get_technique(name: str) -> type[Technique]:
    """Returns the technique of that name.

    Raises:
        UsageError: there is none.
    """
    return named(name, all_techniques(), "technique")
