"""Visible text: which characters of a text are shown as what they are, and which are not.

Unicode's joiners have no width and are spelled in some scripts: Persian divides words by the
non-joiner, Indic scripts choose conjuncts by either, and emoji of families or professions are
symbols tied by the joiner. There they belong to the text. Anywhere else a joiner, like all other
invisible characters, lets two texts look alike that are not.
"""

import unicodedata
from collections.abc import Iterator

NON_JOINER, JOINER = "\u200c", "\u200d"
JOINERS = NON_JOINER + JOINER
VIRAMA = 9  # combining class
EMOJI_STYLE = "\ufe0f"
# First words of Unicode's names of letters and marks that joiners stand between.
SCRIPTS = (
    "ARABIC", "SYRIAC", "MANDAIC", "NKO", "MONGOLIAN", "DEVANAGARI", "BENGALI", "GURMUKHI", "GUJARATI", "ORIYA", "TAMIL", "TELUGU",
    "KANNADA", "MALAYALAM", "SINHALA", "KHMER", "MYANMAR", "TIBETAN", "BALINESE", "JAVANESE", "SUNDANESE",
)  # fmt: skip


def invisible(text: str) -> Iterator[tuple[int, str]]:
    """Yields place and character of all that is not shown as what it is, line ends too.

    A joiner is accepted between two letters or marks of `SCRIPTS`; the joiner also between two emoji,
    and at the end of a word after a virama.
    """
    for place, character in enumerate(text):
        if not character.isprintable() and not (character in JOINERS and _joins(text, place)):
            yield place, character


def is_visible(text: str) -> bool:
    """Tells whether a text has no characters of `invisible`."""
    return text.isprintable() or next(invisible(text), None) is None


def with_plain_spaces(text: str) -> str:
    """Replaces spaces of other kinds, such as the no-break space, by plain ones."""
    return "".join(" " if unicodedata.category(c) == "Zs" else c for c in text)


def described(character: str) -> str:
    """Returns code and name of a character, such as ``U+200F RIGHT-TO-LEFT MARK``."""
    return f"U+{ord(character):04X} {unicodedata.name(character, '')}".rstrip()


def _joins(text: str, place: int) -> bool:
    before, after = text[place - 1 : place], text[place + 1 : place + 2]
    if text[place] == JOINER and _is_emoji(before) and _is_emoji(after):
        return True
    ends = not after or unicodedata.category(after)[0] in "ZP"
    virama = bool(before) and unicodedata.combining(before) == VIRAMA
    return _is_joined(before) and (_is_joined(after) or (ends and virama and text[place] == JOINER))


def _is_joined(character: str) -> bool:
    return (
        bool(character)
        and unicodedata.category(character)[0] in "LM"
        and unicodedata.name(character, "").partition(" ")[0] in SCRIPTS
    )


def _is_emoji(character: str) -> bool:
    return character == EMOJI_STYLE or (bool(character) and unicodedata.category(character) in ("So", "Sk"))
