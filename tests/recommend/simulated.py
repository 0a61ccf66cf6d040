"""Simulated trials: runs whose predictions follow from their setting, without any training."""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from stableft.core.config import RunConfig
from stableft.core.seeds import stream
from stableft.recommend.parts import labelled
from stableft.recommend.trials import Trial, Trials
from stableft.storage.records import RunRecord
from stableft.tasks import Example, Task, TaskData

Quality = Callable[[Mapping[str, Any], int], float]
"""Returns the share of right predictions of a setting at a seed; below 0: the run diverges."""


def data(items: int = 200) -> tuple[Task, TaskData]:
    """Two classes; the text says which."""
    rows = tuple(Example(f"text {i}", None, i % 2) for i in range(3 * items))
    parts = TaskData(rows[:items], rows[items : 2 * items], rows[2 * items :])
    return Task("mine", "classification", ("no", "yes"), "accuracy", "en", "", load=lambda: parts), parts


class Clock:
    """Time that passes only where it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class SimulatedTrials(Trials):
    """Trials that take time by their cost, and predict by the quality of their setting."""

    def __init__(self, quality: Quality, clock: Clock, seconds: float = 10.0, items: int = 200) -> None:
        task, parts = data(items)
        self.parts = {split: labelled(task, parts, split) for split in ("validation", "test")}
        self.done, self.pace, self.log = {}, seconds, []
        self._quality, self._clock, self._seconds = quality, clock, seconds

    def run(self, arms: Mapping[str, Mapping[str, Any]], seeds: Any, cost: Mapping[str, float] | None = None) -> None:
        for name, overrides in arms.items():
            for seed in seeds:
                assert (name, seed) not in self.done, f"{name} at seed {seed} was run twice"
                seconds = self._seconds * (cost or {}).get(name, 1.0)
                self._clock.now += seconds
                self.log.append((name, seed))
                self.done[name, seed] = Trial(
                    name, seed, self._record(name, seed, self._quality(overrides, seed), seconds), self.parts
                )

    def _record(self, name: str, seed: int, right: float, seconds: float) -> RunRecord:
        frames = []
        for split, part in self.parts.items():
            hits = stream(seed, f"{split}").random(part.items) < right  # alike for all settings, as paired runs are
            guess = np.where(hits, part.labels, 1 - part.labels)
            sure = np.where(guess[:, None] == np.arange(2), 0.9, 0.1)
            frames.append(pd.DataFrame({"split": split, "example": range(part.items), "label": part.labels, "prediction": guess,
                                        "probabilities": list(sure)}))  # fmt: skip
        predictions = pd.concat(frames) if right >= 0 else frames[0].iloc[:0]
        outcome = "ok" if right >= 0 else "diverged"
        return RunRecord(f"{name} {seed}", outcome, {}, {}, {"seconds": seconds}, pd.DataFrame(), predictions)  # pyright: ignore[reportArgumentType]


def config(base: RunConfig) -> RunConfig:
    return base.model_copy(update={"task": "mine"})


def baseline(trials: Trials, name: str, right: float) -> Any:
    guesses = {}
    for split, part in trials.parts.items():
        hits = stream(0, f"{name} {split}").random(part.items) < right
        guesses[split] = np.where(hits, part.labels, 1 - part.labels)
    return SimpleNamespace(name=name, predictions=guesses, seconds=1.0, setting="")
