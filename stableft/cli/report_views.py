"""What the command line shows of the runs behind a figure, and of two results folders side by side."""

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from stableft.cli.views import VIEW_SCHEMA, View
from stableft.execution import reproduce as rebuild
from stableft.execution.reproduce import Reproduction, join_spans
from stableft.reporting import experiment_summary as lineage
from stableft.reporting import markup
from stableft.reporting.artifact_metadata import Origin, run_set
from stableft.reporting.compare_results import FolderComparison, counts
from stableft.reporting.experiment_summary import RunGroup
from stableft.storage.records import Results
from stableft.storage.store import Store

FEW = 3  # run ids that are printed


def traced(path: Path, said: Origin, results: Results, store: Store) -> View:
    """From a file to its runs."""
    runs = results.runs
    found = run_set(results)
    ids = sorted(runs["run_id"])
    names = {name: list(map(str, runs[name].unique())) for name in ("arm", "task")}
    seeds = sorted(map(int, runs["seed"].unique()))
    command = f"python -m stableft run {said.experiment} --protocol {said.protocol}"
    sources = lineage.run_groups(runs)
    rebuilt = rebuild.reproductions(runs.to_dict("records"), store)
    data = {
        "schema": VIEW_SCHEMA, "file": str(path), **asdict(said), "commits": list(said.commits), "collected_run_set": found,
        "current": found == said.run_set, "arms": names["arm"], "tasks": names["task"], "seeds": seeds, "run_ids": ids,
        "sources": _data(sources), "command": command, "rebuild": [asdict(each) for each in rebuilt],
    }  # fmt: skip
    verdict = "that of the collected results"
    if found != said.run_set:
        verdict = f"not that of the collected results, {found}, which all below is about: `make figures tables` draws them"
    text: list[RenderableType] = [
        f"{said.entry} of {said.experiment} at {said.protocol}",
        f"run set {said.run_set}: {verdict}",
        *([f"commits that the file names: {', '.join(said.commits)}"] if said.commits else []),
        f"{len(ids)} runs; arms: {', '.join(names['arm'])}; tasks: {', '.join(names['task'])}; seeds: {join_spans(seeds)}",
        f"first run ids: {', '.join(ids[:FEW])}" + (f" and {len(ids) - FEW} more (--json has all)" if len(ids) > FEW else ""),
        _sources({"": sources}),
        *(f"  computed with {facts}" for facts in dict.fromkeys(filter(None, (source.facts for source in sources)))),
        *_rebuilding(rebuilt, "to rebuild them as they were"),
        f"to run them: {command}",
    ]
    return View(text, data)


def shown(run: Mapping[str, Any], places: Sequence[Mapping[Any, Any]], store: Store) -> View:
    """All that is recorded of a run.

    Args:
        run: Its identity, outcome, facts, configuration and provenance.
        places: Where it stands in experiments: rows of their tables of runs.
        store: Where it is from.
    """
    rebuilt = rebuild.reproductions(places[:1], store)
    cells = [{name: place[name] for name in ("experiment", "protocol", "arm", "task", "seed")} for place in places]
    text: list[RenderableType] = [
        f"run {run['run_id']}: {run['outcome']}",
        *("  " + ", ".join(f"{name} {value}" for name, value in cell.items()) for cell in cells),
        *(f"{part}\n{_tree(run[part])}" for part in ("facts", "config", "provenance")),
        *_rebuilding(rebuilt, "to rebuild it"),
    ]
    if not cells:
        text.append("it stands in no collected experiment: other runs start from its weights, or its grid is not collected yet")
    return View(text, {"schema": VIEW_SCHEMA, **run, "places": cells, "rebuild": [asdict(each) for each in rebuilt]})


def _rebuilding(rebuilt: Sequence[Reproduction], lead: str) -> list[str]:
    lines: list[str] = []
    for each in rebuilt:
        which = "" if len(rebuilt) == 1 else f" ({len(each.runs)} of the runs)"
        lines += [f"{lead}{which}:", *(f"  {step}" for step in each.steps), *(f"  note: {note}" for note in each.notes)]
    return lines


def _tree(values: Mapping[str, Any], indent: str = "  ") -> str:
    """Names and values, one a line, those of a part further in."""
    lines = []
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            lines.append(f"{indent}{name}\n{_tree(value, indent + '  ')}")
        else:
            lines.append(f"{indent}{name}: {value if isinstance(value, str) else json.dumps(value)}")
    return "\n".join(lines)


def compared(comparison: FolderComparison) -> View:
    """Two results folders, with the hardware of both."""
    rows = []
    for cell in comparison.cells:
        interval = markup.ABSENT if cell.low is None or cell.high is None else f"[{cell.low:+.4f}, {cell.high:+.4f}]"
        numbers = [*(_number(n, "d") for n in cell.n), *(_number(mean, ".4f") for mean in cell.mean), interval]
        verdict = "equal, bit for bit" if cell.identical else cell.verdict
        rows.append([cell.protocol, cell.experiment, cell.task, cell.arm, *numbers, verdict])
    names = ["protocol", "experiment", "task", "arm", "n A", "n B", "mean A", "mean B", "B - A, 95 % interval", "verdict"]
    found = counts(comparison.cells)
    judged = found.get("within interval", 0) + found.get("different", 0)
    text: list[RenderableType] = [
        aligned(names, rows, numeric=range(4, 9)),
        ", ".join(f"{count} {verdict}" for verdict, count in found.items()),
        *([f"of {judged} cells judged by interval, {judged / 20:.1f} differ by chance alone"] if judged else []),
        _sources({"A": comparison.a, "B": comparison.b}),
    ]
    cells = [{**asdict(cell), "n": cell.n._asdict(), "mean": cell.mean._asdict()} for cell in comparison.cells]
    data = {"schema": VIEW_SCHEMA, "counts": found, "cells": cells, "a": _data(comparison.a), "b": _data(comparison.b)}
    return View(text, data)


def _sources(folders: dict[str, Sequence[RunGroup]]) -> str:
    names = ["", "runs", "commit", "python", *lineage.SHOWN_PACKAGES, "hardware", "device", "first", "last"]
    rows = [
        [
            folder,
            str(each.runs),
            each.commit,
            each.python,
            *each.versions.values(),
            each.hardware,
            each.device,
            each.first,
            each.last,
        ]
        for folder, sources in folders.items()
        for each in sources
    ]
    return aligned(names, rows, numeric=[1])


def aligned(names: Sequence[str], rows: Sequence[Sequence[str]], numeric: Container[int]) -> str:
    """Lines of a table that a narrow terminal wraps as lines: rich would fold the cells of one that is as wide as these."""
    lines = [names, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    sides = [">" if number in numeric else "<" for number in range(len(names))]
    aligned = [[f"{cell:{side}{width}}" for cell, side, width in zip(line, sides, widths, strict=True)] for line in lines]
    return "\n".join("  ".join(cells).rstrip() for cells in aligned)


def _data(sources: Sequence[RunGroup]) -> list[dict[str, Any]]:
    found = [{**asdict(source), "packages": dict(source.packages)} for source in sources]
    return [{**each, "peak_memory_mb": _finite(each["peak_memory_mb"])} for each in found]


def _finite(value: float) -> float | None:
    return value if value == value else None


def _number(value: float | None, form: str) -> str:
    return markup.ABSENT if value is None else format(value, form)
