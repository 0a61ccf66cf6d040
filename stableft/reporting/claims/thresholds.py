"""Thresholds: when the test of each claim was set, and which data had been seen by then.

``experiments/thresholds.csv`` has a line for each test that a claim has had, in order: the last one
is current. A test compares its digest with the claim, so that a change needs a new line with a
reason. `freeze` adds the lines.
"""

import csv
import hashlib
import inspect
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from stableft.core.errors import MissingInput
from stableft.core.experiments import folder
from stableft.core.grid import join_spans
from stableft.reporting.claims.claim import Claim
from stableft.reporting.claims.decision_rules import ALPHA
from stableft.reporting.pooling import further_runs
from stableft.storage.store import Store

# A rule that decides otherwise than before has a higher number here, which changes the digests of its claims.
# spread: Brown and Forsythe's test instead of a bootstrap interval. GapTest: the side is the source's, not the data's.
REVISIONS: Mapping[str, int] = {"decision_rules.spread": 2, "hypotheses.GapTest": 2}
LIBRARY = "stableft."  # its functions are described by their name, others by their source text


@dataclass(frozen=True)
class Threshold:
    """A test of a claim, as it was set.

    Attributes:
        experiment: Its ``CLAIMS`` contain the claim.
        claim: Name of the claim.
        digest: `digest` of the claim.
        set_on: Day on which the test was set, such as ``2026-11-21``.
        commit: Commit that set it, or the last one before.
        data_seen: ``yes`` if results of the experiment had been seen by then, else ``no``.
        seen: Seeds of these results by protocol, such as ``laptop 0-9; small 0-2``.
        reason: Reason of this line.
    """

    experiment: str
    claim: str
    digest: str
    set_on: str
    commit: str
    data_seen: str
    seen: str
    reason: str


def digest(claim: Claim) -> str:
    """Returns the fingerprint of all that decides a claim, 12 hex digits.

    It covers the expected result, the least number of seeds, the test with its arguments, tasks,
    setting and kind; not the wording of statement, source and setting.
    """
    setting = None if claim.setting is None else {**_described(claim.setting), "words": ""}
    content = {
        "expected": claim.expected, "minimum_n": claim.minimum_n, "test": _described(claim.test), "tasks": list(claim.tasks),
        "setting": setting, "kind": claim.kind, "about": claim.about, "alpha": ALPHA,
    }  # fmt: skip
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def default_path() -> Path:
    """Returns the list of the installed experiments."""
    return folder() / "thresholds.csv"


def read_thresholds(path: Path) -> list[Threshold]:
    """Reads the list, in its order; empty if there is no file.

    Raises:
        MissingInput: The file has other columns.
    """
    if not path.is_file():
        return []
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    names = {field.name for field in fields(Threshold)}
    if any(row.keys() != names or None in row.values() for row in rows):
        raise MissingInput(f"{path}: its columns are not {', '.join(field.name for field in fields(Threshold))}; get it again")
    return [Threshold(**row) for row in rows]


def current(thresholds: Iterable[Threshold]) -> dict[tuple[str, str], Threshold]:
    """Returns the last line of each claim, by experiment and claim."""
    return {(each.experiment, each.claim): each for each in thresholds}


def unfrozen(experiments: Mapping[str, ModuleType], thresholds: Sequence[Threshold]) -> list[tuple[str, Claim]]:
    """Returns the claims whose test is not that of their last line, with their experiments."""
    last = current(thresholds)
    claims = [(name, claim) for name, module in experiments.items() for claim in module.CLAIMS]
    return [
        (name, claim) for name, claim in claims if (known := last.get((name, claim.name))) is None or known.digest != digest(claim)
    ]


def freeze(
    experiments: Mapping[str, ModuleType], thresholds: Sequence[Threshold], store: Store, set_on: str, commit: str, reason: str
) -> list[Threshold]:
    """Returns the list with a line more for each claim that is not in it as it is now.

    Args:
        experiments: By name.
        thresholds: The present list.
        store: All its results count as seen.
        set_on: The day.
        commit: The last commit.
        reason: Reason of the change, not empty.
    """
    seen = {name: seen_seeds(store, name) for name in {name for name, _ in unfrozen(experiments, thresholds)}}
    lines = [
        Threshold(name, claim.name, digest(claim), set_on, commit, "yes" if seen[name] else "no", seen[name], reason)
        for name, claim in unfrozen(experiments, thresholds)
    ]
    return [*thresholds, *lines]


def seen_seeds(store: Store, experiment: str) -> str:
    """Returns the seeds of an experiment's collected results by protocol, pooled; empty if there are none."""
    collected = store.collected()
    parts = []
    for protocol in sorted({scale for scale, name in collected if name == experiment}):
        runs = {name: store.load_runs(protocol, name) for scale, name in collected if scale == protocol}
        own = runs.pop(experiment)
        seeds = {*own["seed"], *further_runs(own, runs)["seed"]}
        parts.append(f"{protocol} {join_spans(sorted(map(int, seeds)))}")
    return "; ".join(parts)


def to_csv(thresholds: Iterable[Threshold]) -> str:
    """Returns the list as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Threshold)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(asdict, thresholds))
    return text.getvalue()


def summary(thresholds: Sequence[Threshold]) -> str:
    """Returns a sentence on when the current tests were set; empty for an empty list."""
    last = current(thresholds).values()
    if not last:
        return ""
    days = sorted({each.set_on for each in last})
    span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    seen = sum(each.data_seen == "yes" for each in last)
    details = "seeds, commit and reason of every change: `experiments/thresholds.csv`"
    seen_first = f"{seen} of {len(last)} after results of their experiment had been seen ({details})"
    return f"Tests and thresholds were set {span}; {seen_first}. Since then they are frozen."


def _described(value: Any) -> Any:
    """Describes a test, or an argument of one, as JSON; a field at its default is left out."""
    if is_dataclass(value) and not isinstance(value, type):
        given = {field.name: getattr(value, field.name) for field in fields(value) if not _is_default(value, field)}
        return {"is": _revised(type(value)), **{key: _described(part) for key, part in given.items()}}
    if isinstance(value, Mapping):
        return {str(key): _described(part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return [_described(part) for part in value]
    if callable(value):
        if value.__module__.startswith(LIBRARY) and not value.__module__.startswith(f"{LIBRARY}experiments"):
            return _revised(value)
        return {"is": value.__qualname__, "source": "".join(inspect.getsource(value).split())}
    return value


def _is_default(value: Any, field: Any) -> bool:
    return field.default is not MISSING and getattr(value, field.name) == field.default


def _revised(named: Any) -> str:
    """Returns the name of a function or class, and its revision if there is one."""
    name = named.__qualname__
    revision = REVISIONS.get(f"{named.__module__.rsplit('.', 1)[-1]}.{name}")
    return name if revision is None else f"{name} {revision}"
