"""The names of this user and this machine, which nothing is to hold unless the user asks for it: reviews are double-blind."""

import getpass
import os
import re
import socket
from pathlib import Path

# Names that say nothing of anybody, and occur in texts and code.
COMMON = frozenset(
    {"root", "user", "admin", "ubuntu", "debian", "runner", "docker", "build", "test", "home", "localhost", "jovyan"}
)
SHORTEST = 4  # characters of a name that is looked for


def names() -> dict[str, str]:
    """Host and user; empty where the system does not say."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user need not have a name
        user = ""
    return {"host": socket.gethostname(), "user": user}


def is_named_in(content: bytes) -> bool:
    """Whether something names this user's home folder or this host. The user's name alone may be any word."""
    return any(pattern.search(content) for pattern in _patterns(("home", "host")))


def without_names(text: str) -> str:
    """A text with ``~`` for the home folder, ``<host>`` and ``<user>`` for these."""
    written = {"home": b"~", "host": b"<host>", "user": b"<user>"}
    content = text.encode(errors="surrogateescape")
    for name, instead in written.items():
        for pattern in _patterns((name,)):
            content = pattern.sub(instead, content)
    return content.decode(errors="surrogateescape")


def _patterns(wanted: tuple[str, ...]) -> list[re.Pattern[bytes]]:
    home = os.path.expanduser("~")
    known = {**names(), "home": home if len(Path(home).parts) > 1 else ""}
    distinct = [known[name] for name in wanted if len(known[name]) >= SHORTEST and known[name].lower() not in COMMON]
    return [re.compile(rb"(?<![\w-])" + re.escape(name.encode()) + rb"(?![\w-])") for name in distinct]
