"""New: writes a working technique, task or experiment of one's own, with its test."""

import shlex
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from stableft.cli.common import TYPED, AsJson, option, show, verb
from stableft.cli.formatting import VIEW_SCHEMA, View
from stableft.core.errors import UsageError, quoted
from stableft.core.experiments import all_experiments
from stableft.core.files import write_whole
from stableft.core.technique import all_techniques
from stableft.tasks.catalog import all_tasks

KNOWN = {"technique": all_techniques, "task": all_tasks, "experiment": all_experiments}


@verb
def new(
    kind: Annotated[str, typer.Argument(help="technique, task or experiment", metavar="KIND")],
    name: Annotated[str, typer.Argument(help="Its name, such as my_technique.", metavar="NAME")],
    folder: Annotated[Path, option("Where to write the two files.", "--folder", **TYPED)] = Path(),
    as_json: AsJson = False,
) -> None:
    """Write a technique, task or experiment.

    Its file and its test work as they are: change them step by step. Nothing is overwritten.
    """
    show(written(kind, name, folder), as_json)


def written(kind: str, name: str, folder: Path) -> View:
    """Writes NAME.py and test_NAME.py, and shows what to type next.

    Raises:
        UsageError: The kind is unknown; the name is no Python name, or is taken; a file exists.
    """
    if kind not in KNOWN:
        raise UsageError(f"can't write a {quoted(kind)}; write technique, task or experiment")
    if not name.isidentifier() or name != name.lower() or name.startswith("_"):
        raise UsageError(f"{quoted(name)} is no name of a Python module: write small letters, digits and _, such as my_{kind}")
    if name in KNOWN[kind]():
        raise UsageError(f"there is {'an' if kind == 'experiment' else 'a'} {kind} {name} already; choose another name")
    paths = {folder / f"{name}.py": f"{kind}.py.txt", folder / f"test_{name}.py": f"test_{kind}.py.txt"}
    if there := [path for path in paths if path.exists()]:
        raise UsageError(f"{there[0]} exists; choose another name or --folder")
    values = {"name": name, "title": name.replace("_", " ").capitalize(), "type": name.title().replace("_", "")}
    folder.mkdir(parents=True, exist_ok=True)
    for path, template in paths.items():
        text = (files("stableft.cli") / "templates" / template).read_text(encoding="utf-8")
        for word, value in values.items():
            text = text.replace(f"${word}", value)
        write_whole(path, text.encode())
    file, test = map(str, paths)
    commands = {
        "technique": [["try", name, "--plugin", file, "--seeds", "0-5"]],
        "task": [["data", "check", name, "--plugin", file], ["run", "adam", "--tasks", name, "--plugin", file]],
        "experiment": [["run", file, "--protocol", "smoke"], ["figures", file]],
    }[kind]
    lines = [
        shlex.join(["python", "-m", "pytest", test]),
        *(shlex.join(["python", "-m", "stableft", *words]) for words in commands),
    ]
    data = {"schema": VIEW_SCHEMA, "files": [file, test], "next": lines}
    return View([f"wrote {file} and {test}", *(f"next: {line}" for line in lines)], data)
