"""Figures. One file per kind: ``data(results)`` computes the numbers, ``plot(data, results)`` draws exactly these."""

from types import ModuleType

import pandas as pd
from matplotlib.figure import Figure

from stableft.storage.records import Results


def draw(kind: ModuleType, results: Results, **options: object) -> tuple[Figure, pd.DataFrame]:
    """A kind's figure of these results, and the numbers drawn in it, which are computed once.

    Args:
        kind: A module of this package.
        results: Of one experiment and protocol.
        options: The kind's own; see its ``data``.

    Raises:
        MissingInput, NotLogged: see the kind's ``data``.
    """
    frame = kind.data(results, **options)
    return kind.plot(frame, results, **options), frame
