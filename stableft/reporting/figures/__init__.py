"""Figures: one module per kind.

``data(results)`` computes the numbers, and ``plot(data, results)`` draws exactly them.
"""

from types import ModuleType

import pandas as pd
from matplotlib.figure import Figure

from stableft.reporting.rounding import settle
from stableft.storage.records import Results


def draw(kind: ModuleType, results: Results, **options: object) -> tuple[Figure, pd.DataFrame]:
    """Draws a kind's figure of the results, and returns it with its numbers, computed once.

    Args:
        kind: A module of this package.
        results: Of one experiment and protocol.
        options: The kind's own; see its ``data``.

    Raises:
        MissingInput, NotLogged: see the kind's ``data``.
    """
    frame = settle(kind.data(results, **options))
    return kind.plot(frame, results, **options), frame
