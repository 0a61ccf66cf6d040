"""The layers: what never imports torch, who knows whom, and how long a module may be."""

import ast
import json
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

# Planning, running's own process, collecting and reporting: none of it may wait for torch or need it installed.
LIGHT = (
    "stableft.errors",
    "stableft.seeds",
    "stableft.bias",
    "stableft.schedule",
    "stableft.config",
    "stableft.technique",
    "stableft.outline",
    "stableft.inputs",
    "stableft.grid",
    "stableft.entities",
    "stableft.scores",
    "stableft.architectures",
    "stableft.encoders",
    "stableft.tasks",
    "stableft.discover",
    "stableft.techniques",
    "stableft.files",
    "stableft.data_cache",
    "stableft.hub",
    "stableft.fetch",
    "stableft.data_commands",
    "stableft.identity",
    "stableft.checkout",
    "stableft.provenance",
    "stableft.circumstances",
    "stableft.rebuild",
    "stableft.parquet",
    "stableft.collected",
    "stableft.records",
    "stableft.rows",
    "stableft.stored",
    "stableft.statistics",
    "stableft.figures",
    "stableft.series",
    "stableft.tables",
    "stableft.markup",
    "stableft.origin",
    "stableft.inline_svg",
    "stableft.lineage",
    "stableft.report",
    "stableft.publish",
    "stableft.page",
    "stableft.comparison",
    "stableft.report_views",
    "stableft.cli",
    "stableft.report_commands",
    "stableft.claims",
    "stableft.published",
    "stableft.views",
    "stableft.board",
    "stableft.environment",
    "stableft.backends",
    "stableft.supervisor",
    "stableft.attempts",
    "stableft.worker",
    "stableft.determinism",
    "stableft.slots",
    "stableft.planning",
    "stableft.runner",
    "stableft.states",
    "stableft.outcomes",
    "stableft.watching",
    "stableft.logs",
    "stableft.garbage",
    "stableft.run_views",
    "stableft.selection",
    "stableft.run_commands",
    "stableft.__main__",
    "experiments",
)
HEAVY = {"torch", "transformers", "datasets"}
MAX_LINES = 330

PROBE = """
import importlib, json, pkgutil, sys

names = json.loads(sys.argv[1])
for name in list(names):
    module = importlib.import_module(name)
    inside = [f"{name}.{info.name}" for info in pkgutil.iter_modules(getattr(module, "__path__", []))]
    names += [importlib.import_module(inner).__name__ for inner in inside]
print(json.dumps([sorted(names), sorted(set(json.loads(sys.argv[2])) & set(sys.modules))]))
"""


def imported(modules: Sequence[str], project: Path) -> tuple[list[str], list[str]]:
    """In a fresh process: all modules of these names and packages, and which heavy packages importing them brought in."""
    arguments = [json.dumps(list(modules)), json.dumps(sorted(HEAVY))]
    done = subprocess.run([sys.executable, "-c", PROBE, *arguments], check=True, capture_output=True, text=True, cwd=project)
    names, heavy = json.loads(done.stdout)
    return names, heavy


@cache
def imports(source: str) -> frozenset[str]:
    """Dotted names that a module imports, anywhere in it, not only at its head."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
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


def test_the_light_modules_never_import_torch(project: Path) -> None:
    names, heavy = imported(LIGHT, project)
    assert heavy == []
    walked = {"stableft.figures.style", "stableft.tasks.glue", "stableft.techniques.reinit", "experiments.adam"}
    assert walked <= set(names), "packages are walked"


def test_torch_would_be_noticed(project: Path) -> None:
    _, heavy = imported(["stableft.grid", "stableft.optim"], project)
    assert "torch" in heavy


def test_every_module_is_either_light_or_science(project: Path) -> None:
    science = {
        "stableft.finetune",
        "stableft.models",
        "stableft.optim",
        "stableft.packing",
        "stableft.attention",
        "stableft.layers",
        "stableft.heads",
        "stableft.tagging",
        "stableft.pretrained",
        "stableft.evaluation",
        "stableft.best",
        "stableft.points",
        "stableft.resume",
        "stableft.blocks",
        "stableft.surface",
        "stableft.execution",
        "stableft.token_cache",
        "stableft.checkpoints",
        "stableft.inspection",
    }
    all_modules = set(sources(project, "stableft"))
    light = {name for name in all_modules if any(name == top or name.startswith(top + ".") for top in LIGHT)}
    assert all_modules - light - {"stableft"} == science


FORBIDDEN = [
    # The loop knows no technique, and nothing of how runs are stored, executed or shown.
    *(
        ("stableft.finetune", target)
        for target in (
            "stableft.techniques",
            "stableft.records",
            "stableft.rows",
            "stableft.stored",
            "stableft.runner",
            "stableft.worker",
            "stableft.figures",
            "stableft.tables",
            "experiments",
        )
    ),
    *(
        (name, target)
        for name in (
            *("stableft.models", "stableft.optim", "stableft.packing", "stableft.attention", "stableft.layers"),
            *(
                "stableft.execution",
                "stableft.evaluation",
                "stableft.best",
                "stableft.blocks",
                "stableft.surface",
                "stableft.token_cache",
                "stableft.checkpoints",
                "stableft.inspection",
            ),
        )
        for target in ("stableft.finetune", "stableft.techniques", "stableft.records", "stableft.runner", "experiments")
    ),
    # The core knows nothing above it.
    *(
        (name, target)
        for name in (
            "stableft.architectures",
            "stableft.config",
            "stableft.technique",
            "stableft.outline",
            "stableft.grid",
            "stableft.seeds",
            "stableft.bias",
            "stableft.schedule",
            "stableft.scores",
        )
        for target in (
            "torch",
            "pandas",
            "stableft.finetune",
            "stableft.tasks",
            "stableft.techniques",
            "stableft.records",
            "stableft.rows",
            "stableft.stored",
            "stableft.runner",
        )
    ),
    # Reporting needs no torch, not even inside a function.
    *(
        (f"stableft.{name}", target)
        for name in (
            "records",
            "statistics",
            "series",
            "tables",
            "markup",
            "origin",
            "lineage",
            "report",
            "page",
            "views",
            "runner",
            "encoders",
            "bias",
        )
        for target in ("torch", "transformers", "stableft.finetune", "stableft.models", "stableft.optim")
    ),
]


@pytest.mark.parametrize(("name", "target"), FORBIDDEN)
def test_who_may_not_know_whom(project: Path, name: str, target: str) -> None:
    assert not knows(sources(project, "stableft")[name], target)


def test_only_the_command_line_knows_the_experiments(project: Path) -> None:
    knowing = {name for name, source in sources(project, "stableft").items() if knows(source, "experiments")}
    assert knowing <= {"stableft.__main__", "stableft.selection"}


def test_experiments_know_neither_torch_nor_the_loop(project: Path) -> None:
    for name, source in sources(project, "experiments").items():
        for target in (*HEAVY, "stableft.finetune", "stableft.models", "stableft.optim", "stableft.runner"):
            assert not knows(source, target), (name, target)


def test_figures_know_nothing_of_torch_or_of_one_another_but_the_style(project: Path) -> None:
    figures = {name: source for name, source in sources(project, "stableft/figures").items() if name != "stableft.figures"}
    assert len(figures) > 3
    for name, source in figures.items():
        assert not knows(source, "torch")
        for other in set(figures) - {name, "stableft.figures.style"}:
            assert not knows(source, other), (name, other)


def test_statistics_are_functions_of_arrays(project: Path) -> None:
    for name, source in sources(project, "stableft/statistics").items():
        for target in ("pandas", "stableft.records", "stableft.tables", "stableft.tasks"):
            assert not knows(source, target), (name, target)


def test_techniques_know_neither_one_another_nor_how_runs_are_stored_or_shown(project: Path) -> None:
    techniques = {name: source for name, source in sources(project, "stableft/techniques").items() if name != "stableft.techniques"}
    for name, source in techniques.items():
        for other in set(techniques) - {name}:
            assert not knows(source, other), (name, other)
        for target in (
            "stableft.records",
            "stableft.rows",
            "stableft.stored",
            "stableft.runner",
            "stableft.worker",
            "stableft.report",
            "stableft.claims",
            "stableft.packing",
            "experiments",
        ):
            assert not knows(source, target), (name, target)


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


def test_no_module_is_too_long(project: Path) -> None:
    lengths = {name: source.count("\n") for name, source in sources(project, "stableft", "experiments").items()}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}
    assert max(lengths.values()) > 100
