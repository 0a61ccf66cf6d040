"""Treatments: the colour, mark and dash of every arm, the same in all experiments.

A treatment is what an arm does, whatever its name in an experiment.
"""

import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from math import log
from typing import NamedTuple, TypeVar

import numpy as np
from matplotlib.colors import to_rgb

T = TypeVar("T")
Color = tuple[float, float, float]
Line = str | tuple[int, tuple[float, ...]]


class ArmStyle(NamedTuple):
    """The look of one arm. Arms differ in all three, so that they stay apart without colour."""

    color: Color
    marker: str
    linestyle: Line


MARKERS = ("^", "D", "v", "<", ">", "P", "p", "*", "h")  # no cross: that is a failed run
LONG, SPARSE = (0, (6, 1.5)), (0, (4, 1, 1, 1, 1, 1))
LINES: Sequence[Line] = ("-.", ":", LONG, SPARSE)  # all with gaps, so that a line below stays visible

# Colours of seaborn's palette "colorblind": those of the two treatments that most figures compare, and
# of techniques named beside them. Relatives have one hue: light or dark of it.
BLUE, VERMILION, GREEN, PINK, ORANGE, SKY = "#0173b2", "#d55e00", "#029e73", "#cc78bc", "#de8f05", "#56b4e9"
TREATMENTS: dict[str, tuple[str, str, Line]] = {
    # AdamW with bias correction and no technique, and without the correction
    "corrected": (BLUE, "o", "-"),
    "uncorrected": (VERMILION, "s", "--"),
    "bf16": (SKY, "D", ":"),
    "bf16 edge": ("#f4a582", "p", ":"),
    "uncorrected divided": ("#7f3b08", "D", ":"),
    "corrected multiplied": ("#08306b", "v", "-."),
    # blocks drawn anew; ``pooler`` and ``pooler+<blocks>`` are on the ramp `REINITIALISED`
    "reinit": (GREEN, "^", "-."),
    # learning rates by part
    "llrd": (PINK, "D", ":"),
    "grouped": ("#7b3294", "v", LONG),
    "two": (ORANGE, "^", LONG),
    "article": ("#5c3a92", "v", ":"),
    # schedules
    "longer": ("#000000", "P", LONG),
    "+warmup": ("#9c6b00", "<", LONG),
    "no warm-up": ("#c9a227", ">", ":"),
    "cosine": ("#8c510a", "<", "-."),
    "constant": ("#dfa06e", "p", SPARSE),
    # weights and their averages
    "+swa": ("#332288", ">", "-."),
    "+frequent": (SKY, "p", SPARSE),
    "mixout": ("#882255", "p", LONG),
    "no dropout": ("#e7788f", "h", SPARSE),
    "pretrained_decay": ("#44788c", "*", "-."),
    "decay": ("#5f9ea0", "<", ":"),
    "first toyscore": ("#b07d4f", ">", "-."),
    "first docpair": ("#6b3f1d", "v", SPARSE),
    # losses and gradients
    "rdrop": ("#5c3a92", "D", "-."),
    "smart": ("#a78bd0", "v", ":"),
    "child free": ("#6b6b00", "<", LONG),
    "child task": ("#a9a92a", ">", SPARSE),
    "sam": ("#e7298a", "P", "-."),
    "radam": ("#a50f15", "h", ":"),
    # few trained parameters
    "lora": ("#005f66", "^", ":"),
    "lora 10 lr": ("#1aa6a6", "*", ":"),
    "bitfit": ("#2b2a8c", "h", LONG),
    "bitfit 10 lr": ("#7a86d6", "D", SPARSE),
    "freeze half": ("#4d4d4d", "v", "-."),
    "gradual": ("#8a7f72", ">", LONG),
    # recipes of Mosbach et al. (2021) at ten times the data or length
    "devlin 1k": ("#f4a582", "D", ":"),
    "devlin 1k full steps": ("#7f3b08", "^", SPARSE),
}
# The same treatment under another name.
ALIASES = {
    **dict.fromkeys(("standard", "basic", "fp32", "one"), "corrected"),
    **dict.fromkeys(("fp32 edge", "devlin"), "uncorrected"),
    **{"lee": "mixout", "ours": "longer", "+llrd": "llrd", "+reinit": "reinit"},
    **dict.fromkeys(("first docs15", "first mrpc", "first mnli"), "first toyscore"),
}
# What further arms get, in this order: Tol's muted colours (personal.sron.nl/~pault) and others.
FURTHER = (SKY, ORANGE, "#aa4499", "#44aa99", "#661100", "#999933", "#332288", "#8c6bb1")

REINITIALISED = ("#b3c32e", GREEN, "#08382c")  # from the pooler alone to the pooler and `MOST_BLOCKS` blocks or more
MOST_BLOCKS = 8
BLOCKS = re.compile(r"pooler(?:\+(\d+))?")
SETTING = re.compile(r"^(?P<treatment>.+?)(?: lr=(?P<rate>\S+))?(?: (?:epochs|batch|init|order)=\S+)*(?: (?P<number>\d+|all))?$")
# Ranges over which a treatment's colour goes from light to dark, in logarithmic steps.
RATES, NUMBERS = (1e-5, 1e-3), (24.0, 3200.0)  # learning rates; training steps or examples


def arm_styles(arms: Iterable[str]) -> dict[str, ArmStyle]:
    """Returns the look of each arm.

    The colour of a treatment in `TREATMENTS` is fixed. Arms that end in a number or have ``lr=`` are
    shades of their treatment, lighter for less. Other arms get the `FURTHER` colours that no arm here
    has, in the order of their names. The order of ``arms`` plays no role.
    """
    names = list(dict.fromkeys(arms))
    styles = {name: known for name in names if (known := known_arms().get(_treatment(name)))}
    others = sorted(set(names) - set(styles), key=_by_number)
    taken = {part for look in styles.values() for part in look}
    unknown = list(dict.fromkeys(base for base in (_split(name)[0] for name in others) if _known_color(base) is None))
    colors = dict(zip(unknown, _unused([to_rgb(color) for color in FURTHER], taken), strict=False))
    # Shades of a treatment, and unknown arms, differ from all others by mark and dash.
    markers, lines = _unused(MARKERS, taken), _unused(LINES, taken)
    for name in others:
        base, place = _split(name)
        color = _known_color(base) or colors[base]
        styles[name] = ArmStyle(color if place is None else _shade(color, place), next(markers), next(lines))
    return {name: styles[name] for name in names}


@cache
def known_arms() -> dict[str, ArmStyle]:
    """Returns the fixed looks, by treatment."""
    return {name: ArmStyle(to_rgb(color), marker, line) for name, (color, marker, line) in TREATMENTS.items()}


def _treatment(name: str) -> str:
    return ALIASES.get(name, name)


def _known_color(base: str) -> Color | None:
    if match := BLOCKS.fullmatch(base):
        return _blend(REINITIALISED, min(1.0, int(match[1] or 0) / MOST_BLOCKS))
    look = known_arms().get(_treatment(base))
    return look.color if look else None


def _split(name: str) -> tuple[str, float | None]:
    """Returns the treatment of an arm, and the place of its number between light (0) and dark (1)."""
    match = SETTING.match(name)
    if match is None:
        return name, None
    if match["number"] == "all":
        return match["treatment"], 1.0
    with suppress(ValueError):
        if match["rate"]:
            return match["treatment"], _place(float(match["rate"]), RATES)
        if match["number"]:
            return match["treatment"], _place(float(match["number"]), NUMBERS)
    return match["treatment"], None


def _place(value: float, ends: tuple[float, float]) -> float:
    low, high = map(log, ends)
    return min(1.0, max(0.0, (log(max(value, 1e-9)) - low) / (high - low)))


def _shade(color: Color, place: float) -> Color:
    light, dark = _blend((color, "white"), 0.55), _blend((color, "black"), 0.65)
    return _blend((light, color, dark), place)


def _blend(anchors: Sequence[str | Color], place: float) -> Color:
    """Returns the colour at a place between 0 (the first anchor) and 1 (the last)."""
    ends = np.linspace(0, 1, len(anchors))
    red, green, blue = (float(np.interp(place, ends, part)) for part in zip(*map(to_rgb, anchors), strict=True))
    return red, green, blue


def _unused(looks: Iterable[T], taken: Collection[object]) -> Iterator[T]:
    """Returns the looks that no arm has, over and over; all of them if that leaves none."""
    looks = list(looks)
    return itertools.cycle([look for look in looks if look not in taken] or looks)


def _by_number(name: str) -> list[tuple[int, str]]:
    """Returns a sort key: ``standard 96`` comes before ``standard 200``."""
    return [(int(part) if part.isdecimal() else -1, part) for part in re.split(r"(\d+)", name)]
