"""Download of corpora into the data folder, and of datasets into the hub's cache.

Downloads are checked and locked; files are written whole or not at all.
"""

import hashlib
import http.client
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stableft.core import hub
from stableft.core.errors import MissingInput
from stableft.core.files import data_folder, locked, write_whole
from stableft.tasks.catalog import get_task
from stableft.tasks.corpora import ORIGINALS, Files, Original, content_sha256, hub_source, original
from stableft.tasks.readers.corpus_files import DATA_VARIABLE

TRIES = 3
SECONDS = 60.0  # longest wait for an answer
CHUNK = 2**16
NETWORK = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError)
Notify = Callable[[str], None]


def root() -> Path:
    """Returns the data folder: the one named by ``STABLEFT_DATA``, else the default.

    Corpora are put into it, and tasks read from it.
    """
    named = os.environ.get(DATA_VARIABLE)
    return Path(named).expanduser() if named else data_folder()


def corpus(wanted: Original, folder: Path, notify: Notify = lambda _: None) -> tuple[list[Path], bool]:
    """Puts a corpus into the data folder, unless it is there.

    Interrupted downloads resume. No file is written before the hashes of all files match those on
    record, and an existing file is never replaced.

    Args:
        wanted: The corpus to fetch.
        folder: The data folder; created.
        notify: Called with a line for each download.

    Returns:
        Its files, and whether they had to be fetched.

    Raises:
        MissingInput: it can't be fetched, or its content is not the one on record.
        OSError: it can't be written.
    """
    # Return files that are there, also from a folder that can't be written to.
    if paths := _there(wanted, folder):
        return paths, False
    target = folder / wanted.folders[0]
    if not wanted.urls:
        raise MissingInput(f"{wanted.instead}, and put it into {target}")
    with locked(folder / f".{wanted.name}.lock"):
        if paths := _there(wanted, folder):  # another command was faster
            return paths, False
        # Download into parts, make the files from them and check these.
        parts = {name: folder / ".partial" / hashlib.sha256(url.encode()).hexdigest()[:16] for name, url in wanted.urls.items()}
        downloads = {name: _download(url, parts[name], notify) for name, url in wanted.urls.items()}
        try:
            files = _made(wanted, downloads)
        finally:  # a wrong part would be wrong again; a right one is no longer needed
            for part in parts.values():
                part.unlink(missing_ok=True)
        return _put(wanted, files, target), True


def _there(wanted: Original, folder: Path) -> list[Path]:
    """Returns the files in the first place that has all of them, checked against the record."""
    for place in wanted.folders:
        paths = [folder / place / name for name in wanted.files]
        if all(path.is_file() for path in paths):
            for path in paths:
                _check(wanted, path.name, path.read_bytes(), f"{path}, which was there")
            return paths
    return []


def _made(wanted: Original, downloads: Files) -> Files:
    files = wanted.make(downloads, list(wanted.files))
    for name, content in files.items():
        _check(wanted, name, content, f"{name} from {', '.join(wanted.urls.values())}")
    return files


def _check(wanted: Original, name: str, content: bytes, what: str) -> None:
    digest = content_sha256(name, content)
    if digest != wanted.files[name]:
        raise MissingInput(
            f"{what}, is not the file on record: sha256 of its content {digest}, expected {wanted.files[name]}. "
            f"Nothing was written. A file of your own is used as it is; move it away to fetch the published one."
        )


def _put(wanted: Original, files: Files, target: Path) -> list[Path]:
    target.mkdir(parents=True, exist_ok=True)
    paths = [target / name for name in files]
    for path in paths:
        if path.is_file():
            _check(wanted, path.name, path.read_bytes(), f"{path}, which was there")
    return [path if path.is_file() else write_whole(path, files[path.name]) for path in paths]


def _download(url: str, part: Path, notify: Notify) -> bytes:
    """Returns the bytes at an address; a later try resumes from the bytes kept in ``part``."""
    part.parent.mkdir(parents=True, exist_ok=True)
    reason = ""
    for number in range(TRIES):
        notify(f"{url}{' (resumed)' if part.exists() and part.stat().st_size else ' (again)' if number else ''}")
        try:
            if _receive(url, part):
                return part.read_bytes()
            reason = "it was cut off"
        except urllib.error.HTTPError as error:
            reason = f"HTTP {error.code} {error.reason}"
            if error.code == 416:  # the part is as long as the whole file, or longer
                part.unlink(missing_ok=True)
            elif error.code < 500:
                break
        except NETWORK as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
    raise MissingInput(
        f"{url} can't be fetched ({reason}). Go online and type the same command again: it resumes the download. Or get the file "
        f"by other means, and put its content into the folder named by {DATA_VARIABLE}."
    )


def _receive(url: str, part: Path) -> bool:
    """Appends the missing bytes to the part. Returns True if it is complete then."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "stableft", **({"Range": f"bytes={have}-"} if have else {})})
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        resumes = answer.status == 206 and (answer.headers.get("Content-Range") or "").startswith(f"bytes {have}-")
        length = answer.headers.get("Content-Length")
        received = 0
        with open(part, "ab" if resumes else "wb") as file:
            while chunk := answer.read(CHUNK):
                received += file.write(chunk)
    return length is None or received == int(length)


@dataclass(frozen=True)
class Fetched:
    """Outcome of fetching one corpus or encoder."""

    name: str
    said: str = ""  # its place, and whether it was there before
    problem: str = ""  # why it is not there; empty if it is, or if nothing is needed


def wanted_names(texts: Sequence[str]) -> list[str]:
    """Returns the names of corpora and tasks to fetch, each once.

    Several tasks of one corpus become the name of that corpus.

    Args:
        texts: Names, also several in one with commas; ``all``: every corpus on record.

    Raises:
        UsageError: an unknown name.
    """
    names = list(dict.fromkeys(name for text in texts for name in text.replace(",", " ").split()))
    if "all" in names:
        names = [each.name for each in ORIGINALS]
    for name in names:
        if not (original(name) or hub_source(name)):
            get_task(name)
    return list(dict.fromkeys(known.name if (known := original(name)) else name for name in names))


def fetch(name: str, notify: Notify) -> str:
    """Fetches the data of a task, unless they are there.

    Args:
        name: A corpus or task, see `wanted_names`.
        notify: Called with a line for each download.

    Returns:
        Its place, and whether it was there before.

    Raises:
        MissingInput: it can't be fetched, or its content is not the one on record.
    """
    if known := original(name):
        paths, new = corpus(known, root(), notify)
        return f"{'fetched into' if new else 'there already:'} {paths[0].parent}, content as on record"
    if entry := hub_source(name):
        source = entry.source
        notify(f"{source.repo} ({source.config}) from the hub")
        hub.fetch_dataset(source.repo, source.config, source.splits)
        return f"{source.repo} ({source.config}) is in the hub's cache; no sha256 of it is on record: `data check {source.name}_1k`"
    return "made from installed packages: nothing to fetch"
