"""Token cache: tokenised data on disk, made once and shared by all workers as memory-mapped arrays."""

import hashlib
import importlib.metadata
import json
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from stableft.core.files import replaced_folder
from stableft.models.tokens import Tokens

LAYOUT = 2  # 2: splits.json has a hash of the content of each file
Splits = dict[str, Tokens]


def key(**parts: Any) -> str:
    """Returns the name of a set of tokens, a hash of everything that the tokens depend on.

    This is the given parts, and the versions of the tokenising packages.
    """
    versions = {name: importlib.metadata.version(name) for name in ("transformers", "tokenizers")}
    text = json.dumps({"layout": LAYOUT, **versions, **parts}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def load_or_make(folder: Path, make: Callable[[], tuple[Splits, np.ndarray]]) -> tuple[Splits, np.ndarray]:
    """Returns the splits and pieces in a folder, or makes them by ``make`` and writes them there.

    A damaged folder is made again. An unwritable folder is no error: it would only have saved time.
    """
    try:
        return _read(folder)
    except _UNREADABLE:
        splits, pieces = make()
    try:
        _write(folder, splits, pieces)
        return _read(folder)
    except _UNREADABLE:
        return splits, pieces


_UNREADABLE = (OSError, ValueError, EOFError, LookupError, TypeError, AttributeError, RecursionError)


def _read(folder: Path) -> tuple[Splits, np.ndarray]:
    content = json.loads((folder / "splits.json").read_text(encoding="utf-8"))
    if content["sha256"] != _sha256(folder, content["splits"]):
        raise ValueError(f"{folder} is damaged")
    splits = {}
    for name in content["splits"]:
        files = {field.name: folder / f"{name}.{field.name}.npy" for field in fields(Tokens)}
        splits[name] = Tokens(**{field: np.load(file, mmap_mode="r") for field, file in files.items() if file.exists()})
    return splits, np.load(folder / "pieces.npy")


def _sha256(folder: Path, splits: list[str]) -> str:
    """Returns the SHA-256 of the names of the splits, and of the names and contents of all arrays."""
    digest = hashlib.sha256(json.dumps(splits).encode())
    for path in sorted(folder.glob("*.npy")):
        with open(path, "rb") as file:
            digest.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}".encode())
    return digest.hexdigest()


def _write(folder: Path, splits: Splits, pieces: np.ndarray) -> None:
    with replaced_folder(folder) as draft:  # fails if another worker was first: its tokens are the same
        np.save(draft / "pieces.npy", pieces)
        for name, tokens in splits.items():
            for field in fields(Tokens):
                if (array := getattr(tokens, field.name)) is not None:
                    np.save(draft / f"{name}.{field.name}.npy", array)
        content = {"splits": list(splits), "sha256": _sha256(draft, list(splits))}
        (draft / "splits.json").write_text(json.dumps(content), encoding="utf-8")
        if folder.exists() and not _readable(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _readable(folder: Path) -> bool:
    try:
        _read(folder)
    except _UNREADABLE:
        return False
    return True
