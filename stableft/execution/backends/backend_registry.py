"""Backend registry: backends by name. Dask is imported only on request."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from stableft.core.errors import UsageError
from stableft.core.registry import named
from stableft.execution.backends.base import Backend, Cluster, Warn, local, serial

OpenBackend = Callable[[Cluster, Warn], AbstractContextManager[Backend]]


def _dask(cluster: Cluster, warn: Warn) -> AbstractContextManager[Backend]:
    try:
        import distributed  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError as error:
        raise UsageError(f"--backend dask needs the extra `dask`: pip install 'stableft[dask]' ({error})") from None
    from stableft.execution.backends.dask_backend import connected

    return connected(cluster, warn)


BACKENDS: dict[str, OpenBackend] = {
    "serial": lambda cluster, warn: nullcontext(serial),
    "local": lambda cluster, warn: nullcontext(local),
    "dask": _dask,
}
ALIASES = {"threads": "local"}  # earlier names, still accepted


def canonical(name: str) -> str:
    """Returns the present name of a backend, given its present or an earlier name.

    Raises:
        UsageError: There is no backend of that name.
    """
    name = ALIASES.get(name, name)
    named(name, BACKENDS, "backend")
    return name


def backend(name: str) -> OpenBackend:
    """Returns the function that opens a backend; errors as `canonical`."""
    return BACKENDS[canonical(name)]
