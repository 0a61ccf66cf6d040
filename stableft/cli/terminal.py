"""Terminal: consoles that print whatever names, files and libraries hold, in any encoding."""

import json
import sys
from typing import Any

from rich.console import Console
from rich.text import Text

# What 8-bit encodings lack of our own texts, and how it is written there.
PLAIN = str.maketrans({"\u2026": "...", "\u2013": "-", "\u2014": "-", "\u00d7": "x", "\u00b1": "+-"})


def printable(text: str) -> str:
    """Escapes control characters, so that names and contents of files cannot control the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


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


class SafeConsole(Console):
    """A console without markup that escapes all that it prints, see `printable`.

    Every text passes `render_str`: what is printed, cells of tables and lines of live displays.
    """

    def __init__(self, **options: Any) -> None:
        # A user's paths and labels may contain brackets and colons, so markup is off.
        super().__init__(highlight=False, soft_wrap=True, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:  # pyright: ignore[reportIncompatibleMethodOverride]
        return super().render_str(encodable(printable(text), self.encoding), **options)


def json_text(data: Any) -> str:
    """Returns JSON in which no character is raw that a terminal obeys or the output's encoding lacks."""
    ascii_only = not (sys.stdout.encoding or "ascii").lower().startswith("utf")
    text = json.dumps(data, indent=1, ensure_ascii=ascii_only, allow_nan=False)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)
