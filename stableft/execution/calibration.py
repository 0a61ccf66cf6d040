"""Calibration: measures the pace of runs on this machine, with real steps in real processes."""

import os
import time
from collections.abc import Sequence
from itertools import cycle, islice, pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import fmean

from stableft.execution import worker_environment
from stableft.execution.backends.base import local
from stableft.execution.job import Job
from stableft.execution.pace import Pace
from stableft.execution.runner import stop_on_signals
from stableft.execution.supervisor import Supervisor
from stableft.execution.worker import output_to, received

UNTIMED_STEPS = 2  # the first ones also compile kernels
TIMED_STEPS = 24
STEPS_SECONDS = 3.0
EVALUATION_SECONDS = 1.0
CHUNK = 160  # examples evaluated at a time
LIMIT_SECONDS = 120.0  # for one job; a machine that needs more is too slow to be measured


def calibrate(jobs: Sequence[Job], workers: int) -> dict[str, Pace | str]:
    """Measures the pace of each job, with as many at a time as there will be runs.

    Jobs are repeated until all workers are busy, since runs at the same time slow each other down.

    Args:
        jobs: Jobs with little data. They write nothing.
        workers: Runs at a time.

    Returns:
        By the job's identity its mean pace, or the reason why it could not be measured.

    Raises:
        KeyboardInterrupt: It was interrupted.
    """
    worker_environment.prepare(jobs[0].threads)
    supervisor = Supervisor(lambda *_: None, max_retries=0, timeout=LIMIT_SECONDS, target=serve)
    repeated = list(islice(cycle(jobs), max(len(jobs), workers)))
    found: dict[str, list[Pace]] = {}
    reasons: dict[str, str] = {}
    with stop_on_signals(supervisor, lambda _: None) as interrupted:
        try:
            for status in local(supervisor, repeated, workers):
                if status.state == "done":
                    start, step, example = map(float, status.detail.split())
                    found.setdefault(status.job.run_id, []).append(Pace(start, step, example))
                else:
                    reasons[status.job.run_id] = f"{status.state}: {status.detail}"
        finally:
            supervisor.stop()
    if interrupted:
        raise KeyboardInterrupt
    means = {key: Pace(*map(fmean, zip(*paces, strict=True))) for key, paces in found.items()}
    return {**reasons, **means}


def serve(connection: Connection) -> None:
    """Measures jobs until the supervisor closes the connection.

    Replies are those of `stableft.execution.worker.serve`; the detail of a ``done`` job is its pace.
    """
    for job in received(connection):
        try:
            with output_to(Path(os.devnull)):
                pace = measure(job)
        except Exception as error:  # no estimate is worth an end of the grid
            connection.send(("crashed", f"{type(error).__name__}: {error}"))
        else:
            connection.send(("done", " ".join(map(repr, pace)), 0.0))


def measure(job: Job) -> Pace:
    """Returns the pace of a job in this process, from some of its steps and evaluated examples.

    The first steps of a run are the slowest by up to a sixth, since each of their updates is measured.
    """
    # Imported here, since only training processes may import torch.
    import numpy as np
    import torch

    from stableft.models.loading import quiet_transformers
    from stableft.models.tokens import encode
    from stableft.tasks.catalog import get_task
    from stableft.training.evaluation import MetricRow, Scorer
    from stableft.training.loop import train
    from stableft.training.runtime import Runtime
    from stableft.training.setup import build

    torch.set_num_threads(job.threads)
    quiet_transformers()
    runtime = Runtime(device=job.device, packed=job.packed)
    data = encode(job.task or get_task(job.config.task), job.data, job.encoder, job.config.max_length)
    began = time.perf_counter()
    setup = build(job.config, data, job.encoder, runtime)

    # Steps, from one loss to the next.
    marks = [time.perf_counter()]
    for row in train(setup, data, runtime):
        if isinstance(row, MetricRow) and (row.split, row.metric) == ("train", "loss"):
            marks.append(time.perf_counter())
            if len(marks) > UNTIMED_STEPS + TIMED_STEPS or marks[-1] - marks[0] > STEPS_SECONDS:
                break
    steps = [after - before for before, after in pairwise(marks)]

    # Evaluated examples, from all over the split.
    scorer, order = Scorer(job.config, data, runtime), np.arange(len(data.splits["validation"]))
    evaluated, evaluation_began = 0, time.perf_counter()
    for chunk in np.array_split(order, -(-len(order) // CHUNK)):
        scorer.run_split(setup.model, "validation", chunk)
        evaluated += len(chunk)
        if (taken := time.perf_counter() - evaluation_began) > EVALUATION_SECONDS:
            break
    else:
        taken = time.perf_counter() - evaluation_began
    return Pace(marks[0] - began, fmean(steps[UNTIMED_STEPS:] or steps), taken / evaluated)
