"""Grids as data: arms x tasks x seeds, resolved to cells. Pure."""

import hashlib
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from stableft.core import plugins
from stableft.core.config import EvaluationConfig, RunConfig, with_overrides
from stableft.core.errors import UsageError, quoted
from stableft.core.own_data import OwnData

Override = Mapping[str, Any]
SEED = re.compile(r"[0-9]{1,18}")
MAX_SEEDS = 100_000
LONGEST_FOLDER = 140  # bytes; some encrypted file systems take 143
OWN_POINTS = EvaluationConfig(num_points=10)
"""Evaluations of a user's own task, if the settings evaluate all examples every few steps."""


@dataclass(frozen=True)
class Protocol:
    """A named scale: a baseline configuration for each task, and the seeds.

    Attributes:
        name: ``smoke``, ``laptop``, ``small`` or ``paper``; with the names of a user's own tasks, see
            `on_tasks`.
        configs: Task name -> baseline `RunConfig` (its seed is replaced).
        tasks: Tasks of an experiment that names none of its own.
        seeds: Default seeds.
        learning_rates: The rates compared by `experiments.lr_grid` at this scale.
        summary: One line for listings.
        imported: Empty for a protocol that can be run. Otherwise its results were imported, and this
            is their short name in verdicts, such as ``public runs, BERT-large, fp16``.
    """

    name: str
    configs: Mapping[str, RunConfig]
    tasks: Sequence[str]
    seeds: Sequence[int]
    learning_rates: Sequence[float]
    summary: str
    imported: str = ""


@dataclass(frozen=True)
class Cell:
    """One run of a grid."""

    arm: str
    task: str
    seed: int
    config: RunConfig


@dataclass(frozen=True)
class SeedSquare:
    """Arms for each pair of an init seed and an order seed, named ``<method> init=<i> order=<j>``.

    The init seed also draws re-initialised weights, and the order seed the dropout masks.

    Attributes:
        methods: Method -> dotted overrides of the baseline.
    """

    methods: Mapping[str, Override]

    def arms(self, seeds: Sequence[int]) -> dict[str, Override]:
        """Returns one arm for each method and each pair of the seeds."""
        return {
            f"{method} init={init} order={order}": {
                **override, "init_seed": init, "reinit_seed": init, "order_seed": order, "dropout_seed": order,
            }
            for (method, override), init, order in product(self.methods.items(), seeds, seeds)
        }  # fmt: skip

    def seeds(self, arms: Iterable[str]) -> list[int]:
        """Returns the seeds in the names of arms, ascending."""
        return sorted({int(seed) for arm in arms for seed in re.findall(r"(?:init|order)=(\d+)", arm)})


@dataclass(frozen=True)
class Grid:
    """Arms x tasks x seeds over the baselines of a protocol; the first arm is the reference.

    Attributes:
        name: The experiment.
        protocol: Source of the baselines.
        arms: Arm name -> dotted overrides of the baseline. Arms differ in exactly these.
        tasks: Subset of the protocol's tasks.
        seeds: Shared by all arms, so that arms can be paired.
        on_task: Task -> arm -> overrides of that arm on that task alone, after the arm's own. For
            settings that a source ties to the task, such as a number of steps.
        square: In a grid of seeds: what spans its arms. Seeds asked for are then the sides of the
            square, and ``seeds`` stays a single one.
    """

    name: str
    protocol: Protocol
    arms: Mapping[str, Override]
    tasks: Sequence[str]
    seeds: Sequence[int]
    on_task: Mapping[str, Mapping[str, Override]] = field(default_factory=dict)
    square: SeedSquare | None = None

    def cells(self) -> list[Cell]:
        """Returns all runs, seed by seed, so that an interrupted grid has complete pairs."""
        return [
            Cell(arm, task, seed, with_overrides(self.protocol.configs[task], {**override, **self._own(task, arm), "seed": seed}))
            for seed in self.seeds
            for task in self.tasks
            for arm, override in self.arms.items()
        ]

    def _own(self, task: str, arm: str) -> Override:
        return self.on_task.get(task, {}).get(arm, {})

    def at(self, seeds: Iterable[int]) -> "Grid":
        """Returns the same grid at other seeds, or with other sides if it is a square; repeats are dropped."""
        once = list(dict.fromkeys(seeds))
        return replace(self, seeds=once) if self.square is None else replace(self, arms=self.square.arms(once))

    def with_earlier(self, arms: Iterable[str], seeds: Iterable[int]) -> "Grid":
        """Returns the grid with the seeds of earlier runs too; in a square also with their arms."""
        larger = replace(self, seeds=sorted({*self.seeds, *seeds}))
        return larger if self.square is None else larger.at(self.square.seeds([*self.arms, *arms]))


def select(
    grid: Grid,
    *,
    arms: Sequence[str] | None = None,
    tasks: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    overrides: Override | None = None,
) -> Grid:
    """Returns a part of a grid, or the same grid at other seeds or settings.

    Args:
        grid: The whole.
        arms: Names to keep, in the grid's own order; None or empty: all.
        tasks: Likewise.
        seeds: Replace the grid's seeds (`Grid.at`).
        overrides: Applied to every baseline, before the arms' own.

    Raises:
        UsageError: a name that the grid does not have, or an override of task or seed.
    """
    # Refuse unknown names, and overrides of a cell's coordinates.
    grid = grid if seeds is None else grid.at(seeds)
    for kind, wanted, known in (("arm", arms, grid.arms), ("task", tasks, grid.tasks)):
        for name in wanted or ():
            if name not in known:
                raise UsageError(
                    f"{grid.name} at protocol {grid.protocol.name} has no {kind} {quoted(name)}; it has: {', '.join(known)}"
                )
    for coordinate, option in (("task", "--tasks"), ("seed", "--seeds"), ("own_data", "--text, --label and the like")):
        if coordinate in (overrides or {}):  # results would name another task or seed than the run's
            raise UsageError(f"{coordinate} is no setting but a part of the grid: choose it with {option}")
    # Apply overrides to the baselines, and keep the selected arms, tasks and seeds.
    configs = {task: with_overrides(config, overrides or {}) for task, config in grid.protocol.configs.items()}
    return replace(
        grid,
        protocol=replace(grid.protocol, configs=configs),
        arms={name: override for name, override in grid.arms.items() if not arms or name in arms},
        tasks=[name for name in grid.tasks if not tasks or name in tasks],
        seeds=list(grid.seeds),
    )


def on_tasks(
    grid: Grid, names: Sequence[str], own: Mapping[str, OwnData] | None = None, reasons: Mapping[str, str] | None = None
) -> Grid:
    """Returns the same arms and seeds on a user's own tasks, with settings of the protocol's tasks.

    Overrides of an arm on a single task are left out. The protocol gets a name of its own, so that
    these results are collected apart from the protocol's. All of a user's training examples are used.
    Evaluations of all examples every few steps (``smoke``) suit a toy: a user's file gets `OWN_POINTS`.

    Args:
        grid: Source of arms, seeds and settings.
        names: The other tasks.
        own: Task -> how it is read, and the protocol's task whose settings it gets; without one these
            are the settings of the grid's first task.
        reasons: Task -> why these settings, for the summary.

    Raises:
        UsageError: two tasks of one name.
    """
    if len(set(names)) < len(names):
        raise UsageError(f"two tasks would be called the same: {', '.join(names)}; rename a file")
    names = sorted(names)
    own, reasons, protocol = own or {}, reasons or {}, grid.protocol
    like = {name: (own[name].like if name in own else "") or grid.tasks[0] for name in names}
    known = [name for name in names if like[name] in protocol.configs]
    given = {name: protocol.configs[like[name]] for name in known}
    configs = {name: config.model_copy(update=_of_own(name, own.get(name), config)) for name, config in given.items()}
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(f"{like[name]} at {protocol.name}" + (f" ({reasons[name]})" if name in reasons else ""), []).append(name)
    return replace(
        grid,
        protocol=Protocol(
            name=own_protocol(protocol.name, names),
            configs=configs,
            tasks=names,
            seeds=protocol.seeds,
            learning_rates=protocol.learning_rates,
            summary="; ".join(f"{', '.join(members)} with the settings of {of}" for of, members in alike.items()),
            imported=protocol.imported,
        ),
        tasks=names,
        on_task={},
    )


def _of_own(name: str, own: OwnData | None, like: RunConfig) -> dict[str, Any]:
    changes: dict[str, Any] = {"task": name, "own_data": own}
    if own is None:
        return changes
    if like.evaluation.every and like.evaluation.num_examples is None:
        changes["evaluation"] = OWN_POINTS
    return {**changes, "num_train": None, "sample_seed": None}


def own_protocol(protocol: str, names: Sequence[str]) -> str:
    """Returns the name under which results of a user's own tasks are collected.

    It is a folder's name, so many or long names are replaced by their number and a hash.
    """
    whole = "+".join([protocol, *names])
    if len(whole) <= LONGEST_FOLDER:
        return whole
    return f"{protocol}+{names[0]}+{len(names) - 1}-more-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"


def run_command(experiment: str, protocol: str, sources: Sequence[str] = ()) -> str:
    """Returns the shell command to run an experiment at a protocol, or on a user's own tasks.

    Args:
        experiment: Its name.
        protocol: Name of the protocol, also as `own_protocol` makes it.
        sources: The user's files as written on the command line; PATH replaces an unknown one.
    """
    scale, *own = protocol.split("+")
    plugged = plugins.files().get(experiment)
    words = ["python", "-m", "stableft", "run", str(plugged or experiment), "--protocol", scale]
    if own:
        words += ["--tasks", ",".join(sources or (f"{name.rpartition('.')[2]}:{name}" for name in own))]
    return shlex.join([*words, *plugins.words(experiment)])


def parse_seeds(text: str) -> list[int]:
    """Parses seeds: ``0-4,7`` -> [0, 1, 2, 3, 4, 7]; repeats are dropped.

    Raises:
        UsageError: another notation, more than `MAX_SEEDS` seeds, or a seed of more than 18 digits.
    """
    seeds: dict[int, None] = {}
    for part in text.split(","):
        first, dash, last = (piece.strip() for piece in part.partition("-"))
        if not SEED.fullmatch(first) or (dash and not SEED.fullmatch(last)) or (dash and int(last) < int(first)):
            raise UsageError(f"seeds {quoted(text)}: write single seeds and ranges such as 0-49 or 0,3,7-9")
        if int(last or first) - int(first) + len(seeds) >= MAX_SEEDS:
            raise UsageError(f"seeds {quoted(text)}: more than {MAX_SEEDS:,}")
        seeds.update(dict.fromkeys(range(int(first), int(last or first) + 1)))
    return list(seeds)


def join_spans(numbers: Sequence[int]) -> str:
    """Joins increasing numbers into spans: ``0-9, 12``."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][-1] == number - 1:
            spans[-1].append(number)
        else:
            spans.append([number])
    return ", ".join(f"{span[0]}-{span[-1]}" if len(span) > 1 else f"{span[0]}" for span in spans)
