"""Predicted files: a user's rows with predictions, as CSV, TSV, JSON lines or tagged words."""

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence

from stableft.core.errors import UsageError, quoted
from stableft.tasks.readers.whole_tables import ABSENT, WholeTable

TABLE_FORMS = ("csv", "tsv", "jsonl")
ODD = "backslashreplace"  # in JSON it is the same character


def free_names(wanted: Sequence[str], taken: Sequence[str]) -> list[str]:
    """Returns names of new columns: as wanted, or with ``predicted_`` before one that is taken.

    Raises:
        UsageError: Both are taken.
    """
    names = [name if name not in taken else f"predicted_{name}" for name in wanted]
    if clash := [name for name in names if name in taken]:
        raise UsageError(
            f"the file has columns {clash[0].removeprefix('predicted_')} and {clash[0]}, as predictions would be named: rename one"
        )
    return names


def table_content(form: str, table: WholeTable, added: Mapping[str, Sequence[object]], *, marked: bool = False) -> bytes:
    """Returns a table with further columns as the content of a file in UTF-8.

    Half a surrogate pair, possible in JSON, is written as its code.

    Args:
        form: One of `TABLE_FORMS`. CSV has the separator of the table.
        table: The user's rows.
        added: Values of the new columns, in the order of the rows.
        marked: True for a byte-order mark at the beginning, by which Excel knows UTF-8.

    Raises:
        UsageError: A cell or name has a tab or a line's end, and the form is TSV; or two columns have
            one name, and the form is JSON lines.
    """
    rows = [[*row, *new] for row, new in zip(table.rows, zip(*added.values(), strict=True), strict=True)]
    names = [*table.names, *added]
    if form == "jsonl":
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise UsageError(f"several columns are named {quoted(twice[0])}, which JSON can't write; choose --out NAME.csv")
        objects = ({name: cell for name, cell in zip(names, row, strict=True) if cell is not ABSENT} for row in rows)
        return "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in objects).encode("utf-8", ODD)
    cells = [[_written(cell) for cell in row] for row in rows]
    if form == "tsv":
        for place, row in [("the first line", names), *zip(table.places, cells, strict=True)]:
            if any(mark in cell for cell in row for mark in "\t\n\r"):
                raise UsageError(
                    f"{place}: a cell with a tab or a line's end can't be written as TSV; choose --out NAME.csv or .jsonl"
                )
        return "".join("\t".join(row) + "\n" for row in [names, *cells]).encode("utf-8", ODD)
    text = io.StringIO()
    writer = csv.writer(text, delimiter=table.separator, lineterminator="\r\n" if marked else "\n")
    writer.writerow(names)
    writer.writerows(cells)
    return text.getvalue().encode("utf-8-sig" if marked else "utf-8", ODD)


def _written(cell: object) -> str:
    if cell is ABSENT or cell is None:
        return ""
    return cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False)


def tags_content(form: str, sentences: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]) -> bytes:
    """Returns tagged words as the content of a file.

    Args:
        form: ``jsonl``: an object with ``words`` and ``tags`` for each sentence. Otherwise a word, a
            tab and its tag on each line, and a blank line between sentences.
        sentences: Words.
        tags: One for each word.
    """
    pairs = list(zip(sentences, tags, strict=True))
    if form == "jsonl":
        return "".join(json.dumps({"words": list(w), "tags": list(t)}, ensure_ascii=False) + "\n" for w, t in pairs).encode()
    blocks = ("".join(f"{word}\t{tag}\n" for word, tag in zip(w, t, strict=True)) for w, t in pairs)
    return "\n".join(blocks).encode()
