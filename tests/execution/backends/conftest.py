"""A Dask cluster inside the test process: real sockets, workers that are threads; training processes are processes."""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from distributed import LocalCluster as _LocalCluster

from stableft.execution.backends.backend_registry import BACKENDS
from stableft.execution.backends.base import Backend, Cluster
from stableft.execution.job import Job
from stableft.models.encoders import Encoder
from stableft.tasks import TaskData
from tests.conftest import ConfigFactory

Opened = AbstractContextManager[Backend]


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """The address of a scheduler with two workers of one thread; other tests shall not meet its threads."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    local: Any = _LocalCluster  # its annotations know only the asynchronous half of it
    with local(
        processes=False, n_workers=2, threads_per_worker=1, protocol="tcp", host="127.0.0.1", dashboard_address=None,
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"}, silence_logs=logging.CRITICAL,
    ) as cluster:  # fmt: skip
        yield cluster.scheduler_address


@pytest.fixture
def opened(scheduler: str) -> Callable[..., Opened]:
    """Opens a backend by name; ``gather`` is Dask without a shared folder."""

    def open_(name: str, told: Callable[[str], None] = lambda _: None) -> Opened:
        if name in ("dask", "gather"):
            return BACKENDS["dask"](Cluster(scheduler, gather=name == "gather"), told)
        return BACKENDS[name](Cluster(), told)

    return open_


@pytest.fixture
def job(toy_config: ConfigFactory, tiny_encoder: Encoder, tmp_path: Path) -> Callable[[str], Job]:
    """A job for `tests.helpers.misbehaving.obey`, which does what its name says."""
    return lambda run_id: Job(run_id, toy_config(), tiny_encoder, TaskData((), ()), results=tmp_path)
