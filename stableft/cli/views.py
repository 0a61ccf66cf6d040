"""What the command line shows: each view as text and as data for ``--json``."""

import importlib.metadata
import json
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from stableft.core.errors import MissingInput, StableftError, UsageError, quoted
from stableft.core.experiments import all_experiments
from stableft.core.grid import Protocol
from stableft.core.technique import all_techniques
from stableft.execution import provenance
from stableft.execution.determinism import LEVELS, RepeatCheck, level
from stableft.execution.planning import Plan
from stableft.models.encoders import EMBEDDED, TINY, resolve
from stableft.reporting.claims import Judgement
from stableft.tasks import Task
from stableft.tasks.catalog import all_tasks, get_task
from stableft.tasks.data_summary import QUANTILES, summarise
from stableft.tasks.download import Fetched

VIEW_SCHEMA = 2


@dataclass(frozen=True)
class View:
    """Text for people, data for programs."""

    text: Sequence[RenderableType]
    data: dict[str, Any]


def parse_overrides(settings: Sequence[str]) -> dict[str, Any]:
    """``["adam.lr=3e-5"]`` -> ``{"adam.lr": 3e-05}``; values are JSON, anything else is text.

    Raises:
        UsageError: no ``=``.
    """
    changes: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {quoted(setting)}: write field=value, such as adam.lr=3e-5")
        try:
            changes[key] = json.loads(text)
        except (ValueError, RecursionError):
            changes[key] = text
    return changes


def plan(planned: Plan, seconds: float | None, size: int, workers: int) -> View:
    """Counts of a grid by task, and what the missing part costs."""
    grid = planned.grid
    missing = planned.missing
    by_task = {
        task: {
            "runs": sum(p.cell.task == task for p in planned.cells),
            "missing": sum(p.cell.task == task for p in missing),
        }
        for task in grid.tasks
    }
    data = {
        "schema": VIEW_SCHEMA,
        "experiment": grid.name,
        "protocol": grid.protocol.name,
        "arms": list(grid.arms),
        "seeds": list(grid.seeds),
        "runs": len(planned.cells),
        "missing": len(missing),
        "only_collected": sum(planned.collected for planned in missing),
        "by_task": by_task,
        "workers": workers,
        "estimated_seconds": seconds,
        "estimated_bytes": size,
        "problems": list(planned.problems),
        "first": Counter(source.task for source in planned.sources.values()),
    }
    table = _table("task", "arms", "seeds", "runs", "missing")
    for task, counts in by_task.items():
        table.add_row(task, str(len(grid.arms)), str(len(grid.seeds)), str(counts["runs"]), str(counts["missing"]))
    cost = (
        "unknown (no earlier run of these tasks to go by)"
        if seconds is None
        else f"about {seconds / 60:.0f} min on {workers} workers"
    )
    text: list[RenderableType] = [
        f"{grid.name} at protocol {grid.protocol.name}: {len(planned.cells)} runs, {len(missing)} missing",
        f"({grid.protocol.summary})",
        table,
        f"time: {cost}; disk: about {size / 1e6:.1f} MB",
        *(f"first: {count} runs on {task}, whose weights others need" for task, count in data["first"].items()),
    ]
    if collected := data["only_collected"]:
        text.append(f"{collected} of the missing are in the collected tables, as in a fresh clone: they are done anew")
    return View(text + [f"can't start yet: {problem}" for problem in planned.problems], data)


def written(paths: Sequence[Path], left_out: Sequence[str] = ()) -> View:
    """Files of a report, and what it could not show."""
    folders = Counter(str(path.parent) for path in paths)
    text = [f"{count} files in {folder}" for folder, count in folders.items()] + [f"left out: {why}" for why in left_out]
    return View(text, {"schema": VIEW_SCHEMA, "files": [str(path) for path in paths], "left_out": list(left_out)})


def verified(judgements: Sequence[Judgement], page: Path | None) -> View:
    """Verdicts on claims, by protocol; the page that they were written to."""
    text: list[RenderableType] = []
    for protocol, of_protocol in groupby(judgements, key=lambda judgement: judgement.protocol):
        text.append(protocol)
        not_run: dict[str, list[str]] = {}
        for j in of_protocol:
            name = f"{j.experiment}/{j.claim.name}"
            if j.verdict == "not run":
                not_run.setdefault(j.found, []).append(name)
                continue
            needed = "" if j.seeds_needed is None else f", {j.seeds_needed} would decide"
            text += [f"  {name}: {j.wording} (n = {j.n}{needed})", f"      {j.found}"]
        text += [f"  not run ({why}): {', '.join(names)}" for why, names in not_run.items()]
    counts = Counter(judgement.wording for judgement in judgements)
    text.append(", ".join(f"{count} {wording}" for wording, count in counts.items()))
    text.append('"here": of these runs alone, which are of another encoder or scale than the claim; they say nothing on it itself')
    rows = [
        {
            "experiment": j.experiment, "protocol": j.protocol, "claim": j.claim.name, "statement": j.claim.statement,
            "source": j.claim.source, "about": j.claim.about, "expected": j.claim.expected, "minimum_n": j.claim.minimum_n,
            "verdict": j.verdict, "own_evidence": j.own_evidence, "found": j.found, "n": j.n, "seeds_needed": j.seeds_needed,
            "command": j.command, "seconds": j.seconds,
        }
        for j in judgements
    ]  # fmt: skip
    data = {"schema": VIEW_SCHEMA, "claims": rows, "page": None if page is None else str(page)}
    return View([*text, f"written: {page}"] if page else text, data)


def listing(what: str, protocols: Mapping[str, Protocol]) -> View:
    """Names with one line each.

    Raises:
        UsageError: not a kind of thing that can be listed.
    """
    kinds = {
        "experiments": lambda: {name: _first_line(module.__doc__) for name, module in all_experiments().items()},
        "protocols": lambda: {name: protocol.summary for name, protocol in protocols.items()},
        "techniques": lambda: {name: technique.card().get("Claim", "") for name, technique in all_techniques().items()},
        "tasks": lambda: {
            **{name: task.summary for name, task in all_tasks().items()},
            "csv:PATH, tsv:PATH or jsonl:PATH": "your own file or folder, with columns text, pair, label or score, split",
            "bio:PATH": "your own tagged words, one and its tag a line (BIO, BIOES or BMES), or a folder of splits",
        },
        "encoders": lambda: {
            **{name: f"{e.distribution}=={e.version}; `{e.setup}` installs it" for name, e in EMBEDDED.items()},
            TINY: "random BERT of 2 x 32 for tests",
            "PATH or HUB-ID": "a folder as save_pretrained writes it, or a repository on the hub",
        },
    }
    if what not in kinds:
        raise UsageError(f"can't list {what!r}; try {', '.join(kinds)}")
    names = kinds[what]()
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, summary in names.items():
        table.add_row(name, summary)
    return View([table], {"schema": VIEW_SCHEMA, what: names})


def data_check(task: Task) -> View:
    """What a task's data are; see `stableft.tasks.data_summary`.

    Raises:
        MissingInput: they are not there, or malformed.
    """
    facts = summarise(task, task.load())
    splits: dict[str, dict[str, Any]] = facts["splits"]
    columns = [_split_facts(task, split, splits) for split in splits.values()]
    table = _table("", *splits)
    for name in columns[0]:
        table.add_row(name, *(column[name] for column in columns))
    inputs = "sentences" if task.kind == "tagging" else "text pairs" if facts["pairs"] else "texts"
    data = {"schema": VIEW_SCHEMA, "task": task.name, "kind": task.kind, "score": task.score, "language": task.language, **facts}
    text: list[RenderableType] = [
        f"{task.name}: {task.kind} of {inputs}, judged by {task.score}",
        table,
        f"words, characters: {', '.join(QUANTILES)} of an example; conflicts: inputs that have another label too",
        f"fingerprint {facts['fingerprint']}",
    ]
    return View(text, data)


def _split_facts(task: Task, split: dict[str, Any], splits: Iterable[str]) -> dict[str, str]:
    constant = split["constant_score"]
    return {
        "examples": str(split["examples"]),
        **{f"  {label}": str(count) for label, count in split.get("labels", {}).items()},
        **{f"  {kind} entities": str(count) for kind, count in split.get("entities", {}).items()},
        **{f"  {name} score": f"{value:.4g}" for name, value in split.get("scores", {}).items()},
        f"constant {task.score}": "undefined" if constant is None else f"{constant:.4f}",
        **{unit: " ".join(map(str, split[unit].values())) for unit in ("words", "characters")},
        "repeats": str(split["repeats"]),
        "conflicts": str(split["conflicts"]),
        **{f"in {other} too": str(split["shared"].get(other, "")) for other in splits},
    }


def fetched(found: Sequence[Fetched], folder: Path) -> View:
    """What came of a fetch, and where tasks find it."""
    text: list[RenderableType] = [f"{each.name}: {each.problem or each.said}" for each in found]
    return View(text, {"schema": VIEW_SCHEMA, "folder": str(folder), "fetched": [asdict(each) for each in found]})


def doctor(results: Path) -> View:
    """Checks of the installation, each with what to do where it fails."""
    checks: list[tuple[str, bool, str]] = []
    checks.append(("python", sys.version_info >= (3, 11), f"{sys.version.split()[0]} (3.11 or newer is needed)"))
    for package in ("torch", "transformers", "pandas", "pyarrow", "matplotlib", "joblib"):
        try:
            checks.append((package, True, importlib.metadata.version(package)))
        except importlib.metadata.PackageNotFoundError:
            checks.append((package, False, "not installed: type `make setup`"))
    for name in ("minilm-l6",):
        try:
            checks.append((f"weights {name}", True, str(resolve(name).folder)))
        except StableftError as error:
            checks.append((f"weights {name}", False, str(error)))
    for name in ("docs15", "docpair", "docread", "doccode"):
        try:
            data = get_task(name).load()
            sizes = f"{len(data.train)}/{len(data.validation)}/{len(data.test)} examples"
            checks.append((f"task {name}", True, f"{sizes}, fingerprint {data.fingerprint[:12]}"))
        except MissingInput as error:
            checks.append((f"task {name}", False, str(error)))
    existing = next(folder for folder in (results.resolve(), *results.resolve().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    checks.append(("disk", free > 2**30, f"{free / 2**30:.0f} GiB free at {existing}"))
    hardware = provenance.static()["hardware"]
    checks.append(("machine", True, f"{hardware['cpu']}, {hardware['cores']} cores, {hardware['memory_mb']} MiB"))
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, ok, detail in checks:
        table.add_row("ok" if ok else "MISSING", name, detail)
    data = [{"check": name, "ok": ok, "detail": detail} for name, ok, detail in checks]
    return View([table], {"schema": VIEW_SCHEMA, "ok": all(ok for _, ok, _ in checks), "checks": data})


def determinism(protocol: str, comparisons: Sequence[RepeatCheck]) -> View:
    """Each way beside the first run, and the level that they amount to."""
    found = level(comparisons)
    table = Table(show_header=False, box=None, pad_edge=False)
    for c in comparisons:
        table.add_row("same" if c.equal else "DIFFERS", c.way, c.difference)
    rows = [{"way": c.way, "equal": c.equal, "difference": c.difference} for c in comparisons]
    data = {"schema": VIEW_SCHEMA, "protocol": protocol, "level": found, "meaning": LEVELS[found], "comparisons": rows}
    return View([table, f"{found}: {LEVELS[found]}"], data)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 or column == "arm" else "right")
    return table


def _first_line(text: str | None) -> str:
    return (text or "").strip().splitlines()[0] if text else ""
