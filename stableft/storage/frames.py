"""Rows of a run (metrics and predictions): as frames, as one table, and as a fingerprint."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from stableft.storage.records import Results

# One file holds both kinds of rows. Unused columns of a row are null and take no space in parquet.
RUN_SCHEMA = pa.schema(
    [
        pa.field("kind", pa.dictionary(pa.int8(), pa.string()), nullable=False),  # metric | prediction
        pa.field("split", pa.dictionary(pa.int8(), pa.string()), nullable=False),
        pa.field("step", pa.int32()),
        pa.field("metric", pa.dictionary(pa.int8(), pa.string())),
        pa.field("scope", pa.dictionary(pa.int16(), pa.string())),  # a surface has hundreds
        pa.field("value", pa.float64()),
        pa.field("example", pa.int32()),
        pa.field("label", pa.float64()),
        pa.field("prediction", pa.float64()),
        pa.field("probabilities", pa.list_(pa.float32())),
    ]
)
METRIC_COLUMNS = ["step", "split", "metric", "scope", "value"]
PREDICTION_COLUMNS = ["split", "example", "label", "prediction", "probabilities"]


def metrics_frame(rows: Iterable[tuple[Any, ...]]) -> pd.DataFrame:
    """Returns rows (step, split, metric, scope, value) as a frame."""
    return pd.DataFrame(list(rows), columns=METRIC_COLUMNS).astype({"step": "int64", "value": "float64"})


def predictions_frame(parts: Iterable[Sequence[Any]]) -> pd.DataFrame:
    """Returns `stableft.training.evaluation.Predictions` as a frame: one row per example in file order.

    Tagging has one row per word, in order. Then ``example`` repeats the example's index, ``label`` and
    ``prediction`` are tag indices, and ``probabilities`` are empty.
    """
    frames = [
        pd.DataFrame(
            {
                "split": split,
                "example": _examples(len(labels), *offsets),
                "label": labels,
                "prediction": predictions,
                "probabilities": list(probabilities),
            }
        )
        for split, labels, predictions, probabilities, *offsets in parts
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=PREDICTION_COLUMNS)


def _examples(num_rows: int, offsets: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    return np.arange(num_rows) if offsets is None else np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def trajectory_sha256(table: pa.Table) -> str:
    """Returns the fingerprint of a run's rows (metrics and predictions).

    It covers all bits and the order of the rows, so it is equal for equal trajectories.

    Args:
        table: The rows, in `RUN_SCHEMA`.
    """
    digest = hashlib.sha256()
    for name in RUN_SCHEMA.names:
        column = table[name].combine_chunks()
        some = 0 < column.null_count < len(column)
        null = column.is_null().to_numpy(zero_copy_only=False).tobytes() if some else bytes([column.null_count > 0]) * len(column)
        digest.update(null)
        if pa.types.is_dictionary(column.type):  # re-encoded, since files may order their codes differently
            encoded = column.cast(pa.string()).dictionary_encode()
            digest.update(json.dumps(encoded.dictionary.to_pylist()).encode())
            column = encoded.indices
        elif pa.types.is_list(column.type):
            digest.update(pc.call_function("list_value_length", [column]).fill_null(0).to_numpy(zero_copy_only=False).tobytes())
            column = column.flatten()
        digest.update(column.fill_null(0).to_numpy(zero_copy_only=False).tobytes())
    return digest.hexdigest()


def row_fingerprints(results: Results) -> list[str]:
    """Computes the `trajectory_sha256` of each run's collected rows, in the order of ``results.runs``.

    It is not that of the run's file where that has more bits of the probabilities.
    """
    frames = {"metric": results.metrics, "prediction": results.predictions}
    groups = {kind: dict(iter(frame.groupby(["run_id", "arm"], observed=True))) for kind, frame in frames.items()}
    found = []
    for run in zip(results.runs["run_id"], results.runs["arm"], strict=True):
        parts = [typed(rows[run].assign(kind=kind)) for kind, rows in groups.items() if run in rows]
        found.append(trajectory_sha256(pa.concat_tables(parts)))
    return found


def typed(frame: pd.DataFrame) -> pa.Table:
    arrays = [
        pa.array(frame[f.name], from_pandas=False).cast(f.type) if f.name in frame else pa.nulls(len(frame), f.type)
        for f in RUN_SCHEMA
    ]
    return pa.Table.from_arrays(arrays, schema=RUN_SCHEMA)


def as_written(table: pa.Table) -> pa.Table:
    """Casts the rows of a file to `RUN_SCHEMA`; older files have a narrower index of scopes.

    Raises:
        ValueError: The rows are not those of a run.
    """
    if table.schema.names != RUN_SCHEMA.names:
        raise ValueError("other columns than a run's")
    try:
        table = table.cast(RUN_SCHEMA)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise ValueError(f"other columns than a run's: {error}"[:200]) from None
    for kind, columns in (("metric", METRIC_COLUMNS), ("prediction", PREDICTION_COLUMNS)):
        rows = table.filter(pa.array(np.asarray(table["kind"].cast(pa.string())) == kind))
        if empty := [name for name in columns if rows[name].null_count]:
            raise ValueError(f"a {kind} without {', '.join(empty)}")
    return table


def rows_of(frame: pd.DataFrame, kind: str, columns: list[str]) -> pd.DataFrame:
    part = frame.loc[frame["kind"] == kind, columns].reset_index(drop=True)
    return part.astype({name: "int64" for name in ("step", "example") if name in columns})


def plain_strings(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype(dict.fromkeys(_categories(frame), "str"))


def joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Concatenates frames; the categories are the names in any frame, in alphabetical order.

    Names stay categories throughout: as strings, millions of rows would take seconds and gigabytes.
    """
    names = {name: sorted(set().union(*(frame[name].unique() for frame in frames))) for name in _categories(frames[0])}
    alike = [frame.assign(**{name: frame[name].cat.set_categories(known) for name, known in names.items()}) for frame in frames]
    return pd.concat(alike, ignore_index=True)


def _categories(frame: pd.DataFrame) -> list[str]:
    return [name for name in frame.columns if isinstance(frame[name].dtype, pd.CategoricalDtype)]
