"""API pages: the modules of each room, for mkdocstrings."""

from docs.generator.matrix import ROOT

PACKAGE = ROOT / "stableft"
ROOMS = {
    "core": "Which run is this?",
    "tasks": "On which data, and by which score?",
    "storage": "Where are results, and what state is a run in?",
    "statistics": "How sure are we?",
    "models": "How do texts become logits?",
    "training": "How does one run train?",
    "techniques": "What is changed before the first step?",
    "execution": "How does a grid become finished runs?",
    "reporting": "How do results become figures, tables, verdicts and pages?",
    "recommend": "What should I use on my own data?",
}


def api_pages() -> dict[str, str]:
    """Returns a page per room, and their index, by path in the site."""
    index = [f"- [{room}]({room}.md): {question}" for room, question in ROOMS.items()]
    head = (
        "# API\n\n[stableft.api](python.md) is the interface to use. Below it the package by room; a room imports only from "
        "those listed before it, or beside it.\n\n"
    )
    pages = {f"api/{room}.md": page(room) for room in ROOMS}
    interface = {"api/python.md": "# From Python\n\n::: stableft.api\n"}
    return {"api/index.md": head + "\n".join(index) + "\n", **interface, **pages}


def page(room: str) -> str:
    """Returns the page of a room: a directive for each of its modules."""
    parts = [f"# {room}", ROOMS[room]]
    return "\n\n".join([*parts, *(f"::: {module}" for module in modules(room))]) + "\n"


def modules(room: str) -> list[str]:
    """Returns the public modules of a room by full name."""
    paths = sorted((PACKAGE / room).rglob("*.py"))
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]
    return [name for name in names if not name.rpartition(".")[2].startswith("_")]
