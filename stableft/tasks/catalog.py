"""Catalog of tasks: those declared in this package's modules, and those made from a user's files."""

from collections.abc import Sequence
from functools import cache

from stableft.core import plugins
from stableft.core.errors import UsageError, listed, quoted
from stableft.core.own_data import OwnData
from stableft.core.registry import modules, named
from stableft.tasks import Task, user_files


def all_tasks() -> dict[str, Task]:
    """Returns all declared tasks by name, those of plug-ins last.

    Raises:
        UsageError: a plug-in's task has the name of another one.
    """
    return _all_tasks(plugins.key())


@cache
def _all_tasks(_: str) -> dict[str, Task]:
    known = {task.name: task for module in modules("stableft.tasks") for task in getattr(module, "TASKS", ())}
    for task in plugged_tasks():
        known = plugins.plugged(known, {task.name: task}, "a task")
    return known


def plugged_tasks() -> list[Task]:
    """Returns the tasks of plug-ins: those in ``TASKS`` of their modules."""
    return [task for module in plugins.loaded().values() for task in getattr(module, "TASKS", ())]


def get_task(name: str, own: OwnData | None = None) -> Task:
    """Returns the task of that name.

    Args:
        name: A declared task, or a user's files (``csv:PATH`` and the like, see
            `stableft.tasks.user_files`).
        own: How to read a user's files; None: as they are.

    Raises:
        UsageError: there is none, or it is declared and ``own`` chooses columns.
        MissingInput: the files are absent or malformed.
    """
    if name in all_tasks():
        if own and (flags := own.flags()):
            raise UsageError(f"{flags[0]} is for files of your own, and {name} is a task that `ls tasks` lists")
        return all_tasks()[name]
    if user_files.is_own(name):
        return user_files.read(name, own)
    if ways := user_files.unread(name):
        raise UsageError(f"unknown task {quoted(name)}; {ways}")
    return named(name, all_tasks(), "task")


def own_tasks(names: Sequence[str], own: OwnData | None = None) -> list[Task]:
    """Returns the tasks of a selection of the user's own files and plug-ins; none if all are others.

    Raises:
        UsageError: it has both kinds of names, or there is none and ``own`` chooses columns.
        MissingInput: as for `get_task`.
    """
    plugged = {task.name: task for task in plugged_tasks()}
    files = [name for name in names if name in plugged or (name not in all_tasks() and user_files.is_own(name))]
    for name in names:
        if name not in files and (ways := user_files.unread(name)):
            raise UsageError(f"unknown task {quoted(name)}; {ways}")
    if files and len(files) < len(names):
        others = listed(name for name in names if name not in files)
        raise UsageError(f"own files are run on their own: {listed(files)} now, {others} with another command")
    if not files and own and (flags := own.flags()):
        raise UsageError(f"{flags[0]} is for files of your own: name them by --tasks, such as --tasks csv:reviews.csv")
    return [plugged[name] if name in plugged else get_task(name, own) for name in files]
