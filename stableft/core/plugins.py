"""Plug-ins: techniques, tasks, experiments and figures from a user's own files and installed packages.

A file is named by ``--plugin``, by its path as an experiment, or in the environment variable
`VARIABLE`. It becomes the module ``stableft_plugins.<stem>``, and its text is read once: training
processes are sent that text with their runs, so that no edit reaches a grid that has begun. An
installed package names its modules by entry points of the groups `GROUPS`.
"""

import importlib
import importlib.util
import itertools
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from stableft.core.errors import UsageError, quoted

VARIABLE = "STABLEFT_PLUGINS"
PACKAGE = "stableft_plugins"
GROUPS = ("stableft.techniques", "stableft.tasks", "stableft.experiments", "stableft.figures")


class PluginText(NamedTuple):
    """A plug-in file: its path, its text when it was first read, and the number of the reading."""

    path: str
    text: bytes
    number: int


_NUMBERS = itertools.count()
_TEXTS: dict[str, PluginText] = {}  # by the name of the module


def add(paths: Sequence[str | Path]) -> list[str]:
    """Adds files to the plug-ins of this process and of the processes that it starts.

    Returns:
        The name of each: that of its file without ``.py``.

    Raises:
        UsageError: A file is absent, is no Python module, does not import, or shares its name with
            another plug-in.
    """
    names: list[str] = []
    for path in (Path(os.path.expanduser(path)).resolve() for path in paths):
        known = files()
        if path.suffix != ".py" or not path.stem.isidentifier():
            raise UsageError(f"plug-in {quoted(str(path))}: name a Python file such as my_technique.py")
        if not path.is_file():
            raise UsageError(f"plug-in {quoted(str(path))}: no such file")
        if os.pathsep in str(path):
            raise UsageError(f"plug-in {quoted(str(path))}: its path may not contain {os.pathsep!r}")
        if known.get(path.stem, path) != path:
            raise UsageError(f"two plug-ins are called {path.stem}: {known[path.stem]} and {path}; rename one")
        os.environ[VARIABLE] = os.pathsep.join(map(str, dict.fromkeys([*known.values(), path])))
        names.append(path.stem)
    loaded()
    return names


def files() -> dict[str, Path]:
    """Returns the plug-in files by the names of their modules."""
    named = {Path(path).stem: Path(path) for path in os.environ.get(VARIABLE, "").split(os.pathsep) if path}
    return named | {name: Path(source.path) for name, source in _TEXTS.items()}


def words(*left_out: str) -> list[str]:
    """Returns the options of a command that plug in the same files, without those of some names."""
    paths = [str(path) for name, path in files().items() if name not in left_out]
    return [word for path in paths for word in ("--plugin", path)]


def key() -> str:
    """Returns a text that changes with the plug-ins, for the caches of what is looked up among them."""
    return " ".join(f"{name} {_text(name).number}" for name in files())


def loaded() -> Mapping[str, ModuleType]:
    """Returns all plug-ins by name: those of files by their stem, those of packages by their entry point.

    Raises:
        UsageError: One does not import; the message has its file and line. Or two share a name.
    """
    return _loaded(key())


@cache
def _loaded(_: str) -> Mapping[str, ModuleType]:
    found = {name: _imported(f"{PACKAGE}.{name}", f"plug-in {path}") for name, path in files().items()}
    for group in GROUPS:
        for entry in entry_points(group=group):
            module = _imported(entry.module, f"plug-in {entry.name} of {entry.dist.name if entry.dist else group}")
            if found.setdefault(entry.name, module) is not module:
                both = f"{found[entry.name].__name__} and {entry.module}"
                raise UsageError(f"two plug-ins are called {entry.name}: {both}; leave one out")
    return found


def _imported(module: str, what: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except UsageError as error:
        raise UsageError(f"{what}: {error}") from error
    except Exception as error:
        raise UsageError(f"{what} does not import{_place(error)}: {type(error).__name__}: {error}") from error


def _place(error: Exception) -> str:
    """Returns the line of a plug-in's own file at which its import ended, as a phrase."""
    if isinstance(error, SyntaxError) and error.lineno:
        return f" (line {error.lineno})"
    own = {str(path) for path in files().values()}
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename in own]
    return f" (line {lines[-1]})" if lines else ""


def plugged(known: Mapping[str, Any], others: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Returns the entries of a registry with those of plug-ins.

    Raises:
        UsageError: A plug-in has the name of another entry.
    """
    if taken := sorted(known.keys() & others.keys()):
        raise UsageError(f"a plug-in has {kind} {quoted(taken[0])}, and there is one of that name; give it another name")
    return {**known, **others}


def with_texts(build: Callable[..., Any], fields: Mapping[str, Any]) -> tuple[Any, ...]:
    """Returns what ``__reduce__`` returns for an object that may hold instances of plug-ins' classes.

    Args:
        build: Makes the object of its fields; it is not a plug-in's.
        fields: Read after the texts of the plug-ins, in the order in which they are written.
    """
    return _built, (_SentTexts({name: _text(name) for name in files()}), build, dict(fields))


class _SentTexts(dict[str, PluginText]):
    """The texts of plug-ins, which become known where they are unpickled."""

    def __reduce__(self) -> Any:
        return _receive, (dict(self),)


def _receive(texts: Mapping[str, PluginText]) -> None:
    for name, source in texts.items():
        if name not in files() or _text(name).text != source.text:
            _TEXTS[name] = source._replace(number=next(_NUMBERS))
            sys.modules.pop(f"{PACKAGE}.{name}", None)


def _built(_: None, build: Callable[..., Any], fields: Mapping[str, Any]) -> Any:
    return build(**fields)


def _text(name: str) -> PluginText:
    """Returns a plug-in's file as this process first read it, or was sent it.

    Raises:
        UsageError: It can't be read.
    """
    if name not in _TEXTS:
        path = files()[name]
        try:
            _TEXTS[name] = PluginText(str(path), path.read_bytes(), next(_NUMBERS))
        except OSError as error:
            raise UsageError(f"plug-in {quoted(str(path))}: {error.strerror or error}") from None
    return _TEXTS[name]


class _Loader(SourceLoader):
    """A loader of the text of a plug-in, without a cache of bytecode."""

    def __init__(self, name: str) -> None:
        self._source = _text(name)

    def get_filename(self, fullname: str) -> str:
        return self._source.path

    def get_data(self, path: str | bytes) -> bytes:
        if path != self._source.path:
            raise OSError(f"{path!r} is not the plug-in")
        return self._source.text


class _Finder(MetaPathFinder):
    """A finder of the modules of plug-ins, for imports by name and for unpickling."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname == PACKAGE:
            return ModuleSpec(PACKAGE, None, is_package=True)
        name = fullname.removeprefix(f"{PACKAGE}.")
        if name == fullname or name not in files():
            return None
        return importlib.util.spec_from_file_location(fullname, files()[name], loader=_Loader(name))


sys.meta_path.append(_Finder())
