"""What reaches a terminal: no control character of others, in any encoding, and no lost digit."""

import io
import json
import logging
import sys
import traceback

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.live import Live
from rich.table import Table

from stableft.cli import terminal
from stableft.cli.terminal import SafeConsole, encodable, json_text, one_line, printable
from stableft.core.visible_text import is_visible

EVIL = "a\x1b[2Jb\u202ec\u2066d\x9b31me\rf\ud800"


def printed(encoding: str, *texts: object) -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict", newline="")
    SafeConsole(file=file, width=40).print(*texts)
    file.flush()
    return file.buffer.getvalue().decode(encoding)  # pyright: ignore[reportAttributeAccessIssue]


def table(cell: str) -> Table:
    made = Table(box=None)
    made.add_column(cell, overflow="fold")
    made.add_row(cell)
    return made


@pytest.mark.parametrize("shown", [EVIL, table(EVIL)])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_whatever_is_printed_is_escaped(shown: object, encoding: str) -> None:
    text = printed(encoding, shown)
    assert all(c.isprintable() or c == "\n" for c in text)
    assert "\\x1b[2J" in text


def test_live_lines_are_escaped_too() -> None:
    file = io.StringIO()
    console = SafeConsole(file=file, force_terminal=True, width=80)
    with Live("task \x1b]0;title\x07", console=console, auto_refresh=False):
        console.print("above \x1b[31m")
    assert "\x1b]0" not in file.getvalue()
    assert "\x1b[31m" not in file.getvalue()


def test_what_others_write_below_a_live_display_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="")
    monkeypatch.setattr(terminal.sys, "stderr", file)
    monkeypatch.setattr(terminal.sys, "stdout", file)
    terminal.clean_streams()
    with Live("task", console=SafeConsole(stderr=True, force_terminal=True, width=80), auto_refresh=False):
        print(EVIL)
        print(EVIL, file=sys.stderr)
    file.flush()
    text = file.buffer.getvalue().decode()  # pyright: ignore[reportAttributeAccessIssue]
    assert "\x1b[?25l" in text, "the display's own controls are as they were"
    for raw in ("\x1b[2J", "\u202e", "\u2066", "\x9b"):
        assert raw not in text


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_what_python_and_libraries_print_is_escaped(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal.sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline=""))
    monkeypatch.setattr(terminal.sys, "stderr", io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline=""))
    streams = [sys.stdout, sys.stderr]
    terminal.clean_streams()
    terminal.clean_streams()
    assert not hasattr(sys.stderr, "buffer")
    print(EVIL)
    logging.StreamHandler().handle(logging.makeLogRecord({"msg": EVIL}))
    typer.echo(EVIL, err=True)
    try:
        raise ValueError(EVIL)
    except ValueError:
        traceback.print_exc()
    for stream in streams:
        stream.flush()
        text = stream.buffer.getvalue().decode(encoding)  # pyright: ignore[reportAttributeAccessIssue]
        assert "\\x1b[2J" in text
        assert all(c.isprintable() or c == "\n" for c in text)


def test_an_encoding_without_a_character_gets_a_plain_one_or_its_code() -> None:
    assert encodable("5 \u00d7 3\u2026 \u4e2d", "ascii") == "5 x 3... \\u4e2d"
    assert encodable("5 \u00d7 3\u2026 \u4e2d", "cp1252") == "5 x 3... \\u4e2d"
    assert encodable("5 \u00d7 3 \u4e2d", "utf-8") == "5 \u00d7 3 \u4e2d"
    assert printed("ascii", "\u8bc4\u8bba \u2013 caf\u00e9") == "\\u8bc4\\u8bba - caf\\xe9\n"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_json_stays_json_and_obeys_the_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal.sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    data = {"name": EVIL, "emoji": "\U0001f600", "e": "\u00e9"}
    text = json_text(data)
    assert json.loads(text.encode(encoding)) == data
    assert all(c.isprintable() or c == "\n" for c in text)


@settings(max_examples=50, deadline=None)
@given(st.text(), st.sampled_from(["utf-8", "ascii", "cp1252", "gb18030", "latin-1"]))
def test_any_text_reaches_any_terminal_harmless(text: str, encoding: str) -> None:
    assert all(is_visible(line) for line in printed(encoding, text).split("\n"))


def test_line_ends_stay_in_messages_and_go_from_names() -> None:
    assert printable("a\nb") == "a\nb"
    assert one_line("a\nb\x1b") == "a\\nb\\x1b"


def test_a_joiner_is_shown_where_a_word_needs_it_and_escaped_elsewhere() -> None:
    assert printable("\u0645\u06cc\u200c\u0631\u0648\u062f") == "\u0645\u06cc\u200c\u0631\u0648\u062f"
    assert printable("p\u200dos") == "p\\u200dos"
