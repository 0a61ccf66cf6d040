"""Versions against the lock, and the environment."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from stableft.execution import provenance
from stableft.execution.run_provenance import ids_sha256


def test_the_lock_and_what_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    installed = {"torch": "2.13.0+cpu", "numpy": "2.4.7"}

    def version(name: str) -> str:
        if name not in installed:
            raise provenance.importlib.metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(provenance.importlib.metadata, "version", version)
    content = b"# a==1 is a comment\ntorch==2.13.0\nnumpy==2.4.6\nscipy==1.17.1\n"
    (tmp_path / "requirements.lock").write_bytes(content)
    assert provenance.lock(tmp_path) == {
        "sha256": hashlib.sha256(content).hexdigest(),
        "differs": {"numpy": "2.4.7", "scipy": None},
    }
    assert provenance.lock(tmp_path / "none") is None


def test_only_variables_on_the_list_are_recorded(monkeypatch: pytest.MonkeyPatch):
    for name in provenance.ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("SECRET_TOKEN", "x")
    assert provenance.environment() == {"OMP_NUM_THREADS": "3"}


def test_drawn_examples_have_one_hash_whatever_their_order():
    assert ids_sha256(np.array([3, 1, 2])) == ids_sha256(np.array([1, 2, 3])) != ids_sha256(np.array([1, 2]))
    # Anybody can compute it: eight bytes each, the least first.
    assert ids_sha256(np.array([1])) == "7c9fa136d4413fa6173637e883b6998d32e1d675f88cddff9dcbcf331820f4b8"
