"""Catalog of tasks: those declared in this package's modules, and those made from a user's files."""

from collections.abc import Sequence
from functools import cache

from stableft.core.errors import UsageError, listed
from stableft.core.registry import modules, named
from stableft.tasks import Task, user_files


@cache
def all_tasks() -> dict[str, Task]:
    """Returns all declared tasks by name."""
    return {task.name: task for module in modules("stableft.tasks") for task in getattr(module, "TASKS", ())}


def get_task(name: str) -> Task:
    """Returns the task of that name.

    Args:
        name: A declared task, or a user's files (``csv:PATH`` and the like, see
            `stableft.tasks.user_files`).

    Raises:
        UsageError: there is none.
        MissingInput: the files are absent or malformed.
    """
    return user_files.read(name) if user_files.is_own(name) else named(name, all_tasks(), "task")


def own_tasks(names: Sequence[str]) -> list[Task]:
    """Returns the tasks of a selection of the user's own files; none if all are declared tasks.

    Raises:
        UsageError: it has both kinds of names.
        MissingInput: as for `get_task`.
    """
    files = [name for name in names if user_files.is_own(name)]
    if files and len(files) < len(names):
        others = listed(name for name in names if name not in files)
        raise UsageError(f"own files are run on their own: {listed(files)} now, {others} with another command")
    return [get_task(name) for name in files]
