"""Code state: prose changes no digest, code does; what changed since a run is named, by part and number of runs."""

from pathlib import Path

import pytest

from stableft.storage.code_state import ChangedCode, changed, code_of, count, current, digest
from tests.conftest import ConfigFactory, Plug
from tests.core.test_plugins import TECHNIQUE

SOURCE = '''"""A module."""

import math  # for pi


def area(r):
    """Returns the area."""
    text = "a # is no comment"  # but this is
    return math.pi * r ** 2, text
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A module."""', '"""Another\n\nlonger text."""'),
        ('"""Returns the area."""', '"""Gives it."""'),
        ("  # for pi", ""),
        ("\n\n\ndef", "\n\ndef"),
        ("  # but this is", "  # a reason\n    # of two lines"),
        ("return math", "return math"),
    ],
)
def test_prose_changes_no_digest(old: str, new: str):
    assert old in SOURCE
    assert digest(SOURCE.replace(old, new)) == digest(SOURCE)


@pytest.mark.parametrize(
    ("old", "new"), [("r ** 2", "r ** 3"), ("a # is no", "a # is a"), ("area", "region"), ("import math", "import cmath as math")]
)
def test_code_changes_it(old: str, new: str):
    assert digest(SOURCE.replace(old, new)) != digest(SOURCE)


def test_digests_are_the_same_on_every_interpreter():
    """Written down: a digest of another Python version would call every old run changed."""
    assert digest(SOURCE) == "9dc253217e30d197"
    assert digest(SOURCE, SOURCE) != digest(SOURCE)


def test_a_run_has_the_parts_that_decide_it_and_those_of_its_sources(toy_config: ConfigFactory):
    plain = code_of(toy_config())
    assert list(plain) == ["training loop", "model"]
    first = {"name": "intermediate", "task": "toyscore"}
    both = code_of(toy_config(techniques=[{"name": "reinit", "num_layers": 1}, first]))
    assert both == {
        **plain,
        "technique reinit": current("technique reinit"),
        "technique intermediate": current("technique intermediate"),
    }
    assert len(set(both.values())) == 4


def test_what_changed_is_named_and_what_is_unknown_is_not(toy_config: ConfigFactory):
    recorded = code_of(toy_config(techniques=[{"name": "reinit", "num_layers": 1}]))
    assert changed(recorded) == []
    assert changed({**recorded, "technique reinit": "another"}) == ["technique reinit"]
    assert changed({}) == []  # a record from before digests
    assert changed({"technique of_no_plugin": "0"}) == []
    assert count([["model"], [], ["model", "technique reinit"]]) == {"model": 2, "technique reinit": 1}
    assert ChangedCode("laptop", "reinit", {"model": 2, "technique reinit": 1}).sentence() == (
        "reinit at laptop: code changed: model (since 2 runs), technique reinit (since 1 run); "
        "`python -m stableft run reinit --protocol laptop --redo changed` runs them again"
    )


def test_a_plugin_is_digested_as_it_was_loaded(plug: Plug, tmp_path: Path):
    plug({"shrink": TECHNIQUE})
    (tmp_path / "shrink.py").write_text(TECHNIQUE.replace("self.factor", "0.5"))  # edited after it was read
    assert current("technique shrink") == digest(TECHNIQUE)
