"""Loky: what happens when one of its own processes dies."""

import contextlib
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from stableft.execution.backends import loky
from stableft.execution.supervisor import Status, Supervisor
from stableft.execution.worker import Job
from tests.conftest import wait_for
from tests.helpers.misbehaving import obey

pytestmark = pytest.mark.slow


def test_a_killed_loky_process_costs_time_and_no_run(job: Callable[[str], Job], tmp_path: Path):
    """All of loky's processes end with it, and their training processes; the runs in flight are begun again."""
    supervisor = Supervisor(lambda *_: None, target=obey)
    jobs = [job(name) for name in ("once", "fine-1", "fine-2")]
    with ThreadPoolExecutor(1) as pool:
        try:
            ends = pool.submit(lambda: {s.job.run_id: s.state for s in loky.loky(supervisor, jobs, 2)})
            wait_for(lambda: tried(tmp_path / "once.tries"), 200)
            serving = [child.pid for child in psutil.Process().children() if is_loky(child)]
            os.kill(serving[0], signal.SIGKILL)
            assert ends.result(200) == {"once": "done", "fine-1": "done", "fine-2": "done"}
        finally:
            supervisor.stop()


def tried(path: Path) -> bool:
    """The file is created a moment before the try is noted in it."""
    return path.exists() and path.stat().st_size > 0


def is_loky(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):  # children of earlier tests are about to vanish
        return "LokyProcess" in " ".join(process.cmdline())
    return False


def test_a_run_under_which_every_loky_process_dies_is_given_up(job: Callable[[str], Job]):
    pool = loky._Pool(Supervisor(lambda *_: None), 1)

    class Broken:
        def result(self) -> Status:
            raise loky.BrokenProcessPool("died")

    ends = [pool.status(Broken(), job("fine")) for _ in range(loky.ALLOWED_DEATHS + 1)]  # pyright: ignore[reportArgumentType]
    assert ends[:-1] == [None] * loky.ALLOWED_DEATHS
    assert ends[-1] is not None
    assert ends[-1].state == "killed"
