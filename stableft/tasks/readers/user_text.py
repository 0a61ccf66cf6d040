"""Text of a user's file, whatever its compression, encoding and line ends.

A file may be packed by gzip. Without a named encoding it is UTF-8, or UTF-16 or UTF-32 with a
byte-order mark; an encoding is never guessed. Lines end with LF or CRLF, or with CR if the file has
no LF.
"""

import codecs
import gzip
import re
import zlib
from collections.abc import Mapping
from pathlib import Path

from stableft.core.errors import MissingInput, UsageError, quoted

# The longer mark first: that of UTF-32 LE begins with that of UTF-16 LE.
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
PLACE = re.compile(r"(.*?)(:\d+)?", re.DOTALL)
PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,80}")  # another name could name a person, or break out of a page
GZIP = b"\x1f\x8b"
NO_TEXT: Mapping[bytes, str] = {
    b"PK\x03\x04": "a spreadsheet or ZIP archive: save the sheet as CSV, or unpack the archive",
    b"\xd0\xcf\x11\xe0": "a spreadsheet of Excel: save the sheet as CSV",
    b"PAR1": "a Parquet file: write it as JSON lines, in pandas by to_json(orient='records', lines=True)",
    b"BZh": "packed by bzip2: unpack it by bunzip2",
    b"\xfd7zXZ": "packed by xz: unpack it by unxz",
    b"\x28\xb5\x2f\xfd": "packed by Zstandard: unpack it by unzstd",
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself: type `git lfs pull` in its repository",
}
WEB_PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype html|html)\b", re.IGNORECASE)
USUAL = "cp1252 (Western Europe), cp1250 (Central Europe), cp1251 (Cyrillic), gb18030 (Chinese), big5, shift_jis or euc_kr"


def short(place: Path | str) -> str:
    """Returns a file's place for remarks that results keep: without folders, and no odd name."""
    name, line = PLACE.fullmatch(str(place)).group(1, 2)  # pyright: ignore[reportOptionalMemberAccess]
    plain = PLAIN.fullmatch(name.rpartition("/")[2])
    return f"{plain[0] if plain else 'the file'}{line or ''}"


def check_encoding(name: str | None) -> None:
    """Checks the name of an encoding; None is always right.

    Raises:
        UsageError: Python knows no text encoding of that name.
    """
    try:
        if name is not None:
            b"a".decode(name)
    except UnicodeError:  # UTF-16 and the like, of which one byte is no text
        return
    except (LookupError, ValueError):  # ValueError: a null in the name
        raise UsageError(f"--encoding {quoted(name)}: no such encoding; usual ones are utf-8, utf-16, {USUAL}") from None


def read_lines(path: Path, encoding: str | None = None) -> list[str]:
    """Returns the lines of a user's file, without their ends.

    Args:
        path: The file.
        encoding: Name of its encoding; None: UTF-8, or what its byte-order mark says.

    Raises:
        MissingInput: The file can't be read, is no text, or has another encoding.
        UsageError: as `check_encoding`.
    """
    check_encoding(encoding)
    text = _decoded(path, _content(path), encoding)
    end = "\n" if "\n" in text else "\r"
    lines = text.removesuffix(end).split(end) if text else []
    return [line.removesuffix("\r") for line in lines]


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MissingInput(f"{path}: {error.strerror}") from error
    if content.startswith(GZIP):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise MissingInput(f"{path}: packed by gzip and damaged ({error}); get it again") from error
    if WEB_PAGE.match(content):
        raise MissingInput(f"{path}: this is a web page: get the file itself, such as by the link to its raw content")
    for mark, what in NO_TEXT.items():
        if content.startswith(mark):
            raise MissingInput(f"{path}: this is {what}")
    return content


def _decoded(path: Path, content: bytes, encoding: str | None) -> str:
    chosen = encoding or next((name for mark, name in MARKS if content.startswith(mark)), "utf-8")
    if chosen == "utf-8" and encoding is None and content.count(0) * 4 > len(content):
        likely = "utf-16-be" if content[:1] == b"\0" else "utf-16-le"
        raise MissingInput(f"{path}:1: every other byte is 0, as in UTF-16 without its mark; type --encoding {likely}")
    try:
        text = content.decode(chosen).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = f"{error.reason}, byte 0x{content[error.start]:02x}"
        ways = f"name the encoding of the file, such as --encoding {USUAL}, or save it as UTF-8"
        raise MissingInput(f"{path}:{line}: not {chosen.upper()} ({byte}); {ways}") from error
    except UnicodeError as error:  # such as an odd end of UTF-16
        raise MissingInput(
            f"{path}: not {chosen.upper()} ({error}); name its encoding by --encoding, or save it as UTF-8"
        ) from error
    return text
