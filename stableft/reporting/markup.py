"""Markup: writes a data frame as Markdown, LaTeX or CSV."""

import html
import re
from collections.abc import Callable
from typing import Any

import pandas as pd

from stableft.reporting.rounding import exact

ABSENT = "\u2013"
FORMATS: dict[str, Callable[[float], str]] = {
    "lr": lambda value: f"{value:.0e}" if float(f"{value:.0e}") == value else f"{value:.1e}",
    "p": lambda value: "<0.001" if value < 0.001 else f"{value:.3f}",
}


def display(frame: pd.DataFrame) -> pd.DataFrame:
    """Formats a frame as text: three decimals, intervals in one column, a dash for absent values.

    The ends of an interval are the columns ``low`` and ``high``, or ``x_low`` and ``x_high``.
    """
    shown = pd.DataFrame(index=frame.index)
    for name in frame.columns:
        stem = re.sub(r"(^|_)(low|high)$", "", name)
        if stem == name or not {low := _joined(stem, "low"), high := _joined(stem, "high")} <= set(frame.columns):
            shown[name] = [_cell(name, value) for value in frame[name]]
        elif name == low:
            pairs = zip(frame[low], frame[high], strict=True)
            cells = [ABSENT if pd.isna(a) else f"[{a:.3f}, {b:.3f}]" for a, b in pairs]
            shown[f"{stem} 95 % interval".lstrip()] = cells
    return shown


def to_markdown(frame: pd.DataFrame, note: str = "") -> str:
    """Returns a pipe table with numbers aligned to the right, and the note below it."""
    shown = display(frame)
    rules = ["---:" if numeric else "---" for numeric in _numeric(frame, shown)]
    lines = [list(shown.columns), rules, *shown.to_numpy().tolist()]
    table = "\n".join("| " + " | ".join(_md(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
    return table + "\n" + (f"\n{_md(note)}\n" if note else "")


def from_markdown(text: str) -> str:
    """Returns the original text of a cell or note written by `to_markdown`."""
    return html.unescape(text.replace("\\]", "]"))


def to_latex(frame: pd.DataFrame, note: str = "") -> str:
    """Returns a ``table`` environment in booktabs style with the note as caption, all text escaped."""
    shown = display(frame)
    spec = "".join("r" if numeric else "l" for numeric in _numeric(frame, shown))
    head, *body = [" & ".join(map(_tex, line)) + r" \\" for line in [list(shown.columns), *shown.to_numpy().tolist()]]
    caption = [rf"\caption{{{_tex(note)}}}"] if note else []
    # After the end of a line, LaTeX would read these characters as its arguments.
    body = ["{}" + line if line[0] in "[*" else line for line in body]
    opening = [r"\begin{table}", r"\centering\small", *caption, rf"\begin{{tabular}}{{{spec}}}", r"\toprule", head, r"\midrule"]
    return "\n".join([*opening, *body, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def to_csv(frame: pd.DataFrame) -> str:
    """Returns CSV with all digits. Texts that look like a spreadsheet formula start with an apostrophe."""
    plain: dict[str, Any] = {
        name: [_plain(value) for value in frame[name]]
        for name in frame.columns
        if not pd.api.types.is_numeric_dtype(frame[name]) and not all(map(_is_plain, frame[name]))
    }
    return frame.assign(**plain).to_csv(index=False, lineterminator="\n")


def _joined(stem: str, end: str) -> str:
    return f"{stem}_{end}" if stem else end


def _cell(column: str, value: object) -> str:
    if value is None or value is pd.NA or value != value:
        return ABSENT
    form = FORMATS.get("p" if column.startswith("p_") else column)
    if form and isinstance(value, float):
        return form(value)
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _numeric(frame: pd.DataFrame, shown: pd.DataFrame) -> list[bool]:
    return [name not in frame or pd.api.types.is_numeric_dtype(frame[name]) for name in shown.columns]


LINE_END = re.compile(r"\r\n?")
# Names of arms may begin with a plus sign. A harmful formula contains a call or a reference.
FORMULA = re.compile(r"[=@\t\n]|[+-].*([|!]|[A-Za-z]\()", re.DOTALL)
# Characters that would begin an HTML element, a character reference or a link in Markdown.
MARKDOWN = (
    (re.compile(r"&(?=#?\w+;)"), "&amp;"),
    (re.compile(r"<(?=[A-Za-z/!?])"), "&lt;"),
    (re.compile(r"\](?=[(\[:])"), r"\\]"),
)


def _plain(value: object) -> object:
    """Returns the value without carriage returns, and with an apostrophe before a formula."""
    if not isinstance(value, str):
        return value
    text = LINE_END.sub("\n", value) if "\r" in value else value
    return f"'{text}" if FORMULA.match(text) else text


def _is_plain(value: object) -> bool:
    return _plain(value) is value


def _one_line(text: object) -> str:
    """Returns the text with a space for each control character: a line end would end the row."""
    return "".join(character if character.isprintable() else " " for character in str(text))


def _md(text: object) -> str:
    escaped = _one_line(text)
    for pattern, replacement in MARKDOWN:
        escaped = pattern.sub(replacement, escaped)
    return escaped


TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$", ABSENT: "--"}
TEX |= {character: "\\" + character for character in "&%$#_{}"}


def _tex(text: object) -> str:
    escaped = "".join(TEX.get(character, character) for character in _one_line(text))
    return re.sub(r"(?<![\w-])-(?=\d)", "$-$", escaped)


def duration(seconds: float) -> str:
    """Formats a duration, such as 1 h 05 min."""
    if seconds != seconds:
        return "unknown"
    minutes, rest = divmod(round(exact(seconds)), 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min {rest:02d} s"
