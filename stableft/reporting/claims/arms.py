"""Arms of claims: names or patterns, which may differ between protocols."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

Arm = str | Mapping[str, str]
"""A name, or a pattern such as ``two *``; or a mapping from protocols to either, "" for all others."""


def pattern_at(arm: Arm, protocol: str) -> str:
    """Returns the name or pattern of an arm at a protocol."""
    return arm if isinstance(arm, str) else arm.get(protocol, arm.get("", ""))


def matching(arm: Arm, protocol: str, known: Iterable[object]) -> list[str]:
    """Returns the sorted names among ``known`` that an arm matches at a protocol."""
    pattern = pattern_at(arm, protocol)
    return sorted({name for name in map(str, known) if fnmatchcase(name, pattern)})
