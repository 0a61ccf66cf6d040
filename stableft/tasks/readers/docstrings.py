"""Docstrings of installed packages.

Source files are found on the path and parsed with `ast`; no package is imported.
"""

import ast
import gc
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import util
from pathlib import Path

from stableft.core.errors import MissingInput

SKIPPED_FOLDERS = frozenset({"tests", "testing", "benchmarks", "externals", "sphinxext", "_vendor"})
ROLE = re.compile(r":[a-zA-Z:]+:`~?([^`<]*?)(?:\s*<[^`]*>)?`")


@dataclass(frozen=True, slots=True)
class Docstring:
    """A documented public definition.

    Attributes:
        file: Its file, relative to site-packages.
        name: Its name inside the file.
        text: Its docstring.
    """

    file: str
    name: str
    text: str


def _definitions(body: Sequence[ast.stmt], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yields name and docstring of each documented public function, class and method.

    ``add_newdoc(.., name, doc)`` calls are included.
    """
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            if doc := ast.get_docstring(node):
                yield prefix + node.name, doc
            if isinstance(node, ast.ClassDef) and not prefix:
                yield from _definitions(node.body, node.name + ".")
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            function = node.value.func
            texts = [a.value for a in node.value.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            is_docstring = isinstance(function, ast.Name) and function.id == "add_newdoc" and len(texts) >= 2
            if is_docstring and texts[-2].isidentifier() and not texts[-2].startswith("_"):
                yield texts[-2], texts[-1]


def _root(package: str) -> Path:
    """Returns an installed package's folder, without importing the package."""
    spec = util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingInput(f"package {package!r} is not installed, and its docstrings are needed: pip install -r requirements.lock")
    return Path(spec.submodule_search_locations[0])


def documented(path: Path) -> list[tuple[str, str]]:
    """Parses a source file for its documented public definitions.

    Returns:
        Name and docstring of each.

    Raises:
        MissingInput: The file can't be read or parsed.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # invalid escapes in the packages' files
            tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:  # the last two: deep nesting
        reason = getattr(error, "msg", None) or str(error) or "nested too deeply"
        problem = f"{path} can't be read ({reason})"
        raise MissingInput(f"{problem}; install its package again: pip install -r requirements.lock") from error
    return list(_definitions(tree.body))


def source_files(source: str) -> list[tuple[str, Path]]:
    """Lists the source files of a package, sub-package or file (``package/pattern``).

    Tests are left out.

    Returns:
        Name relative to site-packages, and path, of each.
    """
    package, _, pattern = source.partition("/")
    root = _root(package)
    paths = root.glob(pattern) if pattern.endswith(".py") else (root / pattern).rglob("*.py")
    files = sorted((path.relative_to(root.parent).as_posix(), path) for path in paths)
    return [
        (file, path)
        for file, path in files
        if SKIPPED_FOLDERS.isdisjoint(file.split("/")) and not path.name.startswith(("test_", "conftest"))
    ]


def read_docstrings(source: str) -> Iterator[Docstring]:
    """Yields the docstrings of a package, sub-package or file (``package/pattern``).

    They are in order of path and line; nothing is imported.
    """
    for file, path in source_files(source):
        yield from (Docstring(file, name, text) for name, text in documented(path))


@contextmanager
def without_collection() -> Iterator[None]:
    """Switches garbage collection off inside a ``with`` block.

    Syntax trees are many small objects without cycles: collection would take a third of the time.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
