"""The errors that a user can cause or mend; the command line prints them without a traceback."""


class StableftError(Exception):
    """Base of all errors with one clear message: what is wrong, where, and what to do.

    Attributes:
        exit_code: what the command line returns for it.
    """

    exit_code = 1


class UsageError(StableftError):
    """The request itself is impossible (unknown name, invalid configuration); nothing was started."""

    exit_code = 2


class MissingInput(StableftError):
    """Data, weights or results that the request needs are absent, malformed or incomplete."""

    exit_code = 4
