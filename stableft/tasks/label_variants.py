"""Label variants: labels that differ only by space, case, quotes or a whole number's decimals.

They are often one class written in several ways, so the reading stops until the user has chosen to
merge them or to keep them apart.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from stableft.core.errors import MissingInput, quoted

QUOTES = "\"'`\u2018\u2019\u201c\u201d\u00ab\u00bb\u201e"
SHOWN = 8
WHOLE = re.compile(r"([+-]?\d+)\.0+")


def plain(label: str) -> str:
    """Returns a label without the differences that make a variant."""
    text = " ".join(unicodedata.normalize("NFC", label).split()).strip(QUOTES).strip().casefold()
    number = WHOLE.fullmatch(text)
    return number[1] if number else text


def merged(path: object, labels: Iterable[str], rule: str) -> tuple[dict[str, str], list[str]]:
    """Returns the name of each label, and remarks.

    Args:
        path: Their file, for messages.
        labels: The labels of all rows.
        rule: ``stop``, ``merge`` (all variants get the most frequent one's name, without surrounding
            space and quotes) or ``keep``.

    Raises:
        MissingInput: There are variants, and the rule is stop.
    """
    counts = Counter(labels)
    groups: dict[str, list[str]] = {}
    for label in sorted(counts):
        groups.setdefault(plain(label), []).append(label)
    several = [group for group in groups.values() if len(group) > 1]
    same = {label: label for label in counts}
    if not several:
        return same, []
    if rule == "keep":
        return same, [f"labels that differ only by space, case or quotes are kept apart: {_said(several, counts)}"]
    if rule == "stop":
        raise MissingInput(
            f"{path}: labels differ only by space, case or quotes: {_said(several, counts)}; type --on-variants merge to make "
            "each group one class, or --on-variants keep"
        )
    for group in several:
        most = min(group, key=lambda label: (-counts[label], label))
        name = " ".join(most.split()).strip(QUOTES).strip() or most
        same |= dict.fromkeys(group, name)
    return same, [f"labels merged: {_said(several, counts)}"]


def _said(groups: Sequence[list[str]], counts: Counter[str]) -> str:
    said = [" = ".join(f"{quoted(label, 30)} ({counts[label]} rows)" for label in group[:SHOWN]) for group in groups]
    return ", ".join(said[:SHOWN]) + (f" and {len(said) - SHOWN} more groups" if len(said) > SHOWN else "")
