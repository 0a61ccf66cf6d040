"""Label variants: labels that differ only by space, case, quotes, joiners or a number's decimals.

They are often one class written in several ways, so the reading stops until the user has chosen to
merge them or to keep them apart. Spaces of every kind, such as the no-break space, are one space
and become plain ones. Joiners are those of `stableft.core.visible_text`, which Persian and Hindi
words may have or lack.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from stableft.core.errors import MissingInput, listed, quoted
from stableft.core.visible_text import JOINERS, with_plain_spaces

QUOTES = "\"'`\u2018\u2019\u201c\u201d\u00ab\u00bb\u201e"
SHOWN = 8
DIFFER = "space, case or quotes"
WHOLE = re.compile(r"([+-]?\d+)\.0+")
WITHOUT_JOINERS = str.maketrans("", "", JOINERS)


def plain(label: str) -> str:
    """Returns a label without the differences that make a variant."""
    text = " ".join(unicodedata.normalize("NFC", label.translate(WITHOUT_JOINERS)).split()).strip(QUOTES).strip().casefold()
    text = text.replace("i\u0307", "i")  # of the Turkish capital
    number = WHOLE.fullmatch(text)
    return number[1] if number else text


def merged(path: object, labels: Iterable[str], rule: str) -> tuple[dict[str, str], list[str]]:
    """Returns the name of each label, and remarks.

    Args:
        path: Their file, for messages.
        labels: The labels of all rows.
        rule: ``stop``, ``merge`` (all variants get the most frequent one's name, without surrounding
            space and quotes) or ``keep``, by which spaces of other kinds still become plain ones.

    Raises:
        MissingInput: There are variants, and the rule is stop.
    """
    counts = Counter(labels)
    groups: dict[str, list[str]] = {}
    for label in sorted(counts):
        groups.setdefault(plain(label), []).append(label)
    several = [group for group in groups.values() if len(group) > 1]
    names = {label: with_plain_spaces(label) for label in counts}
    odd = [quoted(label, 30) for label, name in names.items() if label != name]
    notes = [f"no-break and other wide spaces are read as plain ones: {listed(odd, SHOWN)}"] if odd else []
    if not several:
        return names, notes
    found = "".join(label for group in several for label in group)
    what = "space, case, quotes or joiners" if any(c in found for c in JOINERS) else DIFFER
    what = what if unicodedata.is_normalized("NFC", found) else f"{what}, or by the codes of one character"
    if rule == "keep":
        return names, [*notes, f"labels that differ only by {what} are kept apart: {_said(several, counts)}"]
    if rule == "stop":
        raise MissingInput(
            f"{path}: labels differ only by {what}: {_said(several, counts)}; type --on-variants merge to make "
            "each group one class, or --on-variants keep"
        )
    for group in several:
        most = min(group, key=lambda label: (-counts[label], label))
        name = " ".join(most.split()).strip(QUOTES).strip() or most
        names |= dict.fromkeys(group, name)
    return names, [*notes, f"labels merged: {_said(several, counts)}"]


def _said(groups: Sequence[list[str]], counts: Counter[str]) -> str:
    said = [" = ".join(f"{_shown(label, group)} ({counts[label]} rows)" for label in group[:SHOWN]) for group in groups]
    return ", ".join(said[:SHOWN]) + (f" and {len(said) - SHOWN} more groups" if len(said) > SHOWN else "")


def _shown(label: str, group: Sequence[str]) -> str:
    """Returns a label as messages quote it, by its codes if another of the group looks the same."""
    alike = [other for other in group if unicodedata.normalize("NFC", other) == unicodedata.normalize("NFC", label)]
    return quoted(label, 30) if len(alike) == 1 else ascii(label)[:60]
