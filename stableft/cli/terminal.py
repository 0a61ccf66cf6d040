"""Terminal: consoles that print whatever names, files and libraries hold, in any encoding."""

import json
import sys
from collections.abc import Iterable
from typing import IO, Any, TextIO

from rich.console import Console
from rich.text import Text

from stableft.core.visible_text import invisible

# What 8-bit encodings lack of our own texts, and how it is written there.
PLAIN = str.maketrans({"\u2026": "...", "\u2013": "-", "\u2014": "-", "\u00d7": "x", "\u00b1": "+-"})


def printable(text: str) -> str:
    """Escapes invisible characters, so that names and contents of files cannot control the terminal."""
    hidden = {place for place, c in invisible(text) if c != "\n"}
    return (
        "".join(c.encode("unicode_escape").decode() if place in hidden else c for place, c in enumerate(text)) if hidden else text
    )


def one_line(text: str) -> str:
    """Escapes line ends too, for names and the cells of tables."""
    return printable(text).replace("\n", "\\n")


def encodable(text: str, encoding: str) -> str:
    """Replaces the characters that an encoding lacks: by plain ones, else by their codes."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    return text


class CleanStream:
    """A stream that escapes what is written to it, see `printable`.

    It takes the place of ``sys.stdout`` and ``sys.stderr``: Python prints tracebacks there, and
    libraries their warnings. Consoles know it by ``rich_proxied_file`` and write past it. It has no
    ``buffer``, or others could too.
    """

    def __init__(self, stream: TextIO) -> None:
        self.rich_proxied_file = stream

    def write(self, text: str) -> int:
        if not isinstance(text, str):  # by this, others tell text streams from binary ones
            raise TypeError(f"a text stream, not one of {type(text).__name__}")
        self.rich_proxied_file.write(encodable(printable(text), self.encoding))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    @property
    def encoding(self) -> str:
        return self.rich_proxied_file.encoding or "ascii"

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":
            raise AttributeError(name)
        return getattr(self.rich_proxied_file, name)


def clean_streams() -> None:
    """Replaces this process's output streams by clean ones."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, CleanStream):
            setattr(sys, name, CleanStream(stream))


class SafeConsole(Console):
    """A console without markup that escapes all that it prints, see `printable`.

    Every text passes `render_str`: what is printed, cells of tables and lines of live displays, and
    what others write while a live display has replaced the streams.
    """

    def __init__(self, **options: Any) -> None:
        # A user's paths and labels may contain brackets and colons, so markup is off.
        super().__init__(highlight=False, soft_wrap=True, markup=False, emoji=False, **options)

    @property
    def file(self) -> IO[str]:
        """The stream below all that stand in for it."""
        file = super().file
        while (below := getattr(file, "rich_proxied_file", None)) is not None:
            file = below
        return file

    @file.setter
    def file(self, new_file: IO[str]) -> None:
        self._file = new_file

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*(each.plain if isinstance(each, Text) else each for each in objects), **options)

    def render_str(self, text: str, **options: Any) -> Text:  # pyright: ignore[reportIncompatibleMethodOverride]
        return super().render_str(encodable(printable(text), self.encoding), **options)


def json_text(data: Any) -> str:
    """Returns JSON in which no character is raw that a terminal obeys or the output's encoding lacks."""
    ascii_only = not (sys.stdout.encoding or "ascii").lower().startswith("utf")
    text = json.dumps(data, indent=1, ensure_ascii=ascii_only, allow_nan=False)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)
