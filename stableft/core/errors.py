"""Errors that a user can cause or mend; the command line prints them without a traceback."""

from collections.abc import Iterable
from pathlib import Path


class StableftError(Exception):
    """Base of all errors with one clear message: the fault, its place, and the remedy.

    Attributes:
        exit_code: Exit code of the command line for it.
    """

    exit_code = 1


class UsageError(StableftError):
    """The request itself is impossible (unknown name, invalid configuration); nothing was started."""

    exit_code = 2


class NothingSelected(StableftError):
    """The selection is valid but empty."""

    exit_code = 5


class NoDevice(StableftError):
    """The requested device can't be used here."""

    exit_code = 69


class Unreachable(StableftError):
    """A cluster's scheduler can't be reached, or was lost."""

    exit_code = 74


class Unwritable(StableftError):
    """A folder that is needed can't be written: it is read-only, full or another user's."""

    exit_code = 74


class MissingInput(StableftError):
    """Data, weights or results needed for the request are absent, malformed or incomplete."""

    exit_code = 4


class Damaged(MissingInput):
    """A file exists but differs from the content written to it.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path


class NotLogged(MissingInput):
    """Results are whole, but lack a series for a figure or table: it was not logged yet at their time."""


class TooFew(NotLogged):
    """Results are whole, but a figure or table needs more runs, longer ones or other arms."""


class Stale(MissingInput):
    """Results are whole, but the present code derives other run ids from the settings of all their runs."""


def quoted(value: object, longest: int = 80) -> str:
    """Returns a value as messages quote it: short and printable, whatever a file holds."""
    text = repr(value)
    return text if len(text) <= longest else f"{text[: longest - 1]}\u2026 ({len(text):,} characters)"


def listed(names: Iterable[object], most: int = 20) -> str:
    """Returns names as messages list them: no more than ``most``, and none is long."""
    every = [text if len(text := str(name)) <= 80 else f"{text[:79]}\u2026" for name in names]
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")
