"""Files written whole or not at all, locks between processes, and the folders of cache and data."""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from stableft.core.errors import Unwritable


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Yields a draft next to a target; afterwards flushes it to disk and renames it to the target.

    Readers see either all of the new file or the old one.

    Args:
        path: The target; its folder exists.

    Yields:
        The draft, an empty file to write to.

    Raises:
        OSError: the disk is full or the folder can't be written to; the target is then as it was.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.{os.getpid()}.", suffix=".tmp")
    os.close(handle)
    draft = Path(name)
    try:
        yield draft
        with open(draft, "rb+") as file:
            os.fsync(file.fileno())
        os.chmod(draft, 0o644)
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: bytes) -> Path:
    """Writes a file so that readers see the old one or the whole new one, never a part; see `replaced`.

    Args:
        path: The target; its folder exists. A device or a pipe is written to, never replaced.
        content: All of it.

    Returns:
        The path.

    Raises:
        OSError: the disk is full or the folder can't be written to; the target is then as it was.
    """
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return path
    with replaced(path) as draft:
        draft.write_bytes(content)
    return path


@contextlib.contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """Yields a draft next to a folder that does not exist yet; afterwards renames it to that folder.

    Readers see either all of it or nothing. Its files are not flushed to disk: the writer has to do it,
    or readers have to recognize damaged ones.

    Args:
        path: The target, absent or empty; its parent is created.

    Yields:
        The draft, an empty folder.

    Raises:
        OSError: the disk is full, the parent can't be written to, or the target holds files (as when
            another process was faster).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=path.parent, prefix=f".{path.name}.{os.getpid()}.", suffix=".tmp", ignore_cleanup_errors=True
    ) as scratch:
        draft = Path(scratch) / path.name
        draft.mkdir()
        yield draft
        draft.rename(path)


def drafts(folder: Path) -> Iterator[tuple[Path, int]]:
    """Yields the drafts anywhere below a folder, files and folders, each with its process id."""
    for path in sorted(folder.glob("**/.*.tmp")):
        if process := re.fullmatch(r"\..+\.(\d+)\.[^.]+\.tmp", path.name):
            yield path, int(process[1])


def drop_drafts(folder: Path, pid: int | None = None, *, of: str | None = None) -> None:
    """Removes drafts that dead processes left in a folder.

    Args:
        folder: The folder of their targets.
        pid: Only drafts of the process with this id.
        of: Only drafts of the file or folder of this name.
    """
    for draft in folder.glob(f".{of or '*'}.{pid or '*'}.*.tmp"):
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Waits for a lock and holds it; the system releases it if the process dies.

    Use it for work with the same result in every process. On systems without such locks (Windows, some
    network folders) no process is kept out, and the work is done twice.

    Args:
        path: An empty file, which stays; its folder is created.

    Raises:
        OSError: it can't be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab") as file:
        _lock(file.fileno())
        yield


@contextlib.contextmanager
def folder_locked(folder: Path) -> Iterator[None]:
    """Waits for a lock as `locked` does, on an existing folder in place of a file."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        _lock(handle)
        yield
    finally:
        os.close(handle)


def _lock(handle: int) -> None:
    """Waits until no other process holds the lock, if the system knows such locks."""
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX)


@contextlib.contextmanager
def try_lock(path: Path) -> Iterator[BinaryIO | None]:
    """Locks a file without waiting; the system releases the lock if the process dies.

    On systems without such locks (Windows, some network folders) every process gets it, and work may be
    done twice.

    Args:
        path: A file, which exists as long as the lock; its folder is created.

    Yields:
        The file, for text of the owner (`lock_content` reads it); None if another process has the lock.

    Raises:
        OSError: it can't be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with open(path, "r+b", buffering=0, opener=lambda name, flags: os.open(name, flags | os.O_CREAT, 0o644)) as file:
            # Try to take the lock; without support for locks every process has it.
            try:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
                return
            except (ImportError, OSError):
                yield file
                return
            if not _is(path, file.fileno()):  # its owner removed it after it was opened here
                continue
            # Lend the file to the owner, and remove it at the end.
            try:
                file.truncate(0)  # the text of a process that died
                yield file
            finally:
                path.unlink(missing_ok=True)
            return


def lock_content(path: Path) -> bytes | None:
    """Returns the owner's text in a locked file.

    Returns:
        None if no process has the lock, or if the system can't tell.
    """
    try:
        import fcntl

        with open(path, "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # released at once; a process refused meanwhile tries again
            except BlockingIOError:
                return file.read()
    except (ImportError, OSError):
        return None
    return None


def _is(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def cache_folder() -> Path:
    """Returns the folder of this user's reproducible files, which can be written.

    It is ``stableft`` in ``XDG_CACHE_HOME``, by default in ``~/.cache``, and is not created. If it
    can't be written, as with a read-only or absent home, it is among the temporary files.

    Raises:
        Unwritable: none of them can be written.
    """
    own = _own_cache()
    return own if is_writable(own) else _temporary_cache(own)


def cached(name: str) -> Path:
    """Returns the place of a file or folder in the cache: where it is, or else where it can be written.

    Without such a place, that of the user's cache; writing to it is an error.
    """
    there = _own_cache() / name
    try:
        return there if os.path.exists(there) else cache_folder() / name
    except Unwritable:
        return there


def data_folder() -> Path:
    """Returns the default folder of corpora, used unless ``STABLEFT_DATA`` names one; not created.

    Tasks read from it, and ``data fetch`` writes to it.
    """
    return cached("data")


def is_writable(folder: Path) -> bool:
    """Tells whether a folder can be written, or made if it is absent."""
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(place))
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _own_cache() -> Path:
    base = os.path.expanduser(os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache"))
    # Without a home, as for a user that the system does not know, the tilde is left.
    return Path(os.devnull if base.startswith("~") else base) / "stableft"


def _temporary_cache(own: Path) -> Path:
    """Returns this user's folder among the temporary files; made, so that it can't be another user's."""
    reason = f"{own} can't be written: set XDG_CACHE_HOME to a folder that can"
    try:
        folder = Path(tempfile.gettempdir()) / f"stableft-cache-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if hasattr(os, "getuid") and (folder.is_symlink() or folder.stat().st_uid != os.getuid()):
            raise Unwritable(f"{reason}; {folder} is another user's")
    except OSError as error:
        raise Unwritable(f"{reason}; nor can temporary files ({error.strerror})") from None
    return folder
