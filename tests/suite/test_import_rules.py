"""Import rules that the contracts in pyproject.toml can't state, and limits on length."""

import ast
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

# Planning, storing, reporting and the command line never wait for torch; a training process imports it by itself.
LIGHT = ("core", "tasks", "storage", "statistics", "reporting", "cli", "execution", "techniques")
HEAVY = ("torch", "transformers", "datasets")
# Nothing else imports these.
TRAINING_PROCESS = tuple(f"stableft.execution.{name}" for name in ("preload", "run_job", "run_provenance"))
MAX_LINES = 400
MAX_FUNCTION_LINES = 60
PROBE = """
import importlib, json, pkgutil, sys

rooms, heavy, training = map(json.loads, sys.argv[1:])
names = [f"stableft.{room}" for room in rooms] + ["experiments", "stableft.__main__", "stableft.models.encoders"]
for name in list(names):
    path = getattr(importlib.import_module(name), "__path__", [])
    found = [info.name for info in pkgutil.walk_packages(path, f"{name}.") if info.name not in training]
    names += [importlib.import_module(each).__name__ for each in found]
print(json.dumps([sorted(names), sorted(set(heavy) & set(sys.modules))]))
"""


@cache
def imports(source: str) -> frozenset[str]:
    """Dotted names that a module imports, anywhere in it, not only at its head."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:  # among experiments, whose package has another name in a wheel
                continue
            names |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(names)


def knows(source: str, target: str) -> bool:
    return any(name == target or name.startswith(target + ".") for name in imports(source))


@cache
def sources(project: Path, *folders: str) -> dict[str, str]:
    found = {
        ".".join(path.relative_to(project).with_suffix("").parts).removesuffix(".__init__"): path.read_text(encoding="utf-8")
        for folder in folders
        for path in sorted((project / folder).rglob("*.py"))
    }
    assert len(found) > 1
    return found


def test_whatever_trains_nothing_needs_no_torch(project: Path) -> None:
    arguments = [json.dumps(LIGHT), json.dumps([*HEAVY, "matplotlib.pyplot", "scipy.stats"]), json.dumps(TRAINING_PROCESS)]
    done = subprocess.run([sys.executable, "-c", PROBE, *arguments], check=True, capture_output=True, text=True, cwd=project)
    names, heavy = json.loads(done.stdout)
    assert heavy == []
    assert len(names) > 100


def test_experiments_know_neither_torch_nor_how_runs_are_executed(project: Path) -> None:
    for name, source in sources(project, "experiments").items():
        for target in (*HEAVY, *(f"stableft.{room}" for room in ("models", "training", "execution", "cli"))):
            assert not knows(source, target), (name, target)


@pytest.mark.parametrize("package", ["figures", "tables"])
def test_kinds_do_not_know_one_another_but_the_style(project: Path, package: str) -> None:
    folder = f"stableft.reporting.{package}"
    kinds = {name: source for name, source in sources(project, folder.replace(".", "/")).items() if name != folder}
    for name, source in kinds.items():
        for other in set(kinds) - {name, f"{folder}.style"}:
            assert not knows(source, other), (name, other)


def test_statistics_are_functions_of_arrays(project: Path) -> None:
    for name, source in sources(project, "stableft/statistics").items():
        assert not knows(source, "pandas"), name


@pytest.mark.parametrize(
    ("source", "known"),
    [
        ("import stableft.techniques.mixout", True),
        ("from stableft.techniques import mixout", True),
        ("from stableft import techniques", True),
        ("def f():\n    from stableft.techniques.mixout import Mixout", True),
        ("if True:\n    import stableft.techniques as t", True),
        ("from stableft import tasks\n# import stableft.techniques", False),
        ("import stableft.techniquesque", False),
    ],
)
def test_an_import_would_be_noticed(source: str, known: bool) -> None:
    assert knows(source, "stableft.techniques") is known


def graph(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """Which module imports which, also inside functions and for types alone."""
    return {name: {target for target in imports(source) if target in sources} - {name} for name, source in sources.items()}


def test_no_imports_form_a_circle(project: Path) -> None:
    order = list(TopologicalSorter(graph(sources(project, "stableft"))).static_order())
    assert len(order) > 100


def test_the_core_is_a_line(project: Path) -> None:
    known = graph(sources(project, "stableft"))
    line = [f"stableft.core.{name}" for name in ("registry", "outline", "technique", "config", "schedule", "feasibility")]
    for position, name in enumerate(line):
        assert not known[name] & set(line[position + 1 :]), name


@pytest.mark.parametrize(
    "source",
    ["import p.b", "from p import b", "from p.b import f", "def g():\n    import p.b", "if TYPE_CHECKING:\n    from p.b import f"],
)
def test_a_circle_would_be_noticed(source: str) -> None:
    tangle = {"p": "", "p.a": source, "p.b": "from p.c import f", "p.c": "from p import a"}
    with pytest.raises(CycleError):
        TopologicalSorter(graph(tangle)).prepare()
    assert graph({**tangle, "p.c": "import numpy"}) == {"p": set(), "p.a": graph(tangle)["p.a"], "p.b": {"p.c"}, "p.c": set()}


def test_no_two_modules_have_one_name(project: Path) -> None:
    names = Counter(path.name for path in (project / "stableft").rglob("*.py"))
    assert {name for name, number in names.items() if number > 1} <= {"__init__.py", "__main__.py"}


def test_no_module_is_too_long(project: Path) -> None:
    lengths = {name: source.count("\n") for name, source in sources(project, "stableft", "experiments").items()}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}
    assert max(lengths.values()) > 100


def test_no_function_is_too_long(project: Path) -> None:
    lengths = {
        f"{name}.{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for name, source in sources(project, "stableft", "experiments").items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
    }
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION_LINES} == {}
    assert len(lengths) > 1000


def test_no_two_classes_or_types_have_one_name(project: Path) -> None:
    places: dict[str, list[str]] = {}
    for module, source in sources(project, "stableft").items():
        for node in ast.parse(source).body:
            target = node.targets[0] if isinstance(node, ast.Assign) else None
            name = node.name if isinstance(node, ast.ClassDef) else target.id if isinstance(target, ast.Name) else ""
            name = name.lstrip("_")
            if name[:1].isupper() and not name.isupper():
                places.setdefault(name, []).append(module)
    assert {name: modules for name, modules in places.items() if len(modules) > 1} == {}
    assert len(places) > 100
