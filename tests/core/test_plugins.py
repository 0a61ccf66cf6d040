"""Plug-ins: user files become techniques, tasks, experiments and figures, are read once, and every fault has one clear error."""

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stableft.core import plugins
from stableft.core.errors import UsageError
from stableft.core.experiments import all_experiments, get_experiment
from stableft.core.technique import all_techniques, get_technique
from stableft.reporting.report import report_of
from stableft.tasks.catalog import all_tasks, own_tasks
from tests.conftest import Plug

TECHNIQUE = '''
"""Shrink."""
from typing import ClassVar, Self
from stableft.core.technique import Stage, Technique


class Shrink(Technique):
    """Smaller weights.

    Claim: Smaller weights start better.
    """

    name: ClassVar[str] = "shrink"
    stage: ClassVar[Stage] = Stage.WEIGHTS
    factor: float = 1.0

    @classmethod
    def null(cls) -> Self:
        return cls()

    def apply(self, setup):
        for parameter in setup.model.parameters():
            parameter.data.mul_(self.factor)
        return setup
'''
TASK = """
from stableft.tasks import Example, Task, TaskData


def load():
    rows = [Example(f"alin mib {i}" if i % 2 else f"dorn tup {i}", None, i % 2) for i in range(40)]
    return TaskData(tuple(rows[:24]), tuple(rows[24:]))


TASKS = (Task("parity", "classification", ("even", "odd"), "accuracy", "en", "Even or odd.", load),)
"""
EXPERIMENT = '''
"""Does it help?"""
from stableft.core.grid import Grid


def grid(protocol):
    return Grid("mine", protocol, {"standard": {}}, protocol.tasks, (0, 1))
'''
FIGURE = """
EXPERIMENTS = ("adam",)
CAPTION = "The number of runs."


def data(results):
    return results.runs.groupby("arm").size().rename("runs").reset_index()


def plot(frame, results):
    from matplotlib.figure import Figure
    figure = Figure()
    figure.add_subplot().bar(frame["arm"], frame["runs"])
    return figure
"""


def test_each_kind_is_found_beside_ours(plug: Plug):
    before = len(all_techniques()), len(all_experiments()), len(all_tasks()), len(report_of("adam"))
    plug({"shrink": TECHNIQUE, "parity": TASK, "mine": EXPERIMENT, "count": FIGURE})
    assert (len(all_techniques()), len(all_experiments()), len(all_tasks()), len(report_of("adam"))) == tuple(n + 1 for n in before)
    assert get_technique("shrink").card() == {"Claim": "Smaller weights start better."}
    assert (get_experiment("mine").CLAIMS, get_experiment("mine").REPORT) == ((), {})
    assert [task.name for task in own_tasks(["parity"])] == ["parity"]
    assert ["count" in report_of(name) for name in ("adam", "reinit")] == [True, False]


def test_the_environment_names_plugins_too(plug: Plug, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "shrink.py").write_text(TECHNIQUE)
    monkeypatch.setenv(plugins.VARIABLE, str(tmp_path / "shrink.py"))
    assert "shrink" in all_techniques()


def test_an_installed_package_names_its_modules_by_entry_points(plug: Plug, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "their_package.py").write_text(EXPERIMENT.replace("mine", "theirs"))
    entry = SimpleNamespace(name="theirs", module="their_package", dist=SimpleNamespace(name="their-package"))
    monkeypatch.setattr(plugins, "entry_points", lambda group: [entry] if group == "stableft.experiments" else [])
    monkeypatch.syspath_prepend(str(tmp_path))
    plug({"shrink": TECHNIQUE})  # so that the registry is read again
    assert get_experiment("theirs").grid.__module__ == "their_package"


FAULTS = {
    "syntax": ("shrink", "x = (", "plug-in .*shrink.py does not import .line 1.: SyntaxError"),
    "import": ("shrink", "\nimport no_such_module\n", "does not import .line 2.: ModuleNotFoundError: No module named 'no_such"),
    "stage": ("shrink", TECHNIQUE.replace("Stage.WEIGHTS", "Stage.NOWHERE"), "does not import .line 14.: AttributeError: NOWHERE"),
    "no stage": ("shrink", TECHNIQUE.replace(" = Stage.WEIGHTS", ""), "technique Shrink has no stage: write .*WEIGHTS, MODULES"),
    "no name": ("shrink", TECHNIQUE.replace(' = "shrink"', ""), "technique Shrink has no name"),
    "abstract": ("shrink", TECHNIQUE.replace("def apply", "def applies"), "technique Shrink does not define apply"),
    "null": ("shrink", TECHNIQUE.replace("return cls()", "return cls(facto=1)"), r"null\(\) fails: .*facto"),
    "null of another": ("shrink", TECHNIQUE.replace("return cls()", "return 1"), r"null\(\) returns int, not a setting"),
    "taken technique": (
        "shrink",
        TECHNIQUE.replace('"shrink"', '"reinit"'),
        "a plug-in has a technique 'reinit', and there is one",
    ),
    "taken experiment": ("adam", EXPERIMENT, "a plug-in has an experiment 'adam', and there is one of that name"),
    "taken task": ("parity", TASK.replace('"parity"', '"rte"'), "a plug-in has a task 'rte', and there is one of that name"),
}


def _plugged(plug: Plug, name: str, text: str) -> list[object]:
    plug({name: text})
    return [all_techniques(), all_experiments(), all_tasks()]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_plugin_is_one_clear_error(plug: Plug, fault: str):
    name, text, message = FAULTS[fault]
    with pytest.raises(UsageError, match=message):
        _plugged(plug, name, text)


def test_a_figure_without_its_parts_and_one_of_a_taken_name(plug: Plug):
    plug({"count": FIGURE.replace("CAPTION", "TITLE")})
    with pytest.raises(UsageError, match="plug-in count names EXPERIMENTS, but is no figure: that has data, plot and CAPTION"):
        report_of("adam")
    plug({"arms": FIGURE}, forget=True)
    with pytest.raises(UsageError, match="a plug-in has a figure 'arms', and there is one of that name"):
        report_of("adam")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("absent.py", "no such file"),
        ("notes.txt", "name a Python file"),
        ("my-file.py", "name a Python file"),
        (".", "name a Python"),
    ],
)
def test_a_path_that_is_no_plugin(plug: Plug, tmp_path: Path, path: str, message: str):
    with pytest.raises(UsageError, match=message):
        plugins.add([tmp_path / path])


def test_two_files_of_one_name(plug: Plug, tmp_path: Path):
    plug({"shrink": TECHNIQUE})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "shrink.py").write_text(TECHNIQUE)
    with pytest.raises(UsageError, match=r"two plug-ins are called shrink: .* rename one"):
        plugins.add([tmp_path / "other" / "shrink.py"])


def test_a_process_has_the_text_that_it_first_read(plug: Plug, tmp_path: Path):
    plug({"shrink": TECHNIQUE})
    first = get_technique("shrink")
    (tmp_path / "shrink.py").write_text(TECHNIQUE.replace("Smaller", "Larger"))
    assert get_technique("shrink") is first


class Holder:
    """An object with an instance of a plug-in's class."""

    def __init__(self, held: object) -> None:
        self.held = held

    def __reduce__(self) -> tuple[Any, ...]:
        return plugins.with_texts(Holder, {"held": self.held})


def test_another_process_gets_the_text_with_the_object(plug: Plug, tmp_path: Path):
    plug({"shrink": TECHNIQUE})
    sent = pickle.dumps(Holder(get_technique("shrink")(factor=0.5)))  # pyright: ignore[reportCallIssue]
    # A process that never saw the file, as on another machine.
    plug({}, forget=True)
    (tmp_path / "shrink.py").unlink()
    received = pickle.loads(sent).held
    assert (received.factor, type(received)) == (0.5, get_technique("shrink"))
    # One that has an older text of it.
    plug({"shrink": TECHNIQUE.replace("factor: float = 1.0", "factor: int = 1")}, forget=True)
    get_technique("shrink")
    assert pickle.loads(sent).held.factor == 0.5
