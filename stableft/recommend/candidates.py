"""Candidates: the settings that a search compares, and how many of them a budget allows.

The default is corrected Adam with the settings of the protocol's task most like the user's. The
remedies are those of the literature, with the settings of `experiments.techniques`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stableft.core.config import RunConfig
from stableft.core.grid import Override
from stableft.techniques.head_lr import HeadLR
from stableft.techniques.llrd import LLRD
from stableft.techniques.mixout import Mixout
from stableft.techniques.reinit import Reinit

DEFAULT = "default"
RATES = (1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3)
SIZES = (0.25, 0.5)  # shares of train for the learning curve; all of it is the default


@dataclass(frozen=True)
class Remedy:
    """A change to the default.

    Attributes:
        what: What it does, for the answer.
        cost: Time of a run, as a multiple of the default's.
    """

    what: str
    cost: float = 1.0


REMEDIES: Mapping[str, Remedy] = {
    "longer": Remedy("train twice as long", 2.0),
    "reinit": Remedy("re-initialise the pooler and the top block"),
    "mixout": Remedy("mixout 0.1 in place of dropout", 1.3),
    "llrd": Remedy("lower learning rates for lower blocks (factor 0.95 a block)"),
    "head_lr": Remedy("ten times the learning rate for the head"),
}


def remedy(name: str, config: RunConfig) -> Override:
    """Returns what a remedy changes in a default configuration."""
    if name == "longer":
        epochs, steps = config.schedule.num_epochs, config.schedule.num_steps
        return {"schedule.num_epochs": epochs and 2 * epochs, "schedule.num_steps": steps and 2 * steps}
    if name == "reinit":
        return {"techniques": (Reinit(pooler=True, num_layers=1),)}
    if name == "mixout":
        return {"techniques": (Mixout(p=0.1),), "dropout": 0.0}
    if name == "llrd":
        return {"techniques": (LLRD(decay=0.95),)}
    return {"techniques": (HeadLR(scale=10.0),)}


def nearest_rates(rate: float, number: int) -> list[float]:
    """Returns that many of `RATES`, the nearest to a rate (in logarithms), ascending; it is among them."""
    others = sorted((other for other in RATES if not math.isclose(other, rate)), key=lambda other: abs(math.log(other / rate)))
    return sorted([rate, *others[: number - 1]])


def beyond(rates: Sequence[float], best: float) -> float | None:
    """Returns the next of `RATES` beyond the best one, if that is at an end of those tried."""
    if best == max(rates):
        return min((rate for rate in RATES if rate > best * 1.01), default=None)
    if best == min(rates):
        return max((rate for rate in RATES if rate < best * 0.99), default=None)
    return None


@dataclass(frozen=True)
class Schedule:
    """The stages of a search that fit a budget.

    Attributes:
        rates: Learning rates at the first seed.
        seeds: Paired seeds of the default and of each remedy in the first round.
        remedies: Names of remedies.
        curve_seeds: Seeds of each size of the learning curve; 0: none is drawn.
    """

    rates: int
    seeds: int
    remedies: Sequence[str]
    curve_seeds: int


FEWEST_RUNS = 3.0


def schedule(runs: float) -> Schedule:
    """Returns the schedule for a budget of so many runs of the default.

    Rates cost their number, then half of them, then two more runs. The first round of remedies costs
    its seeds for each. What is left goes to further seeds.
    """
    if runs >= 40:
        return Schedule(5, 3, tuple(REMEDIES), 2)
    if runs >= 28:
        return Schedule(4, 3, ("reinit", "longer", "llrd", "head_lr"), 1)
    if runs >= 16:
        return Schedule(3, 3, ("reinit", "longer"), 1)
    if runs >= 9:
        return Schedule(3, 2, ("reinit",), 0)
    return Schedule(1, max(2, min(3, int(runs))), (), 0)
