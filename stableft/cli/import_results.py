"""Import: stores anybody's results as an evidence set, apart from our runs."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from stableft.cli.common import RESULTS, TYPED, AsJson, ResultsFolder, folder, option, show, verb
from stableft.cli.formatting import VIEW_SCHEMA, View, aligned
from stableft.core.errors import MissingInput
from stableft.storage import importing, long_format
from stableft.storage.evidence import EvidenceSettings, read_settings
from stableft.storage.records import Results
from stableft.storage.store import Store
from stableft.tasks.scores import SCORES, TAGGING_SCORES


@verb
def import_results(
    file: Annotated[
        Path, typer.Argument(parser=folder, metavar="FILE", help="A table in long format, CSV or parquet; see docs/import.md.")
    ],
    name: Annotated[str, option("Name of the evidence set, used as a protocol's.", "--as")],
    settings: Annotated[
        Path | None, option("Its settings, JSON; by default FILE with the ending .json.", "--settings", **TYPED)
    ] = None,
    results: ResultsFolder = RESULTS,
    as_json: AsJson = False,
) -> None:
    """Import results that others measured.

    Stores them with their source, apart from our runs. Figures, tables, verify and the report
    then show them like a protocol's. Such a protocol can't be run.
    """
    store = Store(results)
    importing.check_name(name, store)
    path = settings or file.with_suffix(".json")
    wanted = read_settings(path)
    known = {*SCORES, *TAGGING_SCORES}
    if wrong := [(task, about.score) for task, about in wanted.tasks.items() if about.score not in known]:
        raise MissingInput(f"{path}: tasks.{wrong[0][0]}.score is {wrong[0][1]!r}; known: {', '.join(sorted(known))}")
    built = importing.build(name, long_format.read_long(file), wanted, str(file))
    show(imported(name, importing.write(store, name, built, wanted), built, wanted), as_json)


def imported(name: str, folder: Path, built: Mapping[str, Results], settings: EvidenceSettings) -> View:
    """Shows the numbers of runs by experiment, and the next commands; as JSON also by task and arm."""
    cells: Counter[tuple[str, str, str]] = Counter()
    for results in built.values():
        cells.update(map(tuple, results.runs[["experiment", "task", "arm"]].astype(str).to_numpy().tolist()))
    rows = [{"experiment": experiment, "task": task, "arm": arm, "runs": count} for (experiment, task, arm), count in cells.items()]
    counts = [
        [experiment, *(str(results.runs[column].nunique()) for column in ("task", "arm", "seed")), str(len(results.runs))]
        for experiment, results in built.items()
    ]
    text = [
        aligned(["experiment", "tasks", "arms", "seeds", "runs"], counts, numeric=range(1, 5)),
        f"{sum(cells.values())} runs imported to {folder} ({settings.label})",
        f"next: `python -m stableft verify --protocol {name}`, or `make report`, which draws them with all others",
    ]
    return View([*text], {"schema": VIEW_SCHEMA, "name": name, "label": settings.label, "folder": str(folder), "cells": rows})
