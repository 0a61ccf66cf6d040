"""Attribute texts: what docstrings say of attributes, for listings and pages."""

import inspect
import re


def attributes(docstring: str | None) -> dict[str, str]:
    """Returns the descriptions under ``Attributes`` by name, each on one line."""
    _, _, text = inspect.cleandoc(docstring or "").partition("Attributes:\n")
    found: dict[str, str] = {}
    for part in re.split(r"^    (?=\w[\w, ]*: )", text, flags=re.MULTILINE)[1:]:
        names, _, meaning = part.partition(": ")
        found |= {name.strip(): " ".join(meaning.split()) for name in names.split(",")}
    return found
