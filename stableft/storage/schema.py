"""Schema of stored results, checked on every read: types of columns, and fields of the JSON."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from stableft.core.errors import Damaged, quoted
from stableft.storage.parquet import fetch_again, newer

CELL_KINDS = {"experiment": "text", "arm": "text", "task": "text", "seed": "integers", "run_id": "text"}
KINDS: dict[str, dict[str, str]] = {
    "runs": CELL_KINDS
    | {name: "text" for name in ("protocol", "outcome", "score_name", "score_split", "config", "provenance")}
    | {"num_steps": "integers", "majority_score": "numbers", "seconds": "numbers", "peak_memory_mb": "numbers"},
    "metrics": CELL_KINDS | {"step": "integers", "split": "text", "metric": "text", "scope": "text", "value": "numbers"},
    "predictions": CELL_KINDS
    | {"split": "text", "example": "integers", "label": "numbers", "prediction": "numbers", "probabilities": "lists of numbers"},
}
RECORD_SCHEMA = 1
Json = dict[str, Any]


def _printed(text: str) -> str:
    if not text.isprintable():
        raise ValueError("text that can't be printed")
    return text


Text = Annotated[str, AfterValidator(_printed)]


class Git(BaseModel):
    """The code of a run."""

    commit: Text | None = None
    dirty: bool | None = None


class Hardware(BaseModel):
    """The machine of a run."""

    machine: Text | None = None
    cpu: Text | None = None
    processor: Text | None = None
    cores: int | None = None
    memory_mb: int | None = None


class StoredExecution(BaseModel):
    """Device and threads of a run."""

    device: Text | None = None
    device_name: Text | None = None
    threads: int | None = None


class ImportedFrom(BaseModel):
    """The source of an imported run; see `stableft.storage.evidence.EvidenceSettings`."""

    label: Text
    source: Text
    licence: Text
    deviations: list[Text] = []
    note: Text = ""


class Provenance(BaseModel):
    """The parts of a run's provenance that reports read.

    They are written by `stableft.execution.provenance` and `stableft.execution.run_provenance`.
    An imported run has only ``imported``.
    """

    git: Git | None = None
    code: dict[Text, Text] | None = None
    python: Text | None = None
    packages: dict[Text, Text] | None = None
    hardware: Hardware | None = None
    execution: StoredExecution | None = None
    started: float | None = Field(default=None, ge=0, lt=1e11, allow_inf_nan=False)
    seconds: float | None = None
    peak_memory_mb: float | None = None
    imported: ImportedFrom | None = None


class Evaluation(BaseModel):
    """Settings of evaluation, for captions."""

    num_examples: int | None = None


class Config(BaseModel):
    """The parts of a configuration that reports read.

    Newer configurations may have other fields, and older ones other bounds.
    """

    encoder: Text | None = None
    evaluation: Evaluation | None = None


class Facts(BaseModel):
    """Facts about a run in its footer.

    Any further fact becomes a column of the collected ``runs`` table, so it must be a single value.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Text | int | float | bool | None]  # pyright: ignore[reportIncompatibleVariableOverride]

    score_name: Text
    score_split: Text
    majority_score: float
    num_steps: int = Field(ge=0, lt=2**31)


class Footer(BaseModel):
    """The JSON in the metadata of a run's file."""

    run_id: str
    outcome: Literal["ok", "diverged"]
    config: Json
    facts: Json
    provenance: Json


def read_footer(text: bytes, path: Path, run_id: str) -> Json:
    """Parses and checks the footer of a run's file.

    Args:
        text: The footer as JSON.
        path: The file, for messages.
        run_id: Identity of the run that the footer must have.

    Raises:
        Damaged: The footer is not that of a run, or belongs to another run.
        MissingInput: It was written by a newer version.
    """
    try:
        footer = json.loads(text)
        schema = footer["schema"]
    except (KeyError, TypeError, ValueError, RecursionError):
        what = f"{path} is no run of stableft: its footer is missing or damaged"
        raise Damaged(path, f"{what}. Delete it and run again.") from None
    if isinstance(schema, int) and schema > RECORD_SCHEMA:
        raise newer(path, schema, RECORD_SCHEMA)
    try:
        parsed = Footer.model_validate(footer, strict=True)
        Facts.model_validate(parsed.facts)
        Config.model_validate(parsed.config)
        Provenance.model_validate(parsed.provenance)
    except ValidationError as error:
        raise Damaged(path, f"{path} is damaged ({_first(error)}). Delete it and run again.") from None
    if parsed.run_id != run_id:
        raise Damaged(path, f"{path} is damaged (it is another run's). Delete it and run again.")
    return footer


def check(table: pa.Table, path: Path) -> None:
    """Checks the columns of a collected table: names, types, gaps, and the JSON in them.

    Args:
        table: The table as read.
        path: Its file: ``runs.parquet``, ``metrics.parquet`` or ``predictions.parquet`` of an
            experiment.

    Raises:
        Damaged: A column is absent, has another type or gaps, or holds invalid values or JSON.
    """
    try:
        _check(table, path.stem)
    except ValueError as error:
        raise Damaged(path, f"{path} is damaged ({error}). {fetch_again(path.parent)}") from None


def _check(table: pa.Table, name: str) -> None:
    if twice := {column for column in table.column_names if table.column_names.count(column) > 1}:
        raise ValueError(f"column {min(twice)} more than once")
    for column, kind in KINDS[name].items():
        if column not in table.column_names:
            raise ValueError(f"no column {column}")
        values = table.column(column)
        if len(values) and not (_is(values.type, kind) and (kind == "numbers" or not values.null_count)):
            raise ValueError(f"column {column} holds {values.type}, or nothing, expected {kind}")
        names = values.unique().to_pylist() if kind == "text" and column not in ("config", "provenance") else []
        if odd := [name for name in names if not name.isprintable()]:
            raise ValueError(f"column {column}: {quoted(odd[0])} can't be printed")
    if name == "runs":
        _check_runs(table)


def _check_runs(table: pa.Table) -> None:
    if not len(table):
        raise ValueError("no rows")
    if unknown := set(table.column("outcome").to_pylist()) - {"ok", "diverged"}:
        raise ValueError(f"outcome is {min(unknown)[:40]!r}, expected ok or diverged")
    for column, kind in (("config", Config), ("provenance", Provenance)):
        for text in dict.fromkeys(table.column(column).to_pylist()):
            try:
                kind.model_validate_json(text)
            except ValidationError as error:
                raise ValueError(f"{column}: {_first(error)}") from None


def _is(stored: pa.DataType, kind: str) -> bool:
    if pa.types.is_dictionary(stored):
        stored = stored.value_type
    if kind == "text":
        return pa.types.is_string(stored) or pa.types.is_large_string(stored)
    if kind == "integers":
        return pa.types.is_integer(stored)
    if kind == "numbers":
        return pa.types.is_floating(stored) or pa.types.is_integer(stored)
    return pa.types.is_list(stored) and pa.types.is_floating(stored.value_type)


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))[:80] or 'the whole'}: {first['msg']}"
