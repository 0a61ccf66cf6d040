"""Until decided: options and views of runs that add seeds while an experiment's claims are open."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.console import RenderableType

from stableft.cli.common import option
from stableft.cli.formatting import VIEW_SCHEMA, View, aligned
from stableft.cli.selection import Selection
from stableft.core.errors import Stale, UsageError
from stableft.core.experiments import get_experiment
from stableft.core.grid import join_spans, select
from stableft.storage.records import Results
from stableft.storage.store import Store

if TYPE_CHECKING:
    from stableft.reporting.claims.confirmation import Confirmation

PANEL = "Seeds until claims are decided"
LIMIT = 60
HOUR = 3600


class Deciding(NamedTuple):
    """Limits of the seeds to add: the most fresh ones for a claim, and those between two looks."""

    most: int
    batch: int


def read_deciding(
    until_decided: Annotated[
        bool, option("Add seeds only where claims are open, until they are decided or hopeless.", "--until-decided", panel=PANEL)
    ] = False,
    max_seeds: Annotated[int, option("Most fresh seeds for a claim.", panel=PANEL, min=5, max=LIMIT)] = LIMIT,
    batch: Annotated[int, option("Seeds to add before the claims are looked at again.", panel=PANEL, min=1, max=LIMIT)] = 5,
) -> Deciding | None:
    """Returns the limits, or None without ``--until-decided``.

    They never change a verdict: it is decided at planned numbers of seeds, every fifth up to 60.
    """
    return Deciding(max_seeds, batch) if until_decided else None


def refuse_other_settings(context: typer.Context) -> None:
    """Refuses options that contradict ``--until-decided``.

    Raises:
        UsageError: an option changes the seeds, or settings that the claims are about.
    """
    flags = {"seeds": "--seeds", "encoder": "--encoder", "precision": "--precision", "overrides": "--set", "redo": "--redo"}
    for name, flag in flags.items():
        if context.params.get(name):
            raise UsageError(f"--until-decided chooses the seeds of the experiment's own settings itself: leave {flag} out")


def findings(selected: Selection, store: Store, *, expected: bool = False) -> "tuple[list[Confirmation], Results | None]":
    """Returns what fresh seeds say about each claim, and the experiment's results.

    Only claims whose arms are all selected count, on the selected tasks. With ``expected``, the number
    of further seeds is simulated.
    """
    from stableft.reporting.claims import thresholds
    from stableft.reporting.claims.confirmation import confirm
    from stableft.reporting.pooling import load_pooled

    grid, whole = selected.grid, selected.whole
    results = None
    if (grid.protocol.name, grid.name) in store.collected():
        try:
            results = load_pooled(store, grid.protocol.name, grid.name, predictions=False)
        except Stale:
            results = None
    last = thresholds.current(thresholds.read_thresholds(thresholds.default_path()))
    at_tasks = select(whole, tasks=grid.tasks)
    claims = get_experiment(grid.name).CLAIMS
    found = [confirm(claim, at_tasks, results, last.get((grid.name, claim.name)), expected) for claim in claims]
    return [one for one in found if set(one.arms) <= set(grid.arms)], results


def next_selections(selected: Selection, store: Store, deciding: Deciding) -> list[Selection]:
    """Returns the runs to add next, as one selection for each task and choice of seeds."""
    from stableft.reporting.claims.confirmation import next_batches

    found, _ = findings(selected, store)
    batches = next_batches(found, selected.whole, deciding.batch, deciding.most)
    return [
        selected._replace(
            grid=select(selected.whole, arms=each.arms, tasks=[each.task], seeds=each.seeds),
            whole=select(selected.whole, seeds=each.seeds),
        )
        for each in batches
    ]


def deciding_view(selected: Selection, store: Store, deciding: Deciding, workers: int) -> View:
    """Shows each claim with its state and fresh seeds, and the expected cost of deciding the open ones."""
    from stableft.reporting.claims.confirmation import expected_runs, next_batches

    found, results = findings(selected, store, expected=True)
    seconds = (
        {} if results is None else {str(task): float(t) for task, t in results.runs.groupby("task")["seconds"].median().items()}
    )
    runs = expected_runs(found, deciding.most)
    batches = next_batches(found, selected.whole, deciding.batch, deciding.most)
    known = runs and {task for task, _ in runs} <= seconds.keys()
    hours = sum(number * seconds[task] for (task, _), number in runs.items()) / workers / HOUR if known else None
    claims = [_claim(one, seconds, workers) for one in found]
    data = {
        "schema": VIEW_SCHEMA, "experiment": selected.grid.name, "protocol": selected.grid.protocol.name,
        "max_seeds": deciding.most, "batch": deciding.batch, "workers": workers, "claims": claims,
        "next": [each._asdict() for each in batches], "expected_runs": sum(runs.values()), "expected_hours": hours,
    }  # fmt: skip
    rows = []
    for one, row in zip(found, claims, strict=True):
        fresh = ", ".join(f"{task} {len(seeds)}" for task, seeds in one.fresh.items())
        more = ", ".join(f"{task} {seeds:.0f}" for task, seeds in one.open.items())
        rows.append([one.claim.name, _state(one), fresh, more or _cost(row)])
    text: list[RenderableType] = [
        f"{selected.grid.name} at protocol {selected.grid.protocol.name}, seeds until decided",
        aligned(["claim", "state", "fresh seeds", "more, expected"], rows),
    ]
    if runs:
        cost = "time unknown (no earlier run of these tasks)" if hours is None else f"about {hours:.1f} h on {workers} workers"
        text.append(f"expected: {sum(runs.values()):.0f} runs, {cost}; at most {deciding.most} fresh seeds for each claim")
        text += [f"next: {each.task}: {', '.join(each.arms)}, seeds {join_spans(each.seeds)}" for each in batches]
    text += [f"{one.claim.name}: {one.sentence}" for one in found if one.sentence]
    return View([*text, *_notes(found)], data)


def _claim(one: "Confirmation", seconds: dict[str, float], workers: int) -> dict:
    needed = None
    if one.needed is not None and set(one.fresh) <= seconds.keys():
        needed = one.needed * len(one.arms) * sum(seconds[task] for task in one.fresh) / workers / HOUR
    return {
        "claim": one.claim.name, "state": one.state, "verdict": one.verdict, "found": one.sentence,
        "fresh": {task: list(seeds) for task, seeds in one.fresh.items()}, "open": dict(one.open), "arms": list(one.arms),
        "seen": sorted(one.seen), "seeds_needed": one.needed, "hours_needed": needed,
    }  # fmt: skip


def _state(one: "Confirmation") -> str:
    return one.verdict if one.state == "decided" else one.state


def _cost(row: dict) -> str:
    if row["state"] not in ("hopeless", "maximum"):
        return ""
    if row["seeds_needed"] is None:
        return "unknown"
    hours = "" if row["hours_needed"] is None else f", {row['hours_needed']:.1f} h"
    return f"needs {row['seeds_needed']} seeds{hours}"


def _notes(found: "Sequence[Confirmation]") -> list[str]:
    said = {
        "not frozen": "not frozen: the test is not in experiments/thresholds.csv as it is; `verify --freeze REASON` adds it",
        "no rule": "no rule: the test has none for repeated looks, or is true by construction; it is judged once, by `verify`",
        "hopeless": "hopeless: by the seeds so far, 60 decide with less than 20 % probability, or can't",
    }
    return [text for state, text in said.items() if any(one.state == state for one in found)]
