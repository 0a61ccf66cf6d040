"""Dask: runs on the workers of a scheduler, each supervised where it is done (``docs/clusters.md``).

The command keeps as many runs in flight as the workers have threads; workers may come, go and die. Each is asked who it is before
its first run, and sent what it lacks.
"""

import contextlib
import logging
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from distributed import Future, KilledWorker
from distributed.comm.core import CommClosedError

from stableft.core.errors import MissingInput, StableftError, Unreachable, UsageError
from stableft.core.files import write_whole
from stableft.execution.backends import Backend, Cluster, Told
from stableft.execution.backends import dask_worker as node
from stableft.execution.backends.dask_client import connection, reason
from stableft.execution.backends.dask_payload import encoders, examples, files, pack
from stableft.execution.backends.window import slide
from stableft.execution.supervisor import Status, Supervisor
from stableft.execution.worker import Job, Progress
from stableft.storage.run_state import told_in
from stableft.storage.run_summary import ended
from stableft.storage.store import Store

REFRESH_SECONDS = 1.0  # between looks at who the workers are
ANSWER_SECONDS = 30.0  # that a scheduler may take for an answer
KEPT = "Finished runs are kept; the same command goes on."


@contextmanager
def connected(cluster: Cluster, told: Told) -> Iterator[Backend]:
    """A backend on a cluster's workers, for as long as the context.

    Raises:
        Unreachable: there is no scheduler at that address, or it was lost.
        UsageError: a worker's Python, packages or source are not those of this command.
        MissingInput: a worker does not see the results folder.
    """
    for name in ("distributed", "distributed.client"):  # Dask's own configuration gives both a level
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters is told in our own words
    with connection(cluster) as client:

        def dask(supervisor: Supervisor, jobs: Sequence[Job], workers: int) -> Iterator[Status]:
            pool = _Pool(client, supervisor, jobs, cluster.gather, told)
            with _lost(client), pool:
                yield from slide(pool, supervisor, jobs)

        yield dask


@contextmanager
def _lost(client: Any) -> Iterator[None]:
    try:
        yield
    except (CommClosedError, TimeoutError) as error:
        raise _lost_error(client) from error


def _lost_error(client: Any) -> Unreachable:
    address = client.scheduler.address if client.scheduler else "its address"
    return Unreachable(f"lost the Dask scheduler at {address}. {KEPT}")


class _Pool:
    """The workers of a scheduler; see `stableft.execution.backends.window.Pool`."""

    def __init__(self, client: Any, supervisor: Supervisor, jobs: Sequence[Job], gather: bool, told: Told) -> None:
        self._client = client
        self._supervisor = supervisor
        self._reports: dict[str, Progress] = {}
        self._gather = gather
        self._told = told
        self._command = f"stableft-{uuid.uuid4().hex}"
        self._store = Store(jobs[0].results.resolve())
        self._examples = examples(jobs)
        self._encoders = encoders(jobs)
        self._workers: dict[str, int] = {}
        self._looked = float("-inf")
        self._flying: dict[Any, ExitStack] = {}
        self._number = 0

    def __enter__(self) -> "_Pool":
        self._client.subscribe_topic(self._command, self._progress)
        if not self.slots():
            self._told("no Dask worker has joined yet; runs begin when one does")
        return self

    def __exit__(self, *_: object) -> None:
        """Ends what is in flight, here and on the workers."""
        flying = list(self._flying)
        for claim in self._flying.values():
            claim.close()
        if self._client.status != "running":
            return
        with contextlib.suppress(Exception):  # a scheduler that was just lost
            self._client.unsubscribe_topic(self._command)
            self._client.cancel(flying, force=True)
            self._ask(node.halt, self._command, on_error="ignore")

    def slots(self) -> int:
        """Threads of the workers that are there now; new ones are made ready."""
        if self._client.status != "running":
            raise _lost_error(self._client)
        if time.monotonic() - self._looked > REFRESH_SECONDS:
            now: dict[str, int] = self._client.sync(self._client.scheduler.ncores, callback_timeout=ANSWER_SECONDS)
            self._ready([address for address in now if address not in self._workers])
            if gone := self._workers.keys() - now.keys():
                who = "a Dask worker is" if len(gone) == 1 else f"{len(gone)} Dask workers are"
                self._told(f"{who} gone, {len(now)} are left; runs that were in flight there are done again")
            self._workers = now
            self._looked = time.monotonic()
        return sum(self._workers.values())

    def submit(self, job: Job) -> Future | Status:
        claim, report = ExitStack(), partial(self._supervisor.report, job)
        if self._gather:  # no worker can claim it for us, and say there how far it is
            file = claim.enter_context(self._store.claimed(job.run_id))
            if file is None:
                return Status(job, "busy", "another command is at it")
            if found := ended(self._store, job.run_id):
                claim.close()
                return Status(job, "done", *found)
            report = told_in(file, report)
        self._reports[job.run_id] = report
        self._number += 1
        future: Future = self._client.submit(
            node.run,
            self._command,
            self._supervisor.settings,
            pack(job),
            self._gather,
            key=f"{self._command}-{self._number}",
            pure=False,
        )
        self._flying[future] = claim
        return future

    def status(self, future: Future, job: Job) -> Status | None:
        with self._flying.pop(future):
            try:
                answer: node.Answer | str = future.result()
            except KilledWorker as error:
                number, last = error.allowed_failures + 1, error.last_worker.address
                return Status(job, "killed", f"{number} Dask workers died while they did it, the last at {last}", attempts=number)
            except (CommClosedError, TimeoutError):
                raise
            except Exception as error:
                if future.cancelled():
                    self.slots()  # raises if the scheduler is gone; else it was restarted
                    return None
                return Status(job, "crashed", f"on its Dask worker: {type(error).__name__}: {reason(error)}")
            if isinstance(answer, str):  # the worker began a moment ago
                self._ready([answer])
                return None
            if self._gather:
                self._write(answer)
            return replace(answer.status, job=job)

    def _write(self, answer: node.Answer) -> None:
        for run_id, content in answer.records.items():
            path = self._store.path(run_id)
            if not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, content)
        log = self._store.log_path(answer.status.job.run_id)
        log.unlink(missing_ok=True)
        if answer.log:
            log.parent.mkdir(parents=True, exist_ok=True)
            write_whole(log, answer.log)

    def _ready(self, addresses: Sequence[str]) -> None:
        """Asks workers who they are, and sends them what they lack."""
        if not addresses:
            return
        with _probe(None if self._gather else self._store.root) as probe:
            found: Mapping[str, node.Found | Exception] = self._ask(
                node.describe, probe, list(self._examples), list(self._encoders.values()), workers=list(addresses)
            )
        here = node.versions()
        lacking: dict[tuple[frozenset[str], frozenset[str]], list[str]] = {}
        for address, it in found.items():
            if isinstance(it, OSError):  # it died; if it comes back it is a new one
                continue
            if isinstance(it, Exception):
                raise UsageError(
                    f"Dask worker {address} can't run this stableft ({type(it).__name__}: {reason(it)}). "
                    "Install the same version there."
                )
            _refuse_other_versions(address, it.versions, here)
            if not it.sees_results:
                raise MissingInput(
                    f"Dask worker {address} does not see the results folder {self._store.root}. Mount it there, at the same path; "
                    "or add --gather, with which records come back over Dask."
                )
            if it.data or it.encoders:
                lacking.setdefault((it.data, it.encoders), []).append(address)
        for (data, wanted), workers in lacking.items():
            sent = [(self._encoders[each], files(self._encoders[each])) for each in sorted(wanted)]
            answers = self._ask(node.receive, {each: self._examples[each] for each in sorted(data)}, sent, workers=workers)
            if error := next(
                (each for each in answers.values() if isinstance(each, Exception) and not isinstance(each, OSError)), None
            ):
                raise error if isinstance(error, StableftError) else MissingInput(f"sending to {workers} failed: {reason(error)}")

    def _ask(self, function: Any, *arguments: Any, workers: Sequence[str] | None = None, on_error: str = "return") -> Any:
        return self._client.run(function, *arguments, workers=workers, on_error=on_error)

    def _progress(self, event: tuple[float, Sequence[Any]]) -> None:
        run_id, step, total, loss = event[1]
        with contextlib.suppress(ValueError):  # it ended a moment ago, and its claim is closed
            self._reports[run_id](step, total, loss)


def _refuse_other_versions(address: str, there: Mapping[str, str], here: Mapping[str, str]) -> None:
    differences = [
        f"{name} {there.get(name, 'none')} there, {here.get(name, 'none')} here"
        for name in [*here, *(name for name in there if name not in here)]
        if there.get(name) != here.get(name)
    ]
    if differences:
        raise UsageError(
            f"Dask worker {address} is not of this version: {'; '.join(differences)}. Install the same on both sides "
            "(requirements.lock), and start the worker anew."
        )


@contextmanager
def _probe(results: Path | None) -> Iterator[Path | None]:
    """A file that whoever sees the results folder sees."""
    if results is None:
        yield None
        return
    path = results / f".{uuid.uuid4().hex}.probe"
    results.mkdir(parents=True, exist_ok=True)
    path.touch()
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
