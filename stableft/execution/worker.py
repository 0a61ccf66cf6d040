"""Worker: the main function of a training process. It does jobs one by one and reports each end."""

import contextlib
import errno
import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from stableft.core.errors import NoDevice, StableftError
from stableft.execution.job import Job, Progress
from stableft.storage.kept_weights import is_done
from stableft.storage.run_state import with_heartbeat
from stableft.storage.run_summary import recorded_outcome
from stableft.storage.store import Store

# Errors that a second try would only repeat: no space, read-only, no permission, over quota.
_HOPELESS = frozenset({errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT})


def serve(connection: Connection) -> None:
    """Does jobs until the supervisor closes the connection.

    Imports, tokenisation and reading of files happen once, not per run. Replies are tuples:
    ``("progress", step, total, loss)``, ``("done", outcome, seconds)``, ``("refused", message)`` for
    an error that the user can fix, ``("device", message)`` if there is no such device,
    ``("io", message)`` if nothing can be written, ``("oom", message)`` if memory is too small,
    ``("crashed", message)`` for any other error, ``("busy",)`` if another command is running it.
    """
    for job in received(connection):
        store = Store(job.results)
        try:
            with output_to(store.log_path(job.run_id)):
                reply = _reply(job, store, lambda step, total, loss: connection.send(("progress", step, total, loss)))
        except OSError as error:  # not even a log can be written
            reply = ("io", f"can't write under {job.results}: {error}")
        if reply[0] == "done":
            store.log_path(job.run_id).unlink(missing_ok=True)
        connection.send(reply)


def received(connection: Connection) -> Iterator[Job]:
    """Prepares this process for jobs, and yields each one until the supervisor closes the connection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the supervisor decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with_parent()
    with contextlib.suppress(EOFError):
        while True:
            yield connection.recv()


def _reply(job: Job, store: Store, progress: Progress) -> tuple[Any, ...]:
    """Does a run unless it is locked or has a record, and returns the reply."""
    try:
        with store.try_lock(job.run_id) as lock:
            if lock is None:
                return ("busy",)
            if is_done(store, job.run_id, job.keep_weights) and (outcome := recorded_outcome(store, job.run_id)):
                return ("done", *outcome)
            from stableft.execution import run_job  # imports torch, unneeded in the supervisor's process

            record = run_job.run_one(job, with_heartbeat(lock, progress))
            if store.has(job.run_id):  # repeated for its weights alone: the measurement stays
                store.checkpoint_path(job.run_id).unlink(missing_ok=True)
            else:
                store.write(record)
    except NoDevice as error:
        return ("device", str(error))
    except StableftError as error:
        return ("refused", str(error))
    except OSError as error:
        traceback.print_exc()
        return ("io" if error.errno in _HOPELESS else "crashed", f"{type(error).__name__}: {error}")
    except (MemoryError, *_no_device_memory()) as error:
        return ("oom", f"{type(error).__name__}: {error}")
    except Exception as error:  # the process survives a failed run; the traceback is in the log
        traceback.print_exc()
        return ("crashed", f"{type(error).__name__}: {error}")
    return ("done", record.outcome, record.provenance["seconds"])


def _no_device_memory() -> tuple[type[Exception], ...]:
    torch = sys.modules.get("torch")  # if absent, nothing was computed
    return (torch.OutOfMemoryError,) if torch else ()


def die_with_parent() -> None:
    """Ends this process as soon as its parent has ended."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def output_to(path: Path) -> Any:
    """Redirects this process's stdout and stderr, including those of native code, to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    keep = [os.dup(fd) for fd in (1, 2)]
    with open(path, "ab", buffering=0) as log:
        for fd in (1, 2):
            os.dup2(log.fileno(), fd)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(io.UnsupportedOperation, ValueError):
                stream.flush()
        for fd, old in zip((1, 2), keep, strict=True):
            os.dup2(old, fd)
            os.close(old)
