"""Hugging Face hub: reads its local cache, and for one command downloads into it.

Code from the hub never runs.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from stableft.core.errors import MissingInput
from stableft.core.files import cache_folder, locked

if TYPE_CHECKING:
    from datasets import Dataset

OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
OFF = ("", "0", "false", "no", "off")


def cached_files(repository: str) -> Path:
    """Returns the folder of a model repository's files in the local cache.

    Raises:
        Exception: of many kinds; it is not there.
    """
    with _offline():
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(repository, local_files_only=True))


def cached_dataset(repository: str, config: str, split: str) -> "Dataset":
    """Returns a split of a dataset in the local cache.

    Raises:
        Exception: of many kinds; it is not there.
    """
    with _offline():
        from datasets import load_dataset

        return cast("Dataset", load_dataset(repository, config, split=split))


def fetch_files(repository: str, names: Sequence[str]) -> Path:
    """Downloads files of a model repository into the local cache.

    Args:
        repository: Hub id.
        names: The only wanted files; absent ones are left out.

    Returns:
        Their folder.

    Raises:
        MissingInput: the download is forbidden or fails.
    """
    return Path(_fetch(repository, lambda: _snapshot(repository, names)))


def fetch_dataset(repository: str, config: str, splits: Sequence[str]) -> None:
    """Downloads splits of a dataset into the local cache.

    Raises:
        MissingInput: the download is forbidden or fails.
    """

    def load() -> None:
        from datasets import load_dataset

        for split in splits:
            load_dataset(repository, config, split=split)

    _fetch(repository, load)


def _snapshot(repository: str, names: Sequence[str]) -> str:
    from huggingface_hub import snapshot_download

    return snapshot_download(repository, allow_patterns=list(names))


def _fetch(repository: str, get: Any) -> Any:
    if forbidding := [name for name in OFFLINE if os.environ.get(name, "").lower() not in OFF]:
        raise MissingInput(f"{repository} can't be fetched: {' and '.join(forbidding)} forbids it; unset it for this one command")
    with locked(cache_folder() / "hub.lock"):
        try:
            return get()
        except Exception as error:  # no common base: each means that the download failed
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise MissingInput(
                f"{repository} can't be fetched from the hub ({reason}). Is the name right, and are you online?"
            ) from error


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """Sets the variables that keep the hub's libraries offline, and restores them afterwards.

    The libraries read them when they are first imported.
    """
    before = {name: os.environ.get(name) for name in OFFLINE}
    os.environ.update(dict.fromkeys(OFFLINE, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
