"""How many runs are done at a time. A backend maps jobs to statuses, in any order."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from joblib import Parallel, delayed, parallel_config

from stableft.supervisor import Status
from stableft.worker import Job

Backend = Callable[[Callable[[Job], Status], Sequence[Job], int], Iterator[Status]]


def serial(function: Callable[[Job], Status], jobs: Sequence[Job], workers: int) -> Iterator[Status]:
    """One after the other, in one supervised process."""
    return map(function, jobs)


def threads(function: Callable[[Job], Status], jobs: Sequence[Job], workers: int) -> Iterator[Status]:
    """Joblib's threads, each of which supervises a training process of its own.

    The threads only wait; all computing is in their processes, so nothing that happens there can take the grid along
    (``docs/adr/0004-supervised-processes.md``).
    """
    with parallel_config(backend="threading", n_jobs=workers):
        # joblib's annotations know neither an int batch size nor the generator that return_as asks for.
        parallel: Any = Parallel(return_as="generator_unordered", pre_dispatch="n_jobs", batch_size=1)  # pyright: ignore[reportArgumentType]
        yield from parallel(delayed(function)(job) for job in jobs)


BACKENDS: dict[str, Backend] = {"serial": serial, "threads": threads}


def default_workers() -> int:
    """The cores that this process may use: one single-threaded run on each is fastest, and repeats bit for bit."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
