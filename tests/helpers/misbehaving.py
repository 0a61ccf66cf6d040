"""A training process that does what it is told; apart from the tests, so that starting it imports nothing heavy."""

import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

from stableft.execution.job import Job
from stableft.execution.worker import die_with_parent


def obey(connection: Connection, named: Callable[[Job], str] = lambda job: job.run_id.split("-")[0]) -> None:
    """Does what the run's name says; ``tries`` counts in the results folder how often each was started."""
    die_with_parent()
    while True:
        try:
            job: Job = connection.recv()
        except EOFError:
            return
        what = named(job)
        job.results.mkdir(exist_ok=True)
        with open(job.results / f"{job.run_id}.tries", "a", encoding="ascii") as file:
            file.write("x")
        tries = (job.results / f"{job.run_id}.tries").stat().st_size
        if what == "loaded":  # by the process that this one was forked from
            heavy = ("stableft.execution.preload", "torch", "transformers.models.bert.modeling_bert")
            connection.send(("done", " ".join(name for name in heavy if name in sys.modules), 0.1))
            continue
        if what == "slot":  # which GPU it sees, and which process it is
            time.sleep(0.2)
            connection.send(("done", f"{os.environ.get('CUDA_VISIBLE_DEVICES')} {os.getpid()}", 0.1))
            continue
        if what == "write":  # a draft of a record, by the name that `write_whole` gives it
            (job.results / "runs").mkdir(exist_ok=True)
            (job.results / "runs" / f".{job.run_id}.parquet.{os.getpid()}.x.tmp").touch()
            time.sleep(600)
        if what == "die" or (what == "flaky" and tries == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "sleep" or (what == "once" and tries == 1):  # hangs, or only the first time
            time.sleep(600)
        if what in ("refused", "io", "crashed", "oom", "busy"):
            connection.send((what, f"{what} as asked"))
            continue
        if job.run_id.endswith("told"):
            connection.send(("done", f"attempt {job.attempts}", 0.1))
            continue
        connection.send(("progress", 1, 2, 0.5))
        connection.send(("done", "ok", 0.1))


def by_seed(connection: Connection) -> None:
    """Obeys, with what the run's seed stands for in place of its name: seed 0 is done, others fail each in their own way."""
    obey(connection, lambda job: ("fine", "die", "crashed", "refused", "oom", "sleep", "slot")[job.config.seed])
