"""Same treatment, same look, in every experiment; looks that differ."""

from itertools import combinations

import numpy as np
import pytest

from stableft.core.experiments import all_experiments, all_protocols, get_experiment
from stableft.reporting import treatments
from stableft.reporting.treatments import Color

APART, STEP = 12.0, 6.0  # CIE 1976 distances; 2.3 is just noticeable

ARMS = {
    (name, protocol): tuple(get_experiment(name).grid(scale).arms)
    for name in all_experiments()
    for protocol, scale in all_protocols().items()
    if name not in ("seeds", "few_examples")  # whose figures draw methods, or a map
}


def lab(color: Color) -> np.ndarray:
    """Returns CIE L*a*b* of an sRGB colour under D65."""
    linear = np.where(np.array(color) <= 0.04045, np.array(color) / 12.92, ((np.array(color) + 0.055) / 1.055) ** 2.4)
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(np.maximum(matrix @ linear / np.array([0.9505, 1.0, 1.089]), 0.008856))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def distance(one: Color, other: Color) -> float:
    return float(np.linalg.norm(lab(one) - lab(other)))


def test_a_treatment_has_one_colour_in_every_experiment_and_protocol() -> None:
    colors: dict[str, set[Color]] = {}
    for arms in ARMS.values():
        for name, look in treatments.arm_styles(arms).items():
            colors.setdefault(treatments.ALIASES.get(name, name), set()).add(look.color)
    assert {name: len(found) for name, found in colors.items() if len(found) > 1} == {}
    shown = treatments.arm_styles(["basic", "+llrd", "+warmup", "+reinit", "+swa", "fp32", "devlin", "lee"])
    theirs = treatments.arm_styles(["standard", "llrd", "mixout", "reinit", "corrected", "uncorrected"])
    assert shown["basic"] == shown["fp32"] == theirs["standard"] == theirs["corrected"]
    assert (shown["+reinit"], shown["+llrd"]) == (theirs["reinit"], theirs["llrd"])
    assert (shown["lee"], shown["devlin"]) == (theirs["mixout"], theirs["uncorrected"])


@pytest.mark.parametrize("kind", sorted({name for name, _ in ARMS}))
def test_every_arm_of_the_repository_is_known_and_apart_from_the_others(kind: str) -> None:
    """Shades of one treatment need fewer differences, as their order tells them apart, too."""
    for (name, _), arms in ARMS.items():
        if name != kind:
            continue
        looks = treatments.arm_styles([arm.split(" epochs=")[0] for arm in arms])
        if name not in ("head_lr", "lr_grid"):  # which draw methods
            assert len({(look.marker, look.linestyle) for look in looks.values()}) == len(looks)
        for (one, first), (other, second) in combinations(looks.items(), 2):
            of_one = "reinit" if one.startswith("pooler") else one.split(" ")[0]
            of_other = "reinit" if other.startswith("pooler") else other.split(" ")[0]
            if "e-03" not in one + other:  # the greatest rates of the smoke protocol are alike
                assert distance(first.color, second.color) > (STEP if of_one == of_other else APART), (one, other)
        for one in looks:
            base = treatments.SETTING.match(one)
            assert base
            assert treatments.BLOCKS.fullmatch(base["treatment"]) or {one, base["treatment"]} & known(), one


def known() -> set[str]:
    return {*treatments.TREATMENTS, *treatments.ALIASES}


def test_looks_do_not_depend_on_the_order_of_arms() -> None:
    names = ["uncorrected", "reinit", "mine", "mixout", "corrected", "llrd", "other"]
    styles = treatments.arm_styles(names)
    assert list(styles) == names
    assert styles == treatments.arm_styles(reversed(names))
    assert styles["corrected"] == treatments.known_arms()["corrected"]


def test_arms_differ_without_colour() -> None:
    styles = treatments.arm_styles([f"arm {index}" for index in range(7)] + ["corrected", "uncorrected"])
    assert len({look.marker for look in styles.values()}) == len(styles)
    assert len({look.color for look in treatments.arm_styles(["a", "b", "c", "corrected", "uncorrected"]).values()}) == 5


def test_arms_of_one_treatment_are_shades_of_its_colour_in_the_order_of_their_numbers() -> None:
    styles = treatments.arm_styles(["reinit 400", "standard 96", "reinit 96", "standard 400", "standard 200", "reinit 200"])
    for family in ("standard", "reinit"):
        light = [lab(styles[f"{family} {length}"].color)[0] for length in (96, 200, 400)]
        assert light == sorted(light, reverse=True)
    assert len({look.marker for look in styles.values()}) == len(set(styles.values())) == 6
    rates = treatments.arm_styles([f"corrected lr={rate}" for rate in ("1e-03", "2e-05", "1e-04")])
    light = [lab(rates[f"corrected lr={rate}"].color)[0] for rate in ("2e-05", "1e-04", "1e-03")]
    assert light == sorted(light, reverse=True)
    assert rates["corrected lr=1e-04"].color == pytest.approx(treatments.known_arms()["corrected"].color, abs=0.01)
    deep = treatments.arm_styles(["standard", "pooler", *(f"pooler+{depth}" for depth in range(1, 11))])
    light = [lab(deep[f"pooler+{depth}"].color)[0] for depth in range(1, 9)]
    assert light == sorted(light, reverse=True)
    assert lab(deep["pooler"].color)[0] > light[0]
    assert deep["pooler+4"].color == pytest.approx(treatments.known_arms()["reinit"].color, abs=0.01)


def test_names_of_any_form_have_a_look() -> None:
    styles = treatments.arm_styles(["", "x", "corrected lr=fast", "mine 0", "mine 5", "pooler lr=2e-05", *map(str, range(30))])
    assert len(styles) == 36
    assert styles["corrected lr=fast"].color == treatments.known_arms()["corrected"].color
