"""Import of results: turns a checked table in long format into an evidence set."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from stableft.core.config import canonical_json
from stableft.core.errors import MissingInput, UsageError, listed, quoted
from stableft.core.experiments import all_experiments, all_protocols
from stableft.core.files import replaced_folder, write_whole
from stableft.core.grid import Override
from stableft.core.technique import Technique
from stableft.storage import table_files
from stableft.storage.evidence import SOURCE_FILE, EvidenceSettings
from stableft.storage.frames import METRIC_COLUMNS, PREDICTION_COLUMNS, RUN_SCHEMA
from stableft.storage.records import CELL, Results
from stableft.storage.store import Store

NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
# Folders of the store that are no protocols.
TAKEN = ("runs", "logs", "weights", "checkpoints", "failures", "locks", "claims", "damaged", "tokens", "patches")
RUN = ["experiment", "task", "arm", "seed"]
LOSS = "loss"  # may be infinite


def check_name(name: str, store: Store) -> None:
    """Checks that an evidence set can have a name.

    Raises:
        UsageError: The name is malformed, that of a protocol, or taken in the results folder.
    """
    if not NAME.fullmatch(name):
        raise UsageError(f"--as {quoted(name)}: write a short name of small letters, digits, - and _, such as ours-2024")
    if name in all_protocols() or name in TAKEN:
        raise UsageError(f"--as {name}: this name is taken by stableft itself; choose another")
    if (folder := store.root / name).exists():
        raise UsageError(f"--as {name}: {folder} exists; choose another name, or delete that folder to import it again")


def build(name: str, table: pd.DataFrame, settings: EvidenceSettings, place: str) -> dict[str, Results]:
    """Builds the tables of each experiment of an evidence set.

    Args:
        name: Name of the set, part of the identity of its runs.
        table: `stableft.storage.long_format.read_long`.
        settings: Settings of the set.
        place: The table's file, for messages.

    Returns:
        Results by experiment. They have no predictions, seconds or fingerprints.

    Raises:
        MissingInput: An experiment, arm or task is unknown, or a run is incomplete; the message has its
            row.
    """
    table = _with_experiment(table, place)
    arms = {str(name): _known_arms(str(name)) for name in table["experiment"].unique()}
    _check_names(table, settings, arms, place)
    return {
        experiment: _results(name, experiment, rows.copy(), settings, arms[experiment], place)
        for experiment, rows in ((experiment, table[table["experiment"] == experiment]) for experiment in arms)
    }


def write(store: Store, name: str, results: Mapping[str, Results], settings: EvidenceSettings) -> Path:
    """Writes an evidence set: the whole folder, or nothing.

    Raises:
        OSError: The disk is full, the folder can't be written to, or it exists.
    """
    with replaced_folder(store.root / name) as draft:
        for experiment, tables in results.items():
            (draft / experiment).mkdir()
            arrow = {kind: pa.Table.from_pandas(getattr(tables, kind), preserve_index=False) for kind in ("runs", "metrics")}
            identity = tables.runs[CELL].to_csv()
            arrow["predictions"] = _no_predictions()
            table_files.write(draft / experiment, arrow, hashlib.sha256(identity.encode()).hexdigest())
        write_whole(draft / SOURCE_FILE, (settings.model_dump_json(indent=1) + "\n").encode())
    return store.root / name


def _with_experiment(table: pd.DataFrame, place: str) -> pd.DataFrame:
    """Names the experiment of a table without that column: the only one with all its arms."""
    if table["experiment"].iloc[0]:
        return table
    wanted = set(table["arm"].unique())
    fitting = [name for name in all_experiments() if wanted <= _known_arms(name).keys()]
    if len(fitting) != 1:
        found = f"{', '.join(fitting)} have" if fitting else "no experiment has"
        raise MissingInput(f"{place}: no column experiment, and {found} all its arms ({listed(sorted(wanted))}): add the column")
    return table.assign(experiment=fitting[0])


def _known_arms(experiment: str) -> dict[str, Override]:
    """Returns the arms of an experiment at any scale, the sources' scale first; empty if there is none."""
    if experiment not in all_experiments():
        return {}
    arms: dict[str, Override] = {}
    for protocol in reversed(list(all_protocols().values())):
        for arm, override in all_experiments()[experiment].grid(protocol).arms.items():
            arms.setdefault(arm, override)
    return arms


def _check_names(table: pd.DataFrame, settings: EvidenceSettings, arms: Mapping[str, Mapping[str, Override]], place: str) -> None:
    for experiment, arm in table[["experiment", "arm"]].drop_duplicates().itertuples(index=False):
        if not arms[experiment]:
            where = _first(table, place, experiment=experiment)
            raise MissingInput(f"{where}: unknown experiment {quoted(experiment)}; known: {', '.join(all_experiments())}")
        if arm not in arms[experiment]:
            where = _first(table, place, experiment=experiment, arm=arm)
            raise MissingInput(f"{where}: {experiment} has no arm {quoted(arm)}; it has: {listed(arms[experiment])}")
    if absent := [task for task in table["task"].unique() if task not in settings.tasks]:
        where = _first(table, place, task=absent[0])
        raise MissingInput(f"{where}: the settings say nothing of task {quoted(absent[0])}: add it to their tasks")
    if unused := set(settings.tasks) - set(table["task"]):
        raise MissingInput(f"{place}: no row of task {min(unused)}, which the settings have")
    if unused := set(settings.notes) - arms.keys():
        raise MissingInput(f"{place}: no row of experiment {min(unused)}, on which the settings have a note")
    if len(wrong := table[table["metric"] == "score"]):
        raise MissingInput(f"{place}:{wrong.index[0]}: metric is score; write the score under its own name, such as accuracy")
    undefined = (table["metric"] == LOSS) | (table["value"].isna() & (table["split"] != "train"))
    if len(wrong := table[~np.isfinite(table["value"]) & ~undefined]):
        row = wrong.iloc[0]
        allowed = "a score on validation or test may be nan, a loss also inf"
        raise MissingInput(f"{place}:{row.name}: {row['metric']} on {row['split']} is {row['value']}; {allowed}")


def _first(table: pd.DataFrame, place: str, **values: str | int) -> str:
    wanted = np.logical_and.reduce([table[name] == value for name, value in values.items()])
    return f"{place}:{table.index[wanted][0]}"


def _results(
    name: str, experiment: str, rows: pd.DataFrame, settings: EvidenceSettings, arms: Mapping[str, Override], place: str
) -> Results:
    runs = _runs(name, experiment, rows, settings, arms, place)
    # Rows of a run are together, in the order of the runs, steps, splits and metrics.
    metrics = rows.merge(runs[[*RUN, "run_id", "score_name"]].assign(order=range(len(runs))), on=RUN)
    metrics["metric"] = metrics["metric"].mask(metrics["metric"] == metrics["score_name"], "score")
    metrics["scope"] = ""
    metrics = metrics.sort_values(["order", "step", "split", "metric"], kind="stable", ignore_index=True)
    names = [column for column in CELL if column != "seed"]
    shared = {column: pd.CategoricalDtype(sorted(runs[column].unique())) for column in names}
    kinds = dict.fromkeys(("split", "metric", "scope"), "category")
    metrics = metrics[[*CELL, *METRIC_COLUMNS]].astype({**shared, **kinds})
    return Results(runs.astype(shared), metrics, _no_predictions().to_pandas())


def _runs(
    name: str, experiment: str, rows: pd.DataFrame, settings: EvidenceSettings, arms: Mapping[str, Override], place: str
) -> pd.DataFrame:
    """Returns a row per run, seed by seed, tasks in the order of the settings, arms in the experiment's."""
    provenance = json.dumps({"imported": settings.imported_from(experiment).model_dump()}, sort_keys=True)
    rows["num_steps"] = rows.groupby(["task", "arm"])["step"].transform("max")
    outcomes = _outcomes(rows, settings, place)
    runs = []
    for first in rows.drop_duplicates(RUN[1:]).to_dict("records"):
        task, arm, seed = first["task"], first["arm"], int(first["seed"])
        about, draw = settings.tasks[task], None if pd.isna(first["draw"]) else int(first["draw"])
        config = _config(settings.config, {**arms[arm], "task": task, "seed": seed, "sample_seed": draw})
        runs.append(
            {
                "experiment": experiment, "arm": arm, "task": task, "seed": seed, "run_id": _run_id(name, config),
                "protocol": name, "outcome": outcomes[task, arm, seed],
                "score_name": about.score, "score_split": about.score_split, "majority_score": about.majority_score,
                "num_steps": int(first["num_steps"]), "num_train": config.get("num_train", about.num_train),
                "seconds": np.nan, "peak_memory_mb": np.nan,
                "config": json.dumps(config, sort_keys=True), "provenance": provenance,
            }
        )  # fmt: skip
    frame = pd.DataFrame(runs).astype({"num_train": "Int64"})
    order = {"seed": sorted(frame["seed"].unique()), "task": list(settings.tasks), "arm": list(arms)}
    return frame.sort_values(list(order), key=lambda column: column.map(order[str(column.name)].index), ignore_index=True)


def _outcomes(rows: pd.DataFrame, settings: EvidenceSettings, place: str) -> dict[tuple[str, str, int], str]:
    """Returns the outcome of each run: ``ok``, or ``diverged``.

    A diverged run has no final score, and a training loss that is not finite.

    Raises:
        MissingInput: A run has neither, or several draws.
    """
    score, split = ({task: getattr(about, name) for task, about in settings.tasks.items()} for name in ("score", "score_split"))
    judged = (rows["metric"] == rows["task"].map(score)) & (rows["split"] == rows["task"].map(split))
    loss = (rows["metric"] == LOSS) & (rows["split"] == "train")
    flags = {"line": rows.index, "final": judged & (rows["step"] == rows["num_steps"]), "lost": loss & ~np.isfinite(rows["value"])}
    by_run = rows.assign(**flags).groupby(RUN[1:], sort=False)
    about_runs = by_run.agg(line=("line", "first"), final=("final", "any"), lost=("lost", "any")).reset_index()
    about_runs["draws"] = by_run["draw"].nunique(dropna=False).to_numpy()
    outcomes: dict[tuple[str, str, int], str] = {}
    for task, arm, seed, line, final, lost, draws in about_runs.itertuples(index=False):
        where = f"{place}:{line}: the run of {task}, {arm}, seed {seed}"
        if draws > 1:
            raise MissingInput(f"{where} has {draws} draws; give each draw seeds of its own")
        if not final and not lost:
            hint = "write nan for an undefined score; of a run that diverged, the last training loss is nan or inf"
            raise MissingInput(f"{where} has no {score[task]} on {split[task]} at the last step of its arm; {hint}")
        outcomes[task, arm, int(seed)] = "ok" if final else "diverged"
    return outcomes


def _config(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a nested configuration with dotted fields replaced; unset fields are absent."""
    config = json.loads(json.dumps(base))
    config["adam"].setdefault("bias_correction", True)
    for dotted, value in overrides.items():
        *path, leaf = dotted.split(".")
        node = config
        for part in path:
            node = node.setdefault(part, {})
        node[leaf] = [each.model_dump(mode="json") for each in value] if _are_techniques(value) else value
        if value is None:
            del node[leaf]
    return config


def _are_techniques(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(each, Technique) for each in value)


def _run_id(name: str, config: Mapping[str, Any]) -> str:
    """Returns the identity of an imported run: 16 hex digits of a SHA-256 of set and configuration."""
    return hashlib.sha256(canonical_json({"imported": name, "config": config}).encode()).hexdigest()[:16]


def _no_predictions() -> pa.Table:
    fields = [pa.field(column, pa.int64() if column == "seed" else pa.string()) for column in CELL]
    schema = pa.schema([*fields, *(RUN_SCHEMA.field(column) for column in PREDICTION_COLUMNS)])
    return schema.with_metadata({}).empty_table()
