"""Evidence sets: imported results with their source, kept apart from our runs.

A set is a folder of the results folder with `SOURCE_FILE`. It is used like a protocol with
collected results, which can't be run: its `Protocol` has ``imported`` set.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from stableft.core.config import RunConfig
from stableft.core.errors import Damaged, MissingInput
from stableft.core.experiments import all_protocols
from stableft.core.grid import Grid, Protocol
from stableft.core.registry import named
from stableft.storage.schema import ImportedFrom, Text
from stableft.storage.store import Store

SOURCE_FILE = "source.json"
REQUIRED = ("encoder", "batch_size", "adam", "schedule", "precision")
Phrase = Annotated[Text, Field(min_length=1)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Strict(BaseModel):
    """A part of the settings; a field that it does not have is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TaskSettings(Strict):
    """The scores of a task.

    Attributes:
        score: Metric of the table by which runs are judged; higher is better.
        score_split: Split on which they are judged.
        majority_score: Score of a constant prediction, with as many digits as the scores have. A run
            at or below it has failed.
        num_train: Number of all training examples.
    """

    score: Phrase
    score_split: Literal["test", "validation"] = "test"
    majority_score: Number
    num_train: Annotated[int, Field(ge=1)] | None = None


class EvidenceSettings(Strict):
    """The settings of an evidence set: the content of `SOURCE_FILE`.

    Attributes:
        label: Short name in verdicts, such as ``public runs, BERT-large, fp16``.
        source: Who measured these results, and where they are published.
        licence: Terms of the source.
        files: SHA-256 of each original file; may be empty.
        config: Settings of all runs, named as in `RunConfig`, and only known ones. Required are
            `REQUIRED`, within them ``adam.lr``. ``precision`` may be any text.
        deviations: Differences from the setting of the claims' sources, each a phrase.
        notes: Further sentences for captions, by experiment.
        tasks: Settings of each task.
    """

    label: Phrase
    source: Phrase
    licence: Phrase
    files: dict[Phrase, Phrase] = {}
    config: dict[str, Any]
    deviations: tuple[Phrase, ...] = ()
    notes: dict[Phrase, Phrase] = {}
    tasks: dict[Phrase, TaskSettings]

    @field_validator("config")
    @classmethod
    def _known_and_possible(cls, config: dict[str, Any]) -> dict[str, Any]:
        if absent := [name for name in REQUIRED if name not in config]:
            raise ValueError(f"{', '.join(absent)} missing")
        if fixed := sorted({"task", "seed", "sample_seed", "num_train", "techniques"} & config.keys()):
            raise ValueError(f"{', '.join(fixed)} differs between runs: the table has it")
        if not isinstance(config["precision"], str):
            raise ValueError("precision is a text, such as fp32")
        rest = {"task": "-", "evaluation": {"every": 1}, **config, "precision": "fp32"}
        try:
            RunConfig.model_validate(rest)
        except ValidationError as error:
            raise ValueError(_reason(error)) from None
        return config

    def imported_from(self, experiment: str) -> ImportedFrom:
        """Returns the source as the runs of an experiment record it."""
        note = self.notes.get(experiment, "")
        return ImportedFrom(label=self.label, source=self.source, licence=self.licence, deviations=list(self.deviations), note=note)

    def protocol(self, name: str) -> Protocol:
        """Returns the protocol of the set; its runs' settings are in their tables."""
        summary = f"imported ({self.label}): {self.source}; {self.licence}. {'; '.join(self.deviations)}".rstrip(". ")
        return Protocol(
            name=name, configs={}, tasks=tuple(self.tasks), seeds=(), learning_rates=(), summary=summary, imported=self.label
        )


def read_settings(path: Path) -> EvidenceSettings:
    """Reads the settings of an evidence set.

    Raises:
        MissingInput: The file is absent, no JSON, or has missing, unknown or impossible fields.
    """
    try:
        return EvidenceSettings.model_validate_json(path.read_bytes())
    except OSError as error:
        raise MissingInput(f"{path}: {error.strerror}; write the settings as in docs/import.md") from None
    except ValidationError as error:
        raise MissingInput(f"{path}: {_reason(error)}; see docs/import.md") from None


def imported_protocols(store: Store, unread: Callable[[str], None] | None = None) -> dict[str, Protocol]:
    """Returns the protocols of all evidence sets of a results folder, by name.

    Args:
        store: The results folder.
        unread: Called with a sentence for each set with a damaged source file; it is then left out.
            None: the first one is an error.

    Raises:
        Damaged: The source file of a set is not what an import wrote.
    """
    protocols: dict[str, Protocol] = {}
    for path in sorted(store.root.glob(f"*/{SOURCE_FILE}")):
        try:
            protocols[path.parent.name] = read_settings(path).protocol(path.parent.name)
        except MissingInput as error:
            damaged = Damaged(path, f"{error}. Get the file again, or move {path.parent} away.")
            if unread is None:
                raise damaged from None
            unread(str(damaged))
    return protocols


def known_protocols(store: Store, unread: Callable[[str], None] | None = None) -> Mapping[str, Protocol]:
    """Returns all protocols by name: those that can be run, then those of `imported_protocols`."""
    return {**all_protocols(), **imported_protocols(store, unread)}


def find_protocol(name: str, store: Store) -> Protocol:
    """Returns the protocol of that name, also of an evidence set.

    Raises:
        UsageError: There is none.
    """
    own = all_protocols()
    return own[name] if name in own else named(name, known_protocols(store), "protocol")


def stored_grid(experiment: str, protocol: Protocol, runs: pd.DataFrame) -> Grid:
    """Returns the arms, tasks and seeds of stored runs as a grid, without the arms' settings."""
    arms, tasks, seeds = (list(dict.fromkeys(runs[name].tolist())) for name in ("arm", "task", "seed"))
    return Grid(experiment, protocol, {str(arm): {} for arm in arms}, list(map(str, tasks)), seeds)


def _reason(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))[:80]
    return f"{place}: {first['msg']}" if place else first["msg"]
