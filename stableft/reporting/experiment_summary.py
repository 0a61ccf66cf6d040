"""Experiment summary: the runs of an experiment, its failed runs, and their provenance."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from stableft.core.errors import UsageError
from stableft.reporting import processors, rounding
from stableft.reporting.artifact_metadata import commit, encoder_name, run_set
from stableft.reporting.run_scores import final_scores
from stableft.reporting.training_curves import interval_means
from stableft.storage.records import CELL, Results
from stableft.storage.run_summary import collected_runs, no_run
from stableft.storage.store import Store

MAX_FAILED = 30  # failed runs listed for an experiment
MAX_ARMS = 30  # rows of its table of runs
FAILED_SIGN = "✗"
CURVE = (120, 32)  # width and height of a curve in pixels
FACTS = (
    "score_name", "score_split", "majority_score", "num_steps", "num_train", "data_fingerprint", "weights_fingerprint", "sources",
    "seconds", "peak_memory_mb", "trajectory_sha256", "collected_sha256",
)  # fmt: skip
SHOWN_PACKAGES = ("torch", "transformers", "numpy")


@dataclass(frozen=True)
class FailedRun:
    """A run that diverged, or ended at or below the majority score.

    Attributes:
        task: Its task.
        arm: Its arm.
        seed: Its seed.
        run_id: First 12 digits of its identity.
        score: Final score; the majority score if it has none.
        majority_score: Majority score of the task.
        diverged: True if a loss that is not finite ended the run.
        losses: Mean training loss of each tenth of the run, up to its end.
        points: ``losses`` as points of a polyline in a box of `CURVE`, scaled over the failed runs
            of the task.
        learned: A polyline of the mean over the task's runs that did not fail; empty if all failed.
    """

    task: str
    arm: str
    seed: int
    run_id: str
    score: float
    majority_score: float
    diverged: bool
    losses: tuple[float, ...]
    points: str
    learned: str


@dataclass(frozen=True)
class ArmRuns:
    """The runs of an arm on a task.

    Attributes:
        task: The task.
        arm: The arm.
        num_runs: Number of its runs.
        num_failed: Number of those that failed.
        scores: Final scores by seed, such as ``0: 0.663, 1: 0.067 ✗``; the sign marks a failed run.
    """

    task: str
    arm: str
    num_runs: int
    num_failed: int
    scores: str


@dataclass(frozen=True)
class RunGroup:
    """Runs of one experiment with the same provenance.

    Attributes:
        runs: Number of runs.
        commit: Commit of the code, with a plus sign if there were uncommitted changes; empty outside
            a git checkout.
        python: Version of Python.
        packages: Name and version of each package.
        hardware: Processor, cores and memory.
        device: Device and number of threads.
        first: Day of the first run (UTC).
        last: Day of the last run (UTC).
        seconds: Sum of the times of the runs.
        peak_memory_mb: Largest peak memory of a run in MiB.
        lock: First 12 digits of the SHA-256 of requirements.lock; empty if the runs do not record it.
        differs: Packages with another version than the lock's, and their versions.
        patch: SHA-256 of the uncommitted changes; empty if there were none.
        torch: Settings of torch, as names and values.
        environment: Environment variables that were set, as names and values.
        attempts: Largest number of attempts of a run.
    """

    runs: int
    commit: str
    python: str
    packages: tuple[tuple[str, str], ...]
    hardware: str
    device: str
    first: str
    last: str
    seconds: float
    peak_memory_mb: float
    lock: str = ""
    differs: tuple[str, ...] = ()
    patch: str = ""
    torch: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    attempts: int = 1

    @property
    def facts(self) -> str:
        """The lock, patch, torch settings, environment and attempts, as text; empty for older runs."""
        if not self.lock:
            return ""
        return "; ".join(
            filter(
                None,
                [
                    f"lock {self.lock}, " + (f"but {', '.join(self.differs)}" if self.differs else "installed as it says"),
                    f"patch {self.patch}" if self.patch else "",
                    f"torch: {', '.join(self.torch)}",
                    f"environment: {', '.join(self.environment)}" if self.environment else "",
                    f"up to {self.attempts} attempts" if self.attempts > 1 else "",
                ],
            )
        )

    @property
    def versions(self) -> dict[str, str]:
        """The versions of `SHOWN_PACKAGES`: results depend most on these."""
        return {name: dict(self.packages).get(name, "") for name in SHOWN_PACKAGES}


@dataclass(frozen=True)
class ExperimentSummary:
    """The runs of an experiment, summarized.

    Attributes:
        run_ids: Ids of all runs.
        run_set: Digest of the run ids; see `stableft.reporting.artifact_metadata.run_set`.
        tasks: Tasks in the order of the runs.
        arms: Arms in the order of the runs.
        seeds: Least and greatest number of seeds per arm and task.
        encoders: Names of the encoders, without folders.
        num_runs: Number of runs.
        failed: The first `MAX_FAILED` failed runs.
        num_failed: Number of all failed runs.
        arm_runs: The runs of the first `MAX_ARMS` arms, by task.
        num_arms: Number of all arms, each counted for every task.
        processors: Runs by kind of processor; see `stableft.reporting.processors.kinds`.
        run_groups: The runs grouped by provenance.
    """

    run_ids: frozenset[str]
    run_set: str
    tasks: list[str]
    arms: list[str]
    seeds: tuple[int, int]
    encoders: list[str]
    num_runs: int
    failed: list[FailedRun]
    num_failed: int
    arm_runs: list[ArmRuns]
    num_arms: int
    processors: dict[str, int]
    run_groups: list[RunGroup]


def summarize(results: Results) -> ExperimentSummary:
    """Summarizes the runs of one experiment and protocol.

    Raises:
        MissingInput: as for `stableft.reporting.run_scores.final_scores`.
    """
    runs = results.runs
    scores = final_scores(results)
    counts = runs.groupby(["task", "arm"], observed=True)["seed"].nunique()
    configs = runs.drop_duplicates(["task", "arm"])["config"].map(json.loads)
    return ExperimentSummary(
        run_ids=frozenset(runs["run_id"]),
        run_set=run_set(results),
        tasks=list(map(str, runs["task"].unique())),
        arms=list(map(str, runs["arm"].unique())),
        seeds=(int(counts.min()), int(counts.max())),
        encoders=sorted({encoder_name(config.get("encoder", "")) for config in configs} - {""}),
        num_runs=len(runs),
        failed=_failed(results, scores),
        num_failed=int(scores["failed"].sum()),
        arm_runs=_arm_runs(scores),
        num_arms=len(counts),
        processors=processors.kinds(runs),
        run_groups=run_groups(runs),
    )


def find_run(store: Store, run_id: str) -> tuple[dict[str, Any], list[dict[Any, Any]]]:
    """Returns the record of a run, from its own file or else from the collected tables.

    Args:
        store: The results.
        run_id: The id of the run, or its first digits.

    Returns:
        A dict with ``run_id``, ``outcome``, ``facts``, ``config`` and ``provenance``; and the rows of
        the run in the collected tables, one for each experiment and cell that includes it.

    Raises:
        MissingInput: no such run.
        UsageError: several ids begin with these digits.
    """
    # Find the ids that begin so, in the collected tables and among the records.
    collected = collected_runs(store)
    rows = [row for table in collected.tables.values() for row in table.to_dict("records") if str(row["run_id"]).startswith(run_id)]
    files = [path.stem for path in (store.root / "runs").glob("*.parquet") if path.stem.startswith(run_id)]
    known = sorted({*(str(row["run_id"]) for row in rows), *files})
    if not known:
        raise no_run(store, run_id, collected)
    if len(known) > 1:
        raise UsageError(f"{len(known)} runs begin with {run_id}: {', '.join(known[:4])}{' ...' if len(known) > 4 else ''}")
    # Prefer the record: it holds facts that the tables may lack.
    if known[0] in files:
        record = store.read(known[0])
        recorded = {name: getattr(record, name) for name in ("run_id", "outcome", "facts", "config", "provenance")}
    else:
        facts = {name: rows[0][name] for name in FACTS if rows[0].get(name) == rows[0].get(name) is not None}
        parsed = {name: json.loads(rows[0][name]) for name in ("config", "provenance")}
        recorded = {"run_id": known[0], "outcome": rows[0]["outcome"], "facts": facts, **parsed}
    return recorded, rows


def run_groups(runs: pd.DataFrame) -> list[RunGroup]:
    """Groups runs by provenance (code, versions, hardware, settings), ordered by first day."""
    groups: dict[str, list[tuple[Mapping[str, Any], float, float]]] = {}
    for text, seconds, peak in runs[["provenance", "seconds", "peak_memory_mb"]].itertuples(index=False):
        provenance = json.loads(text)
        key = {
            name: provenance.get(name)
            for name in ("git", "python", "packages", "hardware", "execution", "lock", "torch", "environment")
        }
        groups.setdefault(json.dumps(key, sort_keys=True), []).append((provenance, seconds, peak))
    by_provenance = [_run_group(members) for members in groups.values()]
    return sorted(by_provenance, key=lambda group: (group.first, group.commit, group.device, group.runs))


def page_totals(summaries: Sequence[ExperimentSummary]) -> dict[str, Any]:
    """Returns the totals of a page.

    They are the number of runs, the encoders, the tasks, the least and greatest number of seeds, the
    kinds of processor, and the sets of package versions.
    """
    return {
        "runs": len(frozenset().union(*(summary.run_ids for summary in summaries))),
        "encoders": sorted({name for summary in summaries for name in summary.encoders}),
        "tasks": list(dict.fromkeys(task for summary in summaries for task in summary.tasks)),
        "seeds": (min((each.seeds[0] for each in summaries), default=0), max((each.seeds[1] for each in summaries), default=0)),
        "processors": sorted({kind for summary in summaries for kind in summary.processors}),
        "packages": sorted({group.packages for summary in summaries for group in summary.run_groups} - {()}),
    }


def _run_group(members: Sequence[tuple[Mapping[str, Any], float, float]]) -> RunGroup:
    # Older runs lack some fields; a missing fact is empty.
    provenance = members[0][0]
    hardware, execution, lock = (provenance.get(name) or {} for name in ("hardware", "execution", "lock"))
    days = sorted(datetime.fromtimestamp(each["started"], UTC).date().isoformat() for each, *_ in members if each.get("started"))
    cores, memory = hardware.get("cores"), hardware.get("memory_mb")
    parts = [
        hardware.get("processor") or hardware.get("cpu"),
        f"{cores} cores" if cores else "",
        f"{memory} MiB" if memory else "",
        hardware.get("machine"),
    ]
    threads = execution.get("threads")
    device = [execution.get("device_name") or execution.get("device"), f"{threads} thread{'s' * (threads != 1)}" if threads else ""]
    return RunGroup(
        runs=len(members),
        commit=commit(dict(provenance)),
        python=provenance.get("python") or "",
        packages=tuple(sorted((provenance.get("packages") or {}).items())),
        hardware=", ".join(filter(None, parts)),
        device=", ".join(filter(None, device)),
        first=days[0] if days else "",
        last=days[-1] if days else "",
        seconds=rounding.exact(float(np.nansum([seconds for _, seconds, _ in members]))),
        peak_memory_mb=float(max((peak for *_, peak in members if peak == peak), default=np.nan)),
        lock=lock.get("sha256", "")[:12],
        differs=tuple(f"{name} {version or 'absent'}" for name, version in lock.get("differs", {}).items()),
        patch=(provenance.get("git") or {}).get("diff_sha256") or "",
        torch=tuple(f"{name} {json.dumps(value)}" for name, value in (provenance.get("torch") or {}).items()),
        environment=tuple(f"{name}={value}" for name, value in (provenance.get("environment") or {}).items()),
        attempts=max(each.get("attempts", 1) for each, *_ in members),
    )


def _arm_runs(scores: pd.DataFrame) -> list[ArmRuns]:
    rows = []
    for (task, arm), runs in scores.groupby(["task", "arm"], sort=False, observed=True):
        by_seed = runs.sort_values("seed")
        shown = [
            f"{seed}: {rounding.text(score, '.3f')}{f' {FAILED_SIGN}' if failed else ''}"
            for seed, score, failed in zip(by_seed["seed"], by_seed["score"], by_seed["failed"], strict=True)
        ]
        rows.append(ArmRuns(str(task), str(arm), len(runs), int(runs["failed"].sum()), ", ".join(shown)))
        if len(rows) == MAX_ARMS:
            break
    return rows


def _failed(results: Results, scores: pd.DataFrame) -> list[FailedRun]:
    # Mean loss of each tenth of the failed runs, and of the others by task.
    losses = interval_means(results, "loss").merge(results.runs[[*CELL, "num_steps"]], on=CELL)
    losses["tenth"] = losses["step"] // np.maximum(1, losses["num_steps"] // 10)
    losses = losses.merge(scores[[*CELL, "failed"]], on=CELL)
    of_run = {key: part for key, part in losses[losses["failed"]].groupby(["run_id", "arm"], observed=True)}
    learned = losses[~losses["failed"]].groupby(["task", "tenth"], observed=True)["value"].mean()
    # All curves of a task share one vertical scale.
    failed = []
    for task, runs in scores[scores["failed"]].groupby("task", sort=False, observed=True):
        mean = learned.loc[task] if task in learned.index.get_level_values(0) else pd.Series(dtype=float)
        values = pd.concat([losses.loc[losses["failed"] & (losses["task"] == task), "value"], mean])
        bounds = (values.min(), values.max())
        for row in runs.to_dict("records"):
            part = of_run.get((row["run_id"], row["arm"]))
            curve = pd.Series(dtype=float) if part is None else part.set_index("tenth")["value"]
            failed.append(
                FailedRun(
                    str(task), row["arm"], int(row["seed"]), row["run_id"][:12], row["score"], row["majority_score"],
                    bool(row["diverged"]), rounding.exact(tuple(curve)), _points(curve, bounds), _points(mean, bounds),
                )
            )  # fmt: skip
            if len(failed) == MAX_FAILED:
                return failed
    return failed


def _points(curve: pd.Series, bounds: tuple[float, float]) -> str:
    """Returns points of a polyline: tenths from left to right, the lower bound at the bottom."""
    width, height = CURVE
    low, span = bounds[0], (bounds[1] - bounds[0]) or 1.0
    heights = height - 2 - (curve - low) / span * (height - 4)
    return " ".join(f"{tenth * width / 10:.0f},{rounding.text(y, '.1f')}" for tenth, y in zip(curve.index, heights, strict=True))
