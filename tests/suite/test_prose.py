"""Rules of prose: docstrings name the thing or begin with a verb, in plain words and short lines."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PROSE_WIDTH = 100
RELATIVE = re.compile(r"\b(?:what|which|whose|that|who|whom|where)\b", re.IGNORECASE)
RELATIVE_SHARE = 0.020  # of the words of first paragraphs, over a whole package; five admired code bases have 0.005 to 0.019
HEADLESS = re.compile(r"(?:What|How|Where|Which|Who|Whose|When|Whether|That|Those|Such)\b")
UNPLAIN = re.compile(
    r"\b(?:anew|nobody|goes on|go on|going on|is at it|are at it|said|told|of these|stands|stand for itself)\b", re.IGNORECASE
)
# A verb in the third person, as in "Returns ..."; what is no function or is read like a field is a noun.
VERB = re.compile(r"[A-Z][a-z-]*(?:s|es)\b")


class Docstring(NamedTuple):
    place: str
    kind: str
    text: str

    @property
    def head(self) -> str:
        return self.text.strip().split("\n\n")[0].replace("\n", " ")


def docstrings(tree: ast.Module, name: str) -> Iterator[Docstring]:
    """All docstrings of a module; ``field`` is a property, ``command`` one of the command line."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if (text := ast.get_docstring(node)) is None:
            continue
        kind = {ast.Module: "module", ast.ClassDef: "class"}.get(type(node), "function")
        marks = [ast.unparse(mark) for mark in getattr(node, "decorator_list", [])]
        if any(mark.endswith(("property", "fixture")) or ".fixture(" in mark for mark in marks):
            kind = "field"
        elif "verb" in marks:  # of a command: its help, in the imperative
            kind = "command"
        place = f"{name}:{1 if isinstance(node, ast.Module) else node.lineno}"
        yield Docstring(place, kind, text)


def complaints(docstring: Docstring) -> list[str]:
    """Names each rule that a docstring breaks."""
    found = []
    if HEADLESS.match(docstring.text):
        found.append("has no head: name the thing")
    if docstring.kind == "function" and not VERB.match(docstring.text):
        found.append("does not begin with a verb such as Returns")
    if word := UNPLAIN.search(docstring.text):
        found.append(f"{word[0]!r} is no plain word")
    if any(len(line) > PROSE_WIDTH for line in docstring.text.splitlines()):
        found.append(f"has a line of more than {PROSE_WIDTH} characters")
    return found


def read(project: Path, *folders: str) -> list[Docstring]:
    paths = [path for folder in folders for path in sorted((project / folder).rglob("*.py"))]
    return [
        docstring
        for path in paths
        for docstring in docstrings(ast.parse(path.read_text(encoding="utf-8")), str(path.relative_to(project)))
    ]


def test_docstrings_keep_the_rules(project: Path) -> None:
    texts = read(project, "stableft", "experiments", "benchmarks", "docs")
    assert len(texts) > 500
    found = [f"{text.place} {complaint}: {text.head[:80]}" for text in texts for complaint in complaints(text)]
    assert not found, "\n".join(found)


def test_relative_clauses_are_few(project: Path) -> None:
    heads = " ".join(text.head for text in read(project, "stableft"))
    assert len(RELATIVE.findall(heads)) / len(heads.split()) < RELATIVE_SHARE


@pytest.mark.parametrize(
    ("code", "broken"),
    [
        ('"""Checkpoints of a run."""', 0),
        ('"""What keeps a run."""', 1),
        ('def f():\n    """Returns the run."""', 0),
        ('def f():\n    """The run."""', 1),
        ('@property\ndef f(self):\n    """The run."""', 0),
        ('class A:\n    """A run, as it stands anew."""', 1),
        (f'"""Words {"long " * 20}."""', 1),
    ],
)
def test_a_breach_would_be_noticed(code: str, broken: int) -> None:
    assert sum(len(complaints(text)) for text in docstrings(ast.parse(code), "x.py")) == broken
