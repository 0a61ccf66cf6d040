"""What the fuzz tests share: how many inputs each area gets, how they are made, and what may happen to them.

`make fuzz` puts all of them in; `make test` a tenth of them, the same each time. ``STABLEFT_FUZZ=random`` looks for new ones.
"""

import os
import platform
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stableft.core.errors import StableftError

platform.processor()  # asked once in a process, by a command that would be taken for one of an input
MODE = os.environ.get("STABLEFT_FUZZ", "")
FAST_SHARE = 10
SHARES = {
    "overrides": 2000,
    "configurations": 900,
    "seeds": 700,
    "selections": 500,
    "options": 120,
    "own files": 1800,
    "own files by options": 800,
    "own folders": 300,
    "whole tables": 600,
    "glue": 1100,
    "tnews": 400,
    "cluener": 600,
    "resume_ner": 400,
    "commonlit": 600,
    "docstrings": 500,
    "published": 600,
    "run records": 250,
    "collected": 150,
    "origins": 500,
    "data cache": 500,
    "token cache": 150,
    "weights": 200,
    "encoder settings": 120,
    "encoder tokenizers": 80,
    "encoder weights": 60,
    "names": 300,
}
PATIENT = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much, HealthCheck.large_base_example]
CPU_SECONDS = 20  # of one input; what takes longer hangs
LONGEST_MESSAGE = 5000  # a path can be that long


def fuzz(area: str, test: Callable[..., None], *strategies: st.SearchStrategy[Any]) -> None:
    """Puts an area's share of inputs into a test, and fails if it was fewer."""
    wanted = SHARES[area] if MODE else -(-SHARES[area] // FAST_SHARE)
    tried = 0

    @settings(max_examples=wanted, derandomize=MODE != "random", deadline=None, database=None, suppress_health_check=PATIENT)
    @given(st.tuples(*strategies))
    def each(inputs: tuple[Any, ...]) -> None:
        nonlocal tried
        tried += 1
        test(*inputs)

    each()
    assert tried >= wanted, f"{area}: {tried} inputs, {wanted} are wanted"


def answer(folder: Path, call: Callable[[], Any], *named: object) -> Any:
    """What a call returns, or the error of ours that it raises. Any other error fails, and so does what `contained` forbids.

    Args:
        folder: The only place where it may write.
        call: What gets the input.
        named: What an error must name one of, such as the file.
    """
    try:
        with contained(folder):
            return call()
    except StableftError as error:
        said = str(error)
        assert not named or any(str(name) in said for name in named), f"names none of {named}: {said}"
        assert 10 < len(said) < LONGEST_MESSAGE, f"{len(said)} characters: {said[:200]}"
        return error


WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.truncate", "shutil.rmtree")
NEVER = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect", "pickle.find_class")
_watched: list[Path] = []
_seen: list[str] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watched:
        return
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES:
        paths = arguments[:1]
    elif event in CHANGES:
        if arguments[-1] not in (-1, arguments[0]) and isinstance(arguments[-1], int) and event != "os.chmod":
            return  # relative to an open folder: within a shutil.rmtree, which is an event of its own
        paths = arguments[:2]
    elif event in NEVER:
        _seen.append(f"{event} {arguments[0]!r}"[:200])
        return
    else:
        return
    for path in paths:
        if isinstance(path, str | bytes | os.PathLike) and not _allowed(Path(os.fsdecode(path))):
            _seen.append(f"{event} {path!r}"[:200])


def _allowed(path: Path) -> bool:
    return path == Path("/dev/null") or "__pycache__" in path.parts or Path(os.path.abspath(path)).is_relative_to(_watched[-1])


sys.addaudithook(_watch)


@contextmanager
def contained(folder: Path) -> Iterator[None]:
    """Fails on a write outside of a folder, on a process, a connection or anything unpickled, and on what never ends."""

    def hangs(*_: object) -> None:
        raise TimeoutError(f"more than {CPU_SECONDS} s of CPU time")

    _watched.append(Path(os.path.abspath(folder)))
    before = signal.signal(signal.SIGPROF, hangs)
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        _watched.pop()
        seen = _seen[:]
        _seen.clear()
    assert not seen, f"not allowed: {seen}"


NASTY = (
    b'"', b'""', b"'", b"\n", b"\r", b"\r\n", b"\n\n", b"\t", b",", b";", b" ", b"\0", b"\xff", b"\xc3", b"\xef\xbb\xbf", b"{",
    b"}", b"[]",
    b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"-1", b"0", b"1_0", b"9" * 5000, b"[" * 5000, b'{"a":' * 3000,
    b"a" * 140_000,
    b"\\ud800", b"\\u0000", b"\\", "\u2028\u0085\x0b\x0c\x1c".encode(), "\u202e\u200b\U0001f600".encode(), "\u0663".encode(),
    b"../../etc/passwd", b"/etc/passwd", b"<script>alert(1)</script>", b"&amp;", b"=cmd|' /C calc'!A0", b"+1", b"@x",
    b"\\input{x}", b"%$_#", b"\x1b[31m", b"train", b"validation", b"label", b"text", b"O", b"B-", b"I-x", b"E-x",
)  # fmt: skip
FRACTION = st.integers(0, 1000)
EDIT = st.tuples(
    st.sampled_from(("flip", "drop", "repeat", "insert", "replace", "cut", "swap")), FRACTION, FRACTION, st.sampled_from(NASTY)
)
ENCODINGS = ("utf-8", "utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "gb18030", "latin-1", "cp1252")


def edited(content: bytes, edits: list[tuple[str, int, int, bytes]]) -> bytes:
    """Valid content after some changes, at places that are given in thousandths of its length."""
    for kind, at, length, token in edits:
        start = at * len(content) // 1000
        end = min(len(content), start + 1 + length * length * len(content) // 1_000_000 // 4)
        if kind == "flip" and start < len(content):
            content = content[:start] + bytes([content[start] ^ (1 << length % 8)]) + content[start + 1 :]
        elif kind == "drop":
            content = content[:start] + content[end:]
        elif kind == "repeat":
            content = content[:end] + content[start:end] + content[end:]
        elif kind == "insert":
            content = content[:start] + token + content[start:]
        elif kind == "replace":
            content = content[:start] + token + content[end:]
        elif kind == "cut":
            content = content[:start]
        elif kind == "swap":
            content = content[end:] + content[:end]
    return content


def recoded(content: bytes, encoding: str) -> bytes:
    return content if encoding == "utf-8" else content.decode("utf-8", "replace").encode(encoding, "replace")


def damaged(*valid: bytes, text: bool = True) -> st.SearchStrategy[bytes]:
    """Valid files, changed ones, ones in another encoding or with other line ends, and arbitrary bytes."""
    whole = st.sampled_from(valid)
    changed = st.builds(edited, whole, st.lists(EDIT, min_size=1, max_size=4))
    if not text:
        return st.one_of(changed, changed, changed, changed, st.binary(max_size=64))
    other = st.builds(recoded, changed, st.sampled_from(ENCODINGS))
    ends = st.builds(lambda content: content.replace(b"\n", b"\r\n"), st.one_of(whole, changed))
    return st.one_of(changed, changed, changed, other, ends, st.binary(max_size=64), st.text(max_size=64).map(_encoded))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
