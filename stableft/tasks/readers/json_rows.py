"""JSON objects of a user's file: one a line, or one array of them."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from stableft.core.errors import MissingInput, quoted
from stableft.tasks.readers.user_text import read_lines

WHITESPACE = re.compile(r"[ \t\n\r]*")
# Parts of the decoder's messages, and what to do.
WAYS: Mapping[str, str] = {
    "Extra data": "; write one object on each line, and nothing after it",
    "property name": "; names and texts need double quotes, as json.dumps writes them",
}


def json_objects(path: Path, encoding: str | None) -> Iterator[tuple[str, dict[str, object]]]:
    """Yields place and content of each object, of lines or of an array; raises `MissingInput`."""
    lines = read_lines(path, encoding)
    start = next((line for line in lines if line.strip()), "").strip()
    if start.startswith("{"):
        _refuse_other_layouts(path, lines, start)
    return _array(path, "\n".join(lines)) if start.startswith("[") else _json_lines(path, lines)


def _refuse_other_layouts(path: Path, lines: Sequence[str], start: str) -> None:
    """Refuses one object that holds all rows: below a key, or as columns."""
    if sum(bool(line.strip()) for line in lines) > 1 and start != "{":
        return
    try:
        whole: object = json.loads("\n".join(lines))
    except (ValueError, RecursionError):
        return
    values = list(whole.values()) if isinstance(whole, dict) else []
    if len(values) > 1 and all(isinstance(value, dict | list) and len(value) == len(values[0]) > 1 for value in values):
        raise MissingInput(
            f"{path}:1: one object with a column in each key; write a row in each object, in pandas by "
            "to_json(orient='records', lines=True)"
        )
    rows = [key for key, value in whole.items() if _are_objects(value)] if isinstance(whole, dict) else []
    if len(rows) == 1:
        way = f"write these alone, such as by jq '.[{json.dumps(rows[0])}]'"
        raise MissingInput(f"{path}:1: one object with all rows in the key {quoted(rows[0])}; {way}")


def _are_objects(value: object) -> bool:
    return isinstance(value, list) and len(value) > 1 and all(isinstance(each, dict) for each in value)


def _json_lines(path: Path, lines: Sequence[str]) -> Iterator[tuple[str, dict[str, object]]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row: object = json.loads(line)
        except (ValueError, RecursionError) as error:
            ways = next((way for said, way in WAYS.items() if said in str(error)), "")
            if line.strip() in ("{", "}"):
                ways = "; write one object on each line, or an array [...] of them"
            raise MissingInput(f"{path}:{number}: bad JSON ({error}){ways}") from error
        yield _an_object(f"{path}:{number}", row)


def _array(path: Path, text: str) -> Iterator[tuple[str, dict[str, object]]]:
    """Yields the objects of an array with the lines where they begin."""
    decoder, at, line = json.JSONDecoder(), text.index("[") + 1, 1
    counted = 0
    opened = True
    while True:
        at = WHITESPACE.match(text, at).end()  # pyright: ignore[reportOptionalMemberAccess]
        line, counted = line + text.count("\n", counted, at), at
        if text[at : at + 1] == "]":
            if text[at + 1 :].strip():
                raise MissingInput(f"{path}:{line}: bad JSON (text after the array)")
            return
        if not opened and text[at : at + 1] == ",":
            at, opened = at + 1, True
            continue
        if not opened:
            raise MissingInput(f"{path}:{line}: bad JSON (expected a comma, or ] at the array's end)")
        try:
            row, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise MissingInput(
                f"{path}:{line}: bad JSON ({str(error).split(': line')[0]} in the object that begins here)"
            ) from error
        yield _an_object(f"{path}:{line}", row)
        opened = False


def _an_object(place: str, row: object) -> tuple[str, dict[str, object]]:
    if not isinstance(row, dict):
        raise MissingInput(f"{place}: a JSON {type(row).__name__}, expected an object")
    return place, row
