"""Reporting: turns collected results into figures, tables, claims and pages. Trains nothing."""

import os
from pathlib import Path

from stableft.core.files import cached, is_writable


def _place_of_matplotlib() -> str | None:
    """Returns a folder for matplotlib's list of fonts, if its own can't be written.

    It would warn in every process.
    """
    config = os.path.expanduser(os.environ.get("XDG_CONFIG_HOME") or os.path.join("~", ".config"))
    if "MPLCONFIGDIR" in os.environ or (not config.startswith("~") and is_writable(Path(config) / "matplotlib")):
        return None
    return str(cached("matplotlib"))


if folder := _place_of_matplotlib():
    os.environ["MPLCONFIGDIR"] = folder
