"""Code state: digests of the code that a run's numbers depend on, and what changed since a run.

A part is a group of modules, see `PARTS`, or a technique. Its digest covers the source without
comments and docstrings, so that better prose changes no digest.
"""

import ast
import hashlib
import io
import json
import sys
import tokenize
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import stableft
from stableft.core import plugins
from stableft.core.config import RunConfig
from stableft.core.errors import MissingInput
from stableft.core.grid import run_command
from stableft.core.technique import all_techniques
from stableft.storage.store import Store

# Name -> room, and those of its modules that decide a run's numbers. Records from before a part was added do not have it.
PARTS = {
    "training loop": ("training", ("loop", "setup", "step", "optimizer", "evaluation", "evaluator")),
    "model": ("models", ("model", "layers", "heads", "packed_attention")),
    "tokens and kernels": ("models", ("tokens", "loading", "architectures", "kernels")),
    "schedule and seeds": ("core", ("schedule", "seeds", "adam_bias")),
    "measurements": ("training", ("meters", "best_checkpoint", "surface", "tag_evaluation", "divergence", "runtime")),
    "scores": ("tasks", ("scores", "entity_spans")),
}
TECHNIQUE = "technique "  # begins the name of the part that is a technique


class ChangedCode(NamedTuple):
    """Runs of an experiment whose code changed since.

    Attributes:
        protocol: Name of the protocol.
        experiment: Name of the experiment.
        runs: Number of those runs, by the name of the part that changed.
    """

    protocol: str
    experiment: str
    runs: Mapping[str, int]

    def sentence(self) -> str:
        """Returns what changed, for how many runs, and the command to run them again."""
        again = run_command(self.experiment, self.protocol)
        return f"{self.experiment} at {self.protocol}: {changes(self.runs)}; `{again} --redo changed` runs them again"


def changes(runs: Mapping[str, int]) -> str:
    """Returns a phrase on the parts that changed, and the number of runs that each concerns."""
    parts = ", ".join(f"{part} (since {number} run{'s' * (number > 1)})" for part, number in sorted(runs.items()))
    return f"code changed: {parts}"


def code_of(config: RunConfig) -> dict[str, str]:
    """Returns the digest of each part that decides a run's numbers, and those of its source runs."""
    sources = [part for source in config.sources().values() for part in code_of(source)]
    techniques = [f"{TECHNIQUE}{technique.name}" for technique in config.techniques or ()]
    found = {part: current(part) for part in dict.fromkeys([*PARTS, *techniques, *sources])}
    return {part: digest for part, digest in found.items() if digest is not None}


def changed(recorded: Mapping[str, str]) -> list[str]:
    """Returns the parts whose code is not that of the record.

    Of a record without digests none is known, nor is a technique that no plug-in has now.
    """
    return [part for part, digest in recorded.items() if current(part) not in (None, digest)]


def current(part: str) -> str | None:
    """Returns the digest of a part as this process has it; None if there is no such technique.

    The source is read at the first call, so a process calls this before it begins its first run: files
    may be edited while it works.
    """
    return _current(part, plugins.key())


@cache
def _current(part: str, _: str) -> str | None:
    if part in PARTS:
        room, names = PARTS[part]
        folder = Path(stableft.__file__).parent / room
        return digest(*((folder / f"{name}.py").read_text(encoding="utf-8") for name in names))
    kind = all_techniques().get(part.removeprefix(TECHNIQUE))
    if kind is None:
        return None
    loader: Any = sys.modules[kind.__module__].__loader__  # of a plug-in it has the text that was loaded
    return digest(loader.get_source(kind.__module__))


def digest(*sources: str) -> str:
    """Returns 16 hex digits of the SHA-256 of Python sources, without what no interpreter executes."""
    text = "\0".join(map(_executed, sources))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _executed(source: str) -> str:
    """Returns the lines of a source without comments, docstrings, blank lines and space at their ends."""
    lines = source.splitlines()
    # Docstrings, by the lines of their expressions.
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            text = node.body[0]
            for number in range(text.lineno - 1, text.end_lineno or text.lineno):
                lines[number] = ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and (line := lines[token.start[0] - 1]):
            lines[token.start[0] - 1] = line[: token.start[1]]
    return "\n".join(line.rstrip() for line in lines if line.strip())


def changed_code(store: Store, protocol: str | None = None, experiments: Sequence[str] = ()) -> list[ChangedCode]:
    """Returns the experiments with collected runs whose code changed since.

    Args:
        store: The results; unreadable tables are left out, since their reader names them.
        protocol: Only this protocol; None: all.
        experiments: Only these experiments; empty: all.
    """
    found: list[ChangedCode] = []
    for scale, name in store.collected():
        if protocol not in (None, scale) or (experiments and name not in experiments):
            continue
        try:
            runs = store.load_runs(scale, name)
        except MissingInput:
            continue
        if counted := count(changed(recorded_code(json.loads(text))) for text in runs["provenance"].astype(str)):
            found.append(ChangedCode(scale, name, counted))
    return found


def count(parts: Iterable[Iterable[str]]) -> dict[str, int]:
    """Counts runs by part, given the parts that changed since each run."""
    return dict(Counter(part for of_run in parts for part in of_run))


def recorded_code(provenance: Mapping[str, object]) -> Mapping[str, str]:
    """Returns the digests in a run's provenance; empty for runs from before they were recorded."""
    code = provenance.get("code")
    return {str(part): str(digest) for part, digest in code.items()} if isinstance(code, Mapping) else {}
