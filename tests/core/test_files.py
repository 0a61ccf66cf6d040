"""A reader sees the old file or the whole new one."""

import os
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO

import pytest

from stableft.core.errors import Unwritable
from stableft.core.files import (
    cache_folder,
    cached,
    data_folder,
    drafts,
    drop_drafts,
    lock_content,
    locked,
    replaced_folder,
    try_lock,
    write_whole,
)


def test_the_content_replaces_what_was_there(tmp_path: Path) -> None:
    path = write_whole(tmp_path / "a.txt", b"old")
    assert write_whole(path, b"new").read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_pipe_or_device_is_written_to_and_never_replaced(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert write_whole(pipe, b"all of it") == pipe
    assert os.read(reader, 100) == b"all of it"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


@pytest.mark.parametrize("step", ["fsync", "chmod", "replace"])
def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    path = write_whole(tmp_path / "a.txt", b"old")

    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="space"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_only_the_drafts_of_a_dead_process_go(tmp_path: Path) -> None:
    """A process dies between writing and renaming; the drafts of others, and whole files, stay."""
    die = "import os; from pathlib import Path; from stableft.core.files import write_whole\nos.replace = lambda *_: os.abort()\n"
    dead = subprocess.Popen([sys.executable, "-c", die + f"write_whole(Path({str(tmp_path / 'a.txt')!r}), b'new')"])
    dead.wait()
    others = [tmp_path / f".a.txt.{dead.pid}1.x.tmp", tmp_path / f"a.{dead.pid}.txt"]
    for other in others:
        other.touch()
    assert len(list(tmp_path.iterdir())) == 3
    drop_drafts(tmp_path, dead.pid)
    assert sorted(tmp_path.iterdir()) == sorted(others)


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    with replaced_folder(folder) as draft:
        (draft / "a.txt").write_text("a")
        assert not folder.exists()
        assert [process for _, process in drafts(tmp_path)] == [os.getpid()]
    assert (folder / "a.txt").read_text() == "a"
    assert list(folder.parent.iterdir()) == [folder]
    plain = tmp_path / "plain"
    plain.mkdir()
    assert folder.stat().st_mode == plain.stat().st_mode, "others may read it, as the user's settings have it"


def test_a_folder_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with replaced_folder(tmp_path / "folder") as draft:
            (draft / "a.txt").write_text("a")
            raise OSError("no space left")

    with pytest.raises(OSError, match="space"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_never_replaced(tmp_path: Path) -> None:
    def write(text: str) -> None:
        with replaced_folder(tmp_path / "folder") as draft:
            (draft / "a.txt").write_text(text)

    (tmp_path / "folder").mkdir()
    write("first")
    with pytest.raises(OSError, match="folder"):
        write("second")
    assert (tmp_path / "folder" / "a.txt").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_folders_of_dead_processes_go_too(tmp_path: Path) -> None:
    die = "import os; from pathlib import Path; from stableft.core.files import replaced_folder\n"
    die += f"with replaced_folder(Path({str(tmp_path / 'folder')!r})) as draft:\n    (draft / 'a').touch()\n    os.abort()"
    dead = subprocess.Popen([sys.executable, "-c", die])
    dead.wait()
    assert [process for _, process in drafts(tmp_path)] == [dead.pid]
    drop_drafts(tmp_path, of="other")
    assert len(list(tmp_path.iterdir())) == 1
    drop_drafts(tmp_path, of="folder")
    assert list(tmp_path.iterdir()) == []


def test_the_cache_follows_the_users_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "somewhere"))
    assert cache_folder() == tmp_path / "somewhere" / "stableft"
    monkeypatch.setenv("XDG_CACHE_HOME", "~/else where")
    assert cache_folder() == tmp_path / "else where" / "stableft"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == tmp_path / ".cache" / "stableft"


@pytest.mark.skipif(sys.platform == "win32", reason="no such rights there")
def test_without_a_home_that_can_be_written_the_cache_is_among_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", os.devnull)  # as absent ones are called in containers; root could make any other
    fallback = tmp_path / "temporary" / f"stableft-cache-{os.getuid()}"
    assert cache_folder() == cached("x").parent == data_folder().parent == fallback
    assert fallback.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # a user that the system does not know
    assert cache_folder() == fallback
    # What is in a cache that can only be read is read there.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "stableft" / "data").mkdir(parents=True)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert data_folder() == tmp_path / "stableft" / "data"
    assert cached("x") == fallback / "x"
    # Nor may it be anybody's.
    fallback.rmdir()
    fallback.symlink_to(tmp_path / "stableft")
    with pytest.raises(Unwritable, match=r"set XDG_CACHE_HOME to a folder that can; .* is another user's"):
        cache_folder()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(Unwritable, match="set XDG_CACHE_HOME to a folder that can; nor can temporary files"):
        cache_folder()
    assert cached("x") == tmp_path / "stableft" / "x", "its writer says why it can't"


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks there")
def test_a_lock_is_one_process_s_until_it_dies(tmp_path: Path):
    name = tmp_path / "locks" / "x"
    hold = "import time; from pathlib import Path; from stableft.core.files import try_lock\n"
    hold += f"with try_lock(Path({str(name)!r})) as mine:\n"
    owner = subprocess.Popen(
        [sys.executable, "-c", hold + " mine.write(b'at it'); print(flush=True); time.sleep(60)"], stdout=subprocess.PIPE
    )
    assert owner.stdout is not None
    owner.stdout.readline()
    with try_lock(name) as mine:
        assert not mine
    assert lock_content(name) == b"at it"
    owner.kill()
    owner.communicate()
    assert lock_content(name) is None, "a dead process holds no lock"
    assert name.read_bytes() == b"at it"
    with try_lock(name) as mine, try_lock(name) as another:
        assert mine
        assert not another
        assert lock_content(name) == b""
    assert lock_content(name) is None
    assert not list(name.parent.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks there")
def test_a_lock_on_a_file_that_its_owner_removed_meanwhile_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Between opening and locking, the owner finishes and a third process locks the name again."""
    import fcntl

    flock, calls, third = fcntl.flock, [], None

    def late(file: IO[bytes], flags: int) -> None:
        nonlocal third
        calls.append(flags)
        if len(calls) == 1:
            (tmp_path / "x").unlink()
            third = open(tmp_path / "x", "ab")  # noqa: SIM115
            flock(third, fcntl.LOCK_EX)
        flock(file, flags)

    monkeypatch.setattr(fcntl, "flock", late)
    with try_lock(tmp_path / "x") as mine:
        assert not mine
    assert len(calls) == 2
    assert third is not None
    third.close()


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks there")
def test_a_lock_keeps_others_out_until_its_owner_dies(tmp_path: Path):
    """The owner is another process, which is killed."""
    lock = tmp_path / "folder" / "x.lock"
    hold = f"import time; from pathlib import Path; from stableft.core.files import locked\nwith locked(Path({str(lock)!r})):\n"
    owner = subprocess.Popen([sys.executable, "-c", hold + " print(flush=True); time.sleep(60)"], stdout=subprocess.PIPE)
    assert owner.stdout is not None
    owner.stdout.readline()
    entered = threading.Event()

    def enter() -> None:
        with locked(lock):
            entered.set()

    thread = threading.Thread(target=enter)
    thread.start()
    assert not entered.wait(0.3)
    owner.kill()
    owner.communicate()
    assert entered.wait(10)
    thread.join()
    with locked(lock):
        pass
