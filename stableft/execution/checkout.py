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
from stableft.core import anonymize
from stableft.core.files import write_whole

CODE = ("stableft", "experiments", "requirements.lock", "pyproject.toml")
MAX_PATCH = 2**20  # bytes; a larger patch adds a data file rather than changes the code
ROOT = Path(stableft.__file__).resolve().parent.parent
# One form whatever the user's git settings are, with paths relative to the repository.
DIFF = ("-c", "core.quotepath=off", "diff", "--no-ext-diff", "--no-textconv", "--no-color", "--no-relative", "--no-renames")
FORM = ("--binary", "--full-index", "--src-prefix=a/", "--dst-prefix=b/", "-U3")


@dataclass(frozen=True)
class Checkout:
    """A state of the code.

    Attributes:
        commit: The last commit, 40 hex digits; None outside a git checkout.
        patch: Changes since the commit, for ``git apply``, including files not yet known to git;
            empty if nothing was changed.
    """

    commit: str | None
    patch: bytes = b""

    @property
    def sha256(self) -> str | None:
        """SHA-256 of the patch; None if the patch is empty."""
        return hashlib.sha256(self.patch).hexdigest() if self.patch else None

    def keep(self, folder: Path, *, identify: bool = False) -> dict[str, Any]:
        """Writes the patch to ``<folder>/<sha256>.patch``, once, and returns facts of the checkout.

        A patch is left out if it is larger than `MAX_PATCH`, or names this user's home folder or
        host; then ``diff_left_out`` is the reason.

        Args:
            folder: Folder of patches; created if absent.
            identify: True if a patch may name home and host.
        """
        facts: dict[str, Any] = {"commit": self.commit, "dirty": bool(self.patch), "diff_sha256": self.sha256}
        if not self.patch:
            return facts
        if len(self.patch) > MAX_PATCH:
            return {**facts, "diff_left_out": f"it has {len(self.patch):,} bytes, more than {MAX_PATCH:,}"}
        if not identify and anonymize.is_named_in(self.patch):
            return {**facts, "diff_left_out": "it names a host or a home folder; --identify keeps it"}
        path = folder / f"{self.sha256}.patch"
        if not path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(path, self.patch)
        return facts


def patches(results: Path) -> Path:
    """Returns the folder of patches in a results folder; they are part of the evidence."""
    return results / "diffs"


@cache
def here() -> Checkout:
    """Returns the checkout of this process's code, as it was at the first call."""
    return read(ROOT)


def read(root: Path) -> Checkout:
    """Returns the state of the code under a folder.

    It has no commit if git does not track ``stableft`` there: a package installed inside another
    project's repository is not a checkout of that project.
    """
    if not _git(root, "ls-files", "stableft/__init__.py"):
        return Checkout(None)
    commit = _git(root, "rev-parse", "HEAD").decode().strip()
    if not commit:
        return Checkout(None)
    paths = [path for path in CODE if (root / path).exists() or _git(root, "ls-files", path)]
    with tempfile.TemporaryDirectory() as scratch:
        index = str(Path(scratch) / "index")  # a copy: the user's staging area must not change
        _git(root, "read-tree", "HEAD", index=index)
        _git(root, "add", "--intent-to-add", "--", *paths, index=index)
        return Checkout(commit, _git(root, *DIFF, *FORM, "HEAD", "--", *paths, index=index))


def _git(root: Path, *arguments: str, index: str | None = None) -> bytes:
    """Returns the output of git; empty if git fails or is absent."""
    environment = {**os.environ, "GIT_INDEX_FILE": index} if index else None
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, timeout=20, check=True, env=environment)
    except (OSError, subprocess.SubprocessError):
        return b""
    return done.stdout
