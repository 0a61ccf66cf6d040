"""Text: docstrings as Markdown, tables, and links to the sections that docstrings cite."""

import re
from collections.abc import Iterable, Sequence

from docs.generator.matrix import ROOT

PROTOCOL = ROOT / "docs" / "protocol.md"
SECTION_HEADING = re.compile(r"^#{2,3} (?P<number>[\d.]+|S\d)[.:]? (?P<title>.*)$", re.MULTILINE)
# As docstrings cite them: "protocol section 3.5", "Protocol sections 4, 6 and 3.4".
CITED = re.compile(r"\bprotocol\s+sections?\s+(?P<numbers>\d[\d.]*(?:(?:,| and| to)\s+\d[\d.]*)*)", re.IGNORECASE)
NUMBER = re.compile(r"\d(?:[\d.]*\d)?")
PARAGRAPH = re.compile(r"\n\s*\n")
LABEL = re.compile(r"(?P<label>[A-Z][a-z]+(?: \([^)]*\))?): ")


def slug(heading: str) -> str:
    """Returns the anchor of a heading, as MkDocs and GitHub write it."""
    return re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())


def protocol_sections() -> dict[str, str]:
    """Returns the anchors of the sections of docs/protocol.md by number, such as 3.5 or S2."""
    text = PROTOCOL.read_text(encoding="utf-8")
    return {found["number"].rstrip("."): slug(found[0].lstrip("# ")) for found in SECTION_HEADING.finditer(text)}


def cited_sections(text: str) -> list[str]:
    """Returns the numbers of the protocol's sections that a text cites."""
    return [number for found in CITED.finditer(text) for number in NUMBER.findall(found["numbers"])]


def to_markdown(text: str, protocol: str) -> str:
    """Returns a docstring's text as Markdown, on one line, with its citations as links.

    Args:
        text: One paragraph.
        protocol: Relative address of the page of the protocol.
    """
    anchors = protocol_sections()

    def link(found: re.Match[str]) -> str:
        return NUMBER.sub(lambda number: f"[{number[0]}]({protocol}#{anchors[number[0]]})", found[0])

    parts = " ".join(text.replace("``", "`").split()).split("`")
    parts[::2] = [part.replace("<", "&lt;") for part in parts[::2]]  # the others are code
    return CITED.sub(link, "`".join(parts))


def paragraphs(docstring: str) -> list[tuple[str, str]]:
    """Returns the paragraphs of a docstring as (label such as Question, or empty; text)."""
    found = []
    for part in PARAGRAPH.split(docstring.strip()):
        label = LABEL.match(" ".join(part.split()))
        found.append((label["label"], " ".join(part.split())[label.end() :]) if label else ("", " ".join(part.split())))
    return found


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |\n" for line in lines)
