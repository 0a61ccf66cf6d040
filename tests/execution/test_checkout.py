"""The state of the code: what a patch brings back, and what is never kept."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from stableft.core import anonymize
from stableft.execution import checkout
from stableft.execution.checkout import Checkout


def git(folder: Path, *arguments: str) -> str:
    settings = ("-c", "user.name=Nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", "-C", str(folder), *settings, *arguments], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "work"
    for name in ("stableft/__init__.py", "stableft/engine.py", "experiments/first.py", "results/evidence.txt", "pyproject.toml"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"# {name}\n", encoding="utf-8")
    git(tmp_path, "init", "--quiet", str(root))
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "first")
    return root


def change(root: Path) -> None:
    """An edit, a new file in a new folder, a binary one whose name git would quote, a file that is gone; and a result."""
    (root / "stableft" / "engine.py").write_text("changed = 'ä\r\n'\n", encoding="utf-8", newline="")
    (root / "stableft" / "techniques").mkdir()
    (root / "stableft" / "techniques" / "new.py").write_text("new = True\n", encoding="utf-8")
    (root / "stableft" / "données.bin").write_bytes(bytes(range(256)))
    (root / "experiments" / "first.py").unlink()
    (root / "results" / "evidence.txt").write_text("other results are no other code\n", encoding="utf-8")


def code(root: Path) -> dict[str, bytes]:
    files = [path for folder in ("stableft", "experiments") for path in (root / folder).rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def test_the_patch_turns_the_commit_into_the_code(repository: Path, tmp_path: Path):
    assert checkout.read(repository) == Checkout(git(repository, "rev-parse", "HEAD").strip())
    change(repository)
    before = git(repository, "status", "--porcelain")
    git(repository, "config", "diff.noprefix", "true")
    found = checkout.read(repository)
    assert git(repository, "status", "--porcelain") == before, "the user's own staging area"
    facts = found.keep(tmp_path / "diffs")
    assert facts == {"commit": found.commit, "dirty": True, "diff_sha256": found.sha256}
    (kept,) = (tmp_path / "diffs").iterdir()
    git(tmp_path, "clone", "--quiet", str(repository), "again")
    git(tmp_path / "again", "checkout", "--quiet", str(found.commit))
    git(tmp_path / "again", "apply", str(kept))
    assert code(tmp_path / "again") == code(repository)
    assert b"evidence" not in found.patch
    assert str(tmp_path).encode() not in found.patch


def test_the_same_state_gives_the_same_patch_staged_or_not(repository: Path):
    change(repository)
    first = checkout.read(repository)
    git(repository, "add", "--all")
    assert checkout.read(repository) == first


def test_no_checkout_has_no_commit(repository: Path, tmp_path: Path):
    assert checkout.read(tmp_path / "nowhere") == Checkout(None)
    installed = repository / "venv" / "site-packages"  # inside somebody's repository, but not of it
    (installed / "stableft").mkdir(parents=True)
    (installed / "stableft" / "__init__.py").touch()
    assert checkout.read(installed) == Checkout(None)
    assert Checkout(None).keep(tmp_path / "diffs") == {"commit": None, "dirty": False, "diff_sha256": None}
    assert not (tmp_path / "diffs").exists()


def test_a_patch_that_is_too_large_or_names_somebody_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setattr(socket, "gethostname", lambda: "lab-machine-7")
    for patch, why in {
        b"+" * (checkout.MAX_PATCH + 1): "1,048,577 bytes",
        b"+open('/home/somebody/data.csv')": "--identify",
        b"+# on lab-machine-7 only": "--identify",
    }.items():
        facts = Checkout("c" * 40, patch).keep(tmp_path)
        assert why in facts["diff_left_out"]
        assert facts["diff_sha256"] == Checkout(None, patch).sha256
    assert not list(tmp_path.iterdir())
    kept = Checkout("c" * 40, b"+open('/home/somebody/data.csv')")
    assert "diff_left_out" not in kept.keep(tmp_path, identify=True)
    assert [path.name for path in tmp_path.iterdir()] == [f"{kept.sha256}.patch"]


def test_names_are_taken_out_of_texts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setattr(socket, "gethostname", lambda: "lab-machine-7")
    monkeypatch.setattr("getpass.getuser", lambda: "somebody")
    text = 'File "/home/somebody/x.py", owner somebody at lab-machine-7; /data/somebody_else and /home/somebodyelse stay \udcff'
    said = 'File "~/x.py", owner <user> at <host>; /data/somebody_else and /home/somebodyelse stay \udcff'
    assert anonymize.without_names(text) == said
    monkeypatch.setattr("getpass.getuser", lambda: "root")
    assert anonymize.without_names("Store.root of root") == "Store.root of root"


def test_a_user_without_a_name_is_no_error(monkeypatch: pytest.MonkeyPatch):
    def unknown() -> str:
        raise KeyError(os.getuid())

    monkeypatch.setattr("getpass.getuser", unknown)
    assert anonymize.names()["user"] == ""
