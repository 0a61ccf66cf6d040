"""Records: the data classes of stored runs and collected tables, and the keys of their metadata."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import pandas as pd

FOOTER = b"stableft"
FOOTER_SHA256 = b"stableft_sha256"
TRAJECTORY = "trajectory_sha256"  # of all bits of a run's rows
COLLECTED = "collected_sha256"  # of its rows as they are in the collected tables
CELL = ["experiment", "arm", "task", "seed", "run_id"]
Outcome = Literal["ok", "diverged"]


class CellKey(NamedTuple):
    """A cell of an experiment, filled by a run; one run may fill several."""

    experiment: str
    arm: str
    task: str
    seed: int
    run_id: str


@dataclass(frozen=True)
class RunRecord:
    """The record of a finished run.

    Attributes:
        run_id: Identity of the run.
        outcome: ``diverged`` if a non-finite loss ended the run, which is data; else ``ok``.
        config: The resolved configuration as JSON values.
        facts: Columns of the collected ``runs`` table: ``score_name``, ``score_split``,
            ``majority_score``, ``num_steps``, ``data_fingerprint``, ``weights_fingerprint``;
            ``sources`` if the run needed other runs' weights.
        provenance: Code, machine and options of the computation.
        metrics: Columns step, split, metric, scope, value.
        predictions: Columns split, example, label, prediction, probabilities; see `predictions_frame`.
    """

    run_id: str
    outcome: Outcome
    config: Mapping[str, Any]
    facts: Mapping[str, Any]
    provenance: Mapping[str, Any]
    metrics: pd.DataFrame
    predictions: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Results:
    """The collected tables of one experiment at one protocol.

    Numbers derived from them are cached (`stableft.reporting`), so their frames are never changed in
    place once they are read. Two are equal only if they are the same object.

    Attributes:
        runs: One row per run: experiment, protocol, arm, task, seed, run_id, outcome, facts,
            seconds, peak_memory_mb, and config and provenance as JSON.
        metrics: experiment, arm, task, seed, run_id, step, split, metric, scope, value.
        predictions: experiment, arm, task, seed, run_id, split, example, label, prediction,
            probabilities; see `with_kept_probabilities` for those that are there.
    """

    runs: pd.DataFrame
    metrics: pd.DataFrame
    predictions: pd.DataFrame
