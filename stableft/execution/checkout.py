"""Checkout: the code that computes runs, as a commit and the patch on top of it."""

import hashlib
import os
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import stableft
from stableft.core import anonymize as identity
from stableft.core.files import write_whole

CODE = ("stableft", "experiments", "requirements.lock", "pyproject.toml")
MAX_PATCH = 2**20  # bytes; more than that is a file that was added, not a change to the code
ROOT = Path(stableft.__file__).resolve().parent.parent
# Whatever a user's settings of git say: one form, in which paths are relative to the repository.
DIFF = ("-c", "core.quotepath=off", "diff", "--no-ext-diff", "--no-textconv", "--no-color", "--no-relative", "--no-renames")
FORM = ("--binary", "--full-index", "--src-prefix=a/", "--dst-prefix=b/", "-U3")


@dataclass(frozen=True)
class Checkout:
    """A state of the code.

    Attributes:
        commit: The last commit, 40 hex digits; None outside a git checkout.
        patch: What ``git apply`` makes of it; empty if nothing was changed. Files that git does not know yet are in it too.
    """

    commit: str | None
    patch: bytes = b""

    @property
    def sha256(self) -> str | None:
        """Of the patch; None if it is empty."""
        return hashlib.sha256(self.patch).hexdigest() if self.patch else None

    def keep(self, folder: Path, *, identify: bool = False) -> dict[str, Any]:
        """Writes the patch to ``<folder>/<sha256>.patch``, once, and gives the facts of the checkout.

        A patch that is larger than `MAX_PATCH`, or names this user's home folder or host, is left out; ``diff_left_out`` says why.

        Args:
            folder: Where patches lie; created if need be.
            identify: A patch may name home and host.
        """
        facts: dict[str, Any] = {"commit": self.commit, "dirty": bool(self.patch), "diff_sha256": self.sha256}
        if not self.patch:
            return facts
        if len(self.patch) > MAX_PATCH:
            return {**facts, "diff_left_out": f"it has {len(self.patch):,} bytes, more than {MAX_PATCH:,}"}
        if not identify and identity.is_named_in(self.patch):
            return {**facts, "diff_left_out": "it names a host or a home folder; --identify keeps it"}
        path = folder / f"{self.sha256}.patch"
        if not path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(path, self.patch)
        return facts


def patches(results: Path) -> Path:
    """Where the patches of runs lie that are in a results folder: part of the evidence."""
    return results / "diffs"


@cache
def here() -> Checkout:
    """The checkout that this process's code is from, as it is at the first call."""
    return read(ROOT)


def read(root: Path) -> Checkout:
    """The state of the code under a folder; without a commit if git does not have that folder's own ``stableft``.

    A package that was installed inside another project's repository is no checkout of that one.
    """
    if not _git(root, "ls-files", "stableft/__init__.py"):
        return Checkout(None)
    commit = _git(root, "rev-parse", "HEAD").decode().strip()
    if not commit:
        return Checkout(None)
    paths = [path for path in CODE if (root / path).exists() or _git(root, "ls-files", path)]
    with tempfile.TemporaryDirectory() as scratch:
        index = str(Path(scratch) / "index")  # a copy, so that the user's own staging area stays as it is
        _git(root, "read-tree", "HEAD", index=index)
        _git(root, "add", "--intent-to-add", "--", *paths, index=index)
        return Checkout(commit, _git(root, *DIFF, *FORM, "HEAD", "--", *paths, index=index))


def _git(root: Path, *arguments: str, index: str | None = None) -> bytes:
    """What git prints; empty if it fails, or is not there."""
    environment = {**os.environ, "GIT_INDEX_FILE": index} if index else None
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, timeout=20, check=True, env=environment)
    except (OSError, subprocess.SubprocessError):
        return b""
    return done.stdout
