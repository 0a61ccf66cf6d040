"""Tokenised data on disk: made once, then read by every worker as memory-mapped arrays that share one copy in memory."""

import hashlib
import importlib.metadata
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from stableft.packing import Tokens

LAYOUT = 1
Splits = dict[str, Tokens]


def key(**parts: Any) -> str:
    """Names a set of tokens by everything they depend on: the given parts, and the versions of what cuts texts into pieces."""
    versions = {name: importlib.metadata.version(name) for name in ("transformers", "tokenizers")}
    text = json.dumps({"layout": LAYOUT, **versions, **parts}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def load_or_make(folder: Path, make: Callable[[], tuple[Splits, np.ndarray]]) -> tuple[Splits, np.ndarray]:
    """The splits and pieces that stand in a folder, or those that ``make`` gives, which are then put there.

    A damaged folder is made again. A folder that can't be written is no error: it would only have saved time.
    """
    try:
        return _read(folder)
    except (OSError, ValueError, EOFError):
        splits, pieces = make()
    try:
        _write(folder, splits, pieces)
        return _read(folder)
    except (OSError, ValueError, EOFError):
        return splits, pieces


def _read(folder: Path) -> tuple[Splits, np.ndarray]:
    pieces = np.load(folder / "pieces.npy")
    splits = {}
    for name in json.loads((folder / "splits.json").read_text(encoding="utf-8")):
        arrays = {field.name: np.load(folder / f"{name}.{field.name}.npy", mmap_mode="r") for field in fields(Tokens)}
        tokens = Tokens(**arrays)
        if not len(tokens.ids) == len(tokens.segments) == tokens.offsets[-1] or len(tokens.labels) != len(tokens):
            raise ValueError(f"{folder} is damaged")
        splits[name] = tokens
    return splits, pieces


def _write(folder: Path, splits: Splits, pieces: np.ndarray) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        np.save(draft / "pieces.npy", pieces)
        for name, tokens in splits.items():
            for field in fields(Tokens):
                np.save(draft / f"{name}.{field.name}.npy", getattr(tokens, field.name))
        (draft / "splits.json").write_text(json.dumps(list(splits)), encoding="utf-8")
        if folder.exists() and not _readable(folder):
            shutil.rmtree(folder, ignore_errors=True)
        os.rename(draft, folder)  # fails if another worker was first: its tokens are the same
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _readable(folder: Path) -> bool:
    try:
        _read(folder)
    except (OSError, ValueError, EOFError):
        return False
    return True
