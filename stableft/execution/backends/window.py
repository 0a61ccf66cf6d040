"""Window: keeps a bounded number of futures in flight."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from stableft.execution.job import Job
from stableft.execution.supervisor import Status, Supervisor

TICK = 0.5  # seconds between checks for an interrupt, and for new or lost workers


class Future(Protocol):
    """The common part of the futures of `concurrent.futures` and Dask."""

    def add_done_callback(self, fn: Callable[[Any], Any], /) -> Any: ...


class Pool(Protocol):
    """A pool of workers for jobs."""

    def slots(self) -> int:
        """Returns the present number of simultaneous runs."""
        ...

    def submit(self, job: Job) -> Future | Status:
        """Starts a run and returns its future, or its status if that is known at once."""
        ...

    def status(self, future: Any, job: Job) -> Status | None:
        """Returns the status of a run whose future is done; None if it was lost through no fault of its own."""
        ...


def run_window(pool: Pool, supervisor: Supervisor, jobs: Sequence[Job]) -> Iterator[Status]:
    """Runs jobs in a pool, with no more in flight than it has slots, and yields their statuses.

    So no job has to be cancelled. After `Supervisor.drain` no more are submitted. After
    `Supervisor.stop` those in flight are not waited for. Jobs that were not done end as
    ``stopped``.
    """
    waiting, flying = deque(jobs), dict[Any, Job]()
    ended: SimpleQueue[Any] = SimpleQueue()
    while (waiting and not supervisor.halted) or (flying and not supervisor.stopped):
        # Fill the free slots.
        while waiting and not supervisor.halted and len(flying) < pool.slots():
            job = waiting.popleft()
            submitted = pool.submit(job)
            if isinstance(submitted, Status):
                yield submitted
                continue
            flying[submitted] = job
            submitted.add_done_callback(ended.put)
        # Wait for the end of a run; a lost run returns to the queue.
        try:
            future = ended.get(timeout=TICK)
        except Empty:
            pool.slots()
            continue
        job = flying.pop(future)
        status = pool.status(future, job)
        if status is None or (status.state == "stopped" and not supervisor.stopped):
            waiting.appendleft(job)
        else:
            yield status
    yield from (Status(job, "stopped", "stopped") for job in flying.values())
    yield from (Status(job, "stopped", "not started") for job in waiting)
