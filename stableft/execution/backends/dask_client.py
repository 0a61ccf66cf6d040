"""Dask client: connects to a scheduler, or starts one with workers for this command."""

import json
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from distributed import Client, LocalCluster, Security

from stableft.core.errors import MissingInput, Unreachable, UsageError
from stableft.execution.backends.base import Cluster

CONNECT_SECONDS = 10.0  # limit for finding a scheduler
LOOPBACK = "127.0.0.1"


@contextmanager
def connection(cluster: Cluster) -> Iterator[Any]:
    """Opens a client of the scheduler, after starting a local one if none is named.

    Raises:
        Unreachable: There is no scheduler at that address.
        UsageError, MissingInput: Its certificates are missing.
    """
    with ExitStack() as stack:
        if cluster.local is not None:
            address: Any = stack.enter_context(local_cluster(cluster.local))
            security = None
        else:
            address = _address(cluster.scheduler or "")
            security = _security(cluster, address)
        make: Any = Client  # its annotations cover only asynchronous use
        try:
            client = make(address, security=security, timeout=CONNECT_SECONDS, set_as_default=False)
        except Exception as error:  # Dask raises many kinds; each means no connection
            raise Unreachable(f"no Dask scheduler answers at {address}: {reason(error)}. See docs/clusters.md.") from error
        stack.callback(client.close, timeout=2)
        yield client


@contextmanager
def local_cluster(workers: int) -> Iterator[Any]:
    """Starts a scheduler and workers of one thread each on this machine; they listen on loopback only."""
    with _environment_kept():
        with _interrupts_ignored():
            kind: Any = LocalCluster  # as for the client
            cluster = kind(
                n_workers=workers,
                threads_per_worker=1,
                host=LOOPBACK,
                dashboard_address=None,
                scheduler_kwargs={"dashboard_address": f"{LOOPBACK}:0"},  # None: port 8787, and a warning if taken
                silence_logs=logging.CRITICAL,
            )
        with cluster:
            yield cluster


@contextmanager
def _environment_kept() -> Iterator[None]:
    """Removes environment variables added by Dask's nannies, which live in this process."""
    before = set(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before:
            del os.environ[name]


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Ignores Ctrl-C meanwhile; processes started in the block inherit this.

    Ctrl-C reaches all processes of a terminal, but only the command may stop its workers.
    Replacements of workers ignore it after `dask_worker.describe`.
    """
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # signals can only be handled in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _address(scheduler: str) -> str:
    """Returns the address itself, or that in a file of ``dask scheduler --scheduler-file``."""
    if not Path(scheduler).is_file():
        return scheduler
    try:
        return json.loads(Path(scheduler).read_text(encoding="utf-8"))["address"]
    except (ValueError, KeyError, TypeError) as error:
        raise MissingInput(f"{scheduler} is no scheduler file of Dask: {type(error).__name__}: {error}") from None


def _security(cluster: Cluster, address: str) -> Security:
    if not cluster.tls_ca:
        configured = Security()
        if address.startswith("tls://") and configured.get_connection_args("client").get("ssl_context") is None:
            raise UsageError(f"the scheduler at {address} speaks TLS: it needs --tls-ca, --tls-cert and --tls-key")
        return configured
    for path in (cluster.tls_ca, cluster.tls_cert, cluster.tls_key):
        if path is None or not path.is_file():
            raise MissingInput(f"TLS: no file {path}")
    return Security(
        tls_ca_file=str(cluster.tls_ca),
        tls_client_cert=str(cluster.tls_cert),
        tls_client_key=str(cluster.tls_key),
        require_encryption=True,
    )


def reason(error: BaseException) -> str:
    """Returns the first line of an error's message, or its kind."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
