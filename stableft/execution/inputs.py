"""Inputs of runs: data and encoders, and the identities and checks based on them."""

from collections.abc import Callable, Sequence
from typing import Any

from stableft.core.config import RunConfig, run_id
from stableft.core.errors import MissingInput, UsageError
from stableft.core.feasibility import check, outline
from stableft.models.coverage import Coverage, measure
from stableft.models.encoders import Encoder, resolve
from stableft.tasks import Task, TaskData
from stableft.tasks.catalog import get_task


class Inputs:
    """Data and encoders of configurations, each looked up once.

    Args:
        own: Tasks outside the registry; configurations may use their names.
    """

    def __init__(self, own: Sequence[Task] = ()) -> None:
        self.own = {task.name: task for task in own}
        self._data: dict[str, TaskData | MissingInput] = {}
        self._encoders: dict[str, Encoder | MissingInput] = {}
        self._coverages: dict[tuple[str, str, int], Coverage | None] = {}

    def task(self, name: str) -> Task:
        return self.own.get(name) or get_task(name)

    def data(self, task: str) -> TaskData:
        return _once(self._data, task, lambda: self.task(task).load())

    def encoder(self, name: str) -> Encoder:
        from stableft.tasks.toy import VOCABULARY

        return _once(self._encoders, name, lambda: resolve(name, tiny_vocabulary=VOCABULARY))

    def remarks(self) -> list[str]:
        """Returns what is to say about the files of the encoders looked up so far."""
        return [remark for each in self._encoders.values() if isinstance(each, Encoder) for remark in each.remarks]

    def coverage(self, config: RunConfig) -> Coverage | None:
        """Returns how much of a run's data its encoder can read; None if that can't be measured here.

        Raises:
            MissingInput: Data or weights are absent, or the tokenizer can't be read.
        """
        key = config.task, config.encoder, config.max_length
        if key not in self._coverages:
            self._coverages[key] = measure(self.data(config.task), self.encoder(config.encoder), config.max_length)
        return self._coverages[key]

    def run_id(self, config: RunConfig) -> str:
        """Returns the identity of a run.

        Raises:
            MissingInput: Data or weights of the run, or of a source run, are absent.
            UsageError: A source run itself starts from another run.
        """
        sources = config.sources()
        for name, source in sources.items():
            if source.sources():
                raise UsageError(f"{name}: the run on {source.task} that this one starts from can't itself start from another")
        return run_id(
            config,
            data=self.data(config.task).fingerprint,
            weights=self.encoder(config.encoder).fingerprint,
            sources=[self.run_id(source) for source in sources.values()],
        )

    def check(self, config: RunConfig) -> None:
        """Checks that a run and its source runs are feasible, before any weights are loaded.

        Raises:
            UsageError: A run is not feasible; the message is the reason.
            MissingInput: Data or weights are absent, so the check is impossible.
        """
        self.task(config.task).refuse_head(config.head)
        check(config, outline(config, len(self.data(config.task).train), self.encoder(config.encoder).settings))
        for name, source in config.sources().items():
            try:
                self.check(source)
            except UsageError as error:
                raise UsageError(f"the run on {source.task} that {name} starts from: {error}") from error


def _once(known: dict[str, Any], key: str, find: Callable[[], Any]) -> Any:
    """Returns the value of a key, computed at the first call; raises its `MissingInput` at every call."""
    if key not in known:
        try:
            known[key] = find()
        except MissingInput as error:
            known[key] = error
    if isinstance(known[key], MissingInput):
        raise known[key]
    return known[key]
