"""Loky: what happens when one of its own processes dies."""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from stableft.backends import loky
from stableft.supervisor import Status, Supervisor
from stableft.worker import Job
from tests.backends.test_backends import wait_for
from tests.misbehaving import obey

pytestmark = pytest.mark.slow


def test_a_killed_loky_process_costs_time_and_no_run(job: Callable[[str], Job], tmp_path: Path):
    """All of loky's processes end with it, and their training processes; the runs in flight are begun again."""
    supervisor = Supervisor(lambda *_: None, target=obey)
    killed: list[int] = []

    def kill() -> None:
        wait_for(lambda: (tmp_path / "once.tries").exists(), 200)
        for child in psutil.Process().children():
            if "LokyProcess" in " ".join(child.cmdline()):
                os.kill(child.pid, signal.SIGKILL)
                killed.append(child.pid)
                return

    thread = threading.Thread(target=kill)
    thread.start()
    ends = {s.job.run_id: s.state for s in loky.loky(supervisor, [job(name) for name in ("once", "fine-1", "fine-2")], 2)}
    thread.join()
    supervisor.stop()
    assert killed
    assert ends == {"once": "done", "fine-1": "done", "fine-2": "done"}


def test_a_run_under_which_every_loky_process_dies_is_given_up(job: Callable[[str], Job]):
    pool = loky._Pool(Supervisor(lambda *_: None), 1)

    class Broken:
        def result(self) -> Status:
            raise loky.BrokenProcessPool("died")

    ends = [pool.status(Broken(), job("fine")) for _ in range(loky.ALLOWED_DEATHS + 1)]  # pyright: ignore[reportArgumentType]
    assert ends[:-1] == [None] * loky.ALLOWED_DEATHS
    assert ends[-1] is not None
    assert ends[-1].state == "killed"
