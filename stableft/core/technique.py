"""Technique: the base class of all techniques, the stages in which they act, and techniques by name."""

import inspect
import re
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from functools import cache
from types import ModuleType
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator

from stableft.core import plugins
from stableft.core.errors import UsageError
from stableft.core.outline import Outline
from stableft.core.registry import modules, named

Seed = Annotated[int, Field(ge=0, lt=2**63)]  # results store seeds as 64-bit integers and steps as 32-bit ones
PositiveInt = Annotated[int, Field(gt=0, lt=2**31)]


class Frozen(BaseModel):
    """A base for immutable models, strict about unknown keys, NaN and infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Stage(IntEnum):
    """The subject of a technique. The techniques of a run act in this order, however they are written.

    Some do not commute: a decay toward the weights of step 0 needs the weights that another technique
    re-initialized.

    Attributes:
        WEIGHTS: Values at the start.
        MODULES: Layers of the model.
        ADAPTERS: Parameters that are added, and those that are trained at all.
        GROUPS: Learning rates of parts.
        DECAY: Targets of weight decay.
        LOSS: The batch's loss, from any number of forward passes (``Setup.objective``).
        GRADIENT: Gradients: how they are computed (``Setup.gradient``), and what is left of them after
            clipping (``Setup.after_clipping``).
        OPTIMIZER: The rule of an update (``Setup.optimizer``).
        SCHEDULE: The learning rate over time (``Setup.lr_factors``).
        AVERAGE: An average of the weights (``Setup.average``).
    """

    WEIGHTS = 1
    MODULES = 2
    ADAPTERS = 3
    GROUPS = 4
    DECAY = 5
    LOSS = 6
    GRADIENT = 7
    OPTIMIZER = 8
    SCHEDULE = 9
    AVERAGE = 10


CARD = ("Claim", "Definition", "Parameters", "Null", "Interactions", "Deviations", "Cost", "Reference")


class Technique(Frozen):
    """A change to a run's setup, decided before step 0.

    Subclasses are final, one in each file of ``stableft/techniques/``. In JSON a technique is its
    fields and its name: ``{"name": "reinit", "pooler": true, "num_layers": 2}``. Its docstring is its
    card: the paragraphs named in ``CARD``.

    Attributes:
        name: That of its file.
        stage: Its place in the order of techniques.
        excludes: Names of techniques that can't be combined with this one, and why. One of the two
            declares it.
    """

    name: ClassVar[str]
    stage: ClassVar[Stage]
    excludes: ClassVar[Mapping[str, str]] = {}

    @classmethod
    @abstractmethod
    def null(cls) -> Self:
        """Returns the setting that must reproduce the baseline bit for bit."""

    def check(self, outline: Outline) -> None:
        """Refuses an impossible run.

        It is called when a grid is planned, and again before `apply`, with everything known.

        Args:
            outline: The known facts of the run.

        Raises:
            UsageError: with the reason.
        """

    @abstractmethod
    def apply(self, setup: Any) -> Any:
        """Changes a setup.

        Techniques use the roles and depths of its groups, never its engine, so that they work on every
        engine.

        Args:
            setup: A `stableft.training.setup.Setup`, which the core can't name, being free of torch.
                Its model may be changed in place.

        Returns:
            The changed `stableft.training.setup.Setup`.
        """

    def source_overrides(self) -> Mapping[str, Any] | None:
        """Returns the differences of the source from this run, or None if there is no source.

        The source is a run that is done first. This run starts from its encoder.

        Returns:
            Dotted overrides of this run's configuration; None, as for most techniques. A source can't
            have a source itself.
        """
        return None

    def lr_scale(self, role: str, depth: int, num_blocks: int) -> float:
        """Returns the factor on the learning rate of one part of a model.

        It differs from 1 only in techniques that set it; their `apply` uses this method.

        Args:
            role: ``embeddings``, ``encoder``, ``pooler`` or ``head``.
            depth: Of a block, 1 is the lowest.
            num_blocks: L.
        """
        return 1.0

    def lr_factors(self, factors: Sequence[float], steps_per_epoch: int | None) -> Mapping[int, float]:
        """Returns overrides of the schedule: completed updates -> factor on the run's learning rate.

        Most techniques return none.

        Args:
            factors: Those of the schedule, one for each update.
            steps_per_epoch: Updates per epoch; None: not known.

        Raises:
            MissingInput: the technique counts in epochs, and the updates per epoch are not known.
        """
        return {}

    @classmethod
    def card(cls) -> dict[str, str]:
        """Returns the paragraphs of the docstring by name, in their order."""
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


def all_techniques() -> dict[str, type[Technique]]:
    """Returns all techniques by name: the classes in modules of ``stableft/techniques/`` and in plug-ins.

    Raises:
        UsageError: a plug-in's technique has the name of another one, or breaks the contract.
    """
    return _all_techniques(plugins.key())


@cache
def _all_techniques(_: str) -> dict[str, type[Technique]]:
    known = {kind.name: kind for module in modules("stableft.techniques") for kind in _defined_in(module)}
    for module in plugins.loaded().values():
        for kind in _defined_in(module):
            _check_contract(kind, module)
            known = plugins.plugged(known, {kind.name: kind}, "a technique")
    return known


def _defined_in(module: ModuleType) -> list[type[Technique]]:
    return [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Technique) and kind.__module__ == module.__name__
    ]


def _check_contract(kind: type[Technique], module: ModuleType) -> None:
    """Refuses a plug-in's technique without a name, a stage, a way to apply it, or a null setting.

    Raises:
        UsageError: with the reason.
    """
    where = f"{module.__file__}: technique {kind.__name__}"
    if not isinstance(getattr(kind, "name", None), str) or not kind.name:
        raise UsageError(f"{where} has no name: write name: ClassVar[str] = ...")
    if not isinstance(getattr(kind, "stage", None), Stage):
        raise UsageError(f"{where} has no stage: write stage: ClassVar[Stage] = Stage.X, X one of {', '.join(Stage.__members__)}")
    if lacking := sorted(kind.__abstractmethods__):
        raise UsageError(f"{where} does not define {', '.join(lacking)}")
    try:
        null = kind.null()
    except Exception as error:
        raise UsageError(f"{where}: null() fails: {'; '.join(map(str.strip, str(error).splitlines()[:3]))}") from error
    if not isinstance(null, kind):
        raise UsageError(f"{where}: null() returns {type(null).__name__}, not a setting of the technique")


def get_technique(name: str) -> type[Technique]:
    """Returns the technique of that name.

    Raises:
        UsageError: there is none.
    """
    return named(name, all_techniques(), "technique")
