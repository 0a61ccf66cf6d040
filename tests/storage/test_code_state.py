"""Code state: prose changes no digest, code does; what changed since a run is named, by part and number of runs."""

import re
from pathlib import Path

import pytest

from stableft.storage.code_state import PARTS, ChangedCode, changed, code_of, count, current, digest
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
    assert list(plain) == list(PARTS)
    first = {"name": "intermediate", "task": "toyscore"}
    both = code_of(toy_config(techniques=[{"name": "reinit", "num_layers": 1}, first]))
    assert both == {
        **plain,
        "technique reinit": current("technique reinit"),
        "technique intermediate": current("technique intermediate"),
    }
    assert len(set(both.values())) == len(PARTS) + 2


# Modules that decide no number of a run, and why.
OTHERS = {
    "training": {
        "checkpointing": "a resumed run has the bits of one that was not (tests of every technique)",
        "memory": "measures memory",
        "predictor": "predicts with exported models",
        "setup_contract": "refuses, and changes nothing",
    },
    "models": {
        "coverage": "counts unknown pieces",
        "encoder_folder": "finds files; their content is part of the identity",
        "encoders": "the same",
        "stored_weights": "refuses files, and changes nothing",
        "exported": "exports models",
        "model_folder": "exports models",
        "introspection": "reads sizes of an encoder, for refusals",
        "token_cache": "keeps tokens by the fingerprint of what they are made from",
        "weights": "writes and reads weights as they are",
    },
}


@pytest.mark.parametrize("room", OTHERS)
def test_every_module_that_decides_a_number_is_in_a_part(project: Path, room: str):
    """Else an edit of it would leave old numbers without a word."""
    there = {path.stem for path in (project / "stableft" / room).glob("*.py")} - {"__init__"}
    covered = {name for of_room, names in PARTS.values() if of_room == room for name in names}
    assert covered | OTHERS[room].keys() == there
    assert not covered & OTHERS[room].keys()


def test_what_training_takes_of_the_rooms_below_is_in_a_part_or_no_arithmetic(project: Path):
    files = [*(project / "stableft/training").glob("*.py"), *(project / "stableft/models").glob("*.py")]
    imports = re.compile(r"^\s*from stableft\.(core|tasks)\.(\w+) import", re.MULTILINE)
    taken = {found for path in files for found in imports.findall(path.read_text())}
    covered = {(room, name) for room, names in PARTS.values() for name in names}
    plain = {"config", "technique", "outline", "feasibility", "model_facts", "own_data", "errors", "files", "hub"}
    assert {name for room, name in taken - covered if room == "core"} <= plain
    assert {name for room, name in taken - covered if room == "tasks"} <= {"task"}


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
