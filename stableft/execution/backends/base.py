"""Backend base: a backend is a function from jobs to statuses, in any order.

This module has the backends of this machine, `serial` and `local`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joblib import Parallel, cpu_count, delayed, parallel_config

from stableft.core.errors import UsageError
from stableft.execution.job import Job
from stableft.execution.supervisor import Status, Supervisor

Backend = Callable[[Supervisor, Sequence[Job], int], Iterator[Status]]
Warn = Callable[[str], None]  # shows a message to the user


@dataclass(frozen=True)
class Cluster:
    """Address of Dask's workers, and the options of the connection (``docs/clusters.md``).

    Attributes:
        scheduler: Address such as ``tcp://host:8786``, or the path of a scheduler file.
        local: Instead of an address, the number of workers to start on this machine, for this
            command, on loopback.
        gather: True if records are sent back over Dask; workers need not see the results folder.
        tls_ca: Certificate file of the authority of both sides; None: as in Dask's configuration.
        tls_cert: Certificate file of this command.
        tls_key: Key file of this command.
    """

    scheduler: str | None = None
    local: int | None = None
    gather: bool = False
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None

    def check(self, backend: str, workers: int | None) -> None:
        """Checks that the settings do not contradict each other.

        Args:
            backend: Name of the selected backend.
            workers: The requested number of runs at a time; None if the user gave none.

        Raises:
            UsageError: They do; the message is the remedy.
        """
        if backend != "dask":
            if self != Cluster():
                raise UsageError("--scheduler, --local-cluster, --gather and --tls-... are options of --backend dask")
            return
        if workers is not None:
            raise UsageError("with --backend dask the workers' threads determine the number of runs at a time: leave --jobs out")
        if (self.scheduler is None) == (self.local is None):
            raise UsageError("--backend dask needs either --scheduler ADDRESS or --local-cluster N: see docs/clusters.md")
        tls = (self.tls_ca, self.tls_cert, self.tls_key)
        if any(tls) and not (all(tls) and self.scheduler):
            raise UsageError("TLS needs --tls-ca, --tls-cert and --tls-key together, and --scheduler tls://...")


def serial(supervisor: Supervisor, jobs: Sequence[Job], workers: int) -> Iterator[Status]:
    """Runs jobs one after the other, in one supervised process."""
    return map(supervisor, jobs)


def local(supervisor: Supervisor, jobs: Sequence[Job], workers: int) -> Iterator[Status]:
    """Runs jobs with joblib's threads; each thread supervises a training process of its own.

    The threads only wait. All computing is in their processes, so the death of a process ends no
    other run (``docs/adr/0004-supervised-processes.md``).
    """
    with parallel_config(backend="threading", n_jobs=workers):
        # joblib's annotations lack the int batch size and the generator of return_as.
        parallel: Any = Parallel(return_as="generator_unordered", pre_dispatch="n_jobs", batch_size=1)  # pyright: ignore[reportArgumentType]
        yield from parallel(delayed(supervisor)(job) for job in jobs)


def default_workers() -> int:
    """Returns the number of usable cores: one single-threaded run on each is fastest.

    It respects the affinity of this process, the CPU quota of its container (rounded up), and
    ``LOKY_MAX_CPU_COUNT``.
    """
    return cpu_count()
