"""The errors that a user can cause or mend; the command line prints them without a traceback."""

from collections.abc import Iterable
from pathlib import Path


class StableftError(Exception):
    """Base of all errors with one clear message: what is wrong, where, and what to do.

    Attributes:
        exit_code: what the command line returns for it.
    """

    exit_code = 1


class UsageError(StableftError):
    """The request itself is impossible (unknown name, invalid configuration); nothing was started."""

    exit_code = 2


class NothingSelected(StableftError):
    """The selection is valid but empty."""

    exit_code = 5


class NoDevice(StableftError):
    """The device asked for can't be used here."""

    exit_code = 69


class Unreachable(StableftError):
    """A cluster's scheduler can't be reached, or was lost."""

    exit_code = 74


class MissingInput(StableftError):
    """Data, weights or results that the request needs are absent, malformed or incomplete."""

    exit_code = 4


class Damaged(MissingInput):
    """A file is there but not as it was written.

    Attributes:
        path: Which.
    """

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path


class NotLogged(MissingInput):
    """Results are whole, but from before a series was logged that a figure or table shows."""


def quoted(value: object, longest: int = 80) -> str:
    """A value as messages quote it: whatever a file holds, it is short and printable."""
    text = repr(value)
    return text if len(text) <= longest else f"{text[: longest - 1]}\u2026 ({len(text):,} characters)"


def listed(names: Iterable[object], most: int = 20) -> str:
    """Names as messages list them: not all if there are many, and none is long."""
    every = [text if len(text := str(name)) <= 80 else f"{text[:79]}\u2026" for name in names]
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")
