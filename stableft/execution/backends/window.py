"""What loky and Dask share: a window of futures that slides over the jobs."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from stableft.execution.supervisor import Status, Supervisor
from stableft.execution.worker import Job

TICK = 0.5  # seconds between looks at what is no future: stopping, workers that came or went


class Future(Protocol):
    """What `concurrent.futures` and Dask have in common."""

    def add_done_callback(self, fn: Callable[[Any], Any], /) -> Any: ...


class Pool(Protocol):
    """Somewhere that jobs are done."""

    def slots(self) -> int:
        """How many runs it can do at a time, now."""
        ...

    def submit(self, job: Job) -> Future | Status:
        """Starts a run; or its end, if that is known at once."""
        ...

    def status(self, future: Any, job: Job) -> Status | None:
        """How a run ended whose future is done; None if it has to be done again, through no fault of its own."""
        ...


def slide(pool: Pool, supervisor: Supervisor, jobs: Sequence[Job]) -> Iterator[Status]:
    """Keeps a pool busy with jobs, no more in flight than it has slots, so that nothing has to be called back.

    After `Supervisor.drain` no more are submitted; after `Supervisor.stop` those in flight aren't waited for. Jobs that were not
    done end as ``stopped``.
    """
    waiting, flying = deque(jobs), dict[Any, Job]()
    ended: SimpleQueue[Any] = SimpleQueue()
    while (waiting and not supervisor.halted) or (flying and not supervisor.stopped):
        while waiting and not supervisor.halted and len(flying) < pool.slots():
            job = waiting.popleft()
            begun = pool.submit(job)
            if isinstance(begun, Status):
                yield begun
                continue
            flying[begun] = job
            begun.add_done_callback(ended.put)
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
