"""Results of any experiment's grid as one likes them: which arms score higher, spread more, fail, or learn faster."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from stableft.core.adam_bias import bias_ratio
from stableft.core.grid import Grid
from stableft.storage.frames import PREDICTION_COLUMNS
from stableft.storage.records import CELL, Results
from stableft.storage.store import METRIC_COLUMNS

NUM_STEPS = 20
MAJORITY = 0.5
RATIO = bias_ratio(np.arange(1, NUM_STEPS + 1))


@dataclass(frozen=True)
class World:
    """What is true of arm k of K, k / K being its place in the grid.

    Attributes:
        seeds: How many.
        trend: What the score of the last arm is above that of the first, and its training loss below.
        noise: Standard deviation of scores over seeds.
        spread: The noise of the last arm, as a multiple of the first one's.
        failing: 1: every second arm fails, from the second on; 0: from the first on; None: none does.
        alternating: The arms score and learn alternately better and worse by this much; times ``k / K`` to the power of ``growth``.
        growth: See ``alternating``.
        bias: Factor on the measured size of updates.
        init: Standard deviation of what the init seed does to the score, in grids that set it.
        order: Likewise of the order seed.
        every: Of an arm that fails, every so manieth seed does.
        vanish: By how many orders of magnitude the gradients of failed runs are smaller.
        fall: By how much the loss of a run that does not fail falls from the first tenth to the last.
        rough: As ``failing``, of the arms whose loss rises in the second half.
        early: How much of a run's score shows at 30 % of its steps.
    """

    seeds: int = 8
    trend: float = 0.0
    noise: float = 0.001
    spread: float = 1.0
    failing: int | None = None
    alternating: float = 0.0
    growth: float = 0.0
    bias: float = 1.0
    init: float = 0.0
    order: float = 0.0
    every: int = 1
    vanish: float = 0.0
    fall: float = 0.0
    rough: int | None = None
    early: float = 0.0


def results(grid: Grid, world: World) -> Results:
    """Runs on the grid's tasks, with the configurations of its cells."""
    rng = np.random.default_rng(3)
    arms = list(grid.arms)
    runs, metrics = [], []
    init_effects, order_effects = rng.normal(0, world.init, 100), rng.normal(0, world.order, 100)
    seeds = grid.seeds if grid.name == "seeds" else range(world.seeds)
    for cell in replace(grid, seeds=seeds).cells():
        k, last = arms.index(cell.arm), max(1, len(arms) - 1)
        place = k / last
        level = world.trend * place + world.alternating * (1 if k % 2 else -1) * (place + 0.01) ** world.growth
        level += init_effects[cell.config.init_seed or 0] + order_effects[cell.config.order_seed or 0]
        fails = world.failing is not None and k % 2 == world.failing and cell.seed % world.every == 0
        score = MAJORITY if fails else 0.7 + level + rng.normal(0, world.noise * world.spread**place)
        num_steps = cell.config.schedule.num_steps or NUM_STEPS
        run = {
            "experiment": grid.name, "protocol": grid.protocol.name, "arm": cell.arm, "task": cell.task, "seed": cell.seed,
            "run_id": f"{cell.task} {cell.arm} {cell.seed}", "outcome": "ok", "score_name": "accuracy", "score_split": "test",
            "majority_score": MAJORITY, "num_steps": num_steps, "seconds": 2.0, "config": cell.config.model_dump_json(),
            "num_train": cell.config.num_train or 1000,
        }  # fmt: skip
        runs.append(run)
        of_run = _metrics(run, score, level, num_steps, world, rng)
        of_run += _training(num_steps, fails, k % 2 == world.rough, level, world, rng)
        metrics += [tuple(run[name] for name in CELL) + row for row in of_run]
    frame = pd.DataFrame(metrics, columns=[*CELL, *METRIC_COLUMNS])
    return Results(pd.DataFrame(runs), frame, pd.DataFrame(columns=[*CELL, *PREDICTION_COLUMNS]))


def _metrics(
    run: dict[str, object], score: float, level: float, num_steps: int, world: World, rng: np.random.Generator
) -> list[tuple[object, ...]]:
    """The points of scores, updates and surfaces that claims read."""
    early = 0.5 + world.early * (score - 0.7) + rng.normal(0, 0.0005)
    rows: list[tuple[object, ...]] = [
        *((num_steps, split, "score", "", score) for split in ("validation", "test")),
        (3 * num_steps // 10, "validation", "score", "", early),
        (num_steps, "test", "score", "average", score + level + rng.normal(0, 0.001)),
    ]
    if run["experiment"] == "bias":
        ratio = np.ones(NUM_STEPS) if json.loads(str(run["config"]))["adam"]["bias_correction"] else RATIO
        rows += [(t, "train", "update_bias", "", world.bias * value) for t, value in enumerate(ratio, start=1)]
        rows += [(t, "train", "update_bias_closed_form", "", value) for t, value in enumerate(ratio, start=1)]
    if run["experiment"] == "surface" and json.loads(str(run["config"])).get("surface"):
        between = {"a=0.0 b=1.0": 0.1, "a=0.5 b=0.5": 0.5 + 10 * level, "a=1.0 b=0.0": 0.5}
        rows += [(num_steps, "train", "surface_loss", scope, loss + rng.normal(0, 0.001)) for scope, loss in between.items()]
    return rows


def _training(
    num_steps: int, fails: bool, rough: bool, level: float, world: World, rng: np.random.Generator
) -> list[tuple[object, ...]]:
    """The loss at the end of each tenth, and the distance and gradient of four blocks at the last step."""
    points = np.arange(1, 11) * (num_steps // 10)
    falls = 0.0 if fails else world.fall
    rows: list[tuple[object, ...]] = []
    for step in points:
        loss = 1 - level - falls * step / num_steps + 0.3 * (rough and step > num_steps / 2) + rng.normal(0, 0.001)
        rows.append((step, "train", "loss", "", loss))
    for block in range(1, 5):
        gradient = 10 ** (-world.vanish * fails + rng.normal(0, 0.01))
        rows.append((num_steps, "train", "distance", f"layer.{block:02d}", 1 + level + rng.normal(0, 0.001)))
        rows.append((num_steps, "train", "block_grad_norm", f"layer.{block:02d}", gradient))
    return rows
