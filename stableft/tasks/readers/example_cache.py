"""Disk cache of examples that take seconds to make, as JSON."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stableft.core.files import write_whole
from stableft.tasks import Example, TaggedExample, TaskData

SPLITS = ("train", "validation", "test")


def load_or_make(path: Path, make: Callable[[], TaskData]) -> TaskData:
    """Reads examples from a file, or makes them and writes the file.

    A damaged file is made again: the fingerprint stored in it must be that of its examples. A
    folder that can't be written is no error, because the cache only saves time.

    Args:
        path: The file; its name must identify everything that affects the examples.
        make: Makes the examples.
    """
    try:
        return _read(path)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        data = make()
    rows = {split: [example.row for example in getattr(data, split)] for split in SPLITS}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps({"fingerprint": data.fingerprint, **rows}).encode())
    except OSError:
        pass
    return data


def _read(path: Path) -> TaskData:
    content = json.loads(path.read_bytes())
    data = TaskData(*(tuple(map(_example, content[split])) for split in SPLITS))
    if data.fingerprint != content["fingerprint"]:
        raise ValueError(f"{path} is damaged")
    return data


def _example(row: list[Any]) -> Any:
    return TaggedExample(*map(tuple, row)) if isinstance(row[0], list) else Example(*row)
