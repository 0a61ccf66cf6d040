"""Expected time: what a grid will cost here, in words, and what makes it less."""

from typing import Any

from stableft.execution.forecast import TOO_SHORT, Forecast
from stableft.execution.planning import Plan
from stableft.reporting.markup import duration

FEW_SEEDS = 3
LONG_SECONDS = 180.0  # from here on it says how to get a first answer sooner
ORIGINS = {"earlier runs": "by earlier runs on this machine", "calibration": "measured here just now"}


def time_lines(planned: Plan, expected: Forecast) -> list[str]:
    """Returns lines about the time of the missing runs, and how to get by with less."""
    if not planned.missing:
        return []
    seeds = list(dict.fromkeys(p.cell.seed for p in planned.missing))
    runs = {seed: sum(config.seed == seed for config in planned.jobs.values()) for seed in seeds}
    total, first = expected.total(), expected.total(seeds[:1])
    if expected.reason == TOO_SHORT:
        return ["time: under a minute"]
    if total is None or first is None:
        return [f"time: not known beforehand ({expected.reason})"]
    at_a_time = f"{expected.workers} {'run' if expected.workers == 1 else 'runs'} at a time"
    lines = [f"time: about {about(total)} here, {at_a_time} ({ORIGINS[expected.origin or 'calibration']})"]
    if len(seeds) > 1:
        lines.append(f"first: seed {seeds[0]} with all arms and tasks ({runs[seeds[0]]} runs), after about {about(first)}")
    if total < LONG_SECONDS:
        return lines
    if len(seeds) > FEW_SEEDS and seeds == list(range(seeds[0], seeds[0] + len(seeds))):
        span, few = f"{seeds[0]}-{seeds[FEW_SEEDS - 1]}", expected.total(seeds[:FEW_SEEDS]) or 0.0
        lines.append(f"for less: --seeds {span} (make: SEEDS={span}), about {about(few)}; more seeds can follow")
    lines.append("runs at a time: --jobs (make: JOBS=), by default one per usable core")
    return lines


def about(seconds: float) -> str:
    """Returns a duration, rounded to minutes."""
    if seconds < 60:
        return "a minute"
    return duration(seconds) if seconds >= 3600 else f"{round(seconds / 60)} min"


def time_data(planned: Plan, expected: Forecast) -> dict[str, Any]:
    """Returns the expected time for ``--json``."""
    first = [p.cell.seed for p in planned.missing][:1]
    return {
        "estimated_seconds": expected.total(),
        "estimated_from": expected.origin,
        "first_seed_seconds": expected.total(first) if first else None,
    }
