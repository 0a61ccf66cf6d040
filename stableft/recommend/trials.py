"""Trials: runs of a search, executed like any grid's and read back from their records.

Predictions of the test part are in the records too. `Trial.test` is the only way to them, and only
the answer calls it.
"""

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stableft.core.errors import MissingInput
from stableft.core.grid import Grid, Override
from stableft.execution import forecast, planning, runner
from stableft.execution.inputs import Inputs
from stableft.execution.planning import Plan
from stableft.execution.runner import ExecutionOptions
from stableft.execution.supervisor import ProgressCallback, Status
from stableft.recommend.parts import Labelled
from stableft.storage.records import RunRecord
from stableft.storage.store import Store


@dataclass(frozen=True)
class Trial:
    """A finished run.

    Attributes:
        arm: Name of its setting.
        seed: Its seed.
        record: Its record.
        parts: Labels of validation and test.
    """

    arm: str
    seed: int
    record: RunRecord
    parts: Mapping[str, Labelled]

    @property
    def diverged(self) -> bool:
        return self.record.outcome == "diverged"

    @cached_property
    def validation(self) -> NDArray[np.float64]:
        """(N,) predictions on validation; of a diverged run the best constant prediction."""
        return self._predictions("validation")

    @cached_property
    def score(self) -> float:
        """The score on validation; of a diverged run the best constant prediction's."""
        return self.parts["validation"].score(self.validation)

    @property
    def failed(self) -> bool:
        """True if it diverged, or did not beat the best constant prediction on validation."""
        return self.diverged or self.score <= self.parts["validation"].constant()

    def test(self) -> NDArray[np.float64]:
        """Returns (N,) predictions on the test part. To be read once, for the answer."""
        return self._predictions("test")

    def probabilities(self, split: str) -> NDArray[np.float64]:
        """Returns (N, K) probabilities of the classes; (N, 0) for scores, tags and a diverged run."""
        rows = self._rows(split)
        return np.stack(rows["probabilities"].to_list()).astype(np.float64) if len(rows) else np.zeros((0, 0))

    def _predictions(self, split: str) -> NDArray[np.float64]:
        rows = self._rows(split)
        return self.parts[split].constant_predictions() if self.diverged else rows["prediction"].to_numpy(np.float64)

    def _rows(self, split: str) -> Any:
        return self.record.predictions[self.record.predictions["split"] == split]


ShowProgress = Callable[[Plan], AbstractContextManager["ProgressSink"]]


@dataclass(frozen=True)
class ProgressSink:
    """Callbacks for the progress of a grid: of a step, and of the end of a run."""

    step: ProgressCallback
    end: Callable[[Status], None]


@dataclass
class Trials:
    """All trials of a search; each is run once.

    Attributes:
        base: A grid whose protocol holds the configuration of the task; its arms do not count.
        parts: Labels of validation and test.
        store: The results folder.
        inputs: Data and encoder.
        options: Options of execution.
        progress: Shows the progress of a plan.
        warn: Called with messages.
        done: Trials by arm and seed.
        pace: Seconds of wall time for a run of the default; NaN before one was measured.
    """

    base: Grid
    parts: Mapping[str, Labelled]
    store: Store
    inputs: Inputs
    options: ExecutionOptions
    progress: ShowProgress
    warn: Callable[[str], None] = lambda _: None
    done: dict[tuple[str, int], Trial] = field(default_factory=dict)
    pace: float = float("nan")

    def forecast(self, arm: str = "default", seeds: Sequence[int] = (0, 1)) -> float:
        """Returns the expected wall seconds for a run of the default, before any; NaN: not known."""
        planned = self._plan({arm: {}}, seeds)
        if not planned.missing:  # an earlier command ran them
            done = [self.store.read(cell.run_id) for cell in planned.cells if cell.run_id]
            return float(np.median([record.provenance["seconds"] for record in done])) / runner.runs_at_a_time(self.options)
        expected = forecast.forecast(planned, self.store, self.inputs, self.options)
        if (total := expected.total()) is None:
            total = forecast.WORTHWHILE_SECONDS if expected.reason == forecast.TOO_SHORT else float("nan")
        return total / len(planned.missing)

    def run(self, arms: Mapping[str, Override], seeds: Sequence[int], cost: Mapping[str, float] | None = None) -> None:
        """Runs arms at seeds, unless that was done before.

        Args:
            arms: Name -> dotted overrides of the task's configuration.
            seeds: The seeds.
            cost: Name -> time of a run as a multiple of the default's; 1 where absent.

        Raises:
            MissingInput: A run crashed or was refused, so that no fair comparison is possible; the
                message is the first reason.
            KeyboardInterrupt: It was interrupted.
        """
        planned = self._plan(arms, seeds)
        began, failures = time.monotonic(), list[Status]()
        work = sum((cost or {}).get(p.cell.arm, 1.0) for p in planned.missing)
        if planned.missing:
            with self.progress(planned) as progress:
                for status in runner.run_grid(planned, self.store, self.inputs, self.options, progress.step, self.warn):
                    progress.end(status)
                    if status.state not in ("done", "stopped"):
                        failures.append(status)
        for cell in planned.cells:
            if cell.run_id is not None and self.store.has(cell.run_id):
                record = self.store.read(cell.run_id)
                self.done[cell.cell.arm, cell.cell.seed] = Trial(cell.cell.arm, cell.cell.seed, record, self.parts)
        if failures:
            raise MissingInput(f"a run of {', '.join(arms)} could not be done: {failures[0].detail}")
        if work >= 1:
            self.pace = (time.monotonic() - began) / work

    def keep(self, trial: Trial, overrides: Override) -> None:
        """Repeats a run and keeps its last weights, unless they are kept already.

        Raises:
            MissingInput: The run crashed or was refused.
        """
        options = dataclasses.replace(self.options, keep_weights=True)
        planned = dataclasses.replace(self.base, arms={trial.arm: overrides}, seeds=[trial.seed])
        wanted = planning.plan(planned, self.store, self.inputs, keep_weights=True)
        with self.progress(wanted) as progress:
            for status in runner.run_grid(wanted, self.store, self.inputs, options, progress.step, self.warn):
                progress.end(status)
                if status.state != "done":
                    raise MissingInput(f"the weights of the best run could not be kept: {status.detail}")

    def _plan(self, arms: Mapping[str, Override], seeds: Sequence[int]) -> Plan:
        return planning.plan(dataclasses.replace(self.base, arms=dict(arms), seeds=list(seeds)), self.store, self.inputs)

    def of(self, arm: str, seeds: Iterable[int] | None = None) -> list[Trial]:
        """Returns the trials of an arm, by seed."""
        wanted = None if seeds is None else set(seeds)
        return [trial for (name, seed), trial in sorted(self.done.items()) if name == arm and (wanted is None or seed in wanted)]

    def shared(self, arm: str, other: str) -> tuple[list[Trial], list[Trial]]:
        """Returns the trials of two arms at the seeds that both have."""
        seeds = {t.seed for t in self.of(arm)} & {t.seed for t in self.of(other)}
        return self.of(arm, seeds), self.of(other, seeds)
