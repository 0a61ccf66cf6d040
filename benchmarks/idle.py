"""Runs that do nothing, on one backend, in a fresh process: measures the overhead of the backend."""

import json
import os
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from benchmarks import engine
from stableft.execution import worker_environment
from stableft.execution.backends.backend_registry import BACKENDS
from stableft.execution.backends.base import Cluster
from stableft.execution.job import Job
from stableft.execution.supervisor import Supervisor
from stableft.models.encoders import resolve
from stableft.tasks.toy import TASKS, VOCABULARY


def obey(connection: Connection) -> None:
    """Receives jobs as a training process does, and reports each as done at once."""
    while True:
        try:
            connection.recv()
        except EOFError:
            return
        connection.send(("done", "ok", 0.0))


def measure(name: str, runs: int, workers: int) -> dict[str, float]:
    """Measures the time per run of a backend with runs that do nothing.

    The time is from the end of the first run to the end of the last, divided by the number of runs
    after the first.

    Returns:
        ``wall``, ``cpu`` of this process (with Dask also the scheduler's) and ``cpu_all`` of all
        processes, each in ms per run.
    """
    worker_environment.prepare(1)
    config, encoder = engine.toy_configuration(), resolve("tiny-random", tiny_vocabulary=VOCABULARY)
    supervisor = Supervisor(lambda *_: None, target=obey)
    local = Cluster(local=workers, gather=name == "gather") if name in ("dask", "gather") else Cluster()
    with tempfile.TemporaryDirectory() as folder:
        data = TASKS[0].load()
        warm, timed = (
            [Job(f"{kind}-{number}", config, encoder, data, Path(folder)) for number in range(count)]
            for kind, count in (("warm", 4 * workers), ("timed", runs))
        )
        with BACKENDS["dask" if name == "gather" else name](local, lambda _: None) as backend:
            # One call; its first runs are not timed.
            statuses = backend(supervisor, [*warm, *timed], workers)
            for _ in warm:
                assert next(statuses).state == "done"
            next(statuses)
            first = _now()
            assert [next(statuses).state for _ in timed[1:]] == ["done"] * (runs - 1)
            last = _now()
            assert not list(statuses)
        supervisor.stop()
    wall, own, every = (1e3 * (b - a) / (runs - 1) for a, b in zip(first, last, strict=True))
    return {"wall": wall, "cpu": own, "cpu_all": every}


def _now() -> tuple[float, float, float]:
    children = [each.cpu_times() for each in psutil.Process().children(recursive=True)]
    return time.perf_counter(), time.process_time(), time.process_time() + sum(each.user + each.system for each in children)


def main() -> None:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    name, runs, workers = sys.argv[1:]
    from benchmarks import idle  # other processes find `obey` by this name, not in `__main__`

    print(json.dumps(idle.measure(name, int(runs), int(workers))))


if __name__ == "__main__":
    main()
