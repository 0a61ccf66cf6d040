"""Pace: the time of a run from its work and a processor's speed, and of a grid from its runs."""

import heapq
from collections.abc import Iterable
from statistics import fmean
from typing import NamedTuple

from stableft.core.config import RunConfig
from stableft.core.feasibility import outline
from stableft.core.schedule import evaluation_steps
from stableft.core.technique import Stage
from stableft.models.encoders import Encoder
from stableft.tasks import Example, TaggedExample, TaskData

# A guess before anything is measured: a fast core, and the cost of a step of a tiny encoder.
GUESSED_FLOPS = 1e11
GUESSED_STEP_SECONDS = 0.01
CHARACTERS_PER_TOKEN = 4
SAMPLED_TEXTS = 200


class Workload(NamedTuple):
    """Work of a run: its optimizer steps, and the examples evaluated at all points together."""

    steps: int
    examples: int


class Pace(NamedTuple):
    """Seconds of a processor for the set-up of a run, an optimizer step, and an evaluated example."""

    start: float
    step: float
    example: float


def workload(config: RunConfig, data: TaskData, encoder: Encoder) -> Workload:
    """Returns the work of a run.

    The best checkpoint counts as a further evaluation at the end, although it may be the last one.
    """
    steps = outline(config, len(data.train), encoder.settings).num_steps
    num_train = min(config.num_train or len(data.train), len(data.train))
    points = len(evaluation_steps(config, steps, num_train)) - 1
    whole = len(data.validation) + len(data.test)
    early = min(config.evaluation.num_examples or len(data.validation), len(data.validation))
    early += len(data.test) if config.evaluation.test_points == "all" else 0
    averages = sum(technique.stage == Stage.AVERAGE for technique in config.techniques or ())
    examples = (1 + averages) * (points * early + whole) + whole
    if (surface := config.surface) is not None:
        examples += len(surface.coordinates()) ** 2 * min(surface.num_examples or num_train, num_train)
    return Workload(steps, examples)


def run_seconds(pace: Pace, work: Workload) -> float:
    """Returns the seconds of a run."""
    return pace.start + work.steps * pace.step + work.examples * pace.example


def grid_seconds(seconds: Iterable[float], workers: int) -> float:
    """Returns the seconds of runs that are started in order, each by the first free of some workers.

    Args:
        seconds: Seconds of each run.
        workers: Runs at a time, >= 1.
    """
    free = [0.0] * workers
    for each in seconds:
        heapq.heapreplace(free, free[0] + each)
    return max(free)


def guessed_seconds(config: RunConfig, data: TaskData, encoder: Encoder) -> float:
    """Guesses the seconds of a run, to tell whether its pace is worth measuring.

    A block of width H has 12 H^2 weights; training takes 6 operations per weight and token, and an
    evaluation 2. It is infinite for an encoder whose configuration names no width or depth.
    """
    settings = encoder.settings
    hidden = settings.get("hidden_size", settings.get("dim"))
    layers = outline(config, len(data.train), settings).num_blocks
    if not isinstance(hidden, int) or layers is None:
        return float("inf")
    characters = fmean(map(_characters, data.train[:SAMPLED_TEXTS]))
    tokens = min(config.max_length, characters / CHARACTERS_PER_TOKEN)
    work = workload(config, data, encoder)
    operations = 12 * layers * hidden**2 * tokens * (6 * work.steps * config.batch_size + 2 * work.examples)
    return operations / GUESSED_FLOPS + work.steps * GUESSED_STEP_SECONDS


def _characters(example: Example | TaggedExample) -> int:
    if isinstance(example, TaggedExample):
        return sum(map(len, example.words))
    return len(example.text) + len(example.pair or "")
