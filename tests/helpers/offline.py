"""Sockets that connect to nothing: here, and in every Python process that is started meanwhile."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

GUARD = """
import os, socket

def refuse(name):
    def refused(*arguments, **options):
        if name != "getaddrinfo" and getattr(arguments[0], "family", None) == getattr(socket, "AF_UNIX", object()):
            return kept[name](*arguments, **options)
        with open(os.environ["SOCKET_LOG"], "a") as log:
            log.write(f"{name} {arguments[-1] if name != 'getaddrinfo' else arguments[0]}\\n")
        raise OSError(101, "no network in this test")
    return refused

kept = {"connect": socket.socket.connect, "connect_ex": socket.socket.connect_ex, "sendto": socket.socket.sendto}
for name in kept:
    setattr(socket.socket, name, refuse(name))
socket.getaddrinfo = refuse("getaddrinfo")
"""


def block(folder: Path, patch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Refuses all connections but those between processes (Unix sockets).

    Args:
        folder: For what child processes read, and the list of attempts.
        patch: Undoes it.

    Returns:
        The attempts so far, when called.
    """
    log = folder / "attempts"
    (folder / "guard").mkdir(parents=True)
    (folder / "guard" / "sitecustomize.py").write_text(GUARD, encoding="utf-8")
    patch.setenv("SOCKET_LOG", str(log))
    patch.setenv("PYTHONPATH", os.pathsep.join([str(folder / "guard"), *filter(None, [os.environ.get("PYTHONPATH")])]))
    for owner, name in (
        (socket.socket, "connect"),
        (socket.socket, "connect_ex"),
        (socket.socket, "sendto"),
        (socket, "getaddrinfo"),
    ):
        patch.setattr(owner, name, getattr(owner, name))  # so that it is put back
    exec(GUARD, {})
    return lambda: log.read_text(encoding="utf-8").splitlines() if log.exists() else []
